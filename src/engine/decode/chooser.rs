//! The chooser behind [`Controller::Auto`](super::Controller). Before each round it picks the proposer and exit layer with the
//! highest expected tokens per second, or plain decoding if that is fastest. Drafts of an exit grow while they pay
//! ([`Growth`]); on devices that run whole rounds it also picks a fixed number of speculations and tree.

mod learn;
mod rates;

use super::estimates::{Estimates, Training};
use super::growth::{Drawn, Growth};
use super::tree::{Ranks, Shape};
use super::work::{Job, Place, Work};
use crate::engine::config::LlamaConfig;
use std::fmt::{self, Write};

/// Candidate chain lengths.
const CHAINS: [usize; 7] = [1, 2, 3, 4, 5, 6, 8];
/// Candidate trees: depth and number of nodes.
const TREES: [(usize, usize); 6] = [(1, 2), (1, 3), (1, 4), (2, 4), (3, 8), (4, 12)];
/// Candidate lengths of lookup drafts.
const LOOKUPS: [usize; 8] = [1, 2, 3, 4, 5, 6, 8, 12];
/// The longest lookup draft.
pub(super) const MAX_LOOKUP: usize = LOOKUPS[LOOKUPS.len() - 1];

/// Min rounds between two changes.
const MIN_STAY: usize = 8;
/// Min rounds before a change for the worse is reverted.
const MIN_TRIAL: usize = 3;
/// A change whose speed, relative to the previous choice, is below this was for the worse.
const REVERT_BELOW: f64 = 0.94;
/// Min expected gain of a change, its growth with each change in the same text, and its limit.
const MARGIN: f64 = 1.06;
const MARGIN_PER_CHANGE: f64 = 0.02;
const MAX_MARGIN: f64 = 1.2;
/// A choice that is this much faster is taken after three quarters of [`MIN_STAY`].
const LARGE_GAIN: f64 = 1.2;
/// Min outcomes seen before an exit's acceptance counts as known.
const MIN_EVIDENCE: f64 = 3.0;
/// Extra gain required of an exit whose acceptance is not known.
const UNKNOWN_MARGIN: f64 = 1.1;
/// Min expected gain of a lookup draft, in tokens.
const MIN_GAIN: f64 = 0.05;
/// Max share of time spent on probing exits.
const PROBE_SHARE: f64 = 0.02;
/// Number of probes made in quick succession at first, to have data for a decision.
const FIRST_PROBES: usize = 4;
/// Number of probes after which they become rarer.
const MORE_PROBES: usize = 24;

/// The form of a draft: a chain of `depth` tokens, or a tree.
#[derive(Debug, Clone)]
struct Form {
    depth: usize,
    /// As [`Settings::tree`](super::Settings::tree).
    tree: usize,
    shape: Shape,
    passes: Vec<usize>,
}

impl Form {
    fn new(depth: usize, tree: usize) -> Self {
        let shape = match tree {
            0 => Shape::chain(depth),
            nodes => Shape::new(nodes, depth, &Ranks::default()),
        };
        Self {
            depth,
            tree,
            passes: shape.expanded(),
            shape,
        }
    }

    fn choice(&self) -> ShapeChoice {
        ShapeChoice::Fixed {
            speculations: self.depth,
            tree: self.tree,
        }
    }
}

/// How to decode where lookup finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Plain,
    Exit {
        exit_layer: usize,
        shape: ShapeChoice,
    },
}

/// The shape of drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShapeChoice {
    /// Each draft grows while it pays.
    Growing,
    Fixed {
        speculations: usize,
        /// As [`Settings::tree`](super::Settings::tree).
        tree: usize,
    },
}

/// What a round drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Step,
    /// As the base says.
    Exit,
    /// Up to this many tokens by lookup.
    Lookup(usize),
}

/// What is known before a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub place: Place,
    /// Whether early exit may draft.
    pub exits: bool,
    /// The length of the longest match; `None` if there is none or lookup may not draft.
    pub matched: Option<usize>,
}

/// Chooses, and learns from every round.
#[derive(Debug, Clone)]
pub(super) struct Chooser {
    pub estimates: Estimates,
    work: Work,
    layers: usize,
    grows: bool,
    /// The exit layer and speculations that the model's author recommends.
    recommended: Option<(usize, usize)>,
    exits: Vec<usize>,
    forms: Vec<Form>,
    base: Option<Base>,
    /// The previous base in this text.
    before: Option<Base>,
    /// Changes of the base in this text.
    changes: usize,
    reason: String,
    /// Rounds since the last change.
    rounds_since_change: usize,
    since_plain: usize,
    since_probe: usize,
    probes: usize,
}

impl Chooser {
    /// `grows` says that drafts of an exit grow by confidence ([`Growth`]) instead of having a shape fixed in advance.
    pub fn new(config: &LlamaConfig, grows: bool) -> Self {
        let chains = CHAINS.iter().map(|&depth| Form::new(depth, 0));
        let trees = TREES.iter().map(|&(depth, nodes)| Form::new(depth, nodes));
        let layers = config.num_layers;
        let step = (layers / 12).max(1);
        Self {
            estimates: Estimates::new(layers),
            work: Work::of(config),
            layers,
            grows,
            recommended: None,
            exits: (1..layers)
                .filter(|exit| exit % step == 0 && exit * 3 <= layers * 2)
                .collect(),
            forms: chains.chain(trees).collect(),
            base: None,
            before: None,
            changes: 0,
            // Long enough for every reason, so that a change allocates nothing.
            reason: String::with_capacity(96),
            rounds_since_change: 0,
            since_plain: 0,
            since_probe: 0,
            probes: 0,
        }
    }

    /// As [`Self::new`], for a model with adapters at the exits `own`. `adapts` tells whether an adapter drafts at an exit,
    /// its own or that of another.
    pub fn with_adapters(
        config: &LlamaConfig,
        grows: bool,
        own: &[usize],
        adapts: &dyn Fn(usize) -> bool,
    ) -> Self {
        let mut chooser = Self::new(config, grows);
        chooser.work = chooser.work.with_adapters(config, adapts);
        let missing = own.iter().filter(|exit| !chooser.exits.contains(exit));
        let missing: Vec<usize> = missing.copied().collect();
        chooser.exits.extend(missing);
        chooser
    }

    /// Sets whether the model's exits are trained, and which exit layer and speculations its author recommends.
    pub fn set_training(&mut self, trained: bool, recommended: Option<(usize, usize)>) {
        self.recommended = recommended.filter(|(exit, _)| (1..self.layers).contains(exit));
        self.estimates.training = match (trained, self.recommended) {
            (false, _) => Training::None,
            (true, Some((exit, _))) => Training::Tuned { exit },
            (true, None) => Training::LayerSkip,
        };
        if let Some((exit, _)) = self
            .recommended
            .filter(|(exit, _)| !self.exits.contains(exit))
        {
            self.exits.push(exit);
        }
        if let Some((_, depth)) = self.recommended.filter(|(_, k)| self.form(*k, 0).is_none()) {
            self.forms.push(Form::new(depth, 0));
        }
    }

    /// Starts from stored estimates; ignores implausible ones.
    pub fn resume(&mut self, stored: Estimates) {
        if stored.is_valid(self.layers) {
            let training = self.estimates.training;
            self.estimates = stored;
            self.estimates.fit(self.layers);
            self.estimates.training = training;
            self.begin_text();
        }
    }

    /// Starts another text.
    pub fn begin_text(&mut self) {
        self.estimates.begin_text();
        (self.base, self.before, self.changes) = (None, None, 0);
    }

    /// Why the base was chosen, in one sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Chooses for the next round.
    pub fn choose(&mut self, now: &Situation) -> (Base, Action) {
        let base = self.choose_base(now);
        self.rounds_since_change += 1;
        let rate = self
            .rate(base, now.place)
            .max(self.rate(Base::Plain, now.place));
        if let Some(length) = now
            .matched
            .and_then(|matched| self.lookup(matched, rate, now.place))
        {
            return (base, Action::Lookup(length));
        }
        if base == Base::Plain {
            return (base, Action::Step);
        }
        self.since_plain += 1;
        if self.since_plain >= self.plain_interval() {
            self.since_plain = 0;
            return (base, Action::Step);
        }
        (base, Action::Exit)
    }

    /// The exit to probe in the next round, if any; `exits` as in [`Situation`]. Lookup rounds are not probed: repeated
    /// text is easy for exits too, and says little about the rounds in which they would draft. Nor are exits with an
    /// adapter, since a probe reads the exit without it.
    pub fn probe(&mut self, exits: bool, place: Place, action: Action) -> Option<usize> {
        let count = self.probed().count();
        if !exits || count == 0 || matches!(action, Action::Lookup(_)) {
            return None;
        }
        self.since_probe += 1;
        let share = self.work.probe_share(place);
        let interval = match self.probes {
            ..FIRST_PROBES => 2,
            FIRST_PROBES..MORE_PROBES => (share / PROBE_SHARE).ceil().clamp(2.0, 64.0) as usize,
            _ => (1.5 * share / PROBE_SHARE).ceil().clamp(4.0, 128.0) as usize,
        };
        if self.since_probe < interval {
            return None;
        }
        self.since_probe = 0;
        self.probes += 1;
        // Mostly the exits that would be fastest if accepted a little more often (an upper confidence bound); every
        // third probe takes the exits in turn.
        let optimistic = |&exit: &usize| {
            let spread = 0.5 / (1.0 + self.estimates.evidence(exit)).sqrt();
            let accepted = (self.estimates.acceptance(exit, self.layers) + spread).min(1.0);
            (1.0 + accepted) / self.estimates.seconds(self.job(exit, 0), &self.work, place)
        };
        if self.probes.is_multiple_of(3) {
            return self.probed().nth(self.probes / 3 % count);
        }
        let best = |a: &usize, b: &usize| optimistic(a).total_cmp(&optimistic(b));
        self.probed().max_by(best)
    }

    fn probed(&self) -> impl Iterator<Item = usize> + '_ {
        let all = self.exits.iter().copied();
        all.filter(|exit| !self.work.adapts(*exit))
    }

    /// When a draft at this exit grows; `None` if its shape is fixed in advance.
    pub fn growth(&self, exit: usize, drawn: Drawn, place: Place) -> Option<Growth> {
        if !self.grows {
            return None;
        }
        let ease = self.estimates.ease(self.layers);
        let rate = self.grown_rate(ease, exit, place);
        let rate = rate.max(self.rate(Base::Plain, place));
        let estimates = &self.estimates;
        Some(estimates.growth(exit, self.layers, drawn, rate, &self.work, place))
    }

    /// The base for the next rounds: the current one, unless another is expected to be clearly faster.
    fn choose_base(&mut self, now: &Situation) -> Base {
        let plain = self.rate(Base::Plain, now.place);
        let Some(base) = self.base.filter(|base| now.exits || *base == Base::Plain) else {
            let start = self.start(now, plain);
            return self.set_base(start, now, plain);
        };
        let rate = self.rate(base, now.place);
        let best = self.best_exit(now.place).filter(|_| now.exits);
        let large_gain = best.is_some_and(|(_, value)| value > rate.max(plain) * LARGE_GAIN);
        let stay = if large_gain {
            3 * MIN_STAY / 4
        } else {
            MIN_STAY
        };
        if self.rounds_since_change < stay {
            let faster = |base: &Base| self.rate(*base, now.place) > plain;
            let before = self.before.filter(faster).unwrap_or(Base::Plain);
            let mistaken = rate < self.rate(before, now.place) * REVERT_BELOW;
            return match mistaken && self.rounds_since_change >= MIN_TRIAL {
                true => self.set_base(before, now, plain),
                false => base,
            };
        }
        let next = match best {
            Some((other, value)) if value > rate.max(plain) * self.margin() => other,
            _ if rate < plain => Base::Plain,
            _ => base,
        };
        // Also when the base stays: refreshes the figures in the reason.
        if next != base || self.rounds_since_change.is_multiple_of(MIN_STAY) {
            return self.set_base(next, now, plain);
        }
        base
    }

    fn margin(&self) -> f64 {
        (MARGIN + MARGIN_PER_CHANGE * self.changes as f64).min(MAX_MARGIN)
    }

    /// The first base of a text: the best known one, else what the model's author recommends.
    fn start(&self, now: &Situation, plain: f64) -> Base {
        if !now.exits {
            return Base::Plain;
        }
        let best = self.best_exit(now.place);
        let known = best.filter(|(base, rate)| {
            let known = matches!(base, Base::Exit { exit_layer, .. } if self.is_known(*exit_layer));
            known && *rate > plain * MARGIN
        });
        if let Some((base, _)) = known {
            return base;
        }
        let recommended = self
            .recommended
            .map(|(exit_layer, speculations)| Base::Exit {
                exit_layer,
                shape: match self.grows {
                    true => ShapeChoice::Growing,
                    false => ShapeChoice::Fixed {
                        speculations,
                        tree: 0,
                    },
                },
            });
        let start = match self.estimates.training {
            Training::None => None,
            _ => recommended.or(best.map(|(base, _)| base)),
        };
        start
            .filter(|base| self.rate(*base, now.place) > plain)
            .unwrap_or(Base::Plain)
    }

    fn is_known(&self, exit: usize) -> bool {
        self.estimates.evidence(exit) >= MIN_EVIDENCE
    }

    fn set_base(&mut self, base: Base, now: &Situation, plain: f64) -> Base {
        if self.base != Some(base) {
            self.rounds_since_change = 0;
            self.before = self.base.replace(base);
            self.changes += usize::from(self.before.is_some());
        }
        let mut reason = std::mem::take(&mut self.reason);
        reason.clear();
        // Writing to a string does not fail.
        let _ = self.explain(base, now, plain, &mut reason);
        self.reason = reason;
        base
    }

    /// Writes why `base` is chosen.
    fn explain(&self, base: Base, now: &Situation, plain: f64, out: &mut String) -> fmt::Result {
        match base {
            Base::Exit { exit_layer, .. } => {
                let accepted = 100.0 * self.estimates.acceptance(exit_layer, self.layers);
                let speed_up = self.rate(base, now.place) / plain;
                write!(
                    out,
                    "E {exit_layer} accepts {accepted:.0} %: {speed_up:.2}× plain"
                )
            }
            Base::Plain if !now.exits => write!(out, "plain where nothing repeats"),
            Base::Plain => {
                let best = self.best_exit(now.place).map_or(0.0, |(_, rate)| rate) / plain;
                match self.estimates.training {
                    Training::None => write!(out, "plain: untrained exits, {best:.2}×"),
                    _ => write!(out, "plain: drafts would be {best:.2}×"),
                }
            }
        }
    }

    /// How many tokens to draft by lookup; `None` if decoding at `rate` for the same time would yield as many.
    fn lookup(&self, matched: usize, rate: f64, place: Place) -> Option<usize> {
        let gain = |nodes: usize| {
            let seconds = self
                .estimates
                .seconds(Job::Lookup { nodes }, &self.work, place);
            self.estimates.lookup_tokens(matched, nodes) - rate * seconds
        };
        let all = LOOKUPS.iter().map(|&nodes| (nodes, gain(nodes)));
        let best = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (best.1 > MIN_GAIN).then_some(best.0)
    }

    /// Number of drafts after which one token is decoded plainly, to time it.
    fn plain_interval(&self) -> usize {
        match self.estimates.plain_times() {
            ..2.0 => 8,
            ..4.0 => 24,
            ..8.0 => 48,
            _ => 96,
        }
    }
}

#[cfg(test)]
mod tests;
