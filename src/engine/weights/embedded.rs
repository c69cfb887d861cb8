//! The bundled model and its exits embedded in the program, in builds with the feature `embed`.

use std::path::Path;

/// The pseudo-path of the embedded model.
pub const EMBEDDED_PATH: &str = "embedded:bundled.gguf";

#[cfg(feature = "embed")]
mod files {
    /// Aligned for the tensors, whose offsets in the files are multiples of 32 bytes.
    #[repr(C, align(64))]
    struct Aligned<Bytes: ?Sized>(Bytes);

    static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/assets/skiplens-smollm2-135m.gguf"
    )));

    static EXITS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/assets/skiplens-smollm2-135m.exits.gguf"
    )));

    /// Path and bytes of each.
    pub const ALL: [(&str, &[u8]); 2] = [
        (super::EMBEDDED_PATH, &MODEL.0),
        ("embedded:bundled.exits.gguf", &EXITS.0),
    ];
}

#[cfg(not(feature = "embed"))]
mod files {
    pub const ALL: [(&str, &[u8]); 0] = [];
}

/// The bytes of the embedded file with this path, if any.
pub fn embedded(path: &Path) -> Option<&'static [u8]> {
    let file = files::ALL.iter().find(|(name, _)| path == Path::new(name));
    file.map(|(_, bytes)| *bytes)
}
