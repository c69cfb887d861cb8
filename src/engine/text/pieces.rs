//! The bytes of every token.

/// What each token adds to a text, packed into one buffer.
pub struct Pieces {
    bytes: Vec<u8>,
    /// Where each token's bytes begin, and at last where they all end.
    starts: Vec<usize>,
    /// Control tokens: no text, but a name.
    special: Vec<bool>,
}

impl Pieces {
    /// Collect tokens in the order of their ids: bytes (of a control token: its name), and whether it is one.
    pub fn collect(tokens: impl Iterator<Item = (Vec<u8>, bool)>) -> Self {
        let mut pieces = Self {
            bytes: Vec::new(),
            starts: vec![0],
            special: Vec::new(),
        };
        for (bytes, special) in tokens {
            pieces.bytes.extend_from_slice(&bytes);
            pieces.starts.push(pieces.bytes.len());
            pieces.special.push(special);
        }
        pieces
    }

    pub fn len(&self) -> usize {
        self.special.len()
    }

    /// The bytes of a token, or the name of a control token; nothing for ids beyond the vocabulary.
    pub fn get(&self, id: u32) -> &[u8] {
        match self
            .starts
            .get(id as usize..)
            .and_then(|rest| rest.get(..2))
        {
            Some(&[start, end]) => &self.bytes[start..end],
            _ => &[],
        }
    }

    pub fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}
