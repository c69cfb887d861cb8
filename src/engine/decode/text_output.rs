//! The text of a run's tokens, and the detection of its end.

use super::{Settings, StopReason};
use crate::engine::text::{TextStream, Tokenizer};

/// Turns the tokens of a run into text and detects its end.
#[derive(Default)]
pub(super) struct TextOutput {
    stream: Option<TextStream>,
    /// Text held back because it may begin a stop string.
    held: String,
}

impl Clone for TextOutput {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            held: self.held.clone(),
        }
    }

    /// Reuses buffers, so that previewing a draft allocates nothing.
    fn clone_from(&mut self, other: &Self) {
        self.stream.clone_from(&other.stream);
        self.held.clone_from(&other.held);
    }
}

impl TextOutput {
    /// Output that continues `context`; without a tokenizer all texts are empty.
    pub fn new(tokenizer: Option<&Tokenizer>, context: &[u32]) -> Self {
        Self {
            stream: tokenizer.map(|tokenizer| TextStream::with_context(tokenizer, context)),
            held: String::new(),
        }
    }

    /// Adds a token: appends its text to `text`, and returns the reason if it ends the run.
    pub fn push(
        &mut self,
        id: u32,
        ends: &[u32],
        settings: &Settings,
        text: &mut String,
    ) -> Option<StopReason> {
        if let Some(reason) = stop_token(id, ends, settings) {
            return Some(reason);
        }
        let stream = self.stream.as_mut()?;
        if settings.stop_strings.is_empty() && self.held.is_empty() {
            stream.push_into(id, text);
            return None;
        }
        let from = text.len();
        text.reserve(self.held.len() + stream.max_bytes(id));
        text.push_str(&self.held);
        stream.push_into(id, text);
        self.release(&settings.stop_strings, text, from)
    }

    /// Holds back the end of `text` if it may begin a stop string; only `text[from..]` is new. At a complete stop
    /// string, cuts the text before it and returns the reason.
    fn release(&mut self, stops: &[String], text: &mut String, from: usize) -> Option<StopReason> {
        let new = &text[from..];
        self.held.clear();
        let found = stops
            .iter()
            .filter(|s| !s.is_empty())
            .filter_map(|s| Some((new.find(s.as_str())?, s)));
        if let Some((at, stop)) =
            found.min_by_key(|(at, stop)| (*at, std::cmp::Reverse(stop.len())))
        {
            text.truncate(from + at);
            return Some(StopReason::StopString(stop.clone()));
        }
        let keep = stops
            .iter()
            .map(|stop| overlap(new, stop))
            .max()
            .unwrap_or(0);
        let sure = text.len() - keep;
        self.held
            .reserve(stops.iter().map(String::len).max().unwrap_or(0));
        self.held.push_str(&text[sure..]);
        text.truncate(sure);
        None
    }

    /// The text still held back if a run ends for a reason other than a stop string.
    pub fn finish(&mut self) -> String {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(
            &self
                .stream
                .as_mut()
                .map(TextStream::finish)
                .unwrap_or_default(),
        );
        text
    }
}

fn stop_token(id: u32, ends: &[u32], settings: &Settings) -> Option<StopReason> {
    if settings.stop_token_ids.contains(&id) {
        Some(StopReason::StopToken(id))
    } else {
        ends.contains(&id).then_some(StopReason::Eos)
    }
}

/// Length of the longest suffix of `text` that is a proper prefix of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let prefixes = stop.char_indices().skip(1).map(|(at, _)| &stop[..at]);
    prefixes
        .filter(|prefix| text.ends_with(prefix))
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn release_all(pieces: &[String], stops: &[String]) -> (String, Option<StopReason>) {
        let mut output = TextOutput {
            stream: None,
            held: String::new(),
        };
        let mut text = String::new();
        for piece in pieces {
            let from = text.len();
            text.push_str(&output.held);
            text.push_str(piece);
            let stop = output.release(stops, &mut text, from);
            if stop.is_some() {
                return (text, stop);
            }
        }
        text.push_str(&output.finish());
        (text, None)
    }

    proptest! {
        #[test]
        fn text_is_cut_before_a_stop_string_that_spans_tokens(
            pieces in prop::collection::vec("[ab\\n€]{0,3}", 0..12),
            stops in prop::collection::vec("[ab\\n€]{1,4}", 0..3),
        ) {
            let whole: String = pieces.concat();
            let (text, stop) = release_all(&pieces, &stops);
            // The stop string that completes first ends the text, and the output never contains one.
            prop_assert!(whole.starts_with(&text));
            prop_assert!(stops.iter().all(|stop| !text.contains(stop.as_str())));
            match stop {
                Some(StopReason::StopString(stop)) => prop_assert!(whole[text.len()..].starts_with(&stop)),
                _ => prop_assert_eq!(text, whole),
            }
        }
    }
}
