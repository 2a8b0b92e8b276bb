//! Folders of `tests/scenarios/`: what a user does with the real binary and a relay, and what comes of it. How a folder
//! is written is in tests/scenarios/README.md; adding one needs no Rust.

#[path = "scenario_runner/mod.rs"]
mod runner;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// They mostly wait, and the machine has other work.
const AT_ONCE: usize = 3;

/// Plays all whose number begins with `digit`, or only those that the variable SCENARIO names by a part of the name.
fn play_all(digit: char, at_least: usize) {
    let all = folders(digit);
    assert!(all.len() >= at_least, "only {} folders", all.len());
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let queue: Vec<PathBuf> = all
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    let queue = Mutex::new(queue.into_iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(folder) = next else { return };
                    if let Err(report) = runner::play(&folder) {
                        failures.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn folders(digit: char) -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut found: Vec<PathBuf> = fs::read_dir(home)
        .expect("tests/scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_dir() && name.starts_with(digit)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn scenarios_happy() {
    play_all('0', 15);
}

#[test]
fn scenarios_bad_input() {
    play_all('1', 25);
}

#[test]
fn scenarios_relay_faults() {
    play_all('2', 15);
}

#[test]
fn scenarios_crash_and_control() {
    play_all('3', 6);
}
