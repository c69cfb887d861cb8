//! The plain step: autoregressive and early-exit decoding.

use super::decoder::{Decoder, Run, poll};
use super::verify::Verification;
use super::{Observer, Origin, Phase, Session, Settings};
use crate::engine::Result;
use crate::engine::model::Readout;
use crate::engine::sampling::{Pick, Sampler};
use std::time::Instant;

impl Decoder {
    /// A round without a draft: runs the last token through the layers of the strategy and chooses one token. Its row is
    /// still in flight afterwards.
    pub(super) fn plain_round(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Verification> {
        poll(observer, Phase::Verify)?;
        let started = Instant::now();
        let _span = tracing::debug_span!("step").entered();
        let (start, depth) = (session.tokens().len(), self.depth(settings));
        self.prefill(session, depth, observer)?;
        self.begin_round(session, 0);
        session.sequence.forward(&self.scratch.rows, depth)?;
        let readout = Readout {
            slots: &[start - 1],
            depth,
            vocab: 0,
            probed: false,
        };
        session
            .sequence
            .logits(&readout, &mut self.scratch.logits)?;
        self.fill_verifier(session, settings, 0)?;
        let sampler = Sampler {
            sampling: &settings.sampling,
            position: start,
        };
        let id = sampler.pick(&self.scratch.verifier, Pick::Verify);
        let detail = self.verify_detail(settings, None);
        let mut closing = self.closing(settings, id, Origin::Plain, detail);
        let stop = self.push(session, run, settings, id, &mut closing.text);
        Ok(Verification {
            closing: Some(closing),
            stop,
            verify_seconds: started.elapsed().as_secs_f64(),
            ..Verification::default()
        })
    }
}
