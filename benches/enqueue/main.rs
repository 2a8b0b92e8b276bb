//! Enqueue against one naive loop over the same libraries: `cargo bench --bench enqueue -- [ROWS] [naive|ours|both]`.
//! Prints rows per second of each, the ratio, and the peak of memory.

// A measurement that fails may panic and prints.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod naive;
mod ours;
mod sample;

use std::path::Path;
use std::time::{Duration, Instant};

const DEFAULT_ROWS: u64 = 100_000;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let rows = arguments
        .iter()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(DEFAULT_ROWS);
    let only = |name: &str| arguments.iter().any(|argument| argument == name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    sample::write(folder.path(), rows);
    let naive = (!only("ours")).then(|| measure("naive loop", rows, folder.path(), naive::run));
    let ours = (!only("naive")).then(|| measure("enqueue", rows, folder.path(), ours::run));
    if let (Some(naive), Some(ours)) = (naive, ours) {
        println!("ratio {:.2}", naive.as_secs_f64() / ours.as_secs_f64());
    }
    println!("peak {} MB", peak_kilobytes() / 1024);
}

fn measure(name: &str, rows: u64, folder: &Path, work: fn(&Path) -> u64) -> Duration {
    let started = Instant::now();
    let bytes = work(folder);
    let took = started.elapsed();
    let rows_per_second = rows as f64 / took.as_secs_f64();
    println!(
        "{name}: {rows} rows in {took:.2?}, {rows_per_second:.0} rows/s, {bytes} bytes queued"
    );
    took
}

/// Of this process, from Linux's `/proc`; 0 elsewhere.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
