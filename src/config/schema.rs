//! What is known about every key of a file. The reader, the hints for typing errors, the sample file, the manual page
//! and the help of flags all follow from the keys that `keys!` declares in `config/keys/`.

mod field;
mod key;
mod value;

pub use field::Field;
pub use key::Key;
pub(super) use key::join;
pub use value::{Choice, Form, Limits, ListItem, Value, ValueError};

use crate::domain::nearest::nearest;

/// How a table appears in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[send]`
    Table,
    /// `[[relay]]`, any number of times.
    Repeated,
    /// `[site."gmail.com"]`, one for each name.
    Labelled,
    /// `[headers]`: the user chooses the names, the values are texts.
    Free,
}

/// A table of a file, with its keys.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Empty for the top of the file; `kafka.properties` for a table inside another one.
    pub path: &'static str,
    pub shape: Shape,
    text: &'static str,
    pub keys: &'static [&'static Key],
}

impl Table {
    pub const fn new(
        path: &'static str,
        shape: Shape,
        text: &'static str,
        keys: &'static [&'static Key],
    ) -> Table {
        Table {
            path,
            shape,
            text,
            keys,
        }
    }

    /// What the table is for, as sentences.
    pub fn text(&self) -> String {
        let all: Vec<String> = key::paragraphs(self.text).collect();
        all.join(" ")
    }

    /// `[send]`, as written in a file; empty for the top.
    pub fn title(&self) -> String {
        match self.shape {
            _ if self.path.is_empty() => String::new(),
            Shape::Table | Shape::Free => format!("[{}]", self.path),
            Shape::Repeated => format!("[[{}]]", self.path),
            Shape::Labelled => format!("[{}.\"gmail.com\"]", self.path),
        }
    }
}

/// Everything that one kind of file may hold.
#[derive(Debug)]
pub struct Schema {
    /// As messages name it: `mailq.toml` in backticks, or the campaign file.
    pub file: &'static str,
    /// The other kind of file, for keys that belong there.
    pub other: fn() -> &'static Schema,
    /// Its manual page.
    pub page: &'static str,
    /// In the order of the manual, the top of the file first.
    pub tables: &'static [&'static Table],
}

impl Schema {
    pub fn table(&self, path: &str) -> Option<&'static Table> {
        self.tables.iter().find(|table| table.path == path).copied()
    }

    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        let tables = self.tables.iter();
        tables.flat_map(|table| table.keys).copied()
    }

    pub fn key(&self, table: &str, name: &str) -> Option<&'static Key> {
        self.keys()
            .find(|key| key.table == table && key.name == name)
    }

    /// What a user probably meant by an unknown name in `table`: this name in another table, else a similar name here.
    pub fn nearest(&self, table: &str, name: &str) -> Option<String> {
        if let Some(elsewhere) = self.keys().find(|key| key.name == name) {
            return Some(elsewhere.path());
        }
        let keys = self.keys().filter(|key| key.table == table);
        let tables = self.tables.iter().map(|table| table.path);
        let tables = tables.filter(|path| table.is_empty() && !path.is_empty());
        let known: Vec<&str> = keys.map(|key| key.name).chain(tables).collect();
        nearest(name, known.iter().copied())
            .or_else(|| known.iter().copied().find(|known| known.starts_with(name)))
            .map(str::to_string)
    }

    /// Variables that begin like those of mailq and belong to no key and not to `others`, each with the one that was
    /// probably meant.
    pub fn unknown_variables<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        others: &[&'static str],
    ) -> Vec<(&'a str, Option<String>)> {
        // Compared without the prefix: it says nothing about which one was meant.
        const PREFIX: &str = "MAILQ_";
        let keys = self.keys().flat_map(|key| key.variables);
        let known: Vec<&str> = keys
            .chain(others)
            .copied()
            .filter_map(|name| name.strip_prefix(PREFIX))
            .collect();
        names
            .filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)))
            .filter(|(_, bare)| !known.contains(bare))
            .map(|(name, bare)| {
                let meant = nearest(bare, known.iter().copied());
                (name, meant.map(|meant| format!("{PREFIX}{meant}")))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::keys::{CAMPAIGN, PROJECT, SendKeys};
    use std::collections::BTreeSet;

    #[test]
    fn finds_the_key_behind_a_typing_error() {
        for (table, given, nearest) in [
            ("send", "rat", Some("rate")),
            ("send", "max_uncomitted", Some("max_uncommitted")),
            ("", "queu", Some("queue")),
            ("", "relays", Some("relay")),
            ("", "rate", Some("send.rate")),
            ("relay", "password", Some("password_env")),
            ("send", "zebra", None),
        ] {
            let found = PROJECT.nearest(table, given);
            assert_eq!(found.as_deref(), nearest, "{given}");
        }
        for (given, nearest) in [("form", "from"), ("once-per", "once_per")] {
            assert_eq!(CAMPAIGN.nearest("", given).as_deref(), Some(nearest));
        }
    }

    #[test]
    fn finds_the_variable_behind_a_typing_error() {
        let names = [
            "MAILQ_RTAE",
            "MAILQ_RATE",
            "MAILQ_LOG",
            "HOME",
            "MAILQ_XYZZY",
        ];
        let found = PROJECT.unknown_variables(names.into_iter(), &["MAILQ_LOG"]);
        let expected = [
            ("MAILQ_RTAE", Some("MAILQ_RATE".to_string())),
            ("MAILQ_XYZZY", None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_key_has_its_texts_and_valid_examples() {
        for schema in [&PROJECT, &CAMPAIGN] {
            let mut seen = BTreeSet::new();
            for key in schema.keys() {
                let path = key.path();
                assert!(seen.insert(path.clone()), "{path} twice");
                assert!(schema.table(key.table).is_some(), "{path}: no table");
                let help = key.help();
                assert!(!help.is_empty() && !help.ends_with('.'), "{path}: `{help}`");
                let details = key.details();
                assert!(
                    details.is_empty() || details.ends_with('.'),
                    "{path}: `{details}`"
                );
                let said = key.is_required || key.shown_default().is_some();
                assert!(said, "{path}: what holds without it?");
                let texts = key.example.into_iter().chain(key.default);
                assert!(texts.clone().count() > 0, "{path}: no example");
                let shows_default = key.flag.is_none() || key.shown_default().is_some();
                assert!(
                    shows_default,
                    "{path}: the help of its flag shows no default"
                );
                for text in texts {
                    assert_eq!(key.accepts(text), Ok(()), "{path}: {text}");
                }
                for variable in key.variables {
                    assert!(seen.insert(variable.to_string()), "{variable} twice");
                }
            }
            for table in schema.tables {
                assert!(table.text().ends_with('.'), "{}", table.title());
            }
        }
    }

    #[test]
    fn a_flag_takes_help_and_default_from_its_key() {
        let help = "Connections of one worker, all relays together [default: 20]";
        assert_eq!(SendKeys::connections().flag_help(), help);
        assert!(
            SendKeys::rate()
                .flag_help()
                .ends_with("[default: 30/min to a server, unlimited to maildir:]")
        );
        assert_eq!(SendKeys::connections().range(), 1..=10_000);
    }
}
