//! Back ends that run whole rounds on a device decode the same text.

use super::*;
use crate::engine::model::{
    DraftOrder, MatrixInfo, Model, Plan, PlannedRound, Readout, Row, Sequence,
};
use proptest::prelude::prop_assert;

/// A model that drafts and verifies without the host. It ignores the sampling and drafts greedily, like a device
/// without a sampler.
struct Planning(Box<dyn Model>);

struct PlanningSequence {
    inner: Box<dyn Sequence>,
    layers: usize,
    vocab: usize,
    order: DraftOrder,
    rounds: Arc<std::sync::atomic::AtomicUsize>,
}

static ROUNDS: std::sync::OnceLock<Arc<std::sync::atomic::AtomicUsize>> =
    std::sync::OnceLock::new();

impl Model for Planning {
    fn config(&self) -> &LlamaConfig {
        self.0.config()
    }

    fn sequence(&self, capacity: usize) -> crate::engine::Result<Box<dyn Sequence>> {
        Ok(Box::new(PlanningSequence {
            inner: self.0.sequence(capacity)?,
            layers: self.config().num_layers,
            vocab: self.config().vocab_size,
            order: self.draft_order().clone(),
            rounds: ROUNDS.get_or_init(Arc::default).clone(),
        }))
    }

    fn draft_order(&self) -> &DraftOrder {
        self.0.draft_order()
    }

    fn set_draft_order(&mut self, order: Vec<u32>) -> crate::engine::Result<()> {
        self.0.set_draft_order(order)
    }

    fn plans_rounds(&self) -> bool {
        true
    }

    fn matrices(&self) -> Vec<MatrixInfo> {
        self.0.matrices()
    }

    fn device_name(&self) -> String {
        self.0.device_name()
    }
}

impl Sequence for PlanningSequence {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    fn memory(&self) -> u64 {
        self.inner.memory()
    }

    fn forward(&mut self, rows: &[Row], to: usize) -> crate::engine::Result<()> {
        self.inner.forward(rows, to)
    }

    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> crate::engine::Result<()> {
        self.inner.logits(readout, out)
    }

    fn keep(&mut self, path: &[usize]) -> crate::engine::Result<()> {
        self.inner.keep(path)
    }

    fn truncate(&mut self, len: usize) {
        self.inner.truncate(len);
    }

    fn probe(&mut self, layer: Option<usize>) {
        self.inner.probe(layer);
    }

    fn round(&mut self, plan: &Plan) -> crate::engine::Result<Option<PlannedRound>> {
        self.rounds
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (mut rows, mut logits) = (vec![plan.last], Vec::new());
        let mut round = PlannedRound::default();
        for _ in 0..plan.max_drafts {
            let last = rows.len() - 1;
            self.inner.forward(&rows[last..], plan.exit_layer)?;
            rows[last].depth = plan.exit_layer;
            let readout = Readout {
                slots: &[rows[last].slot],
                depth: plan.exit_layer,
                vocab: plan.draft_vocab,
                probed: false,
            };
            self.inner.logits(&readout, &mut logits)?;
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            let ids = self.order.ids(plan.draft_vocab);
            let column = best.unwrap_or(0);
            let id = ids.get(column).copied().unwrap_or(column as u32);
            round.draft_logits.extend_from_slice(&logits);
            round.drafted.push(id);
            rows.push(Row {
                token: id,
                position: rows[last].position + 1,
                slot: rows[last].slot + 1,
                depth: 0,
                ..plan.last
            });
            if plan.end_tokens.contains(&id) {
                break;
            }
        }
        self.inner.forward(&rows, self.layers)?;
        let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
        let readout = Readout {
            slots: &slots,
            depth: self.layers,
            vocab: 0,
            probed: false,
        };
        self.inner.logits(&readout, &mut round.verify_logits)?;
        assert_eq!(round.verify_logits.len(), rows.len() * self.vocab);
        Ok(Some(round))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whole_rounds_on_a_device_give_the_autoregressive_tokens(
        (config, dtype) in shapes(),
        sampling in sampling(),
        prompt in prop::collection::vec(3u32..VOCAB as u32, 1..20),
        speculations in 1usize..6,
        draft_vocab in 0usize..70,
        max_steps in 1usize..40,
    ) {
        let mut plain = decoder(config.clone(), dtype, 5);
        let settings = Settings {
            sampling,
            max_steps,
            num_speculations: speculations,
            draft_vocab,
            exit_layer: 1,
            ..Settings::default()
        };
        let want = rounds(&mut plain, &prompt, &autoregressive(&settings), |_, _| {});
        let checkpoint = random::checkpoint(&config, dtype, 5).unwrap();
        let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| {}).unwrap();
        let mut planning = Decoder::new(Box::new(Planning(model)), None, vec![2]);
        let got = rounds(&mut planning, &prompt, &settings, |_, _| {});
        check_record(&got);
        prop_assert_eq!(tokens(&got), tokens(&want));
        let counter = ROUNDS.get_or_init(Arc::default);
        prop_assert!(max_steps < 2 || counter.load(std::sync::atomic::Ordering::Relaxed) > 0);
    }
}
