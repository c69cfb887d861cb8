//! Allocations while decoding. A forward pass makes none once its buffers have grown; a round allocates its record, and
//! nothing else.

use skiplens::engine::config::LlamaConfig;
use skiplens::engine::decode::{
    Controller, Decoder, Observer, Phase, Round, Run, Session, Settings, Strategy,
};
use skiplens::engine::kernels::{PAGE, ThreadPool};
use skiplens::engine::model::{self, Model, Readout, Row, random};
use skiplens::engine::sampling::{Coupling, Sampling};
use skiplens::engine::text::Tokenizer;
use skiplens::engine::weights::{self, Checkpoint, Dtype};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counting allocations.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Whether threads that start now are counted: threads of the kernels are, threads of the test harness are not.
static COUNT_NEW_THREADS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is counted; `None` before its first allocation.
    static COUNTED: Cell<Option<bool>> = const { Cell::new(None) };
}

fn count() {
    let counted = COUNTED.try_with(|counted| {
        let now = counted
            .get()
            .unwrap_or_else(|| COUNT_NEW_THREADS.load(Relaxed));
        counted.set(Some(now));
        now
    });
    COUNT.fetch_add(usize::from(counted == Ok(true)), Relaxed);
}

// SAFETY: every call is forwarded to the system's allocator, which meets the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static MEMORY: Counting = Counting;

/// Allocations of `work` on all counted threads.
fn allocations<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNT.load(Relaxed);
    let done = work();
    (done, COUNT.load(Relaxed) - before)
}

/// A model with round sizes, and one whose sizes are not multiples of any block.
fn random_models() -> Vec<Checkpoint> {
    use candle_core::quantized::GgmlDType;
    let even = random::small();
    let odd = LlamaConfig {
        hidden_size: 30,
        intermediate_size: 50,
        num_heads: 3,
        num_kv_heads: 3,
        head_dim: 10,
        ..even.clone()
    };
    let make = |config, dtype| random::checkpoint(config, dtype, 3).unwrap();
    vec![make(&even, GgmlDType::Q8_0), make(&odd, GgmlDType::F16)]
}

fn bundled() -> Checkpoint {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    weights::open(
        &root.join("assets").join(weights::BUNDLED_FILE),
        Dtype::Auto,
    )
    .unwrap()
}

fn load(checkpoint: &Checkpoint, threads: usize) -> Box<dyn Model> {
    model::load(
        checkpoint,
        &candle_core::Device::Cpu,
        Some(threads),
        &mut |_| (),
    )
    .unwrap()
}

/// A decoder that ends only at the max number of tokens.
fn decoder(checkpoint: &Checkpoint, threads: usize) -> Decoder {
    let tokenizer = Tokenizer::from_checkpoint(checkpoint).unwrap();
    Decoder::new(load(checkpoint, threads), Some(tokenizer), Vec::new())
}

fn all_sampling() -> [Sampling; 5] {
    let plain = Sampling {
        temperature: 0.8,
        top_p: 1.0,
        seed: 5,
        ..Sampling::default()
    };
    let filtered = Sampling {
        top_k: 40,
        top_p: 0.9,
        min_p: 0.01,
        ..plain.clone()
    };
    let penalised = Sampling {
        repetition_penalty: 1.2,
        no_repeat_ngram: 3,
        ..filtered.clone()
    };
    let rejection = Sampling {
        coupling: Coupling::Rejection,
        ..filtered.clone()
    };
    [
        Sampling {
            sample: false,
            ..plain.clone()
        },
        plain,
        filtered,
        penalised,
        rejection,
    ]
}

/// Counts the allocations of each phase of a round. Allocations before a phase begins belong to the phase before it.
#[derive(Default)]
struct PhaseCounts {
    since: usize,
    phase: Option<Phase>,
    /// Max allocations for drafting one token.
    draft: usize,
    /// Allocations of verify and commit, or of a plain step.
    verify: usize,
}

impl PhaseCounts {
    fn close(&mut self, next: Option<Phase>) {
        let now = COUNT.load(Relaxed);
        match self.phase {
            Some(Phase::Draft) => self.draft = self.draft.max(now - self.since),
            Some(Phase::Verify) => self.verify = now - self.since,
            _ => {}
        }
        (self.since, self.phase) = (now, next);
    }
}

impl Observer for PhaseCounts {
    fn poll(&mut self, next: Phase) -> ControlFlow<()> {
        self.close(Some(next));
        ControlFlow::Continue(())
    }
}

/// Max allocations for the record of a round: one for the list of drafted tokens, one for the text of each token, one
/// for the controller's reason, and one for each list in the settings.
fn record_of(round: &Round) -> usize {
    let list = usize::from(round.strategy() == Strategy::SelfSpeculative);
    let texts = round.slots();
    let (strings, ids) = (&round.settings.stop_strings, &round.settings.stop_token_ids);
    let stops = usize::from(!strings.is_empty()) + strings.len() + usize::from(!ids.is_empty());
    // A controller gives the round settings of its own, and another copy to a draft that grew to more than one token.
    let grew = round.settings.controller == Controller::Auto && round.drafted().len() > 1;
    let moved = round.settings.controller != Controller::Fixed;
    let settings = usize::from(moved) + usize::from(grew);
    list + texts + usize::from(round.controller_note.is_some()) + settings * (1 + stops)
}

/// Whether the cache got another page in this round; nothing else grows with the text.
fn grew(round: &Round) -> bool {
    let (first, last) = (
        round.position - 1,
        round.position + round.settings.num_speculations,
    );
    first / PAGE != last / PAGE || first.is_multiple_of(PAGE)
}

/// Decodes, and checks that every round after the first `warm_up`, except the last, allocates its record only. Rounds
/// that draft more than any before them may grow buffers.
fn decode(decoder: &mut Decoder, prompt: &[u32], settings: &Settings, warm_up: usize) {
    let mut session: Session = decoder.session().unwrap();
    let settings = &Arc::new(settings.clone());
    let mut run: Run = decoder
        .begin(&mut session, prompt, settings, &mut ())
        .unwrap();
    let (mut measured, mut most) = (0, 0);
    while run.stop().is_none() {
        let mut phases = PhaseCounts::default();
        let (round, asked) = allocations(|| {
            decoder
                .round(&mut session, &mut run, settings, &mut phases)
                .unwrap()
        });
        phases.close(None);
        let drafts_more = round.drafted().len() > most;
        most = most.max(round.drafted().len());
        // A tree has lists of its own.
        let tree = round.settings.tree > 0;
        if round.index < warm_up || grew(&round) || drafts_more || tree || round.stop.is_some() {
            continue;
        }
        let about = format!("{settings:?}\n{round:?}");
        assert!(
            asked <= record_of(&round),
            "{asked} allocations in a round, {} for its record: {about}",
            record_of(&round)
        );
        assert!(
            phases.draft <= 1,
            "{} allocations for a draft token, which has one text: {about}",
            phases.draft
        );
        // The auto controller may report the reason for a change.
        let reason = usize::from(settings.controller == Controller::Auto);
        assert!(
            phases.verify <= 1 + reason,
            "{} allocations to verify, which gives one text: {about}",
            phases.verify
        );
        measured += 1;
    }
    assert!(measured > 0, "nothing was measured with {settings:?}");
}

fn decode_in_every_way(
    decoder: &mut Decoder,
    samplings: &[Sampling],
    prompt: &[u32],
    max_steps: usize,
) {
    let layers = decoder.model().config().num_layers;
    for sampling in samplings {
        let settings = Settings {
            sampling: sampling.clone(),
            max_steps,
            exit_layer: layers / 4,
            ..Settings::default()
        };
        for strategy in [Strategy::Autoregressive, Strategy::EarlyExit] {
            decode(
                decoder,
                prompt,
                &Settings {
                    strategy,
                    ..settings.clone()
                },
                2,
            );
        }
        for (draft_vocab, kvq_reuse) in [(0, true), (0, false), (256, true)] {
            decode(
                decoder,
                prompt,
                &Settings {
                    draft_vocab,
                    kvq_reuse,
                    ..settings.clone()
                },
                3,
            );
        }
    }
}

/// With controllers, which change the settings, and with stop strings, which hold text back.
fn decode_with_controllers_and_stops(decoder: &mut Decoder, prompt: &[u32], max_steps: usize) {
    let settings = Settings {
        max_steps,
        exit_layer: 1,
        ..Settings::default()
    };
    for controller in [
        Controller::Confidence { threshold: 0.1 },
        Controller::AdaptiveSpeculations,
        Controller::Auto,
    ] {
        decode(
            decoder,
            prompt,
            &Settings {
                controller,
                ..settings.clone()
            },
            20,
        );
    }
    let stop_strings = vec![
        "never written".to_owned(),
        "\u{FFFD}\u{FFFD}, never".to_owned(),
    ];
    decode(
        decoder,
        prompt,
        &Settings {
            stop_strings,
            stop_token_ids: vec![u32::MAX],
            ..settings
        },
        20,
    );
}

/// Layers and head of a draft step and of a verify, with buffers that have been used once.
fn passes(checkpoint: &Checkpoint) {
    let model = load(checkpoint, 2);
    let layers = model.config().num_layers;
    let mut sequence = model.sequence(PAGE).unwrap();
    let ids: Vec<u32> = (3..12).collect();
    let (mut rows, mut slots, mut logits) = (Vec::new(), Vec::new(), Vec::new());
    let mut pass = |tokens: usize, depth: usize, vocab: usize, start: usize| {
        rows.clear();
        rows.extend(Row::chain(&ids[..tokens], start));
        slots.clear();
        slots.extend(start..start + tokens);
        sequence.forward(&rows, depth).unwrap();
        let readout = Readout {
            slots: &slots,
            depth,
            vocab,
            probed: false,
        };
        sequence.logits(&readout, &mut logits).unwrap();
        sequence.truncate(start + if depth == layers { tokens } else { 0 });
    };
    pass(9, layers, 0, 0);
    for position in (9..PAGE - 9).step_by(9) {
        let ((), asked) = allocations(|| {
            pass(1, layers / 4, 100, position);
            pass(1, layers / 4, 0, position);
            pass(9, layers, 0, position);
        });
        assert_eq!(
            asked, 0,
            "allocations in forward passes at position {position}"
        );
    }
}

#[test]
fn decoding_allocates_its_record_only() {
    COUNTED.set(Some(true));
    COUNT_NEW_THREADS.store(true, Relaxed);
    let pool = ThreadPool::new(2);
    pool.run(&|_| ());
    let ((), asked) = allocations(|| pool.run(&|_| drop(black_box(Box::new(1)))));
    assert_eq!(asked, 2, "threads of the kernels are not counted");
    let (prompt, samplings) = ((3..203).collect::<Vec<u32>>(), all_sampling());
    for checkpoint in random_models() {
        passes(&checkpoint);
        // On models this small, several threads would mostly wait for each other.
        let mut decoder = decoder(&checkpoint, 1);
        decode_in_every_way(&mut decoder, &samplings, &prompt, 100);
        decode_with_controllers_and_stops(&mut decoder, &prompt, 300);
    }
    let bundled = bundled();
    passes(&bundled);
    // Only some sampling settings, because each takes a while: greedy, all filters with shared noise, and rejection.
    let few = [0, 2, 4].map(|i| samplings[i].clone());
    decode_in_every_way(&mut decoder(&bundled, 2), &few, &prompt[..6], 24);
}
