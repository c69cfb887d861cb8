//! What rounds cost and yield with this model on this machine, estimated from the rounds so far.
//!
//! Only ratios of times matter. Costs start from a guess by the number of weights that each part of a round reads, and
//! every timing corrects its part. Acceptance starts from a guess by the depth of the exit.

mod grown;

use super::growth::{self, Drawn, NUM_GROUPS};
use super::lookup::MAX_MATCH;
use super::tree::{Ranks, Shape};
use super::work::{Job, Place, ROW_COST, Work};
use grown::Grown;
use serde::{Deserialize, Serialize};

/// Weight of the newest time in the scale of all times, which follows the machine's load.
const NEWEST_SCALE: f64 = 0.1;
/// Min weight of the newest time in the correction of one part.
const NEWEST_FACTOR: f64 = 0.04;
/// Penalty on numbers of rows not yet timed, as a logarithm: trying them has a cost.
const UNSEEN_PENALTY: f64 = 0.03;
/// Factor on the cost of rows beyond the largest number timed: costs grow faster once compute-bound.
const EXTRAPOLATED_ROW: f64 = 1.2;
/// Clips how far one time may differ from its estimate, as a logarithm: larger differences are interruptions.
const MAX_LOG_ERROR: f64 = 0.7;
/// Decay of the weight of an outcome per later outcome, so that acceptance follows the text.
const DECAY: f64 = 0.985;
/// The same for statistics over all texts.
const SLOW_DECAY: f64 = 0.998;
/// Weight of a guess, in outcomes.
const GUESS_WEIGHT: f64 = 8.0;
/// Weight of the prior that a text is as easy as the average, in outcomes. Measured at exit 6 on 80 answers of the
/// bundled model: acceptance has a standard deviation of 0.15 between texts, which corresponds to 11 outcomes.
const TEXT_PRIOR_WEIGHT: f64 = 14.0;
/// Min and max weight of an exit's typical acceptance, in outcomes. Exits keep their order from text to text (a
/// standard deviation of 0.04 between exits 4 and 6), so the weight grows with the evidence.
const EXIT_PRIOR_WEIGHTS: [f64; 2] = [20.0, 40.0];
/// Max weight of lookup's record in other texts, in outcomes.
const MAX_STORED_WEIGHT: f64 = 12.0;
/// Assumed acceptance at the recommended exit of a model with tuned exits.
const TUNED_ACCEPTANCE: f64 = 0.4;
/// Groups of match lengths: 2, 3, 4, 5 to 6, 7 to 10, 11 and more tokens.
const MATCHES: [usize; 6] = [2, 3, 4, 6, 10, MAX_MATCH];
/// For each group, guessed acceptance of the first token after a match, and of a token after an accepted one.
const AFTER_MATCH: [(f64, f64); 6] = [
    (0.20, 0.5),
    (0.35, 0.6),
    (0.50, 0.65),
    (0.60, 0.7),
    (0.70, 0.8),
    (0.85, 0.9),
];

/// Outcomes of one kind; older ones count less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rate {
    hits: f64,
    seen: f64,
}

impl Rate {
    fn add(&mut self, hits: f64, seen: f64, decay: f64) {
        self.hits = self.hits * decay + hits;
        self.seen = self.seen * decay + seen;
    }

    /// The rate, with `guess` as a prior that weighs [`GUESS_WEIGHT`] outcomes.
    fn mean(&self, guess: f64) -> f64 {
        (self.hits + guess * GUESS_WEIGHT) / (self.seen + GUESS_WEIGHT)
    }

    fn limit(&mut self) {
        if self.seen > MAX_STORED_WEIGHT {
            self.hits *= MAX_STORED_WEIGHT / self.seen;
            self.seen = MAX_STORED_WEIGHT;
        }
    }

    fn is_valid(&self) -> bool {
        (0.0..=1e6).contains(&self.seen) && (0.0..=self.seen).contains(&self.hits)
    }
}

/// The correction of a guessed time: the logarithm of a factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Correction {
    log: f64,
    seen: f64,
}

/// Acceptance statistics of one exit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ExitRates {
    /// The first token of a draft, in this text.
    first: Rate,
    /// The same in all texts.
    all: Rate,
    /// Of the verifier's choices that were not the draft's best, those at each rank from 1.
    ranks: [Rate; Ranks::LEN - 1],
}

/// How a model's exits were trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Training {
    /// Not trained, as far as is known.
    #[default]
    None,
    /// Fine-tuned with few tokens, mainly for this exit.
    Tuned { exit: usize },
    /// Together with the model, as in LayerSkip.
    LayerSkip,
}

/// All estimates. They are stored as JSON; [`Self::is_valid`] decides whether a version can use stored ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Estimates {
    /// Logarithm of the seconds per weight.
    scale: f64,
    times: f64,
    plain: Correction,
    /// By the number of rows.
    verify: Vec<Correction>,
    /// By exit layer.
    draft: Vec<Correction>,
    exits: Vec<ExitRates>,
    /// A drafted token after an accepted one, in this text.
    later: Rate,
    lookup: [(Rate, Rate); MATCHES.len()],
    /// Drafted tokens of all exits by draft probability, for each rank and each way to draw them.
    confidence: [[[Rate; NUM_GROUPS]; growth::RANKS]; Drawn::COUNT],
    grown: Grown,
    #[serde(skip)]
    pub training: Training,
}

impl Estimates {
    /// Estimates before any round. All lists have their final length, so learning allocates nothing.
    pub fn new(layers: usize) -> Self {
        let mut estimates = Self::default();
        estimates.fit(layers);
        estimates
    }

    pub fn fit(&mut self, layers: usize) {
        self.verify.resize(Shape::MAX_ROWS + 1, Default::default());
        self.draft.resize(layers, Default::default());
        self.exits.resize(layers, Default::default());
    }

    /// Seconds of a round's draft and verify phases. Only ratios are meaningful.
    fn parts(&self, job: Job<'_>, work: &Work, at: Place) -> (f64, f64) {
        let seconds =
            |work: f64, correction: f64| (work.max(1.0).ln() + self.scale + correction).exp();
        match job {
            Job::Plain => (0.0, seconds(work.plain(at.context), self.plain.log)),
            Job::Lookup { nodes } => {
                let verify = work.verify(nodes + 1, 0, 0, at.context);
                (0.0, seconds(verify, self.verify_correction(nodes + 1)))
            }
            Job::Exit {
                exit,
                passes,
                nodes,
            } => {
                let expanded: usize = passes.iter().sum();
                let leaves = (nodes + 1).saturating_sub(expanded);
                let draft = work.draft(exit, passes, at.draft_share, at.context);
                let verify = work.verify(nodes + 1, exit, leaves, at.context);
                (
                    seconds(draft, self.draft_correction(exit)),
                    seconds(verify, self.verify_correction(nodes + 1)),
                )
            }
        }
    }

    /// Seconds of a round. Only ratios are meaningful.
    pub fn seconds(&self, job: Job<'_>, work: &Work, at: Place) -> f64 {
        let whole = |job| {
            let (draft, verify) = self.parts(job, work, at);
            draft + verify
        };
        // Every round runs all layers and the head for at least one row.
        whole(job).max(whole(Job::Plain))
    }

    /// For a number of rows not yet timed, assumes that each further row costs as much as at the nearest number that
    /// was.
    fn verify_correction(&self, rows: usize) -> f64 {
        if let Some(own) = self.verify.get(rows).filter(|own| own.seen > 0.0) {
            return own.log;
        }
        let seen = self.verify.iter().enumerate().filter(|(_, c)| c.seen > 0.0);
        let Some((other, nearest)) = seen.min_by_key(|(other, _)| other.abs_diff(rows)) else {
            return self.plain.log;
        };
        let guess = |rows: usize| 1.0 + ROW_COST * (rows - 1) as f64;
        let relative = (nearest.log - self.plain.log).exp() * guess(other);
        let row = ((relative - 1.0) / (other.max(2) - 1) as f64).clamp(0.0, 2.0);
        let further =
            EXTRAPOLATED_ROW * row.max(ROW_COST / 4.0) * rows.saturating_sub(other) as f64;
        let cost = 1.0 + row * (rows.min(other) - 1) as f64 + further;
        UNSEEN_PENALTY + self.plain.log + (cost / guess(rows)).ln()
    }

    fn draft_correction(&self, exit: usize) -> f64 {
        nearest(&self.draft, exit)
    }

    /// Learns from the times of a round.
    pub fn time(&mut self, job: Job<'_>, work: &Work, at: Place, draft: f64, verify: f64) {
        if !(draft >= 0.0 && verify > 0.0) {
            return;
        }
        let expected = self.parts(job, work, at);
        let rows = match job {
            Job::Plain => 0,
            Job::Exit { nodes, .. } | Job::Lookup { nodes } => nodes + 1,
        };
        let log_error = |now: f64, expected: f64| (now / expected).ln();
        let newest = NEWEST_SCALE.max(1.0 / (1.0 + self.times));
        let whole = log_error(draft + verify, expected.0 + expected.1);
        // The first time sets the scale, so it is not clipped.
        let limit = if self.times == 0.0 {
            f64::MAX
        } else {
            MAX_LOG_ERROR
        };
        let whole = whole.clamp(-limit, limit);
        self.scale += newest * whole;
        self.times += 1.0;
        let left = |part: f64| (part - newest * whole).clamp(-MAX_LOG_ERROR, MAX_LOG_ERROR);
        let verified = left(log_error(verify, expected.1));
        match job {
            Job::Plain => correct(&mut self.plain, verified),
            Job::Lookup { .. } => correct_at(&mut self.verify, rows, verified),
            Job::Exit { exit, .. } => {
                correct_at(&mut self.verify, rows, verified);
                if draft > 0.0 {
                    correct_at(&mut self.draft, exit, left(log_error(draft, expected.0)));
                }
            }
        }
    }

    /// How often plain steps were timed.
    pub fn plain_times(&self) -> f64 {
        self.plain.seen
    }

    /// Records whether the verifier chose what an exit would have drafted first.
    pub fn first(&mut self, exit: usize, hits: usize, seen: usize) {
        if let Some(rates) = self.exits.get_mut(exit) {
            rates.first.add(hits as f64, seen as f64, DECAY);
            rates.all.add(hits as f64, seen as f64, SLOW_DECAY);
        }
    }

    /// Records whether a later token of an exit's draft was accepted.
    pub fn later(&mut self, hit: bool) {
        self.later.add(f64::from(u8::from(hit)), 1.0, DECAY);
    }

    /// Records that the verifier chose a token other than the draft's best: its rank, or `None` if it was not among the
    /// `children` drafted.
    pub fn rank(&mut self, exit: usize, rank: Option<usize>, children: usize) {
        let Some(ExitRates { ranks, .. }) = self.exits.get_mut(exit) else {
            return;
        };
        for (at, rate) in ranks
            .iter_mut()
            .take(children.saturating_sub(1))
            .enumerate()
        {
            rate.add(f64::from(u8::from(rank == Some(at + 1))), 1.0, DECAY);
        }
    }

    /// Records what followed a match of `length` tokens: whether the first predicted token came, and then the later
    /// ones.
    pub fn matched(&mut self, length: usize, first: bool, later: impl Iterator<Item = bool>) {
        let (start, rest) = &mut self.lookup[match_group(length)];
        start.add(f64::from(u8::from(first)), 1.0, DECAY);
        for hit in later {
            rest.add(f64::from(u8::from(hit)), 1.0, DECAY);
        }
    }

    /// Number of outcomes seen at an exit, in all texts.
    pub fn evidence(&self, exit: usize) -> f64 {
        self.exits.get(exit).map_or(0.0, |rates| rates.all.seen)
    }

    /// The probability that a draft's first token is accepted in this text.
    pub fn acceptance(&self, exit: usize, layers: usize) -> f64 {
        self.acceptance_with(self.ease(layers), exit, layers)
    }

    fn acceptance_with(&self, ease: f64, exit: usize, layers: usize) -> f64 {
        let rates = self.exits.get(exit).copied().unwrap_or_default();
        let typical = self.typical(&rates, exit, layers);
        let expected = sigmoid(logit(typical) + ease);
        let [min, max] = EXIT_PRIOR_WEIGHTS;
        let counts = max.min(min + 0.5 * rates.all.seen);
        (rates.first.hits + counts * expected) / (rates.first.seen + counts)
    }

    /// The acceptance of an exit in all texts.
    fn typical(&self, rates: &ExitRates, exit: usize, layers: usize) -> f64 {
        rates.all.mean(self.guess(exit, layers))
    }

    /// Probabilities by rank of the first token of a draft, and of later ones; `ease` as [`Self::ease`] returns it.
    pub fn ranks(&self, ease: f64, exit: usize, layers: usize) -> (Ranks, Ranks) {
        let rates = self.exits.get(exit).copied().unwrap_or_default();
        let first = self.acceptance_with(ease, exit, layers);
        let later = self.later.mean(first);
        let guesses = Ranks::default();
        let others: f64 = 1.0 - guesses.of(0);
        let of = |best: f64| {
            let mut ranks = guesses;
            ranks.0[0] = best;
            for (at, rate) in rates.ranks.iter().enumerate() {
                ranks.0[at + 1] = (1.0 - best) * rate.mean(guesses.of(at + 1) / others);
            }
            ranks
        };
        (of(first), of(later))
    }

    /// Expected tokens of a round that drafts a tree or chain of this shape.
    pub fn tokens(&self, exit: usize, layers: usize, shape: &Shape) -> f64 {
        let (first, later) = self.ranks(self.ease(layers), exit, layers);
        1.0 + shape.accepted(&first, &later)
    }

    /// Expected tokens of a round that drafts `nodes` tokens after a match.
    pub fn lookup_tokens(&self, matched: usize, nodes: usize) -> f64 {
        let group = match_group(matched);
        let ((first, later), (guess, guess_later)) = (self.lookup[group], AFTER_MATCH[group]);
        let (first, later) = (first.mean(guess), later.mean(guess_later));
        let (mut tokens, mut reached) = (1.0, first);
        for _ in 0..nodes {
            tokens += reached;
            reached *= later;
        }
        tokens
    }

    /// Assumed acceptance of an exit before any outcome.
    fn guess(&self, exit: usize, layers: usize) -> f64 {
        let depth = exit as f64 / layers.max(1) as f64;
        let guess = match self.training {
            Training::LayerSkip => 0.55 + 0.5 * depth,
            Training::Tuned { exit: tuned } => {
                TUNED_ACCEPTANCE * (exit as f64 / tuned as f64).sqrt().min(1.0)
            }
            // Only the last layers agree with the head.
            Training::None => 0.8 * depth.powi(4),
        };
        guess.clamp(0.005, 0.95)
    }

    /// How much easier this text is for exits than the average text, in logits.
    pub fn ease(&self, layers: usize) -> f64 {
        let (mut sum, mut weight) = (0.0, TEXT_PRIOR_WEIGHT);
        for (exit, rates) in self.exits.iter().enumerate() {
            if rates.first.seen > 0.0 {
                let typical = self.typical(rates, exit, layers);
                let here = (rates.first.hits + 2.0 * typical) / (rates.first.seen + 2.0);
                sum += rates.first.seen * (logit(here) - logit(typical));
                weight += rates.first.seen;
            }
        }
        sum / weight
    }

    /// Starts another text. Statistics over all texts stay.
    pub fn begin_text(&mut self) {
        self.later = Rate::default();
        for rates in &mut self.exits {
            rates.first = Rate::default();
            rates.ranks.iter_mut().for_each(Rate::limit);
        }
        for (first, later) in &mut self.lookup {
            first.limit();
            later.limit();
        }
    }

    /// Whether all numbers are plausible for a model with this many layers.
    pub fn is_valid(&self, layers: usize) -> bool {
        let corrections = self.verify.iter().chain(&self.draft).chain([&self.plain]);
        let sane = |c: &Correction| c.log.abs() < 5.0 && (0.0..=1e9).contains(&c.seen);
        let rates = self.exits.iter().flat_map(|exit| {
            let own = [&exit.first, &exit.all];
            own.into_iter().chain(&exit.ranks)
        });
        let lookup = self.lookup.iter().flat_map(|(first, later)| [first, later]);
        let confidence = self.confidence.iter().flatten().flatten();
        let grown = [self.grown.tokens, self.grown.expected];
        self.scale.abs() < 100.0
            && confidence.into_iter().all(Rate::is_valid)
            && grown.iter().all(|sum| (0.0..=1e6).contains(sum))
            && (0.0..=1e9).contains(&self.times)
            && self.verify.len() <= Shape::MAX_ROWS + 1
            && self.draft.len() <= layers
            && self.exits.len() <= layers
            && corrections.into_iter().all(sane)
            && rates.chain(lookup).chain([&self.later]).all(Rate::is_valid)
    }
}

fn correct_at(list: &mut [Correction], at: usize, log_error: f64) {
    if let Some(correction) = list.get_mut(at) {
        correct(correction, log_error);
    }
}

fn correct(correction: &mut Correction, log_error: f64) {
    let newest = NEWEST_FACTOR.max(1.0 / (correction.seen + 2.0));
    correction.log = (correction.log + newest * log_error).clamp(-3.0, 3.0);
    correction.seen += 1.0;
}

/// The correction at `at`, or, if none was timed there, a damped one from its nearest neighbour.
fn nearest(list: &[Correction], at: usize) -> f64 {
    if let Some(own) = list.get(at).filter(|own| own.seen > 0.0) {
        return own.log;
    }
    let seen = list.iter().enumerate().filter(|(_, c)| c.seen > 0.0);
    seen.min_by_key(|(other, _)| other.abs_diff(at))
        .map_or(0.0, |(_, c)| 0.7 * c.log)
}

fn match_group(length: usize) -> usize {
    let group = MATCHES.iter().position(|&longest| length <= longest);
    group.unwrap_or(MATCHES.len() - 1)
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-3, 1.0 - 1e-3);
    (p / (1.0 - p)).ln()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
