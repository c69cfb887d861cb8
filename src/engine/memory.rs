//! Allocations whose size depends on a model file or the user. They fail with an error instead of aborting.

use super::{Error, Result};

/// `len` zeros for `what`.
///
/// # Errors
/// [`Error::OutOfMemory`] if the memory cannot be allocated.
pub fn zeros<T: Clone + Default>(len: usize, what: &str) -> Result<Vec<T>> {
    let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
    check(bytes, what)?;
    let mut zeros = Vec::new();
    zeros
        .try_reserve_exact(len)
        .map_err(|_| out_of_memory(bytes, what))?;
    zeros.resize(len, T::default());
    Ok(zeros)
}

/// Checks that `bytes` are free. An operating system that overcommits memory would otherwise kill the program later, on
/// first access.
///
/// # Errors
/// [`Error::OutOfMemory`] if they are not.
pub fn check(bytes: u64, what: &str) -> Result<()> {
    // Small requests are not worth a system call.
    const SMALL: u64 = 64 << 20;
    if bytes > SMALL && available().is_some_and(|free| bytes > free) {
        return Err(out_of_memory(bytes, what));
    }
    Ok(())
}

/// The error for a failed allocation of `bytes`.
pub fn out_of_memory(bytes: u64, what: &str) -> Error {
    Error::OutOfMemory {
        what: what.into(),
        bytes,
        available: available(),
    }
}

/// Bytes that are available without swapping, if known.
pub fn available() -> Option<u64> {
    if cfg!(target_os = "linux") {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text
            .lines()
            .find(|line| line.starts_with("MemAvailable:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        return kib.checked_mul(1024);
    }
    None
}

/// A readable number of bytes: `93 MB`, `4.7 GB`.
pub fn human(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e10 => format!("{:.0} GB", b / 1e9),
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.0} KB", (b / 1e3).ceil()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_allocations_are_reported_with_their_size() {
        for len in [usize::MAX, 1 << 60, 1 << 50] {
            let error = zeros::<u16>(len, "the moon").unwrap_err().to_string();
            assert!(error.contains("the moon needs"), "{error}");
        }
        assert_eq!(zeros::<u16>(3, "little").unwrap(), [0, 0, 0]);
    }

    #[test]
    fn sizes_are_readable() {
        let sizes = [1, 93_000_000, 4_700_000_000, 17_000_000_000].map(human);
        assert_eq!(sizes, ["1 KB", "93 MB", "4.7 GB", "17 GB"]);
    }
}
