//! The lens: asked for, walked over, applied, followed to a token.

use super::support::Harness;
use skiplens::app::state::lens_view::{LensView, Measure};
use skiplens::app::{Overlay, Pane, Target};

/// An answer with its lens open, complete.
fn opened(width: u16, height: u16) -> Harness {
    let mut h = Harness::ready(width, height);
    h.ask("Why is the sky blue?");
    h.press("f10");
    h.engine(usize::MAX);
    h
}

fn view(h: &Harness) -> LensView {
    match h.state().overlay {
        Some(Overlay::Lens(view)) => view,
        ref other => panic!("no lens but {other:?}"),
    }
}

#[test]
fn key_and_command_open_the_lens_of_the_last_answer() {
    for how in ["f10", "/lens"] {
        let mut h = Harness::ready(100, 40);
        h.ask("Why is the sky blue?");
        match how {
            "f10" => h.press("f10"),
            command => h.ask_command(command),
        }
        h.engine(usize::MAX);
        assert_eq!(view(&h).layer, h.state().settings.exit_layer);
        assert!(h.screen().contains("(exit)"), "{}", h.screen());
    }
}

/// What is told of a layer is what the rows of the lens say.
#[test]
fn the_share_of_a_layer_is_counted_over_the_whole_answer() {
    let mut h = opened(120, 45);
    h.press("home");
    let lens = h.state().turns[0].lens.clone().expect("a lens");
    for _ in 0..5 {
        let layer = view(&h).layer;
        let agreed = lens.rows.iter().filter(|row| row.agrees(layer)).count();
        let told = format!(
            "layer {layer} agrees on {agreed} of {} tokens",
            lens.rows.len()
        );
        assert!(h.screen().contains(&told), "{told}\n{}", h.screen());
        h.press("up");
    }
}

#[test]
fn the_cursor_stays_within_tokens_and_layers() {
    let mut h = opened(100, 40);
    let tokens = h.state().turns[0].lens.as_ref().expect("a lens").rows.len();
    h.press("end right right");
    assert_eq!(view(&h).row, tokens - 1);
    h.press("home left pageup");
    assert_eq!(view(&h).row, 0);
    for _ in 0..40 {
        h.press("up");
    }
    assert_eq!(view(&h).layer, 30);
    for _ in 0..40 {
        h.press("down");
    }
    assert_eq!(view(&h).layer, 1);
    h.press("m");
    assert_eq!(view(&h).measure, Measure::Probability);
}

#[test]
fn b_goes_to_the_first_layer_that_agrees() {
    let mut h = opened(100, 40);
    h.press("home");
    let lens = h.state().turns[0].lens.clone().expect("a lens");
    for row in &lens.rows {
        h.press("b");
        if let Some(earliest) = row.earliest() {
            assert_eq!(view(&h).layer, earliest);
        }
        h.press("right");
    }
}

#[test]
fn enter_makes_the_layer_the_exit_layer() {
    let mut h = opened(100, 40);
    h.press("up up enter");
    assert!(h.state().overlay.is_none());
    assert_eq!(h.state().settings.exit_layer, 9);
    h.press("alt-u");
    assert_eq!(h.state().settings.exit_layer, 7);
}

/// Every row of the lens belongs to the token of the text that it says.
#[test]
fn i_goes_to_the_token() {
    let mut h = opened(100, 40);
    let lens = h.state().turns[0].lens.clone().expect("a lens");
    for at in [0, 3, 7, lens.rows.len() - 1] {
        h.press("f10 home");
        for _ in 0..at {
            h.press("right");
        }
        h.press("i");
        assert_eq!(h.state().focus, Pane::Chat);
        let cursor = h.state().view.cursor.expect("a cursor");
        let round = &h.state().turns[0].rounds[cursor.round];
        assert_eq!(
            round.token(cursor.slot).expect("a token").id,
            lens.rows[at].id
        );
        // From there the lens opens at this token.
        h.press("f10");
        assert_eq!(view(&h).row, at);
        h.press("esc");
    }
}

#[test]
fn a_click_chooses_a_cell_and_a_second_one_inspects_it() {
    let mut h = opened(120, 45);
    h.press("home");
    let wanted = Target::LensCell { row: 4, layer: 12 };
    let at = h.find(&wanted);
    h.click(at.x, at.y);
    assert_eq!((view(&h).row, view(&h).layer), (4, 12));
    let at = h.find(&wanted);
    h.click(at.x, at.y);
    assert!(h.state().overlay.is_none() && h.state().view.cursor.is_some());
}

/// On a wide screen lens and map stand beside the chat, and its lines have at most 100 cells.
#[test]
fn a_wide_screen_shows_the_lens_beside_the_chat() {
    let mut h = Harness::ready(220, 60);
    h.ask("Why is the sky blue?");
    assert!(
        h.screen().contains("f10 shows what every layer"),
        "{}",
        h.screen()
    );
    h.press("f10");
    h.engine(usize::MAX);
    h.press("esc");
    for title in [" lens ", " what if ", " worst drafts "] {
        assert!(h.screen().contains(title), "{title}\n{}", h.screen());
    }
    let mut h = opened(160, 50);
    h.press("esc");
    assert!(h.screen().contains(" lens "), "{}", h.screen());
}
