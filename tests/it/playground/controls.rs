//! Sliders by keys and mouse, numbers typed, undo, presets, the palette.

use super::support::Harness;
use crossterm::event::{MouseButton, MouseEventKind};
use skiplens::app::input::action::ControlsAction;
use skiplens::app::{ConfigChange, Control, Effect, Msg, Options, Pane, Target, ThemeName};
use skiplens::engine::decode::{Settings, Strategy};
use skiplens::engine::worker::{Command, Task};
use skiplens::transcript::{Entry, Mode};

/// Reads one setting as a number.
type Reading = fn(&Settings) -> f64;

/// Keys in the controls panel, and what they do to one setting.
#[test]
fn keys_move_the_focused_control() {
    let table: [(&str, Reading, f64); 16] = [
        ("right", |s| s.exit_layer as f64, 8.0),
        ("left left", |s| s.exit_layer as f64, 5.0),
        ("shift-right", |s| s.exit_layer as f64, 11.0),
        ("home", |s| s.exit_layer as f64, 1.0),
        ("end", |s| s.exit_layer as f64, 29.0),
        ("end right", |s| s.exit_layer as f64, 29.0),
        ("1 2 enter", |s| s.exit_layer as f64, 12.0),
        ("9 9 enter", |s| s.exit_layer as f64, 29.0),
        ("1 2 backspace enter", |s| s.exit_layer as f64, 1.0),
        ("1 2 esc", |s| s.exit_layer as f64, 7.0),
        ("down right", |s| s.num_speculations as f64, 5.0),
        (
            "down down 0 . 8 enter",
            |s| f64::from(s.sampling.temperature),
            f64::from(0.8f32),
        ),
        (
            "down down down right",
            |s| s.strategy as usize as f64,
            Strategy::SelfSpeculative as usize as f64,
        ),
        ("down down down home", |s| s.strategy as usize as f64, 0.0),
        ("down down down space", |s| s.strategy as usize as f64, 0.0),
        ("right right u", |s| s.exit_layer as f64, 8.0),
    ];
    for (keys, value, expected) in table {
        let mut h = Harness::ready(100, 30);
        h.press("tab");
        assert_eq!(h.state().focus, Pane::Controls);
        h.press(keys);
        assert_eq!(value(&h.state().settings), expected, "{keys}");
    }
}

#[test]
fn every_control_can_be_reached_and_says_what_it_means() {
    let mut h = Harness::ready(80, 24);
    h.press("tab");
    for control in Control::of_model(h.state().model.as_ref()) {
        assert_eq!(h.state().controls.focused, control);
        h.find(&Target::Control(control));
        let screen = h.screen();
        let column = |row: &str| row.chars().skip(46).collect::<String>();
        let panel: Vec<String> = screen.lines().map(column).collect();
        let panel = panel.join(" ").replace(['│', '┃'], " ");
        let shown: Vec<&str> = panel.split_whitespace().collect();
        let meaning: Vec<&str> = control.meaning().split(' ').collect();
        let whole = shown.windows(meaning.len()).any(|words| words == meaning);
        assert!(whole, "{control:?}\n{screen}");
        h.press("down");
    }
    assert_eq!(h.state().controls.focused, Control::SystemPrompt);
}

#[test]
fn a_drag_in_the_drawn_frame_moves_the_slider() {
    let mut h = Harness::ready(100, 30);
    let track = h.find(&Target::Track(Control::ExitLayer));
    let left = MouseButton::Left;
    h.mouse(MouseEventKind::Down(left), track.x, track.y);
    assert_eq!(h.state().settings.exit_layer, 1);
    h.mouse(MouseEventKind::Drag(left), track.right() - 1, track.y + 9);
    assert_eq!(h.state().settings.exit_layer, 29);
    h.mouse(MouseEventKind::Drag(left), 0, 0);
    assert_eq!(h.state().settings.exit_layer, 1);
    h.mouse(
        MouseEventKind::Drag(left),
        track.x + track.width / 2,
        track.y,
    );
    h.mouse(MouseEventKind::Up(left), track.x, track.y);
    assert!((13..=17).contains(&h.state().settings.exit_layer));
    h.mouse(MouseEventKind::Drag(left), track.x, track.y);
    assert!(h.state().settings.exit_layer > 1, "released");
    h.press("u");
    assert_eq!(
        h.state().settings.exit_layer,
        7,
        "the whole drag is one change"
    );
}

#[test]
fn wheel_and_clicks_change_controls() {
    let mut h = Harness::ready(100, 30);
    let row = h.find(&Target::Control(Control::Speculations));
    h.mouse(MouseEventKind::ScrollUp, row.x, row.y);
    assert_eq!(h.state().settings.num_speculations, 5);
    h.mouse(MouseEventKind::ScrollDown, row.x, row.y);
    h.mouse(MouseEventKind::ScrollDown, row.x, row.y);
    assert_eq!(h.state().settings.num_speculations, 3);
    let toggle = h.find(&Target::Track(Control::Sampling));
    h.click(toggle.x, toggle.y);
    assert!(!h.state().settings.sampling.sample);
}

#[test]
fn a_change_reaches_a_running_generation_at_once() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("tab shift-right");
    assert!(
        matches!(h.commands.last(), Some(Command::Settings { settings: s, .. }) if s.exit_layer == 11),
        "{:?}",
        h.commands.last()
    );
    let count = h.commands.len();
    h.press("end end");
    assert_eq!(
        h.commands.len(),
        count + 1,
        "a value that stays is not sent"
    );
}

#[test]
fn presets_are_saved_by_name_and_taken_up() {
    let mut h = Harness::ready(100, 30);
    h.press("tab end");
    h.ask_command("/keep late exit");
    assert!(
        matches!(h.effects.last(), Some(Effect::ChangeConfig(ConfigChange::KeepPreset(name, _))) if name == "late exit")
    );
    h.press("tab home f3");
    assert!(h.screen().contains("late exit"), "{}", h.screen());
    h.press("enter");
    assert_eq!(h.state().settings.exit_layer, 29);
    h.press("u");
    assert_eq!(h.state().settings.exit_layer, 1, "{:?}", h.state().focus);
}

/// The limit of K is that of the engine, whichever way it is set; keys change it by one.
#[test]
fn speculations_have_one_limit() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/set k 40");
    h.press("alt-up");
    assert_eq!(h.state().settings.num_speculations, 41);
    h.press("alt-down alt-down");
    assert_eq!(h.state().settings.num_speculations, 39);
    h.press("tab end");
    let most = Settings::MAX_SPECULATIONS;
    assert_eq!(h.state().settings.num_speculations, most);
    h.press("alt-up");
    assert_eq!(h.state().settings.num_speculations, most);
    // The map beside the chat has fewer columns.
    h.press("esc");
    h.resize(220, 60);
    h.ask("hi");
    h.press("f10");
    h.engine(usize::MAX);
    h.press("esc");
    let screen = h.screen();
    assert!(
        screen.contains("K12") && screen.contains("what if"),
        "{screen}"
    );
    h.ask_command("/set k 65");
    let notice = h.state().notice.as_ref().expect("a notice");
    assert!(notice.text.contains("from 1 to 64"), "{}", notice.text);
}

#[test]
fn what_the_command_line_set_goes_before_a_resumed_session() {
    let mut kept = Harness::ready(100, 30);
    kept.state_mut().settings = Settings {
        exit_layer: 9,
        num_speculations: 9,
        ..Settings::default()
    };
    kept.state_mut().settings.stop_strings = vec!["then".into()];
    kept.ask("hi");
    let session = super::support::session_of(kept.state());
    let settings = Settings {
        exit_layer: 5,
        stop_token_ids: vec![3],
        ..Settings::default()
    };
    let user_set = [Control::ExitLayer].into();
    let options = Options {
        settings,
        user_set,
        session: Some(session.clone()),
        ..Options::default()
    };
    let mut h = Harness::starting(100, 30, options);
    h.send(Msg::Engine(super::support::loaded()));
    let shown = |h: &Harness| {
        (
            h.state().settings.exit_layer,
            h.state().settings.num_speculations,
            h.state().turns.len(),
        )
    };
    assert_eq!(shown(&h), (5, 9, 1));
    let settings = &h.state().settings;
    assert_eq!(
        (&settings.stop_strings[..], &settings.stop_token_ids[..]),
        (&["then".to_owned()][..], &[3][..])
    );
    h.send(Msg::SessionLoaded(session));
    assert_eq!(
        shown(&h),
        (9, 9, 1),
        "one that is opened later brings its own"
    );
}

#[test]
fn the_palette_finds_and_does() {
    let mut h = Harness::ready(100, 30);
    h.press("ctrl-p");
    h.write("monochrome");
    h.press("enter");
    assert_eq!(h.app.shared.appearance.theme, ThemeName::Monochrome);
    h.press("ctrl-p");
    h.write("theme");
    let light = h.find(&Target::Entry(3));
    h.click(light.x + 2, light.y);
    assert_eq!(h.app.shared.appearance.theme, ThemeName::Light);
    h.press("ctrl-p");
    h.write("nothing like this");
    h.press("enter");
    assert!(h.state().overlay.is_none());
}

#[test]
fn a_models_recommendations_yield_to_the_user() {
    let mut h = Harness::starting(100, 30, Default::default());
    h.send(Msg::Action(
        ControlsAction::Set(Control::Speculations, 9.0).into(),
    ));
    let mut model = super::support::model();
    (model.defaults.exit_layer, model.defaults.num_speculations) = (Some(6), Some(3));
    h.send(Msg::Engine(super::support::loaded_as(model)));
    assert_eq!(
        (
            h.state().settings.exit_layer,
            h.state().settings.num_speculations
        ),
        (6, 9)
    );
}

#[test]
fn a_model_with_a_broken_chat_template_completes() {
    let mut h = Harness::starting(100, 30, Default::default());
    let mut model = super::support::model();
    model.has_chat_template = false;
    model.chat_template_fault = Some("m.gguf: line 1: unknown tag 'x'".into());
    h.send(Msg::Engine(super::support::loaded_as(model)));
    assert_eq!(h.state().mode, Mode::Completion);
    let notice = h.state().notice.as_ref().expect("a notice");
    assert!(notice.is_error && notice.text.contains("unknown tag 'x'"));
}

#[test]
fn the_mouse_can_be_left_to_the_terminal() {
    let mut h = Harness::ready(100, 30);
    h.press("f9");
    assert!(h.effects.contains(&Effect::Mouse(false)));
    h.tick(1);
    h.tick(60_000);
    assert!(h.screen().contains("mouse off"), "{}", h.screen());
}

#[test]
fn the_system_prompt_is_edited_in_place() {
    let mut h = Harness::ready(100, 30);
    h.press("tab G enter");
    h.write("Be kind.");
    h.press("alt-enter");
    h.write("Be brief.");
    h.press("enter");
    assert_eq!(h.state().system, "Be kind.\nBe brief.");
    h.press("esc");
    h.ask("hi");
    let Some(Command::Start {
        task: Task::Generate(skiplens::engine::prompt::Prompt::Chat(messages)),
        ..
    }) = h.commands.last()
    else {
        panic!("{:?}", h.commands.last());
    };
    assert_eq!(messages[0].content, "Be kind.\nBe brief.");
}

/// What the present settings leave without effect is said where it is looked at.
#[test]
fn a_control_without_effect_says_so() {
    let mut h = Harness::ready(160, 50);
    h.press("tab");
    assert!(!h.screen().contains("effect now"), "{}", h.screen());
    h.ask_command("/set strategy autoregressive");
    h.press("tab");
    assert!(h.screen().contains("effect now"), "{}", h.screen());
    h.press("down down");
    assert_eq!(h.state().controls.focused, Control::Temperature);
    assert!(!h.screen().contains("effect now"), "{}", h.screen());
    h.ask_command("/set sample off");
    assert!(h.screen().contains("effect now"), "{}", h.screen());
}

fn records(h: &Harness) -> Vec<&Entry> {
    let mut records = Vec::new();
    for effect in &h.effects {
        if let Effect::Record(entry) = effect {
            records.push(entry);
        }
    }
    records
}

/// What is set while nothing is written goes into the journal at once: it may be the last thing the user does.
#[test]
fn settings_between_answers_go_into_the_journal() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    assert!(
        records(&h).is_empty(),
        "an answer brings its settings along"
    );
    h.press("alt-right");
    assert!(matches!(records(&h)[..], [Entry::Settings(s)] if s.exit_layer == 8));
    h.press("alt-u");
    assert!(matches!(records(&h)[1..], [Entry::Settings(s)] if s.exit_layer == 7));
    h.effects.clear();
    h.ask_command("/set system Be brief.");
    h.press("alt-u f8 tab tab d");
    let told = records(&h);
    let brief = |entry: &Entry| *entry == Entry::System("Be brief.".into());
    let none = |entry: &Entry| *entry == Entry::System(String::new());
    assert!(
        brief(told[0]) && told.iter().any(|entry| none(entry)),
        "{told:?}"
    );
    assert!(told.contains(&&Entry::Mode(Mode::Completion)), "{told:?}");
    assert!(
        matches!(told.last(), Some(Entry::Settings(s)) if s.detail),
        "{told:?}"
    );
    h.effects.clear();
    h.state_mut().focus = skiplens::app::Pane::Prompt;
    h.write("more");
    h.press("enter");
    h.engine(20);
    h.press("alt-right");
    assert!(
        records(&h).is_empty(),
        "the engine is told, and the journal with it"
    );
}

/// Of a drag the journal gets where it began and where it ended.
#[test]
fn a_drag_is_not_written_step_by_step() {
    let mut h = Harness::ready(100, 30);
    let track = h.find(&Target::Track(Control::ExitLayer));
    h.mouse(
        MouseEventKind::Down(MouseButton::Left),
        track.x + 2,
        track.y,
    );
    for column in 2..track.width {
        let drag = MouseEventKind::Drag(MouseButton::Left);
        h.mouse(drag, track.x + column, track.y);
    }
    h.mouse(MouseEventKind::Up(MouseButton::Left), track.x, track.y);
    let told = records(&h);
    assert!(told.len() <= 2, "{told:?}");
    assert!(matches!(told.last(), Some(Entry::Settings(s)) if s.exit_layer == 29));
}

/// What another instance kept is there once the settings file was read again.
#[test]
fn presets_of_other_instances_are_offered() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/keep one");
    let mut presets = h.app.shared.config.presets.clone();
    presets.insert("two".into(), Default::default());
    h.send(Msg::Presets(presets));
    h.press("f3");
    assert!(
        h.screen().contains("one") && h.screen().contains("two"),
        "{}",
        h.screen()
    );
}

/// However low the screen, controls are either shown or counted.
#[test]
fn controls_below_the_fold_are_counted() {
    for height in 12..50 {
        let mut h = Harness::ready(80, height);
        for keys in ["tab", "G"] {
            h.press(keys);
            let shown = h.app.shared.regions.areas().iter();
            let shown = shown
                .filter(|(_, target)| matches!(target, Target::Control(_)))
                .count();
            let screen = h.screen();
            let hidden: usize = screen
                .lines()
                .find(|line| line.contains(" more below") || line.contains(" more above"))
                .map_or(0, |line| {
                    let words = line.split_whitespace();
                    words.filter_map(|word| word.parse::<usize>().ok()).sum()
                });
            let all = Control::of_model(h.state().model.as_ref()).len();
            assert_eq!(shown + hidden, all, "{height}\n{screen}");
        }
    }
}

/// The bar of a chosen entry is one colour from end to end, whatever is written on it.
#[test]
fn the_selection_is_one_bar() {
    let mut h = Harness::ready(100, 30);
    h.press("ctrl-p down");
    let row = h.find(&Target::Entry(1));
    let cells: Vec<_> = (row.left()..row.right())
        .map(|x| &h.buffer()[(x, row.y)])
        .map(|cell| (cell.fg, cell.bg, cell.modifier))
        .collect();
    assert!(cells.iter().all(|cell| *cell == cells[0]), "{cells:?}");
    assert!(cells[0].2.contains(ratatui::style::Modifier::REVERSED));
}
