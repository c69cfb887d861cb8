//! What a handler answers with.

use crate::app::input::Action;
use crate::app::message::Effect;

/// Effects for the driver, and actions to be carried out next.
///
/// A handler never calls the router: what shall follow it goes into the queue.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub effects: Vec<Effect>,
    pub then: Vec<Action>,
}

impl Reply {
    pub fn none() -> Self {
        Self::default()
    }

    /// Carry out an action next.
    pub fn then(action: impl Into<Action>) -> Self {
        Self {
            effects: Vec::new(),
            then: vec![action.into()],
        }
    }

    /// Both, in this order.
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        let other = other.into();
        self.effects.extend(other.effects);
        self.then.extend(other.then);
        self
    }
}

impl From<Vec<Effect>> for Reply {
    fn from(effects: Vec<Effect>) -> Self {
        Self {
            effects,
            then: Vec::new(),
        }
    }
}

impl From<Effect> for Reply {
    fn from(effect: Effect) -> Self {
        vec![effect].into()
    }
}

impl From<Option<Effect>> for Reply {
    fn from(effect: Option<Effect>) -> Self {
        Vec::from_iter(effect).into()
    }
}
