//! Git LFS pointers, the placeholders of large files that were not fetched.

/// An explanation if these bytes are a Git LFS pointer.
pub fn pointer_fault(bytes: &[u8]) -> Option<String> {
    const START: &[u8] = b"version https://git-lfs.github.com/spec/";
    const MAX_LEN: usize = 1024;
    if !bytes.starts_with(START) || bytes.len() > MAX_LEN {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let size = size.and_then(|size| size.trim().parse::<u64>().ok());
    let size = size.map_or_else(String::new, |size| format!(" of {size} bytes"));
    Some(format!(
        "only a Git LFS pointer; the file itself{size} was not fetched: run git lfs pull in its folder, or download the \
         file by itself"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_recognised() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abab\nsize 66000\n";
        assert!(
            pointer_fault(pointer.as_bytes()).is_some_and(|fault| fault.contains("66000 bytes"))
        );
        assert!(pointer_fault(&pointer.as_bytes()[..45]).is_some());
        assert_eq!(pointer_fault(b"GGUF"), None);
        assert_eq!(
            pointer_fault(format!("{pointer}{}", "x".repeat(2000)).as_bytes()),
            None
        );
    }
}
