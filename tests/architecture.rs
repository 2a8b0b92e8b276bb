//! What the source tree must look like: imports point down, files are short and begin with their charter, and only the
//! floors that talk to people print. Each rule is held against a planted violation as well.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 500;

/// The floor of each module at the top of `src/`. Those of one floor never import each other, unless named in `MAY`.
const FLOORS: [(&str, u8); 14] = [
    ("domain", 0),
    ("clock", 0),
    ("protocol", 1),
    ("queue", 1),
    ("smtp", 1),
    ("render", 1),
    ("recipients", 1),
    ("bounce", 1),
    ("suppression", 1),
    ("engine", 2),
    ("config", 3),
    ("commands", 3),
    ("cli", 4),
    ("main", 5),
];

/// Commands read their settings; the settings know no command.
const MAY: [(&str, &str); 1] = [("commands", "config")];

fn floor(module: &str) -> Option<u8> {
    let known = FLOORS.iter().find(|(name, _)| *name == module);
    known.map(|(_, floor)| *floor)
}

/// Everything that a file says about other modules that it must not. `path` is relative to `src/`.
fn imports(path: &str, text: &str) -> Vec<String> {
    let from = module_of(path);
    let Some(own) = floor(&from) else {
        return match from.as_str() {
            "lib" => Vec::new(),
            _ => vec![format!(
                "src/{path}: `{from}` has no floor in tests/architecture.rs"
            )],
        };
    };
    let mut wrong = Vec::new();
    for to in mentioned(text) {
        let below = floor(&to).is_some_and(|floor| floor < own);
        if to != from && !below && !MAY.contains(&(from.as_str(), to.as_str())) {
            wrong.push(format!(
                "src/{path}: `{from}` imports `{to}`, which is not below it"
            ));
        }
    }
    wrong
}

/// `queue/sqlite/mod.rs` and `queue.rs` are of `queue`.
fn module_of(path: &str) -> String {
    let first = path.split('/').next().unwrap_or_default();
    first.trim_end_matches(".rs").to_string()
}

/// The top modules named after `crate::` (or `mailq::` in the binary), groups in braces included.
fn mentioned(text: &str) -> Vec<String> {
    let code = without_comments(text);
    let mut found = Vec::new();
    for start in ["crate::", "mailq::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '`' || c == '"') {
                continue;
            }
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(top_names(group)),
                None => found.push(name(rest)),
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found.sort();
    found.dedup();
    found
}

fn name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first names inside a group: `a::b, c::{d, e}}` gives a and c.
fn top_names(group: &str) -> Vec<String> {
    let mut depth = 1;
    let mut at_start = true;
    let mut names = Vec::new();
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => at_start = depth == 1,
            c if at_start && !c.is_whitespace() => {
                names.push(name(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The part of a file that is not its tests.
fn product(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn length(path: &str, text: &str) -> Vec<String> {
    let lines = product(text).lines().count();
    match lines > MAX_LINES {
        true => vec![format!("src/{path}: {lines} lines, more than {MAX_LINES}")],
        false => Vec::new(),
    }
}

fn charter(path: &str, text: &str) -> Vec<String> {
    let first = text.lines().next().unwrap_or_default();
    match first.starts_with("//!") && first.trim_start_matches("//!").trim().len() > 10 {
        true => Vec::new(),
        false => vec![format!(
            "src/{path}: does not begin with its charter, `//! …`"
        )],
    }
}

fn printing(path: &str, text: &str) -> Vec<String> {
    let allowed = ["cli", "commands"].contains(&module_of(path).as_str());
    let code = without_comments(product(text));
    let printed = ["println!", "print!", "dbg!"]
        .into_iter()
        .find(|name| code.contains(name));
    match printed {
        Some(name) if !allowed => vec![format!("src/{path}: `{name}` outside cli and commands")],
        _ => Vec::new(),
    }
}

/// Variables are settings, and settings have one reader.
fn variables(path: &str, text: &str) -> Vec<String> {
    let code = without_comments(product(text));
    let read = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
    match read.into_iter().find(|name| code.contains(name)) {
        Some(name) if module_of(path) != "config" => {
            vec![format!("src/{path}: `{name}` outside config")]
        }
        _ => Vec::new(),
    }
}

type Rule = fn(&str, &str) -> Vec<String>;
const RULES: [Rule; 5] = [imports, length, charter, printing, variables];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_source_keeps_every_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    assert!(
        found.len() > 40,
        "only {} files: is this src/?",
        found.len()
    );
    let mut wrong = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path).expect("source is UTF-8");
        let name = path
            .strip_prefix(&root)
            .expect("below src")
            .to_string_lossy()
            .replace('\\', "/");
        // Test rooms may be long and print what they found; imports are judged by `product`, which leaves tests out.
        if name.contains("/tests/") || name.ends_with("tests.rs") {
            continue;
        }
        wrong.extend(RULES.iter().flat_map(|rule| rule(&name, &text)));
    }
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_planted_import_is_found() {
    for (path, text, wrong) in [
        ("domain/ids.rs", "use crate::clock::Clock;", true),
        ("queue/mod.rs", "use crate::smtp::Relay;", true),
        ("queue/sqlite/mod.rs", "use crate::engine::send;", true),
        (
            "queue/mod.rs",
            "fn a() { crate::commands::run::run() }",
            true,
        ),
        (
            "engine/mod.rs",
            "use crate::{domain::ids::Row,\n    config::Settings};",
            true,
        ),
        ("engine/mod.rs", "pub(crate) use crate::config;", true),
        ("config/mod.rs", "use crate::commands::Failure;", true),
        ("commands/send.rs", "use crate::cli::Cli;", true),
        ("novel/mod.rs", "", true),
        (
            "queue/mod.rs",
            "use crate::queue::chunk;\nuse crate::domain::ids::Row;",
            false,
        ),
        ("queue/mod.rs", "/// See crate::engine::send.", false),
        (
            "engine/mod.rs",
            "use crate::{queue::{Queue, Record}, smtp::Relay};",
            false,
        ),
        ("commands/send.rs", "use crate::config::Flags;", false),
        ("main.rs", "fn main() { mailq::cli::main() }", false),
    ] {
        assert_eq!(!imports(path, text).is_empty(), wrong, "{path}: {text}");
    }
}

#[test]
fn other_planted_violations_are_found() {
    let long = "//! A charter of some length.\n".repeat(MAX_LINES + 1);
    for (rule, path, text, wrong) in [
        (length as Rule, "a.rs", long.as_str(), true),
        (length, "a.rs", "x\n#[cfg(test)]\nmod tests {}\n", false),
        (charter, "a.rs", "use std::fs;\n", true),
        (charter, "a.rs", "//!\n", true),
        (charter, "a.rs", "//! What this file is for.\n", false),
        (printing, "queue/mod.rs", "fn a() { println!(\"x\") }", true),
        (
            printing,
            "engine/mod.rs",
            "fn a() { eprintln!(\"x\") }",
            true,
        ),
        (printing, "cli/mod.rs", "fn a() { println!(\"x\") }", false),
        (printing, "queue/mod.rs", "// println!(\"x\")", false),
        (variables, "engine/mod.rs", "std::env::var(\"HOME\")", true),
        (variables, "config/source.rs", "std::env::vars_os()", false),
    ] {
        assert_eq!(!rule(path, text).is_empty(), wrong, "{path}: {:.60}", text);
    }
}
