//! Which layer wins: flag, then variable, then file, then default. Every value that is used is noted with its source.

use super::document::{Document, Node};
use super::error::ConfigError;
use super::schema::{Field, Key, Table, Value, ValueError, join};
use super::source::{Origin, Setting, Source, Sourced, Variables};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

/// Settings given on the command line, as text.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// By the path of the key, `send.rate`.
    keys: BTreeMap<String, String>,
    /// `key=value`, as given to `-X`.
    properties: Vec<String>,
}

impl Flags {
    /// Sets a key that has a flag; `None`: the flag was not given.
    pub fn set(mut self, key: &Key, value: Option<impl ToString>) -> Flags {
        if let Some(value) = value {
            self.keys.insert(key.path(), value.to_string());
        }
        self
    }

    /// Adds `key=value` texts given to `-X`.
    pub fn properties(mut self, given: &[String]) -> Flags {
        self.properties.extend_from_slice(given);
        self
    }
}

/// The layers on top of each other, and a record of what was used.
pub struct Layers<'a> {
    document: &'a Document<'a>,
    pub variables: &'a Variables,
    flags: &'a Flags,
    /// Relative paths in the file belong to it.
    folder: &'a Path,
    origins: RefCell<Vec<Origin>>,
}

impl<'a> Layers<'a> {
    pub fn new(
        document: &'a Document<'a>,
        folder: &'a Path,
        variables: &'a Variables,
        flags: &'a Flags,
    ) -> Layers<'a> {
        Layers {
            document,
            variables,
            flags,
            folder,
            origins: RefCell::default(),
        }
    }

    /// Reads the top of the file, and from there its tables.
    pub fn top(&self) -> Reader<'_> {
        Reader {
            layers: self,
            node: self.document.root(),
            name: String::new(),
            is_single: true,
            given: Vec::new(),
            defaults: Vec::new(),
        }
    }

    /// `key=value`, as given to `-X`.
    pub fn properties(&self) -> &[String] {
        &self.flags.properties
    }

    /// The value that a flag or a variable gives to a key.
    pub fn outside(&self, key: &Key) -> Option<Setting> {
        let flag = key.flag.and_then(|flag| {
            Some(Setting {
                text: self.flags.keys.get(&key.path())?.clone(),
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

    /// Notes a value for `--print-config`.
    pub fn note(&self, key: String, setting: &Setting) {
        self.origins.borrow_mut().push(Origin {
            key,
            value: setting.text.clone(),
            source: setting.source.clone(),
        });
    }

    /// What was used so far, in the order of use.
    pub fn origins(&self) -> Vec<Origin> {
        self.origins.borrow().clone()
    }

    /// Relative paths in the file belong to the folder of the file, those of flags and variables to the working
    /// directory.
    fn resolve<T: Value>(&self, value: T, source: &Source) -> T {
        match source {
            Source::File(_) | Source::Default => value.resolve(self.folder),
            Source::Flag(_) | Source::Variable(_) => match std::env::current_dir() {
                Ok(here) => value.resolve(&here),
                // A working directory that was removed: the path stays relative and is reported when it is opened.
                Err(_) => value,
            },
        }
    }
}

/// The keys of one table, read.
pub trait Keys: Sized {
    const TABLE: Table;

    /// Errors: the first key that is missing or has a wrong value.
    fn read(reader: &Reader<'_>) -> Result<Self, ConfigError>;
}

/// Reads the keys of one table.
pub struct Reader<'a> {
    layers: &'a Layers<'a>,
    node: Node<'a>,
    /// Its name in `--print-config`: `send`, `relay.2`.
    name: String,
    /// Whether the file can have this table only once, so that flags and variables set its keys.
    is_single: bool,
    /// Values that win over those of the file.
    given: Vec<(&'static Key, Setting)>,
    /// Defaults that win over those of the keys.
    defaults: Vec<(&'static Key, &'static str)>,
}

impl<'a> Reader<'a> {
    /// The keys of a table directly below this one.
    pub fn table<K: Keys>(&self) -> Result<K, ConfigError> {
        K::read(&self.table_reader(&K::TABLE))
    }

    /// A reader of a table directly below this one; the top of the file is below itself.
    pub fn table_reader(&self, table: &Table) -> Reader<'a> {
        let name = table.path.rsplit('.').next().unwrap_or_default();
        Reader {
            layers: self.layers,
            node: self.node.table_at(name),
            name: match name {
                "" => self.name.clone(),
                name => join(&self.name, name),
            },
            is_single: self.is_single,
            given: Vec::new(),
            defaults: Vec::new(),
        }
    }

    /// A reader of a table that may be there several times. Flags and variables do not apply to it.
    pub fn of(&self, node: Node<'a>, name: String) -> Reader<'a> {
        Reader {
            layers: self.layers,
            node,
            name,
            is_single: false,
            given: Vec::new(),
            defaults: Vec::new(),
        }
    }

    /// Lets a value win over the file.
    pub fn with(mut self, key: &'static Key, setting: Option<Setting>) -> Reader<'a> {
        self.given.extend(setting.map(|setting| (key, setting)));
        self
    }

    /// Replaces the default of a key; `None` keeps it.
    pub fn with_default(mut self, key: &'static Key, text: Option<&'static str>) -> Reader<'a> {
        self.defaults.extend(text.map(|text| (key, text)));
        self
    }

    pub fn layers(&self) -> &'a Layers<'a> {
        self.layers
    }

    pub fn node(&self) -> Node<'a> {
        self.node
    }

    /// A key of this table, from the layer that wins. Errors: a wrong value, or none where one is required.
    pub fn field<F: Field>(&self, key: &'static Key) -> Result<F, ConfigError> {
        let found = match self.setting(key)? {
            Some(setting) => Some(self.value(key, setting)?),
            None => None,
        };
        F::of(found).ok_or_else(|| ConfigError::MissingKey {
            at: self.node.name(),
            key: key.name,
            example: key.assignment(),
        })
    }

    fn setting(&self, key: &'static Key) -> Result<Option<Setting>, ConfigError> {
        let given = self.given.iter().find(|(given, _)| given.name == key.name);
        let outside = || self.is_single.then(|| self.layers.outside(key)).flatten();
        if let Some(setting) = given.map(|(_, setting)| setting.clone()).or_else(outside) {
            return Ok(Some(setting));
        }
        let in_file = self.node.value(key)?.map(|(text, place)| Setting {
            text,
            source: Source::File(place),
        });
        let other = self.defaults.iter().find(|(of, _)| of.name == key.name);
        let default = other.map(|(_, text)| *text).or(key.default);
        Ok(in_file.or_else(|| {
            default.map(|text| Setting {
                text: text.to_string(),
                source: Source::Default,
            })
        }))
    }

    fn value<T: Value>(&self, key: &Key, setting: Setting) -> Result<Sourced<T>, ConfigError> {
        let checked = T::parse(&setting.text, &key.limits).and_then(|value| {
            let checked = key.check.map_or(Ok(()), |check| check(&setting.text));
            checked.map(|()| value).map_err(ValueError::Form)
        });
        let value = checked.map_err(|why| ConfigError::value(&key.path(), &setting, why))?;
        self.layers.note(join(&self.name, key.name), &setting);
        Ok(Sourced {
            value: self.layers.resolve(value, &setting.source),
            source: setting.source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::declare::keys;
    use crate::config::schema::Schema;

    keys! {
        /// A server.
        pub struct ServerKeys in "server" as Repeated {
            /// Its name
            name: String { example: "a" }
        }
    }

    keys! {
        /// How a server starts.
        pub struct StartKeys in "server.start" as Table {
            /// Messages on the first day
            first_day: u32 { default: "50", variables: &["FIRST_DAY"] }
        }
    }

    #[test]
    fn reads_a_table_inside_a_repeated_one() {
        const SCHEMA: Schema = Schema {
            file: "a file",
            other: || &crate::config::keys::PROJECT,
            page: "",
            tables: &[&ServerKeys::TABLE, &StartKeys::TABLE],
        };
        let text =
            "[[server]]\nname = \"a\"\n[server.start]\nfirst_day = 7\n[[server]]\nname = \"b\"\n";
        let document = Document::parse(text, "file".into(), &SCHEMA).unwrap();
        // A variable cannot say which of the two it is for.
        let variables = [("FIRST_DAY".to_string(), "9".to_string())].into_iter();
        let (variables, flags) = (variables.collect(), Flags::default());
        let layers = Layers::new(&document, Path::new("/"), &variables, &flags);
        let top = layers.top();
        let mut found = Vec::new();
        for (index, node) in top.node().repeated("server").into_iter().enumerate() {
            let server = top.of(node, format!("server.{}", index + 1));
            let keys = ServerKeys::read(&server).unwrap();
            let start: StartKeys = server.table().unwrap();
            found.push((keys.name, start.first_day));
        }
        assert_eq!(found, [("a".to_string(), 7), ("b".to_string(), 50)]);
        let origins: Vec<String> = layers.origins().into_iter().map(|o| o.key).collect();
        assert!(origins.contains(&"server.1.start.first_day".to_string()));
    }
}
