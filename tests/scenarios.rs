//! A test for each folder of `tests/scenarios/`: what a user does with the real binary and a relay, and what comes of it.
//! How a folder is written is in tests/scenarios/README.md; adding one needs no Rust.
//!
//! `cargo test --test scenarios -- 204` plays those with 204 in their name.
// Tests fail by panicking, and functions beside tests are not covered by clippy.toml's `allow-*-in-tests`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice
)]

#[path = "scenario_runner/mod.rs"]
mod runner;

use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Scenarios mostly wait, but beside more than this their processes come too late for what they wait for.
const AT_ONCE: usize = 3;

/// How many folders there are at least, by their first digit. A folder that is not found would not be missed otherwise.
const AT_LEAST: [(char, usize); 4] = [('0', 15), ('1', 25), ('2', 15), ('3', 6)];

fn main() -> ExitCode {
    let (options, filters) = split(std::env::args());
    let mut arguments = Arguments::from_iter(options);
    arguments.test_threads.get_or_insert(AT_ONCE);
    let folders = folders();
    let mut trials: Vec<Trial> = folders
        .iter()
        .map(|(name, path)| {
            let path = path.clone();
            // The prefix lets `cargo test scenarios` mean these.
            Trial::test(format!("scenarios::{name}"), move || {
                runner::play(&path).map_err(Failed::from)
            })
        })
        .collect();
    let names: Vec<String> = folders.into_iter().map(|(name, _)| name).collect();
    trials.push(Trial::test("scenarios::every_folder_is_found", move || {
        every_folder_is_found(&names)
    }));
    trials.extend(runner::OWN_TESTS.iter().map(|(name, test)| {
        Trial::test(format!("scenario_runner::{name}"), || {
            test();
            Ok(())
        })
    }));
    if !filters.is_empty() {
        trials.retain(|trial| {
            filters
                .iter()
                .any(|filter| matches(&arguments, filter, trial))
        });
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Options and filters apart: `cargo test` takes several filters and hands them to every test program, libtest_mimic takes
/// one.
fn split(arguments: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    const WITH_VALUE: [&str; 6] = [
        "--test-threads",
        "--skip",
        "--logfile",
        "--color",
        "--format",
        "-Z",
    ];
    let (mut options, mut filters) = (Vec::new(), Vec::new());
    for argument in arguments {
        let is_value = options
            .last()
            .is_none_or(|last: &String| WITH_VALUE.contains(&last.as_str()));
        match is_value || argument.starts_with('-') {
            true => options.push(argument),
            false => filters.push(argument),
        }
    }
    (options, filters)
}

fn matches(arguments: &Arguments, filter: &str, trial: &Trial) -> bool {
    match arguments.exact {
        true => trial.name() == filter,
        false => trial.name().contains(filter),
    }
}

/// Name and path of each scenario, in the order of their numbers.
fn folders() -> Vec<(String, PathBuf)> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(home)
        .expect("tests/scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let name = path.file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), path)
        })
        .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    found.sort();
    found
}

fn every_folder_is_found(names: &[String]) -> Result<(), Failed> {
    for (digit, least) in AT_LEAST {
        let count = names.iter().filter(|name| name.starts_with(digit)).count();
        if count < least {
            return Err(format!("{count} scenarios begin with {digit}, fewer than {least}").into());
        }
    }
    Ok(())
}
