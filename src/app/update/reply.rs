//! The result of a handler.

use crate::app::input::Action;
use crate::app::message::Effect;

/// Effects for the driver, and actions to carry out next.
///
/// Handlers never call the router; follow-up actions go into its queue.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub effects: Vec<Effect>,
    pub then: Vec<Action>,
}

impl Reply {
    pub fn none() -> Self {
        Self::default()
    }

    /// Carries out an action next.
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
