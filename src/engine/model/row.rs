//! What a forward pass works on: rows, each one token at one place of a sequence.

/// One token on its way through the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub token: u32,
    /// Where the token stands in its text: what the rotary embedding takes.
    pub position: usize,
    /// Where its keys and values are written. A token of a chain lies in the slot of its position.
    pub slot: usize,
    pub ancestors: Ancestors,
    /// How many layers it has run already: 0 for a token that no exit drafted, E for one that early exit did.
    pub depth: usize,
}

/// What a row attends to besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestors {
    /// Every slot before its own, which is its position.
    Chain,
    /// Every position that is kept, and those slots behind them whose bit is set: bit i stands for the i-th slot after
    /// the kept ones.
    Tree(u64),
}

impl Ancestors {
    /// How many slots behind the kept ones a tree can name.
    pub const MAX_NODES: usize = u64::BITS as usize;
}

impl Row {
    /// Consecutive tokens of a text, the first at `start`, none of which has run a layer.
    pub fn chain(tokens: &[u32], start: usize) -> impl Iterator<Item = Self> {
        tokens.iter().enumerate().map(move |(i, &token)| Self {
            token,
            position: start + i,
            slot: start + i,
            ancestors: Ancestors::Chain,
            depth: 0,
        })
    }
}

/// Which rows of a sequence become logits, and how.
#[derive(Debug, Clone, Copy)]
pub struct Readout<'a> {
    /// Slots of rows that a pass since the last [`truncate`](super::Sequence::truncate) has brought to `depth`.
    pub slots: &'a [usize],
    /// How many layers they have run. A model may read an exit in another way than its last layer.
    pub depth: usize,
    /// 0 for the whole vocabulary, else how many tokens of the [draft order](super::DraftOrder) to compute.
    pub vocab: usize,
    /// Take the states that the rows had at the probed layer, in place of those they have now.
    pub probed: bool,
}
