//! GGUF metadata values.

use super::cursor::{Cursor, Fault};
use std::ops::Range;

/// Type of a metadata value, numbered as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    pub fn from_u32(number: u32) -> Result<Self, Fault> {
        use ValueType::*;
        const ALL: [ValueType; 13] = [
            U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64,
        ];
        ALL.get(number as usize)
            .copied()
            .ok_or_else(|| format!("metadata of unknown type {number}"))
    }

    /// Bytes of a value; `None` for strings and arrays, which have their own length.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

/// A metadata value. Strings and arrays stay in the file and are read when used, so that no length in a file causes an
/// allocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    /// Range of the bytes in the file.
    String(Range<usize>),
    Array {
        kind: ValueType,
        len: usize,
        /// Range of the elements in the file.
        range: Range<usize>,
    },
}

impl Value {
    /// Reads a value of this type.
    pub fn read(cursor: &mut Cursor, kind: ValueType, key: &str) -> Result<Self, Fault> {
        Ok(match kind {
            ValueType::U8 => Self::Unsigned(cursor.u8(key)?.into()),
            ValueType::I8 => Self::Signed((cursor.u8(key)? as i8).into()),
            ValueType::U16 => Self::Unsigned(cursor.u16(key)?.into()),
            ValueType::I16 => Self::Signed((cursor.u16(key)? as i16).into()),
            ValueType::U32 => Self::Unsigned(cursor.u32(key)?.into()),
            ValueType::I32 => Self::Signed((cursor.u32(key)? as i32).into()),
            ValueType::F32 => Self::Float(f32::from_bits(cursor.u32(key)?).into()),
            ValueType::Bool => Self::Bool(cursor.u8(key)? != 0),
            ValueType::String => Self::String(cursor.string(key)?),
            ValueType::Array => Self::read_array(cursor, key)?,
            ValueType::U64 => Self::Unsigned(cursor.u64(key)?),
            ValueType::I64 => Self::Signed(cursor.u64(key)? as i64),
            ValueType::F64 => Self::Float(f64::from_bits(cursor.u64(key)?)),
        })
    }

    fn read_array(cursor: &mut Cursor, key: &str) -> Result<Self, Fault> {
        let kind = ValueType::from_u32(cursor.u32(key)?)?;
        let len = cursor.u64(key)?;
        let range = cursor.skip_elements(kind, len, key, 0)?;
        Ok(Self::Array {
            kind,
            len: len as usize,
            range,
        })
    }

    /// The value as a non-negative integer.
    pub fn as_unsigned(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(n) => Some(n),
            Self::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The value as a number.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Self::Float(x) => Some(x),
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            _ => None,
        }
    }
}
