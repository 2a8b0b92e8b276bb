//! The acceptance lines: `acceptance LINE [COUNT] [SEED]`, or scripts/acceptance.sh. Each starts the real `mailq`
//! against a relay that counts, does to it what the line says, prints figures, and ends with `ok` or `FAILED`.
// A tool for developers: it may fail loudly, and it prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[cfg(feature = "kafka")]
#[path = "../../tests/support/kafka/mod.rs"]
#[allow(dead_code)] // The tests use the rest of it.
mod brokers;
mod harness;
#[path = "../../tests/support/ports.rs"]
#[allow(dead_code)] // Brokers use the rest of it.
mod ports;

use harness::{Setting, lines_known};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let lines = lines_known();
    let Some((name, default_count, run)) = arguments
        .first()
        .and_then(|wanted| lines.iter().find(|(name, ..)| name == wanted))
    else {
        eprintln!("usage: acceptance LINE [COUNT] [SEED]");
        for (name, count, _) in &lines {
            eprintln!("  {name:<18} {}", harness::about(name, *count));
        }
        return ExitCode::from(2);
    };
    let number = |place: usize| arguments.get(place).map(|text| text.parse::<u64>());
    let (Ok(count), Ok(seed)) = (number(1).transpose(), number(2).transpose()) else {
        eprintln!("error: COUNT and SEED are numbers");
        return ExitCode::from(2);
    };
    let setting = Setting {
        mailq: std::env::var_os("MAILQ_BIN")
            .map_or_else(|| PathBuf::from("target/release/mailq"), PathBuf::from),
        count: count.unwrap_or(*default_count),
        seed: seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
    };
    println!("{name}: count {}, seed {}", setting.count, setting.seed);
    let report = harness::report_of(*run, &setting);
    print!("{report}");
    ExitCode::from(u8::from(!report.holds()))
}
