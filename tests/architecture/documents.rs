//! Documents point to files: each path that one names in backquotes is there.

use std::fs;
use std::path::Path;

const FOLDERS: [&str; 9] = [
    "src", "tests", "scripts", "crates", "docs", "deploy", "benches", "fuzz", ".github",
];

/// The paths that a text names in backquotes, from the root of the checkout down. A path with `*` or `…` names many.
fn named_paths(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let words = quoted.filter_map(|code| code.split_whitespace().next());
    words
        .filter(|word| {
            let top = word.split_once('/').map(|(top, _)| top);
            top.is_some_and(|top| FOLDERS.contains(&top)) && !word.contains(['*', '…', '<'])
        })
        .collect()
}

#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<_> = fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|name| name == "md"))
        .collect();
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "crates/testkit/README.md",
    ];
    documents.extend(others.map(|name| root.join(name)));
    let mut wrong = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in named_paths(&text) {
            if !root.join(path).exists() {
                wrong.push(format!("{}: no `{path}`", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_path_is_found_between_other_words() {
    let text = "See `src/a.rs`, `cargo test`, `scripts/b.sh LINE`, `tests/*.rs` and docs/c.md.";
    assert_eq!(named_paths(text), ["src/a.rs", "scripts/b.sh"]);
}
