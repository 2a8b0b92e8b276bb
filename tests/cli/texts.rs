//! Every text that a user reads stands in one file, `tests/golden/texts.txt`, so that a change of it is seen and read.
//! `TEXTS_WRITE=1 cargo test --test tests texts` writes the file anew.

mod check;
mod errors;
mod help;
mod notices;
mod scenarios;

use std::fs;
use std::path::Path;

#[test]
fn texts_equal_the_golden_file() {
    let texts = [
        help::texts(),
        errors::texts(),
        check::texts(),
        notices::texts(),
        scenarios::texts(),
    ]
    .concat();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/texts.txt");
    if std::env::var_os("TEXTS_WRITE").is_some() {
        fs::write(&path, &texts).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    if let Some(difference) = first_difference(&golden, &texts) {
        panic!(
            "{difference}\nTEXTS_WRITE=1 cargo test --test tests texts writes tests/golden/texts.txt anew: read what changes"
        );
    }
}

fn first_difference(golden: &str, texts: &str) -> Option<String> {
    let (mut wanted, mut found) = (golden.lines(), texts.lines());
    for number in 1.. {
        match (wanted.next(), found.next()) {
            (None, None) => return None,
            (one, other) if one == other => {}
            (one, other) => {
                let shown = |line: Option<&str>| line.unwrap_or("(end)").to_string();
                return Some(format!(
                    "texts.txt:{number}\n golden: {}\n    now: {}",
                    shown(one),
                    shown(other)
                ));
            }
        }
    }
    None
}

fn heading(text: &str) -> String {
    format!("\n{}\n{text}\n{0}\n\n", "=".repeat(text.len()))
}

#[test]
fn a_changed_line_is_a_difference() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    for (golden, texts) in [("a\nb\n", "a\nc\n"), ("a\n", "a\nb\n"), ("a\nb\n", "a\n")] {
        let difference = first_difference(golden, texts).unwrap();
        assert!(difference.starts_with("texts.txt:2\n"), "{difference}");
    }
}
