//! Fingerprints of model files, computed without reading gigabytes.

use super::{embedded, is_exits_file};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes hashed at each end of a file.
const END: u64 = 1 << 20;

/// Fingerprint of the file at `path`: `ends:` and the SHA-256, in hexadecimal, of the file's length (8 bytes, little
/// endian), its first MiB and its last MiB (for a file below 2 MiB, all bytes after its first MiB). Files that differ
/// only in the middle have the same fingerprint. The fingerprint of a folder is that of its largest `.safetensors` or
/// `.gguf` file. Takes a few milliseconds; do not call it on the thread that draws.
/// The embedded model has the fingerprint of its file.
///
/// # Errors
/// If the file cannot be read, or the folder has no weights.
pub fn fingerprint(path: &Path) -> io::Result<String> {
    if let Some(bytes) = embedded(path) {
        return of_bytes(Cursor::new(bytes), bytes.len() as u64);
    }
    let file = match path.is_dir() {
        true => File::open(largest_weights(path)?.ok_or(io::ErrorKind::NotFound)?)?,
        false => File::open(path)?,
    };
    let length = file.metadata()?.len();
    of_bytes(file, length)
}

fn of_bytes(mut file: impl Read + Seek, length: u64) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    io::copy(&mut (&mut file).take(END), &mut hash)?;
    file.seek(SeekFrom::Start(
        length.saturating_sub(END).max(END.min(length)),
    ))?;
    io::copy(&mut file.take(END), &mut hash)?;
    let digits: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("ends:{digits}"))
}

fn largest_weights(folder: &Path) -> io::Result<Option<std::path::PathBuf>> {
    let files = std::fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let weights = files.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "safetensors" || extension == "gguf")
            && !is_exits_file(path)
    });
    Ok(weights.max_by_key(|path| path.metadata().map_or(0, |about| about.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "embed")]
    #[test]
    fn the_embedded_model_has_the_fingerprint_of_its_file() {
        use super::super::{BUNDLED_FILE, EMBEDDED_PATH};
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("assets")
            .join(BUNDLED_FILE);
        let embedded = fingerprint(Path::new(EMBEDDED_PATH)).unwrap();
        assert_eq!(embedded, fingerprint(&file).unwrap());
    }

    #[test]
    fn the_fingerprint_covers_length_and_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.gguf");
        let mut bytes = vec![7; 3 << 20];
        let mut prints = std::collections::HashSet::new();
        for at in [0, 5, (3 << 20) - 1] {
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            prints.insert(fingerprint(&path).unwrap());
        }
        bytes.push(7);
        std::fs::write(&path, &bytes).unwrap();
        prints.insert(fingerprint(&path).unwrap());
        assert_eq!(prints.len(), 4);
        assert!(
            prints.contains(&fingerprint(folder.path()).unwrap()),
            "a folder has that of its weights"
        );
    }

    #[test]
    fn small_and_empty_files_have_a_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"").unwrap();
        assert!(fingerprint(&path).unwrap().starts_with("ends:"));
        assert!(fingerprint(&folder.path().join("b")).is_err());
    }
}
