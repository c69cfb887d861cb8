//! Starting the app.

use super::resume;
use crate::app::appearance::Appearance;
use crate::app::input::KeyMap;
use crate::app::state::{App, Display, Options, Phase, Regions, Shared, State};
use std::time::Duration;

impl App {
    /// The app before the model is loaded.
    ///
    /// # Errors
    ///
    /// If the settings file binds an invalid key.
    pub fn new(options: Options) -> Result<Self, String> {
        let config = options.config;
        let mut shared = Shared {
            keys: KeyMap::with(&config.keys)?,
            appearance: Appearance {
                theme: config.theme,
                ascii: options.appearance.ascii || config.ascii,
                ..options.appearance
            },
            display: Display {
                show_rejected: config.show_rejected,
                markdown: false,
            },
            config,
            models: options.models,
            now: Duration::ZERO,
            regions: Regions::default(),
            quit: false,
            deleted: Vec::new(),
            search_id: 0,
            next_run: 0,
            next_turn: 0,
        };
        let mut chat = State::new(options.request, options.settings);
        chat.remote = options.remote;
        if chat.is_read_only() {
            chat.phase = Phase::Idle;
            chat.focus = chat.home();
        } else {
            chat.prompt.set(options.prompt);
        }
        chat.system = options.system;
        chat.mode = options.mode;
        chat.user_set = options.user_set;
        if let Some(session) = options.session {
            resume::resume(&mut chat, &mut shared, &session);
        }
        Ok(Self {
            chat,
            replay: None,
            shared,
        })
    }
}
