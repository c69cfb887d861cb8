//! A real process writes a journal and is killed at random moments.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "SKIPLENS_TEST_CRASH_CHILD";
const KILLS: u64 = 40;

/// Not a test itself, but the code of the child process. It prints the number of each round after writing the round.
#[test]
fn child() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let store = Store::at(folder);
    let mut journal = match store.find("last") {
        Ok(path) => super::super::Journal::resume(&path).unwrap().0,
        Err(_) => super::super::Journal::begin(&store),
    };
    let round = sample().rounds().next().unwrap().clone();
    let mut count = journal.session().rounds().count();
    println!("\nat {count}");
    loop {
        let run = journal.session().next_run();
        journal
            .append(Entry::Truncate(journal.session().turns.len()))
            .unwrap();
        journal.append(Entry::User("Go on.".into())).unwrap();
        let prompt = Prompt::Chat(journal.session().messages());
        journal
            .append(Entry::Run {
                run,
                prompt,
                settings: Settings::default(),
            })
            .unwrap();
        for index in 0..5 {
            let settings = Settings {
                num_speculations: 2 + index,
                ..Settings::default()
            };
            let round = {
                let mut made = round.clone();
                made.index = index;
                made.position = count;
                made.settings = settings.into();
                made
            };
            journal
                .append(Entry::Round {
                    run,
                    round: Box::new(round),
                })
                .unwrap();
            count += 1;
            println!("wrote {count}");
        }
        let end = RunEnd::finished(StopReason::MaxSteps, &Default::default(), 0);
        journal.append(Entry::End { run, end }).unwrap();
    }
}

#[test]
fn a_killed_program_loses_no_finished_round() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = 0;
    for kill in 0..KILLS {
        // Delays spread over the start, the first writes and later ones.
        let told = run_and_kill(
            folder.path(),
            Duration::from_micros(200 + kill * kill * 37 % 30_000),
        );
        let store = Store::at(folder.path());
        let Ok(path) = store.find("last") else {
            assert_eq!(told, None, "rounds were reported without a file");
            continue;
        };
        let session = salvage(&path).unwrap();
        assert!(session.fault.is_none(), "{:?}", session.fault);
        let positions: Vec<usize> = session
            .session
            .rounds()
            .map(|round| round.position)
            .collect();
        assert!(
            positions.iter().copied().eq(0..positions.len()),
            "rounds are complete and in order"
        );
        known = told.unwrap_or(0).max(known);
        assert!(
            positions.len() >= known,
            "{} of {known} rounds are left",
            positions.len()
        );
        known = positions.len();
    }
    assert!(known > 0, "the child never wrote");
    assert_eq!(Store::at(folder.path()).list().unwrap().len(), 1);
}

/// Starts the child, kills it `after` its first line, and returns the last round that it reported.
fn run_and_kill(folder: &std::path::Path, after: Duration) -> Option<usize> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transcript::tests::crash::child", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = output.lines().map_while(|line| line.ok());
    lines
        .find(|line| line.starts_with("at "))
        .expect("the child starts");
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // Lines printed before the kill are in the pipe; an incomplete last line does not count.
    lines
        .filter_map(|line| line.strip_prefix("wrote ")?.parse().ok())
        .last()
}
