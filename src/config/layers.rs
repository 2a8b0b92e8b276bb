//! Which layer wins: flag, then variable, then file, then default. Every value taken is noted with its source.

use super::document::Document;
use super::error::ConfigError;
use super::keys::{Key, PROJECT};
use super::source::{Origin, Source, Variables};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Settings given on the command line, by key (`send.rate`), as text.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    keys: BTreeMap<&'static str, String>,
    /// `key=value`, as given to `-X`.
    properties: Vec<String>,
}

impl Flags {
    /// Notes a flag that was given; `None` changes nothing.
    pub fn set(mut self, key: &'static str, value: Option<impl ToString>) -> Flags {
        if let Some(value) = value {
            self.keys.insert(key, value.to_string());
        }
        self
    }

    /// What `-X` was given.
    pub fn properties(mut self, given: &[String]) -> Flags {
        self.properties.extend_from_slice(given);
        self
    }
}

/// A value as text, and the layer that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub text: String,
    pub source: Source,
}

/// The layers on top of each other, and a record of what was taken.
pub(super) struct Layers<'a> {
    pub document: &'a Document,
    pub variables: &'a Variables,
    flags: &'a Flags,
    origins: RefCell<Vec<Origin>>,
}

impl<'a> Layers<'a> {
    pub fn new(document: &'a Document, variables: &'a Variables, flags: &'a Flags) -> Layers<'a> {
        Layers {
            document,
            variables,
            flags,
            origins: RefCell::default(),
        }
    }

    /// The value of a key that appears once, checked against its kind.
    pub fn find(&self, section: &str, name: &str) -> Result<Option<Setting>, ConfigError> {
        let Some(key) = PROJECT.key(section, name) else {
            return Ok(None);
        };
        let setting = self
            .outside(key)
            .or_else(|| {
                self.document.find(section, name).map(|found| Setting {
                    text: found.text.clone(),
                    source: Source::File(found.place.clone()),
                })
            })
            .or_else(|| default(key));
        if let Some(setting) = &setting {
            check(key, setting)?;
            self.note(key.path(), setting);
        }
        Ok(setting)
    }

    /// As `find`, read as a type; the parser's error is about the text.
    pub fn get<T>(
        &self,
        section: &str,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(setting) = self.find(section, name)? else {
            return Ok(None);
        };
        let key = PROJECT
            .key(section, name)
            .map_or_else(String::new, Key::path);
        parse(&setting.text)
            .map(Some)
            .map_err(|why| ConfigError::bad_value(&setting.source, &key, &setting.text, why))
    }

    /// `key=value`, as given to `-X`.
    pub fn properties(&self) -> &[String] {
        &self.flags.properties
    }

    /// A flag or a variable.
    pub fn outside(&self, key: &Key) -> Option<Setting> {
        let flag = key.flag.and_then(|flag| {
            let text = self.flags.keys.get(key.path().as_str())?.clone();
            Some(Setting {
                text,
                source: Source::Flag(flag),
            })
        });
        flag.or_else(|| self.variable(key.variables))
    }

    /// The first of these variables that is set.
    pub fn variable(&self, names: &[&str]) -> Option<Setting> {
        names.iter().find_map(|name| {
            Some(Setting {
                text: self.variables.get(name)?.to_string(),
                source: Source::Variable((*name).to_string()),
            })
        })
    }

    pub fn note(&self, key: String, setting: &Setting) {
        self.origins.borrow_mut().push(Origin {
            key,
            value: setting.text.clone(),
            source: setting.source.clone(),
        });
    }

    pub fn into_origins(self) -> Vec<Origin> {
        self.origins.into_inner()
    }
}

pub(super) fn default(key: &Key) -> Option<Setting> {
    key.default.map(|text| Setting {
        text: text.to_string(),
        source: Source::Default,
    })
}

pub(super) fn check(key: &Key, setting: &Setting) -> Result<(), ConfigError> {
    key.kind
        .check(&setting.text)
        .map_err(|why| ConfigError::bad_value(&setting.source, &key.path(), &setting.text, why))
}
