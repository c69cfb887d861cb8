//! Makes the turns of the journal match the conversation that is sent to the engine.

use super::Recorder;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::transcript::{Entry, Result};

impl Recorder {
    /// Records which of several answers the user shows; `prompt` is the conversation with them.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn show_answers(&mut self, prompt: &Prompt) -> Result<()> {
        match prompt {
            Prompt::Chat(messages) => self.follow_answers(without_system(messages).1),
            Prompt::Text(text) => self.follow_completion(text),
            Prompt::Tokens(_) => Ok(()),
        }
    }

    /// Selects the answers of the conversation that differ from the journal's.
    fn follow_answers(&mut self, spoken: &[Message]) -> Result<()> {
        for (at, message) in spoken.iter().enumerate() {
            let Some(turn) = self.journal.session().turns.get(at) else {
                break;
            };
            if turn.message() == *message {
                continue;
            }
            match turn.answer_with(&message.content) {
                Some(answer) if turn.role == message.role => {
                    self.journal.append(Entry::Show { turn: at, answer })?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// As [`Self::follow_answers`] for a completion.
    fn follow_completion(&mut self, text: &str) -> Result<()> {
        let turns = &self.journal.session().turns;
        let [.., prompt, last] = &turns[..] else {
            return Ok(());
        };
        let rest = text.strip_prefix(prompt.content().as_str());
        match rest.and_then(|rest| last.answer_with(rest)) {
            Some(answer) if answer != last.variant => {
                let turn = turns.len() - 1;
                self.journal.append(Entry::Show { turn, answer })
            }
            _ => Ok(()),
        }
    }

    /// Drops all turns but the first `common`. If only an answer would be dropped and `keeps` is set, keeps it as an
    /// alternative.
    fn drop_from(&mut self, common: usize, keeps: bool) -> Result<()> {
        let turns = &self.journal.session().turns;
        let Some(answer) = turns.get(common) else {
            return Ok(());
        };
        let again = answer.content().is_empty() && !answer.others.is_empty();
        if answer.role != Role::Assistant || !(keeps || again) {
            return self.journal.append(Entry::Truncate(common));
        }
        if turns.len() > common + 1 {
            self.journal.append(Entry::Truncate(common + 1))?;
        }
        self.journal.append(Entry::Retry)
    }

    /// Makes the turns of the journal match the conversation: drops those that differ, then appends new ones.
    pub(super) fn follow_chat(&mut self, messages: &[Message]) -> Result<()> {
        let keeps = std::mem::take(&mut self.keeps_answer);
        let (system, spoken) = without_system(messages);
        if self.journal.session().system() != system {
            self.journal.append(Entry::System(system.to_owned()))?;
        }
        self.follow_answers(spoken)?;
        let turns = &self.journal.session().turns;
        let common = turns
            .iter()
            .zip(spoken)
            .take_while(|(turn, message)| turn.message() == **message)
            .count();
        self.drop_from(common, keeps && common == spoken.len())?;
        for message in &spoken[common..] {
            self.journal.append(match message.role {
                Role::Assistant => Entry::Assistant(message.content.clone()),
                Role::User | Role::System => Entry::User(message.content.clone()),
            })?;
        }
        Ok(())
    }

    /// Makes the turns of the journal match a completion prompt: continues the last turns if they form `text`, and
    /// starts a new turn otherwise.
    pub(super) fn follow_text(&mut self, text: &str) -> Result<()> {
        let keeps = std::mem::take(&mut self.keeps_answer);
        if !keeps {
            self.follow_completion(text)?;
        }
        let turns = &self.journal.session().turns;
        let tail: String = turns[turns.len().saturating_sub(2)..]
            .iter()
            .map(|turn| turn.content())
            .collect();
        if !turns.is_empty() && tail == text {
            return Ok(());
        }
        let again = turns.len() >= 2 && turns[turns.len() - 2].content() == text;
        if again {
            return self.drop_from(turns.len() - 1, keeps);
        }
        self.journal.append(Entry::User(text.to_owned()))
    }
}

/// The system prompt, and the other messages.
fn without_system(messages: &[Message]) -> (&str, &[Message]) {
    match messages.split_first() {
        Some((first, rest)) if first.role == Role::System => (first.content.as_str(), rest),
        _ => ("", messages),
    }
}
