//! Progress reports.

/// Called with the current stage and how much of it is done, 0 to 1, if known.
pub type Progress<'a> = dyn FnMut(&str, Option<f32>) + 'a;
