//! Changes of the settings file.

use crate::app::config::ConfigChange;
use crate::app::message::Effect;
use crate::app::state::Shared;

/// Changes the settings file and its copy in memory.
pub(super) fn configure(shared: &mut Shared, change: ConfigChange) -> Effect {
    shared.config.apply(change.clone());
    Effect::ChangeConfig(change)
}
