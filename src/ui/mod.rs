//! Draws the app, without changing it. A [`Renderer`] only caches how text was wrapped.

mod big;
mod cache;
mod controls;
mod find;
mod footer;
mod header;
mod help;
mod inspector;
mod layout;
mod lens;
mod mark;
mod markdown;
mod menu;
mod overlay;
mod paused;
mod prompt;
mod race;
mod replay;
mod round_details;
mod rounds;
mod screenshot;
mod sessions;
mod speed;
mod status;
mod sweep;
mod theme;
mod transcript;
mod way;
mod welcome;
mod what_if;
mod widgets;
mod window;
mod worst;
mod wrap;

use crate::app::state::Baselines;
use crate::app::{App, Regions, State, Turn};
use crate::safe_text::is_unsafe;
use cache::{Cache, RaceLines};
use layout::Layout;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
pub use screenshot::screenshot;
use theme::Theme;

/// Draws frames, and caches what is expensive to recompute.
#[derive(Debug, Default)]
pub struct Renderer {
    cache: Cache,
    race: RaceLines,
}

/// The frame to draw on, and what panels draw from.
struct Canvas<'a> {
    app: &'a App,
    /// The state on screen: [`App::state`].
    state: &'a State,
    /// Computed once per frame.
    baselines: &'a Baselines,
    theme: Theme,
    buffer: &'a mut Buffer,
    regions: Regions,
}

impl Renderer {
    /// Draws one frame and returns its regions.
    ///
    /// ```text
    ///  skiplens · model · layers · type · device          strategy · seed   header
    /// ╭ chat ───────────────────────────────────╮╭ controls ──────────────╮
    /// │ you  Why is the sky blue?               ││ exit layer  8 ━━━●──── │
    /// │ ai   The sky appears blue because …     ││ …                      │
    /// │                                         │╰────────────────────────╯
    /// │                                         │╭ speed ─────────────────╮
    /// ╰ accepted corrected bonus plain ─────────╯│ 1.18× plain  ± 0.03    │
    /// ╭ rounds ─────────────────────────────────╮│ 74 %  ▁▃▅▆▆▇▇▆▇        │
    /// │ 41 ●●●○×  42 ●●●●+                      │╰────────────────────────╯
    /// ╰─────────────────────────────────────────╯╭ token ─────────────────╮
    /// ╭ prompt ─────────────────────────────────╮│ …                      │
    /// │ › _                                     │╰────────────────────────╯
    /// ╰─────────────────────────────────────────╯
    ///  enter send · tab next panel · f1 help                              footer
    /// ```
    ///
    /// A short screen omits the rounds, a narrow one the right column. A short screen shows the token in place of the
    /// controls while a token is selected.
    pub fn draw(&mut self, app: &App, frame: &mut Frame<'_>) -> Regions {
        let state = app.state();
        let theme = Theme::new(app.shared.appearance);
        let layout = Layout::of(frame.area(), state);
        let buffer = frame.buffer_mut();
        let baselines = Baselines::of(state);
        let mut canvas = Canvas {
            app,
            state,
            baselines: &baselines,
            theme,
            buffer,
            regions: Regions::default(),
        };
        header::draw(&mut canvas, layout.header);
        let finding = transcript::draw(&mut canvas, layout.chat, &mut self.cache);
        side(&mut canvas, layout.side);
        rounds::draw(&mut canvas, layout.rounds);
        controls::draw(&mut canvas, layout.controls);
        speed::draw(&mut canvas, layout.speed);
        match paused::applies(state) {
            true => paused::draw(&mut canvas, layout.inspector),
            false if shows_lens(state, &layout) => {
                lens::draw_panel(&mut canvas, layout.inspector);
            }
            false => inspector::draw(&mut canvas, layout.inspector),
        }
        let writing = prompt::draw(&mut canvas, layout.prompt);
        let cursor = if state.find.is_some() {
            finding
        } else {
            writing
        };
        footer::draw(&mut canvas, layout.footer);
        menu::draw(&mut canvas, layout.body(), layout.prompt);
        let over = overlay::draw(&mut canvas, layout.body(), &mut self.race);
        sanitise_cells(canvas.buffer, app.shared.appearance.ascii);
        let regions = canvas.regions;
        let cursor = if state.overlay.is_some() {
            over
        } else {
            cursor
        };
        if let Some(position) = cursor {
            frame.set_cursor_position(position);
        }
        regions
    }
}

/// The lens of the newest answer above its what-if map, beside the chat on a wide screen.
fn side(canvas: &mut Canvas<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let layers = canvas.state.layers().unwrap_or(0) as u16;
    let upper = Rect {
        height: (layers + 2).min(area.height / 2),
        ..area
    };
    let lower = Rect {
        y: upper.bottom(),
        height: area.height - upper.height,
        ..area
    };
    if lens::draw_panel(canvas, upper) {
        what_if::draw_panel(canvas, lower);
    } else {
        lens::draw_hint(canvas, area);
    }
}

/// Whether the lens takes the place of the inspector, which has no token to show.
fn shows_lens(state: &State, layout: &Layout) -> bool {
    let has_lens = |turn: &Turn| turn.lens.as_ref().is_some_and(|l| !l.rows.is_empty());
    layout.side.is_empty()
        && state.inspected().is_none()
        && state.newest_turn().is_some_and(has_lens)
}

/// The last guard before the terminal: replaces control characters and, in ASCII mode, everything not ASCII that a
/// panel let through.
fn sanitise_cells(buffer: &mut Buffer, ascii: bool) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol
            .chars()
            .all(|c| !is_unsafe(c) && (c.is_ascii() || !ascii))
        {
            continue;
        }
        let plain = symbol
            .chars()
            .next()
            .map_or("?", |c| if ascii { in_ascii(c) } else { "?" });
        cell.set_symbol(plain);
    }
}

/// The nearest ASCII character.
fn in_ascii(c: char) -> &'static str {
    match c {
        '“' | '”' => "\"",
        '‘' | '’' => "'",
        '‹' | '←' => "<",
        '›' | '→' => ">",
        '↑' => "^",
        '↓' => "v",
        '–' | '—' | '−' | '─' => "-",
        '┼' => "+",
        '×' => "x",
        '•' | '·' => "*",
        '…' => ".",
        '┃' | '│' => "|",
        '\u{a0}' | '⇥' => " ",
        _ => "?",
    }
}
