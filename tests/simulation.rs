//! The engine on virtual time: workers that are killed, stopped and lose partitions, a queue with every
//! fault that Kafka may show, a relay that answers anything. Every promise is checked at the end of every run.
//!
//! Fixed seeds guard against regressions; seeds of the day explore. A failing seed is printed and replayed with
//! `MAILQ_SEEDS=17..18 cargo test --test tests simulation`.

mod breaker;
mod broken_queue;
mod campaign;
mod check;
mod claims;
mod clients;
mod delays;
mod hours;
mod outage;
mod process;
mod profile;
mod quotas;
mod rates;
mod relay;
mod replace;
mod totals;
mod world;

use profile::Profile;
use std::ops::Range;
use std::time::SystemTime;
use totals::Totals;

/// As many as fit a test run; `MAILQ_SEEDS=FROM..TO` chooses others, and none of the day.
const SEEDS: Range<u64> = 0..2_000;
const SEEDS_OF_THE_DAY: u64 = 200;
/// Minutes of virtual time each.
const SHARED_SEEDS: Range<u64> = 0..40;
const SHARED_SEEDS_OF_THE_DAY: u64 = 5;

fn chosen() -> Option<Range<u64>> {
    let text = std::env::var("MAILQ_SEEDS").ok()?;
    let bounds = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    Some(bounds.expect("MAILQ_SEEDS is FROM..TO"))
}

/// Other seeds every day (UTC), the same all day, far above the fixed ones.
fn of_the_day(count: u64) -> Range<u64> {
    const SECONDS: u64 = 24 * 60 * 60;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let first = since_1970.unwrap_or_default().as_secs() / SECONDS * 1_000;
    first..first + count
}

#[test]
fn every_promise_holds_under_faults() {
    let seeds = chosen().unwrap_or(SEEDS);
    let count = seeds.end - seeds.start;
    let totals = run_all(seeds, Profile::of);
    assert!(
        count < 100 || totals.shows_faults(),
        "the faults did not happen: {totals:?}"
    );
}

#[test]
fn every_promise_holds_with_the_seeds_of_the_day() {
    if chosen().is_none() {
        run_all(of_the_day(SEEDS_OF_THE_DAY), Profile::of);
    }
}

#[test]
fn workers_share_the_rate_out() {
    let mut seeds = chosen().unwrap_or(SHARED_SEEDS);
    if std::env::var_os("MAILQ_FIRST").is_some() {
        seeds.end = seeds.end.min(seeds.start + SHARED_SEEDS.end);
    }
    run_all(seeds, shared);
}

#[test]
fn workers_share_the_rate_out_with_the_seeds_of_the_day() {
    if chosen().is_none() {
        run_all(of_the_day(SHARED_SEEDS_OF_THE_DAY), shared);
    }
}

fn shared(seed: u64) -> Profile {
    match seed % 5 {
        0 => Profile::Alone,
        _ => Profile::Shared,
    }
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
    println!("seeds {seeds:?}: {totals:?}");
    let mut broken = broken.into_inner().unwrap();
    broken.sort_unstable();
    assert!(
        broken.is_empty(),
        "{} of {count} seeds broke a promise: {broken:?}",
        broken.len()
    );
    totals
}
