//! The bundled model embedded in the program, in builds with the feature `embed`.

use std::path::Path;

/// The pseudo-path of the embedded model.
pub const EMBEDDED_PATH: &str = "embedded:bundled.gguf";

/// Aligned for the tensors, whose offsets in the file are multiples of 32 bytes.
#[cfg(feature = "embed")]
#[repr(C, align(64))]
struct Aligned<Bytes: ?Sized>(Bytes);

#[cfg(feature = "embed")]
static MODEL: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/skiplens-smollm2-135m.gguf"
)));

/// The bytes of the embedded model, if `path` is [`EMBEDDED_PATH`] and the program has one.
pub fn embedded(path: &Path) -> Option<&'static [u8]> {
    #[cfg(feature = "embed")]
    let model: Option<&'static [u8]> = Some(&MODEL.0);
    #[cfg(not(feature = "embed"))]
    let model = None;
    model.filter(|_| path == Path::new(EMBEDDED_PATH))
}
