//! How loading goes, on standard error where that is a terminal.

use crate::safe_text::one_line;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows how loading goes. The stages name files, which are foreign.
pub fn loading_progress() -> impl FnMut(&str, Option<f32>) {
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}%") {
        bar.set_style(style);
    }
    move |stage, fraction| {
        bar.set_message(one_line(stage).into_owned());
        match fraction {
            Some(part) if part < 1.0 => bar.set_position((part * 1000.0) as u64),
            Some(_) => bar.finish_and_clear(),
            None => {}
        }
    }
}
