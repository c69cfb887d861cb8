//! How long work reports its progress.

/// Called with the stage at hand and how far it is, 0 to 1 where that is known.
pub type Progress<'a> = dyn FnMut(&str, Option<f32>) + 'a;
