//! What a file names of the crate: paths from `use` lines and from code, resolved to modules through what is exported
//! again.

use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// A path as it is written, from the crate down.
pub type Names = Vec<String>;

/// Where a path from the crate down begins, in the library and in the binary.
const ABSOLUTE: [&str; 2] = ["crate::", "mailq::"];
const RELATIVE: [&str; 2] = ["self::", "super::"];

/// The paths that the product's code of a file names, each from the crate down.
pub fn paths(source: &Source) -> BTreeSet<Names> {
    let mut found = absolute_paths(&source.product);
    found.extend(paths_from(&RELATIVE, &source.module(), &source.product));
    found
}

/// Paths that begin at the crate.
pub fn absolute_paths(code: &str) -> BTreeSet<Names> {
    paths_from(&ABSOLUTE, &[], code)
}

fn paths_from(starts: &[&str], module: &[String], code: &str) -> BTreeSet<Names> {
    let mut found = BTreeSet::new();
    for start in starts {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let (base, rest) = base(module, &code[at..]);
            found.extend(tree(rest).into_iter().map(|(names, _)| {
                let names = names.into_iter();
                base.iter().cloned().chain(names).collect()
            }));
        }
    }
    found
}

/// The module that a path begins at, and what follows.
fn base<'a>(module: &[String], path: &'a str) -> (Names, &'a str) {
    for start in ABSOLUTE {
        if let Some(rest) = path.strip_prefix(start) {
            return (Vec::new(), rest);
        }
    }
    let mut base = module.to_vec();
    let mut rest = path.strip_prefix("self::").unwrap_or(path);
    while let Some(above) = rest.strip_prefix("super::") {
        base.pop();
        rest = above;
    }
    (base, rest)
}

/// The leaves of `a::{b, c::d as e}`: path and the name by which it is known here.
fn tree(text: &str) -> Vec<(Names, String)> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let leaves = parts(group).into_iter().flat_map(tree);
            let under = |(leaf, known): (Names, String)| ([names.clone(), leaf].concat(), known);
            return leaves.map(under).collect();
        }
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if name.is_empty() {
            break;
        }
        rest = &rest[name.len()..];
        names.push(name);
        match rest.strip_prefix("::") {
            Some(more) => rest = more,
            None => break,
        }
    }
    if names.last().is_some_and(|name| name == "self") {
        names.pop();
    }
    let alias = rest.trim_start().strip_prefix("as ").map(|alias| {
        let alias = alias.trim_start().chars();
        alias
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    });
    let known = alias.or_else(|| names.last().cloned()).unwrap_or_default();
    vec![(names, known)]
}

/// The parts of a group, up to its closing brace.
fn parts(group: &str) -> Vec<&str> {
    let mut depth = 1;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let is_end = depth == 0;
        if is_end || (c == ',' && depth == 1) {
            found.push(group[start..at].trim());
            start = at + 1;
        }
        if is_end {
            break;
        }
    }
    found.retain(|part| !part.is_empty());
    found
}

/// The modules of the crate, and which names each of them has from elsewhere.
#[derive(Debug, Default)]
pub struct Modules {
    modules: BTreeSet<Names>,
    known: BTreeMap<Names, BTreeMap<String, Names>>,
}

impl Modules {
    pub fn of(sources: &[Source]) -> Modules {
        let mut modules = Modules::default();
        for source in sources {
            let module = source.module();
            modules.known.insert(module.clone(), used(source));
            modules.modules.insert(module);
        }
        modules
    }

    /// The module that a path's item is written in.
    pub fn home(&self, path: &[String]) -> Names {
        self.home_within(path, 8)
    }

    fn home_within(&self, path: &[String], turns: u32) -> Names {
        let mut at = Vec::new();
        for (depth, name) in path.iter().enumerate() {
            at.push(name.clone());
            if self.modules.contains(&at) {
                continue;
            }
            at.pop();
            let elsewhere = self.known.get(&at).and_then(|known| known.get(name));
            return match elsewhere {
                Some(target) if turns > 0 => {
                    let rest = path[depth + 1..].iter().cloned();
                    let whole: Names = target.iter().cloned().chain(rest).collect();
                    self.home_within(&whole, turns - 1)
                }
                _ => at,
            };
        }
        at
    }
}

/// What the `use` lines of a file bring in: name to path.
fn used(source: &Source) -> BTreeMap<String, Names> {
    let module = source.module();
    let mut found = BTreeMap::new();
    for line in source.product.split(';') {
        let Some(at) = line.rfind("use ") else {
            continue;
        };
        let before = line[..at].trim_end();
        let is_use =
            before.is_empty() || before.ends_with([')', '}', ']']) || before.ends_with("pub");
        if !is_use {
            continue;
        }
        let path = line[at + 4..].trim();
        let mut starts = ABSOLUTE.iter().chain(&RELATIVE);
        let (base, rest) = match starts.any(|start| path.starts_with(start)) {
            true => base(&module, path),
            false => (module.clone(), path),
        };
        for (names, known) in tree(rest) {
            found.insert(known, base.iter().cloned().chain(names).collect());
        }
    }
    found
}
