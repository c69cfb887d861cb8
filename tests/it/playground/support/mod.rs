//! A fake engine, and a harness that presses keys and reads the screen.
#![allow(dead_code, unused_imports)]

mod apart;
mod fake;
mod kept;

pub use apart::{lens, race};
pub use fake::{Fake, answer, loaded, loaded_as, model, round, words_of};
pub use kept::{Shelf, said, session_of};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Modifier;
use skiplens::app::{App, Effect, Msg, Options, State, Target, update};
use skiplens::engine::worker::Command;
use skiplens::ui::Renderer;
use std::time::Duration;

/// The app with a fake engine and a terminal in memory.
pub struct Harness {
    pub app: App,
    pub fake: Fake,
    /// Effects other than commands to the engine.
    pub effects: Vec<Effect>,
    pub commands: Vec<Command>,
    renderer: Renderer,
    terminal: Terminal<TestBackend>,
}

impl Harness {
    /// A started app, the model not yet loaded.
    pub fn starting(width: u16, height: u16, options: Options) -> Self {
        let app = App::new(options).expect("options");
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("terminal");
        let (effects, commands) = (Vec::new(), Vec::new());
        let mut harness = Self {
            app,
            fake: Fake::default(),
            effects,
            commands,
            renderer: Renderer::default(),
            terminal,
        };
        harness.draw();
        harness
    }

    /// An app with a model of 30 layers.
    pub fn ready(width: u16, height: u16) -> Self {
        let mut harness = Self::starting(width, height, Options::default());
        harness.send(Msg::Engine(loaded()));
        harness
    }

    /// What is on screen.
    pub fn state(&self) -> &State {
        self.app.state()
    }

    pub fn state_mut(&mut self) -> &mut State {
        self.app.state_mut()
    }

    pub fn send(&mut self, msg: Msg) {
        for effect in update(&mut self.app, msg) {
            match effect {
                Effect::Send(command) => {
                    self.fake.take(&command);
                    self.commands.push(command);
                }
                effect => self.effects.push(effect),
            }
        }
        self.draw();
    }

    pub fn draw(&mut self) {
        let mut regions = None;
        self.terminal
            .draw(|frame| regions = Some(self.renderer.draw(&self.app, frame)))
            .expect("frame");
        update(&mut self.app, Msg::Drawn(regions.expect("regions")));
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
        self.send(Msg::Resize);
    }

    /// Press keys by name: `tab`, `ctrl-c`, `shift-left`, `x`.
    pub fn press(&mut self, names: &str) {
        for name in names.split_whitespace() {
            self.send(Msg::Key(key(name)));
        }
    }

    /// Type a text.
    pub fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.send(Msg::Key(KeyEvent::new(
                KeyCode::Char(c),
                KeyModifiers::NONE,
            )));
        }
    }

    /// Let the engine report up to `count` events.
    pub fn engine(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.fake.next() else {
                return;
            };
            self.send(Msg::Engine(event));
        }
    }

    /// Ask something and let the engine answer to the end.
    pub fn ask(&mut self, text: &str) {
        self.write(text);
        self.press("enter");
        self.engine(usize::MAX);
    }

    /// Give a slash command in place of what is in the prompt.
    pub fn ask_command(&mut self, text: &str) {
        self.app.state_mut().focus = skiplens::app::Pane::Prompt;
        self.app.state_mut().prompt.set("");
        self.write(text);
        self.press("enter");
    }

    /// Take in a message without drawing.
    pub fn quiet(&mut self, msg: Msg) {
        for effect in update(&mut self.app, msg) {
            match effect {
                Effect::Send(command) => self.fake.take(&command),
                effect => self.effects.push(effect),
            }
        }
    }

    /// Let the engine report one event without drawing.
    pub fn quiet_engine(&mut self) {
        if let Some(event) = self.fake.next() {
            self.quiet(Msg::Engine(event));
        }
    }

    pub fn tick(&mut self, milliseconds: u64) {
        self.send(Msg::Tick(Duration::from_millis(milliseconds)));
    }

    pub fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        self.send(Msg::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }));
    }

    pub fn click(&mut self, column: u16, row: u16) {
        self.mouse(MouseEventKind::Down(MouseButton::Left), column, row);
        self.mouse(MouseEventKind::Up(MouseButton::Left), column, row);
    }

    /// Where a target was drawn.
    pub fn find(&self, target: &Target) -> ratatui::layout::Rect {
        let found = self
            .app
            .shared
            .regions
            .areas()
            .iter()
            .find(|(_, t)| t == target);
        found
            .unwrap_or_else(|| panic!("{target:?} is not on screen:\n{}", self.screen()))
            .0
    }

    pub fn buffer(&self) -> &Buffer {
        self.terminal.backend().buffer()
    }

    /// The text on screen.
    pub fn screen(&self) -> String {
        rows(self.buffer(), |_, _| {}).join("\n")
    }

    /// The text on screen, and after each row the stretches of it that have a style.
    pub fn styled(&self) -> String {
        let mut lines = Vec::new();
        for (y, row) in rows(self.buffer(), |_, _| {}).into_iter().enumerate() {
            lines.push(row);
            lines.push(styles(self.buffer(), y as u16));
        }
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}

/// The key of that name.
pub fn key(name: &str) -> KeyEvent {
    let (mut rest, mut modifiers) = (name, KeyModifiers::NONE);
    for (prefix, modifier) in [
        ("ctrl-", KeyModifiers::CONTROL),
        ("alt-", KeyModifiers::ALT),
        ("shift-", KeyModifiers::SHIFT),
    ] {
        if let Some(shorter) = rest.strip_prefix(prefix) {
            rest = shorter;
            modifiers |= modifier;
        }
    }
    let code = match rest {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "backspace" => KeyCode::Backspace,
        "delete" => KeyCode::Delete,
        "space" => KeyCode::Char(' '),
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        name if name.len() > 1 && name.starts_with('f') => {
            KeyCode::F(name[1..].parse().expect("a function key"))
        }
        name => KeyCode::Char(name.chars().next().expect("a character")),
    };
    KeyEvent::new(code, modifiers)
}

fn rows(buffer: &Buffer, mut each: impl FnMut(u16, u16)) -> Vec<String> {
    let area = buffer.area;
    let row = |y: u16| {
        let (mut line, mut x) = (String::new(), 0);
        while x < area.width {
            each(x, y);
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += unicode_width::UnicodeWidthStr::width(symbol).max(1) as u16;
        }
        line.trim_end().to_string()
    };
    (0..area.height).map(row).collect()
}

/// `    @5-12 #8fd19e bold` for each stretch of a row that has a style.
fn styles(buffer: &Buffer, y: u16) -> String {
    let mut stretches: Vec<(u16, u16, String)> = Vec::new();
    for x in 0..buffer.area.width {
        let cell = &buffer[(x, y)];
        let mut style = String::new();
        if cell.fg != ratatui::style::Color::Reset {
            style.push_str(&format!(" {}", cell.fg));
        }
        if cell.bg != ratatui::style::Color::Reset {
            style.push_str(&format!(" on {}", cell.bg));
        }
        if cell.modifier != Modifier::empty() {
            style.push_str(&format!(
                " {}",
                format!("{:?}", cell.modifier).to_lowercase()
            ));
        }
        match stretches.last_mut() {
            Some((_, end, last)) if *end == x && *last == style => *end = x + 1,
            _ => stretches.push((x, x + 1, style)),
        }
    }
    let shown = stretches.iter().filter(|(_, _, style)| !style.is_empty());
    shown
        .map(|(from, to, style)| format!("    @{from}-{to}{style}"))
        .collect::<Vec<_>>()
        .join("")
}
