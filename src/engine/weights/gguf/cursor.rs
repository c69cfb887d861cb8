//! Reads little-endian values from a byte slice, checking every length before using it.

use super::value::ValueType;
use std::ops::Range;

/// A message that describes what is wrong with the bytes.
pub type Fault = String;

/// Max depth of nested arrays.
const MAX_NESTING: usize = 4;

/// A position in the bytes of a file.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Skips `n` bytes and returns their range.
    pub fn skip(&mut self, n: u64, what: &str) -> Result<Range<usize>, Fault> {
        let left = self.remaining();
        let n = usize::try_from(n).ok().filter(|&n| n <= left).ok_or_else(|| {
            format!("truncated or damaged: {what} needs {n} bytes at offset {}, but {left} are left", self.at)
        })?;
        let start = self.at;
        self.at += n;
        Ok(start..self.at)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        let range = self.skip(N as u64, what)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[range]);
        Ok(out)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8, Fault> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn u16(&mut self, what: &str) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Skips a string, a 64-bit length followed by bytes, and returns the range of the bytes.
    pub fn string(&mut self, what: &str) -> Result<Range<usize>, Fault> {
        let length = self.u64(what)?;
        self.skip(length, what)
    }

    /// Reads a string of at most `max` bytes of UTF-8.
    pub fn short_string(&mut self, max: usize, what: &str) -> Result<&'a str, Fault> {
        let range = self.string(what)?;
        if range.len() > max {
            return Err(format!(
                "{what} of {} bytes, more than the {max} that are allowed",
                range.len()
            ));
        }
        std::str::from_utf8(&self.bytes[range]).map_err(|_| format!("{what} is not UTF-8"))
    }

    /// Skips `len` elements of an array, checking that they are inside the file.
    pub fn skip_elements(
        &mut self,
        kind: ValueType,
        len: u64,
        what: &str,
        depth: usize,
    ) -> Result<Range<usize>, Fault> {
        let start = self.at;
        match kind.size() {
            Some(size) => {
                let bytes = len
                    .checked_mul(size as u64)
                    .ok_or_else(|| format!("{what} claims {len} elements"))?;
                self.skip(bytes, what)?;
            }
            None if len > self.remaining() as u64 / 8 => {
                return Err(format!(
                    "{what} claims {len} elements, more than the file can hold"
                ));
            }
            None => {
                for _ in 0..len {
                    self.skip_unsized(kind, what, depth)?;
                }
            }
        }
        Ok(start..self.at)
    }

    /// Skips a string or an inner array.
    fn skip_unsized(&mut self, kind: ValueType, what: &str, depth: usize) -> Result<(), Fault> {
        if kind == ValueType::String {
            return self.string(what).map(drop);
        }
        if depth >= MAX_NESTING {
            return Err(format!("{what} nests arrays more than {MAX_NESTING} deep"));
        }
        let inner = ValueType::from_u32(self.u32(what)?)?;
        let len = self.u64(what)?;
        self.skip_elements(inner, len, what, depth + 1).map(drop)
    }
}
