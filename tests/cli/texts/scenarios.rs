//! What the commands of the scenarios print as errors, hints and warnings.

use super::heading;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub fn texts() -> String {
    let mut text = heading("Errors, hints and warnings of the scenarios");
    let mut seen = BTreeSet::new();
    for line in expected_lines() {
        let is_wanted = ["error: ", "hint: ", "warning: "]
            .iter()
            .any(|start| line.starts_with(start));
        if is_wanted && seen.insert(line.clone()) {
            text += &format!("{line}\n");
        }
    }
    text
}

/// In the order of the scenarios.
fn expected_lines() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(folder).unwrap();
    let mut scenarios: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    scenarios.sort();
    let files = scenarios
        .iter()
        .flat_map(|path| ["stdout", "stderr"].map(|name| path.join("expected").join(name)));
    files
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().map(str::to_string).collect::<Vec<_>>())
        .collect()
}
