//! Rows, the units of a forward pass: each is one token at one slot of a sequence.

/// One token in a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Token id.
    pub token: u32,
    /// Position of the token in its text, for the rotary embedding.
    pub position: usize,
    /// Where its keys and values are written. In a chain, slot and position are equal.
    pub slot: usize,
    /// What it attends to.
    pub ancestors: Ancestors,
    /// How many layers it has already run: E for a token drafted by early exit, else 0.
    pub depth: usize,
}

/// What a row attends to in addition to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestors {
    /// Every slot before its own, which is its position.
    Chain,
    /// All kept positions, and the slots after them that have their bit set: bit i stands for the i-th slot after the
    /// kept ones.
    Tree(u64),
}

impl Ancestors {
    /// Max number of slots after the kept ones that a tree can use.
    pub const MAX_NODES: usize = u64::BITS as usize;
}

impl Row {
    /// Rows of consecutive tokens of a text, the first at `start`, before any layer.
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

/// Which rows of a sequence to compute logits for, and how.
#[derive(Debug, Clone, Copy)]
pub struct Readout<'a> {
    /// Slots of rows that have been run to `depth` since the last [`truncate`](super::Sequence::truncate).
    pub slots: &'a [usize],
    /// How many layers they have run. A model may treat an exit differently from its last layer.
    pub depth: usize,
    /// How many tokens of the [draft order](super::DraftOrder) to compute; 0 for the whole vocabulary.
    pub vocab: usize,
    /// Use the states at the probed layer instead of the current ones.
    pub probed: bool,
}
