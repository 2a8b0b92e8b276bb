//! Where a value came from: a place in a file, a variable, a flag, or nowhere but the defaults.

use std::collections::BTreeMap;
use std::fmt;

/// A position in a file, line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The layer that a value was taken from; the order is the order of preference, the last wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(Place),
    Variable(String),
    Flag(&'static str),
}

/// `default`, `mailq.toml:12`, `MAILQ_RATE`, `--rate`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(place) => write!(f, "{}:{}", place.file, place.line),
            Source::Variable(name) => f.write_str(name),
            Source::Flag(name) => f.write_str(name),
        }
    }
}

/// One line of `--print-config`: a key, its value as text, and its source. Secrets never get here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub key: String,
    pub value: String,
    pub source: Source,
}

/// The environment as it was when the process started; a map, so that tests need not touch the real one.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process whose name and value are text.
    pub fn of_process() -> Variables {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set to something; an empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Variables {
        Variables(variables.into_iter().collect())
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
