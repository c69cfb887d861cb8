//! A prefix cache: sequences kept for requests with a common prefix.

use crate::engine::Result;
use crate::engine::decode::{Decoder, ScoreCache, Session, common_prefix};

/// Max number of sequences, whatever their size.
const MAX_SEQUENCES: usize = 64;

/// Sequences within a memory budget.
pub struct Pool {
    kept: Vec<Kept>,
    /// Max bytes of all sequences. One is kept whatever its size.
    budget: u64,
    /// Incremented with every use, for LRU.
    clock: u64,
}

/// A sequence between two uses.
pub struct Kept {
    pub session: Session,
    pub scores: ScoreCache,
    used: u64,
}

impl Pool {
    pub fn new(budget: u64) -> Self {
        Self {
            kept: Vec::new(),
            budget,
            clock: 0,
        }
    }

    /// Takes the sequence with the longest common prefix with `prompt` out of the pool; a new one if reusing that one
    /// would discard more than it saves. Put it back with [`Self::put`].
    ///
    /// # Errors
    /// As [`Decoder::session`].
    pub fn take(&mut self, decoder: &Decoder, prompt: &[u32]) -> Result<Kept> {
        let common = |kept: &Kept| common_prefix(kept.session.tokens(), prompt);
        let best = (0..self.kept.len()).max_by_key(|&at| common(&self.kept[at]));
        if let Some(at) = best {
            let shared = common(&self.kept[at]);
            let lost = self.kept[at].session.tokens().len() - shared;
            if shared > 0 && lost <= shared {
                return Ok(self.kept.swap_remove(at));
            }
        }
        // The new sequence will take memory too: assume the average.
        let sequences = self.kept.len() as u64;
        let expected = self.bytes().checked_div(sequences).unwrap_or(0);
        if let Some(reused) = self.evict(expected) {
            return Ok(reused);
        }
        Ok(Kept {
            session: decoder.session()?,
            scores: ScoreCache::default(),
            used: 0,
        })
    }

    /// Puts a sequence back, and evicts those beyond the budget.
    pub fn put(&mut self, mut kept: Kept) {
        self.clock += 1;
        kept.used = self.clock;
        self.kept.push(kept);
        self.evict(0);
    }

    /// Evicts least recently used sequences until `more` bytes fit. Returns the last one evicted, whose memory can be
    /// reused. If `more` is 0, the most recently used one stays.
    fn evict(&mut self, more: u64) -> Option<Kept> {
        let mut last = None;
        let spared = usize::from(more == 0);
        while self.kept.len() > spared
            && (self.kept.len() >= MAX_SEQUENCES + spared || self.bytes() + more > self.budget)
        {
            let oldest = (0..self.kept.len()).min_by_key(|&at| self.kept[at].used)?;
            last = Some(self.kept.swap_remove(oldest));
        }
        last
    }

    /// Bytes of the kept sequences.
    pub fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.session.memory()).sum()
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::Settings;
    use crate::engine::model::{self, random};
    use candle_core::{Device, quantized::GgmlDType};

    fn decoder() -> Decoder {
        let config = random::small();
        let checkpoint = random::checkpoint(&config, GgmlDType::F32, 1).unwrap();
        let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| {}).unwrap();
        Decoder::new(model, None, vec![])
    }

    /// Uses the pool for a prompt; returns the length of the cached prefix.
    fn serve(pool: &mut Pool, decoder: &mut Decoder, prompt: &[u32]) -> usize {
        let mut kept = pool.take(decoder, prompt).unwrap();
        let shared = common_prefix(kept.session.tokens(), prompt);
        let settings = Settings {
            max_steps: 1,
            exit_layer: 1,
            ..Settings::default()
        };
        decoder
            .run_to_end(&mut kept.session, prompt, settings, &mut ())
            .unwrap();
        pool.put(kept);
        shared
    }

    #[test]
    fn conversations_keep_their_sequences_while_others_come_between() {
        let (mut pool, mut decoder) = (Pool::new(u64::MAX), decoder());
        let [a, b]: [Vec<u32>; 2] = [3, 4].map(|id| [&[1, 2][..], &[id; 20]].concat());
        serve(&mut pool, &mut decoder, &a);
        // They share a prefix, but reusing it would discard more than it saves.
        serve(&mut pool, &mut decoder, &b);
        assert_eq!(pool.len(), 2);
        assert_eq!(serve(&mut pool, &mut decoder, &a), a.len());
        assert_eq!(serve(&mut pool, &mut decoder, &b), b.len());
        assert_eq!(pool.len(), 2);
    }

    #[test]
    fn the_least_recently_used_goes_when_memory_is_short() {
        let mut decoder = decoder();
        let mut measure = Pool::new(u64::MAX);
        serve(&mut measure, &mut decoder, &[9; 10]);
        let one = measure.bytes();
        assert!(one > 0);
        let mut pool = Pool::new(2 * one);
        for id in [1, 2, 1, 3] {
            serve(&mut pool, &mut decoder, &[id; 10]);
            assert!(pool.bytes() <= 2 * one);
        }
        assert_eq!(serve(&mut pool, &mut decoder, &[1; 10]), 10);
        assert_eq!(serve(&mut pool, &mut decoder, &[2; 10]), 0);
        // Without any budget, one sequence is still kept.
        let mut pool = Pool::new(0);
        for id in [1, 1, 2] {
            serve(&mut pool, &mut decoder, &[id; 10]);
            assert_eq!(pool.len(), 1);
        }
    }
}
