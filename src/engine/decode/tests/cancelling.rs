//! Cancelling between phases.

use super::*;

/// Cancels at the n-th poll.
struct CancelAt(usize);

impl Observer for CancelAt {
    fn poll(&mut self, _next: Phase) -> std::ops::ControlFlow<()> {
        self.0 = self.0.wrapping_sub(1);
        if self.0 == 0 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    }
}

#[test]
fn cancelling_at_any_poll_keeps_the_finished_rounds() {
    let mut decoder = decoder(config(4, 4, 2, 16, true), GgmlDType::F32, 3);
    for tree in [0, 6] {
        let settings = Settings {
            exit_layer: 2,
            max_steps: 20,
            proposers: Proposers::ExitAndLookup,
            tree,
            ..Settings::default()
        };
        cancel_everywhere(&mut decoder, &Arc::new(settings));
    }
}

fn cancel_everywhere(decoder: &mut Decoder, settings: &Arc<Settings>) {
    let want = tokens(&rounds(decoder, &[5, 6, 7], settings, |_, _| {}));
    for at in 1..60 {
        let mut session = decoder.session().unwrap();
        let mut observer = CancelAt(at);
        let Ok(mut run) = decoder.begin(&mut session, &[5, 6, 7], settings, &mut observer) else {
            continue;
        };
        let mut kept = Vec::new();
        while run.stop().is_none() {
            match decoder.round(&mut session, &mut run, settings, &mut observer) {
                Ok(round) => kept.extend(tokens(&[round])),
                Err(error) => {
                    assert!(matches!(error, crate::engine::Error::Cancelled));
                    assert_eq!(session.tokens()[3..], kept);
                }
            }
        }
        assert_eq!(kept, want, "cancelled at poll {at}, then resumed");
    }
}
