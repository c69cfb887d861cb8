//! Fits a conversation into the context of a model by dropping its oldest turns.

use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::{Error, Result};

/// 1/[`ANSWER`] of the context is reserved for the answer; turns are dropped for it.
const ANSWER: usize = 4;

/// A conversation as encoded for the model.
#[derive(Debug, PartialEq)]
pub(super) struct Fitted {
    pub ids: Vec<u32>,
    /// Number of messages dropped after the system prompt.
    pub dropped: usize,
}

/// The token ids of `messages`. Drops as few of the oldest turns as needed to leave room for an answer of `max_steps`
/// tokens or a quarter of the context, whichever is less. The system prompt and the last question always stay.
///
/// # Errors
/// If they do not fit either, or `encode` fails.
pub(super) fn fit(
    messages: &[Message],
    context: usize,
    max_steps: usize,
    encode: impl Fn(&Prompt) -> Result<Vec<u32>>,
) -> Result<Fitted> {
    let system = messages
        .iter()
        .take_while(|message| message.role == Role::System)
        .count();
    let starts: Vec<usize> = (system..messages.len())
        .filter(|at| *at == system || messages[*at].role == Role::User)
        .collect();
    let from = |start: usize| {
        let kept = messages[..system].iter().chain(&messages[start..]);
        encode(&Prompt::Chat(kept.cloned().collect()))
    };
    let reserve = max_steps.min(context / ANSWER);
    let fits = |encoded: &Result<Vec<u32>>, reserve: usize| match encoded {
        Ok(ids) => ids.len() + reserve.max(1) <= context,
        Err(_) => false,
    };
    let whole = from(system);
    let Some((&last, _)) = starts.split_last().filter(|_| !fits(&whole, reserve)) else {
        return Ok(Fitted {
            ids: whole?,
            dropped: 0,
        });
    };
    // Fewer turns never have more tokens.
    let (mut low, mut high) = (1, starts.len() - 1);
    while low < high {
        let middle = low.midpoint(high);
        match fits(&from(starts[middle]), reserve) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    let start = starts.get(low).copied().unwrap_or(last);
    let encoded = from(start);
    match encoded {
        _ if fits(&encoded, 1) => Ok(Fitted {
            ids: encoded?,
            dropped: start - system,
        }),
        // Only the question and its partial answer are left.
        Ok(ids) => Err(too_long(&messages[start..], ids.len(), context)),
        Err(error) => Err(error),
    }
}

/// The error for a prompt that does not fit. It mentions the prompt only if the user can shorten it.
fn too_long(messages: &[Message], tokens: usize, context: usize) -> Error {
    match messages {
        [_] => Error::PromptTooLong { tokens, context },
        _ => Error::ConversationTooLong {
            tokens: Some(tokens),
            context,
        },
    }
}

/// Rewords the error of a conversation that does not fit.
pub(super) fn explain(prompt: &Prompt, error: Error) -> Error {
    let said = match prompt {
        Prompt::Chat(messages) => messages
            .iter()
            .filter(|message| message.role != Role::System)
            .count(),
        _ => 1,
    };
    match error {
        Error::PromptTooLong { tokens, context } if said > 1 => Error::ConversationTooLong {
            tokens: Some(tokens),
            context,
        },
        Error::TextTooLong { context, .. } if said > 1 => Error::ConversationTooLong {
            tokens: None,
            context,
        },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A token for each character, and one for each message.
    fn encode(prompt: &Prompt) -> Result<Vec<u32>> {
        let Prompt::Chat(messages) = prompt else {
            return Ok(Vec::new());
        };
        let length: usize = messages.iter().map(|m| m.content.len() + 1).sum();
        Ok(vec![0; length])
    }

    fn message(role: Role, length: usize) -> Message {
        Message {
            role,
            content: "x".repeat(length),
        }
    }

    proptest! {
        #[test]
        fn only_the_oldest_turns_are_left_out_and_no_more_than_needed(
            system in proptest::option::of(0usize..20),
            lengths in proptest::collection::vec((0usize..30, 0usize..30), 0..8),
            question in 0usize..40,
            begun in proptest::option::of(0usize..40),
            context in 1usize..200,
            max_steps in 1usize..100,
        ) {
            let mut messages: Vec<Message> = system.map(|n| message(Role::System, n)).into_iter().collect();
            for (asked, answered) in lengths {
                messages.extend([message(Role::User, asked), message(Role::Assistant, answered)]);
            }
            messages.push(message(Role::User, question));
            messages.extend(begun.map(|n| message(Role::Assistant, n)));
            let head = usize::from(system.is_some());
            let length = |dropped: usize| {
                let kept = messages[..head].iter().chain(&messages[head + dropped..]);
                encode(&Prompt::Chat(kept.cloned().collect())).unwrap().len()
            };
            let most = messages.len() - head - 1 - usize::from(begun.is_some());
            let reserve = max_steps.min(context / ANSWER).max(1);
            match fit(&messages, context, max_steps, encode) {
                Ok(Fitted { ids, dropped }) => {
                    prop_assert!(dropped % 2 == 0 && dropped <= most);
                    prop_assert_eq!(ids.len(), length(dropped));
                    prop_assert!(ids.len() < context);
                    prop_assert!(ids.len() + reserve <= context || dropped == most);
                    if dropped > 0 {
                        prop_assert!(length(dropped - 2) + reserve > context);
                    }
                }
                Err(error) => {
                    prop_assert!(length(most) >= context);
                    let own = begun.is_none();
                    prop_assert_eq!(error.to_string().contains("shorten the prompt"), own);
                }
            }
        }
    }
}
