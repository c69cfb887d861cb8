use super::*;
use crate::app::input::action::ReplayAction;
use crate::app::{Msg, Options, Turn, update};
use crate::transcript::tests::any_session;
use proptest::prelude::*;

fn plain(turns: &[Turn]) -> Vec<Turn> {
    turns
        .iter()
        .map(|turn| Turn {
            id: 0,
            run: None,
            lens: None,
            others: plain(&turn.others),
            ..turn.clone()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Played at any pace, to and fro, a session ends as the turns that going on with it shows.
    #[test]
    fn a_replay_ends_as_the_session_was_recorded(
        session in any_session(),
        moves in proptest::collection::vec((0u64..4000, -20i32..20), 0..6),
    ) {
        let options = || Options { session: Some(Arc::new(session.clone())), ..Options::default() };
        let recorded = App::new(options()).unwrap();
        let mut app = App::new(Options::default()).unwrap();
        app.replay_alone(Arc::new(session.clone()), 1.0, 0);
        let mut now = 0;
        for (wait, by) in moves {
            now += wait;
            update(&mut app, Msg::Tick(Duration::from_millis(now)));
            update(&mut app, Msg::Action(ReplayAction::By(by).into()));
        }
        update(&mut app, Msg::Action(ReplayAction::End.into()));
        prop_assert_eq!(plain(&app.state().turns), plain(&recorded.chat.turns));
        prop_assert_eq!((app.state().mode, &app.state().system), (recorded.chat.mode, &recorded.chat.system));
    }
}
