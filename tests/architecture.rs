//! What the source tree must look like: imports point down and never in circles, files are short and begin with their
//! charter, and only the floors that talk to people print. Each rule is held against a planted violation as well.

mod circles;
mod documents;
mod imports;
mod source;

use source::{Source, all};
use std::collections::BTreeSet;

/// Tests at the bottom included.
const MAX_LINES: usize = 500;

/// The floor of each module at the top of `src/`. Those of one floor never import each other, unless named in `MAY`.
const FLOORS: [(&str, u8); 17] = [
    ("domain", 0),
    ("clock", 0),
    ("bounded_file", 0),
    ("private_file", 0),
    ("threads", 0),
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

/// Circles that are still there: folder and modules. The list may only become shorter.
const CIRCLES: &[(&str, &[&str])] = &[];

/// Files that still climb. The list may only become shorter.
const CLIMBING: &[&str] = &[];

fn floor(module: &str) -> Option<u8> {
    let known = FLOORS.iter().find(|(name, _)| *name == module);
    known.map(|(_, floor)| *floor)
}

/// Everything that a file says about other modules that it must not, in its tests as well.
fn floors(source: &Source) -> Vec<String> {
    let (path, from) = (&source.path, source.top());
    let Some(own) = floor(from) else {
        return match from {
            "lib" => Vec::new(),
            _ => vec![format!(
                "src/{path}: `{from}` has no floor in tests/architecture.rs"
            )],
        };
    };
    let paths = imports::absolute_paths(&source.code);
    let tops: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| path.first().map(String::as_str))
        .collect();
    let wrong = tops.into_iter().filter(|to| {
        let below = floor(to).is_some_and(|floor| floor < own);
        *to != from && !below && !MAY.contains(&(from, to))
    });
    wrong
        .map(|to| format!("src/{path}: `{from}` imports `{to}`, which is not below it"))
        .collect()
}

fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    match lines > MAX_LINES {
        true => vec![format!(
            "src/{}: {lines} lines, more than {MAX_LINES}",
            source.path
        )],
        false => Vec::new(),
    }
}

fn charter(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    match first.starts_with("//!") && first.trim_start_matches("//!").trim().len() > 10 {
        true => Vec::new(),
        false => vec![format!(
            "src/{}: does not begin with its charter, `//! …`",
            source.path
        )],
    }
}

/// Of these, the first that the product's code names.
fn named(source: &Source, names: &[&'static str]) -> Option<&'static str> {
    let mut names = names.iter().copied();
    names.find(|name| source.product.contains(name))
}

fn printing(source: &Source) -> Vec<String> {
    let allowed = ["cli", "commands"].contains(&source.top()) || source.is_test();
    match named(source, &["println!", "print!", "dbg!"]) {
        Some(name) if !allowed => vec![format!(
            "src/{}: `{name}` outside cli and commands",
            source.path
        )],
        _ => Vec::new(),
    }
}

/// Variables are settings, and settings have one reader.
fn variables(source: &Source) -> Vec<String> {
    let read = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
    match named(source, &read) {
        Some(name) if source.top() != "config" && !source.is_test() => {
            vec![format!("src/{}: `{name}` outside config", source.path)]
        }
        _ => Vec::new(),
    }
}

/// A path from the crate down says where it leads; one that climbs twice does not.
fn climbing(source: &Source) -> Vec<String> {
    let is_known = CLIMBING.iter().any(|known| source.path == *known);
    match source.code.contains("super::super") && !is_known {
        true => vec![format!(
            "src/{}: `super::super`; write the path from `crate`",
            source.path
        )],
        false => Vec::new(),
    }
}

/// What follows a test module is overlooked by readers, who take the rest for tests.
fn tests_last(source: &Source) -> Vec<String> {
    let behind = source.after_tests.iter();
    behind
        .map(|line| format!("src/{}: `{line}` follows the tests", source.path))
        .collect()
}

type Rule = fn(&Source) -> Vec<String>;
const RULES: [Rule; 7] = [
    floors, length, charter, printing, variables, climbing, tests_last,
];

#[test]
fn the_source_keeps_every_rule() {
    let mut wrong: Vec<String> = all()
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_imports_go_in_circles() {
    let mut wrong = Vec::new();
    for (name, folder) in circles::folders(&all()) {
        for circle in folder.circles() {
            if !is_known(&name, &circle) {
                let explained = folder.explain(&circle);
                wrong.push(format!("src/{name}: {}{explained}", circle.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A known circle, or what is left of one.
fn is_known(folder: &str, circle: &[&str]) -> bool {
    CIRCLES.iter().any(|(known, modules)| {
        *known == folder && circle.iter().all(|name| modules.contains(name))
    })
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
        ("queue/mod.rs", "const A: &str = \"crate::engine\";", false),
        (
            "engine/mod.rs",
            "use crate::{queue::{Queue, Record}, smtp::Relay};",
            false,
        ),
        ("commands/send.rs", "use crate::config::Flags;", false),
        ("main.rs", "fn main() { mailq::cli::main() }", false),
    ] {
        let source = Source::new(path, text);
        assert_eq!(!floors(&source).is_empty(), wrong, "{path}: {text}");
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
        (
            printing,
            "queue/mod.rs",
            "#[cfg(test)]\nmod tests { fn a() { println!(\"}\") } }",
            false,
        ),
        (
            printing,
            "queue/mod.rs",
            "#[cfg(test)]\nmod tests { fn a() {} }\nfn b() { println!(\"x\") }",
            true,
        ),
        (variables, "engine/mod.rs", "std::env::var(\"HOME\")", true),
        (variables, "config/source.rs", "std::env::vars_os()", false),
        (climbing, "a/b/c.rs", "use super::super::d;", true),
        (climbing, "a/b/c.rs", "use super::d;", false),
        (
            tests_last,
            "a.rs",
            "#[cfg(test)]\nmod tests { const A: char = '}'; }\nfn a() {}",
            true,
        ),
        (
            tests_last,
            "a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { /* } */ }\n",
            false,
        ),
        (
            tests_last,
            "a.rs",
            "#[cfg(test)]\nmod tests;\nmod b;",
            false,
        ),
    ] {
        let found = rule(&Source::new(path, text));
        assert_eq!(!found.is_empty(), wrong, "{path}: {text:.60}");
    }
}

#[test]
fn a_planted_circle_is_found() {
    let files = |pairs: &[(&str, &str)]| -> Vec<Source> {
        let pairs = pairs.iter();
        pairs.map(|(path, text)| Source::new(path, text)).collect()
    };
    for (pairs, wrong) in [
        // Directly, by a path in the code, and through what the folder exports again.
        (
            files(&[
                ("a/mod.rs", "mod b; mod c;"),
                ("a/b.rs", "use super::c::C;"),
                ("a/c.rs", "fn f() { crate::a::b::g() }"),
            ]),
            true,
        ),
        (
            files(&[
                ("a/mod.rs", "mod b; mod c;\npub use b::B;\nmod d;"),
                ("a/b.rs", "use super::c::C;"),
                ("a/c/mod.rs", "mod deep;"),
                ("a/c/deep.rs", "use crate::a::{B, Other};"),
            ]),
            true,
        ),
        // A module and the folder that holds it.
        (
            files(&[
                ("a/mod.rs", "mod b; mod c;\npub struct A;"),
                ("a/b.rs", "use super::A; use super::c::C;"),
                ("a/c.rs", "use super::A;"),
            ]),
            false,
        ),
        // In tests alone.
        (
            files(&[
                ("a/b.rs", "use super::c::C;"),
                ("a/c.rs", "#[cfg(test)]\nmod tests { use crate::a::b::B; }"),
            ]),
            false,
        ),
    ] {
        let folders = circles::folders(&pairs);
        let found: Vec<_> = folders.values().flat_map(|f| f.circles()).collect();
        assert_eq!(!found.is_empty(), wrong, "{pairs:?}: {found:?}");
    }
}
