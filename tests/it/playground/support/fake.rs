//! An engine without a model: it drafts the words of a file and accepts more of them the later the exit.

use skiplens::engine::ErrorKind;
use skiplens::engine::config::{LlamaConfig, RopeScaling};
use skiplens::engine::decode::{
    Candidate, ClosingToken, Controller, DraftToken, LayerChoice, Origin, Round, RoundTokens,
    Settings, Stats, StopReason, Strategy, TokenDetail,
};
use skiplens::engine::loaded_model::ModelInfo;
use skiplens::engine::worker::{Command, Event, Failure, ModelEvent, RunEvent, RunId, Task};
use std::collections::VecDeque;

/// Answers commands as the worker would, one event at a time.
#[derive(Default)]
pub struct Fake {
    run: Option<Running>,
    /// The last generation, and whether its lens is to follow it.
    last: Option<(RunId, bool)>,
    /// The race that is reported.
    race: Option<RunId>,
    ready: VecDeque<Event>,
    /// How many messages of a conversation no longer fit.
    pub overflow: usize,
    /// What it answers in place of the usual text.
    pub words: Option<Vec<String>>,
}

struct Running {
    id: RunId,
    settings: Settings,
    rounds: Vec<Round>,
    at: usize,
    paused: bool,
    words: Vec<String>,
}

/// The text of every answer, in tokens.
pub fn answer() -> Vec<String> {
    words_of(include_str!("../fixtures/answer.txt").trim_end())
}

/// A text in tokens.
pub fn words_of(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if c.is_alphanumeric() && word.len() < 7 => word.push(c),
            _ => words.push(c.into()),
        }
    }
    words
}

/// A model of 30 layers.
pub fn model() -> ModelInfo {
    ModelInfo {
        name: "SmolLM2-135M-LayerSkip".into(),
        path: "assets/model.gguf".into(),
        config: LlamaConfig {
            vocab_size: 49152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_layers: 30,
            num_heads: 9,
            num_kv_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 1e5,
            rope_scaling: RopeScaling::None,
            context_length: 8192,
            tie_word_embeddings: true,
        },
        dtype: "q8_0".into(),
        device: "cpu×2".into(),
        device_reason: None,
        exits_path: None,
        adapters: Vec::new(),
        borrowed_adapters: Vec::new(),
        adapters_fault: None,
        weight_bytes: 143_000_000,
        has_chat_template: true,
        chat_template_fault: None,
        defaults: Default::default(),
    }
}

pub fn loaded() -> Event {
    loaded_as(model())
}

/// A model of a file that cannot be read.
pub fn loaded_as(model: ModelInfo) -> Event {
    Event::Model(ModelEvent::Loaded {
        info: Box::new(model),
        fingerprint: None,
    })
}

impl Fake {
    /// Take a command, as the worker does between tokens.
    pub fn take(&mut self, command: &Command) {
        match (command, &mut self.run) {
            (Command::Load(_), _) => {
                (self.run, self.last) = (None, None);
                self.ready = VecDeque::from([loaded()]);
            }
            (Command::CancelLoad, _) => {
                self.ready = VecDeque::from([Event::Model(ModelEvent::Cancelled)])
            }
            (
                Command::Start {
                    run,
                    settings,
                    task: Task::Generate(_),
                    ..
                },
                _,
            ) => self.start(*run, Settings::clone(settings)),
            (
                Command::Start {
                    run,
                    settings,
                    task: Task::GenerateWhole(_),
                    ..
                },
                _,
            ) => {
                self.start(*run, Settings::clone(settings));
                if self.overflow > 0 {
                    self.run = None;
                    let (kind, message) = (ErrorKind::ContextExceeded, "it is full".into());
                    let failure = RunEvent::Failed(Failure { kind, message });
                    self.ready = VecDeque::from([Event::Run(*run, failure)]);
                }
            }
            (
                Command::Start {
                    run,
                    task: Task::Lens,
                    ..
                },
                _,
            ) => self.lens(*run),
            (
                Command::Start {
                    run,
                    settings,
                    task: Task::Race { .. },
                    ..
                },
                _,
            ) => {
                self.run = None;
                self.race = Some(*run);
                self.ready = super::apart::race(*run, settings).into();
            }
            (
                Command::Start {
                    run,
                    task: Task::Sweep { pairs, .. },
                    ..
                },
                _,
            ) => {
                self.run = None;
                self.race = Some(*run);
                self.ready = super::apart::sweep(*run, pairs).into();
            }
            (Command::Cancel { run: id }, _)
                if self.race == Some(*id) && !self.ready.is_empty() =>
            {
                let (reason, stats) = (StopReason::Cancelled, Stats::default());
                self.ready =
                    VecDeque::from([Event::Run(*id, RunEvent::Finished { reason, stats })]);
            }
            (Command::Settings { settings, .. }, Some(run)) => {
                run.settings = Settings::clone(settings)
            }
            (Command::Cancel { run: id }, Some(run)) if run.id == *id => {
                self.finish(StopReason::Cancelled)
            }
            (Command::Pause { .. }, Some(run)) => {
                run.paused = true;
                let id = run.id;
                self.ready.push_back(Event::Run(id, RunEvent::Paused));
            }
            (Command::Resume { .. }, Some(run)) => run.paused = false,
            (Command::Step { .. }, Some(run)) => {
                let id = run.id;
                self.round();
                self.ready.push_back(Event::Run(id, RunEvent::Paused));
            }
            _ => {}
        }
    }

    /// The next event; none when there is nothing to report.
    pub fn next(&mut self) -> Option<Event> {
        if self.ready.is_empty() && self.run.as_ref().is_some_and(|run| !run.paused) {
            self.round();
        }
        self.ready.pop_front()
    }

    fn start(&mut self, id: RunId, settings: Settings) {
        self.ready.clear();
        self.last = Some((id, false));
        let words = self.words.clone().unwrap_or_else(answer);
        self.run = Some(Running {
            id,
            settings,
            rounds: Vec::new(),
            at: 0,
            paused: false,
            words,
        });
        if self.overflow > 0 {
            let messages = self.overflow;
            let dropped = RunEvent::Dropped { messages };
            self.ready.push_back(Event::Run(id, dropped));
        }
        for done in [16, 24] {
            self.ready.push_back(Event::Run(
                id,
                RunEvent::Prefill {
                    done,
                    total: 24,
                    cached: 8,
                },
            ));
        }
    }

    fn finish(&mut self, reason: StopReason) {
        let Some(run) = self.run.take() else { return };
        self.ready.clear();
        let mut stats = Stats::of(&run.rounds);
        (stats.prefill_seconds, stats.prefill_tokens) = (0.05, 16);
        self.ready
            .push_back(Event::Run(run.id, RunEvent::Finished { reason, stats }));
        if self.last == Some((run.id, true)) {
            self.ready.extend(super::apart::lens(run.id));
        }
    }

    /// A lens waits for the end of the generation it is about.
    fn lens(&mut self, id: RunId) {
        match (&self.run, &mut self.last) {
            (None, Some((last, _))) if *last == id => self.ready.extend(super::apart::lens(id)),
            (Some(_), Some((last, wanted))) if *last == id => *wanted = true,
            _ => {}
        }
    }

    /// Report one round, drafts first.
    fn round(&mut self) {
        let Some(run) = &mut self.run else { return };
        let words = run.words.clone();
        let mut settings = run.settings.clone();
        let steered = settings.controller == Controller::AdaptiveSpeculations;
        if steered {
            settings.num_speculations = 2 + run.rounds.len() % 4;
        }
        let mut made = round(run.rounds.len(), run.at, &settings, &words);
        made.controller_note =
            steered.then(|| format!("adaptive K, target {}.4", settings.num_speculations));
        for token in made.drafted() {
            let (id, text, p_draft) = (token.id, token.text.clone(), token.p_draft);
            self.ready
                .push_back(Event::Run(run.id, RunEvent::Drafted { id, text, p_draft }));
        }
        run.at += made.len();
        run.rounds.push(made.clone());
        self.ready
            .push_back(Event::Run(run.id, RunEvent::Round(Box::new(made))));
        if run.at >= words.len().min(run.settings.max_steps) {
            let ready = std::mem::take(&mut self.ready);
            self.finish(StopReason::Eos);
            self.ready = ready
                .into_iter()
                .chain(std::mem::take(&mut self.ready))
                .collect();
        }
    }
}

/// The round that goes on at word `at`: a draft is right where a hash of its place is below the exit layer.
pub fn round(index: usize, at: usize, settings: &Settings, words: &[String]) -> Round {
    let left = words.len().saturating_sub(at);
    let drafts = match settings.strategy {
        Strategy::SelfSpeculative => settings.num_speculations.min(left.saturating_sub(1)),
        _ => 0,
    };
    let right = |place: usize| (place * 7919 + 13) % 31 < settings.exit_layer + 12;
    let accepted = (0..drafts).take_while(|draft| right(at + draft)).count();
    let drafted = (0..drafts).map(|draft| {
        let place = at + draft;
        let text = if right(place) {
            words[place].clone()
        } else {
            format!(" w{}", place % 10)
        };
        let p_verify = (draft <= accepted).then_some(if right(place) { 0.8 } else { 0.07 });
        DraftToken {
            p_verify,
            detail: detail(settings, place, words),
            ..DraftToken::new(place as u32, text, 0.6)
        }
    });
    let drafted: Vec<_> = drafted.collect();
    let origin = match drafts {
        0 => Origin::Plain,
        all if all == accepted => Origin::Bonus,
        _ => Origin::Corrected,
    };
    let last = at + accepted;
    let closing = words.get(last).map(|text| ClosingToken {
        p_draft: (origin == Origin::Corrected).then_some(0.2),
        detail: detail(settings, last, words),
        ..ClosingToken::new(last as u32, text, origin, 0.85)
    });
    let tokens = RoundTokens::chain(drafted, accepted, closing);
    {
        let mut made = Round::new(index, 24 + at, settings.clone(), tokens);
        made.draft_seconds = drafts as f64 * settings.exit_layer as f64 * 0.0003;
        made.verify_seconds = 0.011;
        made.stop = (last + 1 >= words.len()).then_some(StopReason::Eos);
        made
    }
}

fn detail(settings: &Settings, place: usize, words: &[String]) -> Option<Box<TokenDetail>> {
    let word = words.get(place).filter(|_| settings.detail)?;
    let candidate = |id: usize, text: &str, p| Candidate {
        id: id as u32,
        text: text.into(),
        p,
    };
    let top = vec![
        candidate(place, word, 0.8),
        candidate(1, " a", 0.1),
        candidate(2, " the", 0.05),
    ];
    let layer = |layer: usize| {
        let (id, text) = if layer > 11 {
            (place, word.as_str())
        } else {
            (7, " of")
        };
        LayerChoice {
            layer,
            id: id as u32,
            text: text.into(),
            p: layer as f32 / 31.0,
        }
    };
    Some(Box::new(TokenDetail {
        draft_top: top.clone(),
        verify_top: top,
        draft_entropy: Some(1.1),
        verify_entropy: Some(0.7),
        layers: (1..=30).map(layer).collect(),
    }))
}
