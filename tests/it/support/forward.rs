//! Logits of a text.

use skiplens::engine::model::{Model, Readout, Row, Sequence};

/// Logits after each of `ids`, which are appended to the sequence.
pub fn logits(model: &dyn Model, sequence: &mut dyn Sequence, ids: &[u32]) -> Vec<Vec<f32>> {
    let (config, start) = (model.config(), sequence.len());
    let rows: Vec<Row> = Row::chain(ids, start).collect();
    let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
    sequence.forward(&rows, config.num_layers).unwrap();
    let readout = Readout {
        slots: &slots,
        depth: config.num_layers,
        vocab: 0,
        probed: false,
    };
    let mut out = Vec::new();
    sequence.logits(&readout, &mut out).unwrap();
    sequence.truncate(start + ids.len());
    out.chunks(config.vocab_size).map(<[f32]>::to_vec).collect()
}
