//! Variables that a template binds, in nested scopes.

use super::kind::Typed;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct Scopes(Vec<BTreeMap<String, Typed>>);

impl Default for Scopes {
    fn default() -> Scopes {
        Scopes(vec![BTreeMap::new()])
    }
}

impl Scopes {
    pub fn enter(&mut self) {
        self.0.push(BTreeMap::new());
    }

    pub fn leave(&mut self) {
        self.0.pop();
    }

    pub fn bind(&mut self, name: &str, value: Typed) {
        if let Some(scope) = self.0.last_mut() {
            scope.insert(name.to_string(), value);
        }
    }

    pub fn get(&self, name: &str) -> Option<&Typed> {
        self.0.iter().rev().find_map(|scope| scope.get(name))
    }

    /// After two branches: what only one of them binds, or both bind differently, is not known.
    pub fn merge(&mut self, other: &Scopes) {
        for (scope, other) in self.0.iter_mut().zip(&other.0) {
            for (name, value) in other {
                let merged = match scope.get(name) {
                    Some(mine) => mine.clone().merged(value),
                    None => Typed::other(),
                };
                scope.insert(name.clone(), merged);
            }
            let only_here: Vec<String> = scope
                .keys()
                .filter(|name| !other.contains_key(*name))
                .cloned()
                .collect();
            scope.extend(only_here.into_iter().map(|name| (name, Typed::other())));
        }
    }
}
