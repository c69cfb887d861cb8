//! Changes of the settings file.

use crate::app::config::ConfigChange;
use crate::app::message::Effect;
use crate::app::state::Shared;

/// Change the settings file, and the copy of it here.
pub(super) fn configure(shared: &mut Shared, change: ConfigChange) -> Effect {
    shared.config.apply(change.clone());
    Effect::ChangeConfig(change)
}
