//! Progress of loading and measuring, on standard error.

use super::eprint;
use crate::safe_text::one_line;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows the progress of loading. Stages may contain file names, which are untrusted.
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

/// Shows the number of finished samples and the remaining time: as a bar on a terminal, as lines elsewhere.
pub struct SampleProgress {
    bar: ProgressBar,
    /// Tenths of the work already reported by a line; `None` if samples get no lines.
    reported: Option<usize>,
}

impl SampleProgress {
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}{msg} · {eta} left")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            reported: Some(0),
        }
    }

    /// For work in many cells, each of which gets a [`Self::line`]; their samples get none.
    pub fn by_cells() -> Self {
        Self {
            reported: None,
            ..Self::new()
        }
    }

    /// Prints a separate line, above the bar.
    pub fn line(&self, text: &str) {
        self.bar
            .suspend(|| eprint(&format!("{}\n", one_line(text))));
    }

    /// `figures` are the measurements so far.
    pub fn show(&mut self, done: usize, total: usize, figures: &str) {
        if !self.bar.is_hidden() {
            // Earlier samples may come from a resumed run, so the remaining time is estimated from new ones.
            if self.bar.length() != Some(total as u64) {
                self.bar.set_length(total as u64);
                self.bar.set_position(done.saturating_sub(1) as u64);
                self.bar.reset_eta();
            }
            self.bar.set_message(after(figures));
            return self.bar.set_position(done as u64);
        }
        let Some(reported) = &mut self.reported else {
            return;
        };
        let tenths = done * 10 / total.max(1);
        if tenths > *reported {
            *reported = tenths;
            eprint(&format!("{done}/{total}{}\n", after(figures)));
        }
    }

    /// Clears the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Figures with a separator before them; empty before there are any.
fn after(figures: &str) -> String {
    match figures {
        "" => String::new(),
        _ => format!(" · {}", one_line(figures)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_not_known_yet_leave_no_separator() {
        assert_eq!(after(""), "");
        assert_eq!(after("74 % accepted"), " · 74 % accepted");
    }
}
