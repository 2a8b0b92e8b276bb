//! The acceptance lines: `acceptance LINE [COUNT] [SEED]`, or scripts/acceptance.sh. Each starts the real `mailq`
//! against a relay that counts, does to it what the line says, prints figures, and ends with `ok` or `FAILED`.

use mailq_testkit::acceptance::{Setting, about, lines_known, report_of};
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
            eprintln!("  {name:<18} {}", about(name, *count));
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
    let report = report_of(*run, &setting);
    print!("{report}");
    ExitCode::from(u8::from(!report.holds()))
}
