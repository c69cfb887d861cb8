//! Errors that all back ends report in the same words.

use crate::engine::Error;

/// A sequence for no positions.
pub fn no_capacity() -> Error {
    Error::Setting("the capacity of a sequence must be at least one position".into())
}

/// A draft order set while a sequence of the model is in use.
pub fn draft_order_in_use() -> Error {
    Error::Setting("the draft order of a model in use cannot be changed".into())
}

/// A row whose state after `depth` layers is not in its slot.
pub fn no_state_at(slot: usize, depth: usize) -> Error {
    Error::Setting(format!("slot {slot} holds no state after {depth} layers"))
}

/// A slot without the state that is read from it.
pub fn no_state(slot: usize) -> Error {
    Error::Setting(format!("slot {slot} holds no such state"))
}

/// Slots to keep that are not in ascending order.
pub fn not_ascending() -> Error {
    Error::Setting("rows can only be kept in ascending order".into())
}
