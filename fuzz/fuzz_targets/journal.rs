//! Journals of sessions: reading, exporting in every format, replaying.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skiplens::transcript::export::Format;
use skiplens::transcript::{Replay, salvage};
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| skiplens_fuzz::folder().join("session.jsonl"));

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("writing the input");
    let Ok(loaded) = salvage(&FILE) else {
        return;
    };
    for format in Format::ALL {
        format.export(&loaded.session);
    }
    let mut replay = Replay::new(loaded.session);
    while !replay.is_over() {
        let before = replay.progress();
        replay.step();
        if replay.progress() == before {
            break;
        }
    }
    replay.seek(0);
});
