//! No two modules of one folder need each other, directly or through others. What a folder's `mod.rs` holds is its
//! modules' own, so they may use it and it may use them.

use super::imports::{Modules, Names, paths};
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Who imports whom among the modules of one folder, with a file of which it is true.
#[derive(Debug, Default)]
pub struct Folder {
    imports: BTreeMap<String, BTreeMap<String, String>>,
}

/// By the folder's path: `engine/worker`.
pub fn folders(sources: &[Source]) -> BTreeMap<String, Folder> {
    let modules = Modules::of(sources);
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let from = source.module();
        for path in paths(source) {
            let to = modules.home(&path);
            let Some((folder, one, other)) = siblings(&from, &to) else {
                continue;
            };
            let imports = &mut folders.entry(folder).or_default().imports;
            let targets = imports.entry(one).or_default();
            targets.entry(other).or_insert(source.path.clone());
        }
    }
    folders
}

/// The folder in which two modules part, and the names of both in it. None where one holds the other.
fn siblings(from: &Names, to: &Names) -> Option<(String, String, String)> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let (one, other) = (from.get(common)?, to.get(common)?);
    Some((from[..common].join("/"), one.clone(), other.clone()))
}

impl Folder {
    fn reaches(&self, from: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            for to in self.imports.get(next).into_iter().flat_map(|to| to.keys()) {
                if found.insert(to.as_str()) {
                    open.push(to);
                }
            }
        }
        found
    }

    /// Groups of modules that all need each other, by name.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let mut circles = BTreeSet::new();
        for name in self.imports.keys() {
            let reached = self.reaches(name);
            if reached.contains(name.as_str()) {
                let circle = reached
                    .iter()
                    .filter(|to| self.reaches(to).contains(name.as_str()));
                circles.insert(circle.copied().collect::<Vec<_>>());
            }
        }
        circles.into_iter().collect()
    }

    /// The imports of a circle, one a line, with a file of each.
    pub fn explain(&self, circle: &[&str]) -> String {
        let mut lines = Vec::new();
        for from in circle {
            for (to, file) in self.imports.get(*from).into_iter().flatten() {
                if circle.contains(&to.as_str()) {
                    lines.push(format!("\n    {from} imports {to}: src/{file}"));
                }
            }
        }
        lines.concat()
    }
}
