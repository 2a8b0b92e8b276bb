//! The engine on virtual time: workers that are killed, stopped and lose partitions, a queue that is as unkind as
//! Kafka may be, a relay that answers anything. Every promise is checked at the end of every run.
//!
//! A failing seed is printed and replayed with `MAILQ_SEEDS=17..18 cargo test --test tests simulation`.

mod campaign;
mod check;
mod claims;
mod clients;
mod delays;
mod outage;
mod process;
mod profile;
mod rates;
mod relay;
mod totals;
mod world;

use profile::Profile;
use std::ops::Range;
use totals::Totals;

/// As many as fit a test run; `MAILQ_SEEDS=FROM..TO` chooses others.
const SEEDS: Range<u64> = 0..2_000;
/// Minutes of virtual time each.
const SHARED_SEEDS: Range<u64> = 0..40;

fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("MAILQ_SEEDS") else {
        return default;
    };
    let bounds = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.expect("MAILQ_SEEDS is FROM..TO")
}

#[test]
fn every_promise_holds_under_faults() {
    let seeds = seeds(SEEDS);
    let count = seeds.end - seeds.start;
    let totals = run_all(seeds, Profile::of);
    assert!(
        count < 100 || totals.shows_faults(),
        "the faults did not happen: {totals:?}"
    );
}

#[test]
fn workers_share_the_rate_out() {
    let profile = |seed: u64| match seed % 5 {
        0 => Profile::Alone,
        _ => Profile::Shared,
    };
    let mut seeds = seeds(SHARED_SEEDS);
    if std::env::var_os("MAILQ_FIRST").is_some() {
        seeds.end = seeds.end.min(seeds.start + SHARED_SEEDS.end);
    }
    run_all(seeds, profile);
}

fn run_all(seeds: Range<u64>, profile: fn(u64) -> Profile) -> Totals {
    let count = seeds.end - seeds.start;
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    // For `scripts/mutants.sh`.
    let stops_at_first = std::env::var_os("MAILQ_FIRST").is_some();
    let broken = std::sync::Mutex::new(Vec::new());
    let totals = std::sync::Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for part in 0..threads {
            let (seeds, broken, totals) = (seeds.clone(), &broken, &totals);
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % threads == part) {
                    if stops_at_first && !broken.lock().unwrap().is_empty() {
                        return;
                    }
                    match world::run(seed, profile(seed)) {
                        Ok(seen) => *totals.lock().unwrap() += seen,
                        Err(why) => {
                            println!("seed {seed}: {why}");
                            broken.lock().unwrap().push(seed);
                        }
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    println!("{count} runs: {totals:?}");
    let mut broken = broken.into_inner().unwrap();
    broken.sort_unstable();
    assert!(
        broken.is_empty(),
        "{} of {count} seeds broke a promise: {broken:?}",
        broken.len()
    );
    totals
}
