//! Carries out effects. Failures come back as messages and do not end the program.

use super::engine::Engine;
#[cfg(unix)]
use super::terminal::handlers;
use super::{Driver, editor, listing};
use crate::app::state::sweep::{Cell, SweepRow};
use crate::app::{Effect, Msg};
use crate::engine::weights::Search;
use crate::eval::sweep;
use crate::transcript::{self, Recorder, local_minutes, now_ms};
use crate::ui::screenshot;
use crate::{config_file, error_text};
use color_eyre::Result;
use crossterm::event::EventStream;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::PathBuf;

impl Driver {
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Send(command) => self.send(command),
            Effect::Copy(text) => self.terminal.copy(text)?,
            Effect::Edit(text) => self.edit(&text)?,
            Effect::Mouse(on) => self.terminal.set_mouse(on)?,
            Effect::ChangeConfig(change) => {
                let changed = config_file::change(&change);
                self.answer(changed.map(|config| Some(Msg::Presets(config.presets))))?;
            }
            Effect::Record(entry) => {
                let noted = self
                    .recorder
                    .as_mut()
                    .map_or(Ok(()), |recorder| recorder.note(entry));
                self.warn_of_journal(noted);
            }
            Effect::KeepAnswer => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.keep_answer();
                }
            }
            Effect::ShowAnswers(prompt) => {
                let noted = self
                    .recorder
                    .as_mut()
                    .map_or(Ok(()), |recorder| recorder.show_answers(&prompt));
                self.warn_of_journal(noted);
            }
            Effect::BeginSession => {
                let begun = self.recorder.as_mut().map(Recorder::start_new_session);
                self.answer(transposed(begun).map(|_| None))?;
            }
            Effect::SaveSession(name) => {
                let saved = self.recorder()?.map(|recorder| recorder.save(&name));
                self.answer(transposed(saved).map(|path| {
                    path.map(|p| Msg::EffectDone(format!("saved as {}", p.display())))
                }))?;
            }
            Effect::LoadSession(name) => {
                let loaded = self.recorder()?.map(|recorder| recorder.resume(&name));
                self.answer(
                    transposed(loaded).map(|session| session.map(|s| Msg::SessionLoaded(s.into()))),
                )?;
            }
            Effect::ReplaySession(name) => {
                let read = self.recorder()?.map(|recorder| recorder.read(&name));
                self.answer(
                    transposed(read).map(|session| session.map(|s| Msg::ReplayLoaded(s.into()))),
                )?;
            }
            Effect::ListSessions { search_id, search } => self.list(search_id, search)?,
            Effect::RenameSession { path, title } => {
                let renamed = self
                    .recorder()?
                    .map(|recorder| recorder.rename(&path, &title));
                self.answer(transposed(renamed).map(|done| done.map(|()| Msg::SessionRenamed)))?;
            }
            Effect::DeleteSession(id) => {
                let deleted = self.recorder()?.map(|recorder| recorder.delete(&id));
                self.answer(
                    transposed(deleted).map(|own| own.map(|own| Msg::SessionDeleted { id, own })),
                )?;
            }
            Effect::RestoreSession(id) => {
                let restored = self.recorder()?.map(|recorder| recorder.restore(&id));
                self.answer(
                    transposed(restored).map(|done| done.map(|()| Msg::SessionRestored(id))),
                )?;
            }
            Effect::OpenSweep(path) => {
                let read = sweep::read_rows(&path).map(|(rows, plain)| Msg::SweepLoaded {
                    title: path.display().to_string(),
                    rows: rows.into_iter().map(sweep_row).collect(),
                    plain,
                });
                self.answer(read.map(Some).map_err(Into::into))?;
            }
            Effect::ListFolder(path) => self.take(Msg::Folder(listing::folder(path)))?,
            Effect::FindModels { in_use } => self.find_models(in_use),
            Effect::Picture(name) => self.picture(name)?,
            Effect::Suspend => self.suspend()?,
            Effect::Quit => {}
        }
        Ok(())
    }

    /// Starts listing the sessions. Results arrive later, as messages.
    fn list(&mut self, search_id: u64, search: String) -> Result<()> {
        match self
            .recorder()?
            .map(|recorder| (recorder.store().clone(), recorder.path().to_owned()))
        {
            Some((store, own)) => self.session_search.search(store, own, search_id, search),
            None => self.take(Msg::Sessions {
                search_id,
                listed: Vec::new(),
                done: true,
            })?,
        }
        Ok(())
    }

    /// Looks for models on another thread, or asks the server for its own.
    pub(super) fn find_models(&self, in_use: u64) {
        if let Some(client) = self.engine.as_ref().and_then(Engine::remote) {
            return client.find_models();
        }
        let search = Search {
            request: self.app.chat.request.clone(),
            folders: self.app.shared.config.model_folders.clone(),
            in_use,
            downloads: true,
            bundled_by_path: false,
        };
        let answers = self.answers.clone();
        std::thread::spawn(move || drop(answers.send(Msg::Models(search.run()))));
    }

    /// Saves a picture of the current screen, drawn again in memory.
    fn picture(&mut self, name: Option<String>) -> Result<()> {
        let size = self.terminal.size()?;
        let mut copy = Terminal::new(TestBackend::new(size.width, size.height))?;
        let drawn = copy.draw(|frame| drop(self.renderer.draw(&self.app, frame)))?;
        let svg = screenshot(drawn.buffer, self.app.shared.appearance).svg();
        let path = picture_path(name.as_deref());
        let saved = transcript::write_file(&path, svg.as_bytes(), name.is_some());
        self.answer(
            saved
                .map(|()| Some(Msg::EffectDone(format!("saved as {}", path.display()))))
                .map_err(Into::into),
        )
    }

    /// The recorder. Without one, notifies the user.
    fn recorder(&mut self) -> Result<Option<&mut Recorder>> {
        if self.recorder.is_none() {
            self.take(Msg::EffectFailed(
                "sessions cannot be saved: the system has no data folder; set SKIPLENS_DATA_DIR"
                    .into(),
            ))?;
        }
        Ok(self.recorder.as_mut())
    }

    /// Reports the result of an effect to the app.
    fn answer(&mut self, result: Result<Option<Msg>>) -> Result<()> {
        match result {
            Ok(Some(msg)) => self.take(msg),
            Ok(None) => Ok(()),
            Err(error) => self.take(Msg::EffectFailed(error_text::report(&error))),
        }
    }

    /// Opens `$EDITOR` on a text. Only the editor may read keys until it exits.
    fn edit(&mut self, text: &str) -> Result<()> {
        let edited = self.lend(|| editor::edit(text))?;
        self.answer(edited.map(|text| Some(Msg::Edited(text))))
    }

    #[cfg(unix)]
    pub(super) fn suspend(&mut self) -> Result<()> {
        self.lend(handlers::stop)
    }

    #[cfg(not(unix))]
    pub(super) fn suspend(&mut self) -> Result<()> {
        self.take(Msg::EffectFailed(
            "this system cannot suspend a program".into(),
        ))
    }

    fn lend<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        // An event stream holds crossterm's reader until it is dropped. A new stream created before that would block
        // until the next key.
        self.input = None;
        let done = self.terminal.lend(work)?;
        self.input = Some(EventStream::new());
        self.changed = true;
        Ok(done)
    }
}

fn sweep_row(row: sweep::Row) -> SweepRow {
    SweepRow {
        exit_layer: row.exit_layer,
        num_speculations: row.num_speculations,
        cell: Cell {
            tokens_per_second: row.tokens_per_second,
            acceptance_rate: row.acceptance_rate,
        },
    }
}

/// Converts an optional result for [`Driver::answer`].
fn transposed<T>(outcome: Option<crate::transcript::Result<T>>) -> Result<Option<T>> {
    Ok(outcome.transpose()?)
}

/// The path of a picture: `name` with the extension `.svg`, or by default a name with the current time.
fn picture_path(name: Option<&str>) -> PathBuf {
    let time = || {
        format!(
            "skiplens-{}",
            local_minutes(now_ms()).replace([' ', ':'], "-")
        )
    };
    let path = PathBuf::from(name.map_or_else(time, str::to_owned));
    let named = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    if named {
        path
    } else {
        PathBuf::from(format!("{}.svg", path.display()))
    }
}
