//! Plays one scenario: copies its folder over the common project, follows its `run`, and holds what came of it against
//! `expected/` and the closing law.

mod counts;
mod expected;
mod relay_script;
mod script;
mod stage;
mod transcript;

use stage::Stage;
use std::fs;
use std::path::Path;

/// Tests of the runner itself. The program that plays scenarios has no harness that would find them by attribute.
pub const OWN_TESTS: [(&str, fn()); 4] = [
    (
        "reads_options_and_rules",
        relay_script::reads_options_and_rules,
    ),
    (
        "reads_steps_and_refuses_others",
        script::reads_steps_and_refuses_others,
    ),
    (
        "replaces_what_differs_each_time",
        transcript::replaces_what_differs_each_time,
    ),
    (
        "finds_missing_and_additional_lines",
        transcript::finds_missing_and_additional_lines,
    ),
];

/// An error is the whole report: what differs, the commands, the files and what was printed.
pub fn play(folder: &Path) -> Result<(), String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut stage = Stage::set(folder).map_err(|error| format!("== {name}: {error}"))?;
    let outcome = follow(&mut stage, folder);
    outcome.map_err(|error| format!("== {name}: {error}\n{}", stage.report()))
}

fn follow(stage: &mut Stage, folder: &Path) -> Result<(), String> {
    let script = fs::read_to_string(folder.join("run")).map_err(|error| format!("run: {error}"))?;
    for (line, step) in script::parse(&script)? {
        let outcome = stage.perform(&step);
        outcome.map_err(|error| format!("run:{line}: {error}"))?;
    }
    stage.finish()?;
    expected::check(stage, folder)?;
    counts::check(stage, folder)
}

/// Every file below a folder, as paths relative to it.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(name) = path.strip_prefix(folder) {
                found.push(name.to_path_buf());
            }
        }
    }
    found.sort();
    found
}
