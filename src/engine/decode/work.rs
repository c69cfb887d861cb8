//! The work of the parts of a round, in weights read.

use crate::engine::config::LlamaConfig;

/// Cost of each further row of a pass through the weights, as a fraction of the first row's.
pub(super) const ROW_COST: f64 = 0.1;
/// The same for attention over the cached positions.
const ATTENTION_ROW_COST: f64 = 0.4;
/// The cost of reading an element of keys and values, relative to that of a weight.
const KV_ELEMENT_COST: f64 = 3.0;

/// The model's shape, as number of weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    pub layers: usize,
    pub layer: f64,
    pub head: f64,
    /// Elements of keys and values of one position in one layer.
    pub kv: f64,
    /// Weights of an exit adapter besides its block, which costs one layer.
    pub projection: f64,
    /// Exits with an adapter: bit E for exit E.
    pub adapted: u128,
}

impl Work {
    pub fn of(config: &LlamaConfig) -> Self {
        Self {
            layers: config.num_layers,
            layer: config.layer_weights() as f64,
            head: (config.vocab_size * config.hidden_size) as f64,
            kv: (2 * config.num_kv_heads * config.head_dim) as f64,
            projection: 0.0,
            adapted: 0,
        }
    }

    /// With adapters that draft at the exits for which `adapts` is true.
    pub fn with_adapters(self, config: &LlamaConfig, adapts: &dyn Fn(usize) -> bool) -> Self {
        let bits = (1..config.num_layers.min(128)).filter(|&exit| adapts(exit));
        Self {
            projection: (2 * config.hidden_size * config.hidden_size) as f64,
            adapted: bits.fold(0, |bits, exit| bits | 1 << exit),
            ..self
        }
    }

    /// Whether the exit has an adapter.
    pub fn adapts(&self, exit: usize) -> bool {
        exit < 128 && self.adapted >> exit & 1 == 1
    }

    fn run(&self, layers: usize, rows: usize, context: usize) -> f64 {
        let more = rows.saturating_sub(1) as f64;
        let attention = KV_ELEMENT_COST * self.kv * context as f64;
        layers as f64
            * (self.layer * (1.0 + ROW_COST * more) + attention * (1.0 + ATTENTION_ROW_COST * more))
    }

    fn head_pass(&self, rows: usize, share: f64) -> f64 {
        self.head * share * (1.0 + ROW_COST * rows.saturating_sub(1) as f64)
    }

    pub fn plain(&self, context: usize) -> f64 {
        self.run(self.layers, 1, context) + self.head_pass(1, 1.0)
    }

    /// Verifying `rows`, of which all but `leaves` have already run the layers up to the exit.
    pub fn verify(&self, rows: usize, exit: usize, leaves: usize, context: usize) -> f64 {
        let early = match leaves {
            0 => 0.0,
            _ => self.run(exit, leaves, context),
        };
        early + self.run(self.layers - exit, rows, context) + self.head_pass(rows, 1.0)
    }

    /// The time of a probe, as a share of a plain step's.
    pub fn probe_share(&self, at: Place) -> f64 {
        self.head_pass(1, at.draft_share) / self.plain(at.context)
    }

    /// Draft passes to the exit with these numbers of rows; `share` is the fraction of the head that drafts use.
    pub fn draft(&self, exit: usize, passes: &[usize], share: f64, context: usize) -> f64 {
        let (layers, more) = match self.adapts(exit) {
            true => (exit + 1, self.projection),
            false => (exit, 0.0),
        };
        let pass =
            |&rows: &usize| self.run(layers, rows, context) + more + self.head_pass(rows, share);
        passes.iter().map(pass).sum()
    }
}

/// The work of a round that determines its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Job<'a> {
    Plain,
    /// `passes` are the rows of each draft pass.
    Exit {
        exit: usize,
        passes: &'a [usize],
        nodes: usize,
    },
    Lookup {
        nodes: usize,
    },
}

/// The context in which a round takes place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Tokens so far.
    pub context: usize,
    /// The fraction of the head that drafts use.
    pub draft_share: f64,
}
