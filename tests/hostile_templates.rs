//! Chat templates that grow their values give an error or a text, in bounded memory.

use proptest::prelude::*;
use skiplens::engine::prompt::{Message, Role};
use skiplens::engine::text::{
    ChatTemplate, GgufVocabulary, TokenMerging, TokenizerSpec, Vocabulary,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes in use, and their peak.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts allocated bytes.
struct Watched;

// SAFETY: every call is forwarded to the system's allocator, which meets the contract.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Max bytes in use. A template may hold 64 MB of values at a time. While a value is built, its parts exist as well,
/// and a container allocates up to twice the size of its contents.
const MAX_MEMORY: usize = 256 << 20;

/// Max bytes of text for a short conversation.
const MAX_TEXT: usize = 2 << 20;

/// A statement that grows the text `ns.s` or the list `ns.l`.
fn growth() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{% set ns.s = ns.s ~ ns.s %}",
        "{% set ns.s = ns.s * 9 %}",
        "{% set ns.s = ns.s|replace('a', ns.s) %}",
        "{% set ns.s = ns.s|indent(100, true)|wordwrap(5) %}",
        "{% set ns.s = '%s%s' % (ns.s, ns.s) %}",
        "{% set ns.s = ns.l|join(ns.s) %}",
        "{% set ns.s = ns.l|tojson(indent=9) %}",
        "{% set ns.s = ns.s|upper|title|urlencode %}",
        "{% set ns.s %}{{ ns.s }}{{ ns.l }}{% endset %}",
        "{% set ns.l = ns.l + ns.l %}",
        "{% set ns.l = [ns.l, ns.s] %}",
        "{% set ns.l = ns.s|list %}",
        "{% set ns.l = ns.s.split('a') + ns.s.splitlines() %}",
        "{% set ns.l = ns.l|batch(1, ns.s)|list|sort|list %}",
        "{% set ns.l = ns.l|slice(9, ns.l)|map('string')|unique|list %}",
        "{% set ns.l = range(90000)|list %}",
        "{% for x in ns.l if x != 1 %}{{ loop.length }}{{ x }}{% endfor %}",
        "{{ f(ns.s, *ns.l) }}",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn memory_stays_within_bounds(
        steps in prop::collection::vec(growth(), 1..5),
        rounds in 1usize..50,
    ) {
        let source = format!(
            "{{% macro f(x) %}}{{{{ x }}}}{{{{ varargs }}}}{{% endmacro %}}\
             {{% set ns = namespace(s='ab', l=[1, 'a']) %}}\
             {{% for i in range({rounds}) %}}{}{{% endfor %}}",
            steps.concat()
        );
        let parts = TokenizerSpec {
            vocabulary: Vocabulary::Gguf(GgufVocabulary {
                tokens: Vec::new(),
                kinds: Vec::new(),
                merging: TokenMerging::Scored {
                    scores: Vec::new(),
                    add_space_prefix: true,
                },
            }),
            bos_token: None,
            eos_token: None,
            add_bos: None,
            chat_template: Some(source),
        };
        let conversation = [Message { role: Role::User, content: "Hi".into() }];
        PEAK.store(LIVE.load(Relaxed), Relaxed);
        let before = LIVE.load(Relaxed);
        let template = ChatTemplate::from_spec(&parts).unwrap();
        if let Ok(text) = template.render(&conversation) {
            prop_assert!(text.len() <= MAX_TEXT);
        }
        let used = PEAK.load(Relaxed) - before;
        prop_assert!(used <= MAX_MEMORY, "{} bytes of memory", used);
    }
}
