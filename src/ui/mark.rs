//! Marks in the text where the model or a setting changed: by the user, or lastingly by the controller `auto`. What a
//! controller does from round to round is for the inspector.

use super::way;
use crate::app::state::turn::Switch;
use crate::app::{Control, Turn};
use crate::engine::decode::{Controller, Proposer, Round, Settings};

/// Rounds after which a choice of the controller counts as lasting.
const LASTING: usize = 8;

/// What changed before the round at index `at`, as text that does not wrap; empty if nothing did.
///
/// ```text
/// ‹E 8→12›       the user moved the exit layer
/// ‹auto: plain›  for some rounds now the controller `auto` has decoded plainly, or with another exit layer
/// ‹model A→B›    another model continues
/// ‹rounds missed›  the connection to the server was too slow
/// ```
pub fn mark(turn: &Turn, at: usize, arrow: &str) -> String {
    let switches = turn.switches.iter().filter(|switch| switch.round == at);
    let switched = switches.map(|Switch { from, to, .. }| format!("model {from}{arrow}{to}"));
    let round = turn.rounds.get(at).filter(|round| !by_the_way(round));
    // Lookup drafts in between do not count as a change.
    let before = turn.rounds[..at.min(turn.rounds.len())]
        .iter()
        .rfind(|round| !by_the_way(round));
    let rounds = before.zip(round);
    let by_user = rounds.map_or_else(Vec::new, |(before, round)| {
        changes(&before.settings, round, arrow)
    });
    let gap = turn.gaps.contains(&at).then(|| "rounds missed".to_owned());
    let by_user: Vec<String> = gap.into_iter().chain(switched).chain(by_user).collect();
    let marks = [
        by_user.join(", "),
        lasting_choice(turn, at).unwrap_or_default(),
    ];
    let framed = marks
        .iter()
        .filter(|mark| !mark.is_empty())
        .map(|mark| format!("‹{mark}›"));
    framed.collect::<String>().replace(' ', "\u{a0}")
}

/// What the user changed since the previous round.
fn changes(before: &Settings, round: &Round, arrow: &str) -> Vec<String> {
    let after = &round.settings;
    let changed =
        |control: &Control| control.get(before) != control.get(after) && !is_moved(*control, round);
    let changed = Control::ALL.into_iter().filter(changed).map(|control| {
        let [old, value] = [before, after].map(|settings| control.show(settings, None));
        format!("{} {old}{arrow}{value}", name(control))
    });
    changed.collect()
}

/// The choice of the controller `auto`, if with the round at index `at` another one has lasted for [`LASTING`] rounds.
/// It changes K and trees too often to mark.
fn lasting_choice(turn: &Turn, at: usize) -> Option<String> {
    let rounds = turn.rounds.get(..=at)?;
    let round = rounds.last().filter(|round| !by_the_way(round))?;
    let mut earlier = rounds
        .iter()
        .rev()
        .filter(|round| !by_the_way(round))
        .take_while(|round| round.settings.controller == Controller::Auto)
        .map(|round| exit(&round.settings));
    let now = exit(&round.settings);
    let is_new = earlier.by_ref().take(LASTING).filter(|e| *e == now).count() == LASTING;
    let mut last = earlier.next().filter(|last| is_new && *last != now)?;
    // Choices that did not last are passed over, except the first of the answer.
    let mut length = 1;
    for exit in earlier {
        length = if exit == last { length + 1 } else { 1 };
        last = exit;
        if length == LASTING {
            break;
        }
    }
    (last != now).then(|| format!("auto: {}", way::of_choice(&round.settings)))
}

/// The exit layer that drafts where lookup finds nothing; `None` for plain decoding.
fn exit(settings: &Settings) -> Option<usize> {
    (!way::is_plain(settings)).then_some(settings.exit_layer)
}

/// Whether a controller used lookup for this round only.
fn by_the_way(round: &Round) -> bool {
    let first = round.drafted().first();
    round.settings.controller == Controller::Auto
        && first.is_some_and(|token| token.proposer == Proposer::Lookup)
}

/// Whether the round has the control's value from its controller.
fn is_moved(control: Control, round: &Round) -> bool {
    let moves = match round.settings.controller {
        Controller::Fixed | Controller::Confidence { .. } => false,
        Controller::AdaptiveSpeculations => control == Control::Speculations,
        Controller::Auto => matches!(
            control,
            Control::ExitLayer
                | Control::Speculations
                | Control::Tree
                | Control::Proposers
                | Control::Strategy
        ),
    };
    moves && round.controller_note.is_some()
}

fn name(control: Control) -> &'static str {
    match control {
        Control::ExitLayer => "E",
        Control::Speculations => "K",
        Control::Temperature => "T",
        control => control.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Mode;
    use crate::engine::decode::Proposers;

    /// A turn of rounds with these exit layers, speculations and controllers.
    fn turn(rounds: &[(usize, usize, Controller)]) -> Turn {
        let mut turn = Turn::new(0, Mode::Chat, String::new());
        for (index, (exit_layer, num_speculations, controller)) in rounds.iter().enumerate() {
            let settings = Settings {
                exit_layer: *exit_layer,
                num_speculations: *num_speculations,
                controller: *controller,
                ..Settings::default()
            };
            let mut round = Round::new(index, index, settings, Default::default());
            round.controller_note = (*controller != Controller::Fixed).then(|| "why".into());
            turn.rounds.push(round);
        }
        turn
    }

    #[test]
    fn the_users_changes_and_the_controllers_moves_are_told_apart() {
        use Controller::{AdaptiveSpeculations, Auto, Confidence, Fixed};
        let confident = Confidence { threshold: 0.5 };
        for (before, after, expected) in [
            ((8, 4, Fixed), (8, 4, Fixed), ""),
            ((8, 4, Fixed), (12, 4, Fixed), "‹E\u{a0}8→12›"),
            (
                (8, 4, AdaptiveSpeculations),
                (8, 5, AdaptiveSpeculations),
                "",
            ),
            (
                (8, 4, AdaptiveSpeculations),
                (9, 5, AdaptiveSpeculations),
                "‹E\u{a0}8→9›",
            ),
            ((8, 4, Auto), (6, 2, Auto), ""),
            ((8, 4, confident), (6, 4, confident), "‹E\u{a0}8→6›"),
            (
                (8, 5, AdaptiveSpeculations),
                (8, 4, Fixed),
                "‹K\u{a0}5→4,\u{a0}controller\u{a0}adaptive\u{a0}K→fixed›",
            ),
        ] {
            assert_eq!(mark(&turn(&[before, after]), 1, "→"), expected);
        }
    }

    /// The marks of all rounds, with the index of each.
    fn marks(turn: &Turn) -> Vec<(usize, String)> {
        let all = (0..turn.rounds.len()).map(|at| (at, mark(turn, at, "→")));
        all.filter(|(_, mark)| !mark.is_empty()).collect()
    }

    #[test]
    fn only_lasting_choices_of_auto_are_marked() {
        use Controller::Auto;
        let of = |parts: &[(usize, usize, usize)]| {
            let rounds = parts
                .iter()
                .flat_map(|(count, exit, k)| vec![(*exit, *k, Auto); *count]);
            marks(&turn(&rounds.collect::<Vec<_>>()))
        };
        // A short excursion, and changes of K alone.
        assert!(of(&[(20, 8, 4), (7, 6, 2), (20, 8, 3)]).is_empty());
        let mark = |exit: usize| format!("‹auto: E {exit}›").replace(' ', "\u{a0}");
        // From the round that makes it last; an excursion before it does not matter.
        let found = of(&[(20, 8, 4), (3, 4, 1), (20, 6, 2), (9, 8, 2)]);
        assert_eq!(found, [(30, mark(6)), (50, mark(8))]);
        // The choice at the beginning is the one to compare with.
        assert_eq!(of(&[(2, 8, 4), (8, 6, 2)]), [(9, mark(6))]);
        assert!(of(&[(9, 8, 4)]).is_empty());
    }

    /// Rounds of lookup are not a change; lasting plain decoding and drafts are.
    #[test]
    fn rounds_of_lookup_are_not_marked() {
        use crate::engine::decode::{DraftToken, RoundTokens};
        let round = |proposers, k, looked_up: bool| {
            let settings = Settings {
                controller: Controller::Auto,
                proposers,
                num_speculations: k,
                ..Settings::default()
            };
            let token = DraftToken {
                proposer: Proposer::Lookup,
                ..DraftToken::new(1, "", 0.5)
            };
            let drafted = if looked_up { vec![token] } else { Vec::new() };
            let tokens = RoundTokens::chain(drafted, 0, None);
            let mut round = Round::new(0, 0, settings, tokens);
            round.controller_note = Some("why".into());
            round
        };
        let mut turn = turn(&[]);
        let drafts = round(Proposers::ExitAndLookup, 2, false);
        let plain = round(Proposers::Lookup, 12, false);
        turn.rounds = [
            vec![drafts.clone(), round(Proposers::ExitAndLookup, 6, true)],
            vec![drafts.clone(); 9],
            vec![plain.clone(); 4],
            vec![round(Proposers::Lookup, 3, true)],
            vec![plain; 4],
            vec![drafts; 8],
        ]
        .concat();
        let exit = Settings::default().exit_layer;
        let drafts = format!("‹auto: E {exit}›").replace(' ', "\u{a0}");
        let plain = "‹auto:\u{a0}plain›".to_owned();
        assert_eq!(marks(&turn), [(19, plain), (27, drafts)]);
    }

    #[test]
    fn another_model_is_marked_where_it_goes_on() {
        let rounds = [(8, 4, Controller::Fixed), (6, 4, Controller::Fixed)];
        let mut turn = turn(&rounds);
        for round in [0, 1] {
            turn.switches = vec![Switch {
                round,
                from: "A".into(),
                to: "B".into(),
            }];
            let expected = ["‹model\u{a0}A→B›", "‹model\u{a0}A→B,\u{a0}E\u{a0}8→6›"][round];
            assert_eq!(mark(&turn, round, "→"), expected);
        }
    }
}
