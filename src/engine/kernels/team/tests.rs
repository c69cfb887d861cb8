//! Everything is done, once and in order, whatever goes wrong.

use super::*;

#[test]
fn everything_is_done_once_and_in_order() {
    for threads in [1, 2, 3, 7] {
        let team = Team::new(threads);
        for n in [0, 1, 5, 1000] {
            let (mut a, mut b) = (vec![0usize; n], vec![0usize; n]);
            let (first, second) = (Shared::new(&mut a), Shared::new(&mut b));
            team.run(&|crew| {
                // SAFETY: elements are shared out, and read a phase after they were written.
                crew.share(n, 3, |items| {
                    items.for_each(|i| unsafe { first.slice(i, 1)[0] += i + 1 })
                });
                crew.share(n, 1, |items| {
                    items.for_each(|i| unsafe {
                        second.slice(i, 1)[0] = first.slice(n - 1 - i, 1)[0]
                    });
                });
            });
            assert!(b.into_iter().eq((0..n).map(|i| n - i)));
        }
    }
}

/// More phases than their numbers in `left` tell apart, some without anything for some members.
#[test]
fn nothing_is_left_over_from_phases_long_ago() {
    let (team, count) = (Team::new(2), AtomicUsize::new(0));
    team.run(&|crew| {
        for phase in 0..70_000 {
            crew.share(phase % 4, 1, |items| {
                _ = count.fetch_add(items.len(), Relaxed)
            });
        }
    });
    assert_eq!(count.into_inner(), 70_000 / 4 * 6);
}

#[test]
fn members_take_from_one_who_is_late() {
    let team = Team::new(3);
    let (count, first) = (AtomicUsize::new(0), AtomicBool::new(true));
    team.run(&|crew| {
        // The first to come waits with its first piece until the others have done all the rest.
        crew.share(100, 1, |items| {
            count.fetch_add(items.len(), AcqRel);
            if first.swap(false, AcqRel) {
                wait(|| count.load(Acquire) == 100);
            }
        });
    });
    assert_eq!(count.into_inner(), 100);
}

#[test]
fn a_panic_reaches_the_caller_and_the_team_lives_on() {
    let team = Team::new(3);
    for at in [0, 40, 99] {
        let failed = catch_unwind(AssertUnwindSafe(|| {
            team.run(&|crew| {
                crew.share(100, 1, |items| assert!(!items.contains(&at), "no"));
                crew.share(100, 1, |_| ());
            });
        }));
        assert!(failed.is_err());
        let count = AtomicUsize::new(0);
        team.run(&|crew| crew.share(100, 1, |items| _ = count.fetch_add(items.len(), Relaxed)));
        assert_eq!(count.into_inner(), 100);
    }
}

#[test]
fn a_team_that_slept_wakes_up() {
    let team = Team::new(2);
    for _ in 0..3 {
        thread::sleep(AWAKE * 10);
        let count = AtomicUsize::new(0);
        team.run(&|crew| crew.share(10, 1, |items| _ = count.fetch_add(items.len(), Relaxed)));
        assert_eq!(count.into_inner(), 10);
    }
}
