//! The bytes of every token.

/// Max length of a token in bytes. Known vocabularies stay below 512; a run of longer tokens would make a text of
/// unbounded size out of a few ids.
const MAX_TOKEN_BYTES: usize = 4096;

/// The bytes that each token adds to a text, packed into one buffer.
pub struct TokenBytes {
    bytes: Vec<u8>,
    /// Start of each token's bytes, followed by the end of the last.
    starts: Vec<usize>,
    /// Whether each token is a control token. The bytes of a control token are its name, not text.
    special: Vec<bool>,
}

impl TokenBytes {
    /// Collects tokens in the order of their ids: the bytes, or the name of a control token, and whether it is one.
    ///
    /// # Errors
    ///
    /// If a token is longer than [`MAX_TOKEN_BYTES`].
    pub fn collect(tokens: impl Iterator<Item = (Vec<u8>, bool)>) -> Result<Self, String> {
        let mut all = Self {
            bytes: Vec::new(),
            starts: vec![0],
            special: Vec::new(),
        };
        for (bytes, special) in tokens {
            if bytes.len() > MAX_TOKEN_BYTES {
                return Err(format!(
                    "token {} has {} bytes; the max is {MAX_TOKEN_BYTES}",
                    all.len(),
                    bytes.len()
                ));
            }
            all.bytes.extend_from_slice(&bytes);
            all.starts.push(all.bytes.len());
            all.special.push(special);
        }
        Ok(all)
    }

    pub fn len(&self) -> usize {
        self.special.len()
    }

    /// The bytes of a token, or the name of a control token; empty for ids beyond the vocabulary.
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
