//! Names of ways to draft on screen: `plain`, `lookup`, `E 6 K 2`, `E 6 tree of 8`, `E 6 K 2 adapter`.

use crate::engine::decode::{Controller, Proposer, Proposers, Round, Settings, Strategy};

/// How a round drafted.
pub fn of_round(round: &Round) -> String {
    match round.drafted().first() {
        None => "plain".into(),
        Some(token) if token.proposer == Proposer::Lookup => "lookup".into(),
        Some(token) if token.proposer == Proposer::Adapter => {
            format!("{} adapter", exit(&round.settings))
        }
        Some(_) => exit(&round.settings),
    }
}

/// How settings chosen by a controller draft where lookup finds nothing. With `auto` the shape of a draft differs from round
/// to round.
pub fn of_choice(settings: &Settings) -> String {
    match settings.controller {
        _ if is_plain(settings) => "plain".into(),
        Controller::Auto => format!("E {}", settings.exit_layer),
        _ => exit(settings),
    }
}

/// Whether settings chosen by a controller decode plainly where lookup finds nothing.
pub fn is_plain(settings: &Settings) -> bool {
    settings.strategy == Strategy::Autoregressive || settings.proposers == Proposers::Lookup
}

/// A chain or tree of early-exit drafts.
fn exit(settings: &Settings) -> String {
    match settings.tree {
        0 => pair(settings),
        nodes => format!("E {} tree of {nodes}", settings.exit_layer),
    }
}

/// Exit layer and number of speculations.
pub fn pair(settings: &Settings) -> String {
    format!("E {} K {}", settings.exit_layer, settings.num_speculations)
}
