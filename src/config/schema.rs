//! What is known about every key of a file. The reader, the hints for typing errors, the sample file, the manual page
//! and the help of flags all follow from the keys that `keys!` declares in `config/keys/`.

mod declare;
mod value;

pub(super) use declare::keys;
pub use declare::{Field, Keys};
pub use value::{Choice, Limits, Value, ValueError};

use crate::domain::nearest::nearest;
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// One key of a file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The table that holds it, empty at the top of the file: `send`.
    pub table: &'static str,
    pub name: &'static str,
    /// One line of help, then an empty line, then what only the manual says.
    text: &'static str,
    /// As a user writes it, without quotes. Without one the key is required, or unset.
    pub default: Option<&'static str>,
    /// For people, where `default` does not say what holds without the key.
    default_text: Option<&'static str>,
    /// For the manual and the sample, where the default is no example.
    example: Option<&'static str>,
    pub limits: Limits,
    /// For what the type and the limits cannot express.
    pub check: Option<Check>,
    /// The first that is set wins.
    pub variables: &'static [&'static str],
    pub flag: Option<&'static str>,
    pub is_required: bool,
    kind: Kind,
}

/// Checks a text. The error completes "is `value`: …".
type Check = fn(&str) -> Result<(), String>;

/// What is known about the type of a key.
#[derive(Debug, Clone, Copy)]
struct Kind {
    expects: fn(&Limits) -> String,
    text_of: fn(&DeValue<'_>) -> Option<String>,
    values: fn(&Limits) -> Option<String>,
    /// For the test that every default and every example is a value.
    #[cfg(test)]
    check: fn(&str, &Limits) -> Result<(), ValueError>,
    is_quoted: bool,
}

impl Kind {
    const fn of<T: Value>() -> Kind {
        Kind {
            expects: T::expects,
            text_of: T::text_of,
            values: T::values,
            #[cfg(test)]
            check: |text, limits| T::parse(text, limits).map(drop),
            is_quoted: T::IS_QUOTED,
        }
    }
}

/// Called by `keys!`: the parts of a declaration are the names of the methods below.
impl Key {
    pub(super) const fn new<F: Field>(
        table: &'static str,
        name: &'static str,
        text: &'static str,
    ) -> Key {
        Key {
            table,
            name,
            text,
            default: None,
            default_text: None,
            example: None,
            limits: Limits::None,
            check: None,
            variables: &[],
            flag: None,
            is_required: F::IS_REQUIRED,
            kind: Kind::of::<F::Value>(),
        }
    }

    pub(super) const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self.is_required = false;
        self
    }

    pub(super) const fn default_text(mut self, text: &'static str) -> Key {
        self.default_text = Some(text);
        self
    }

    pub(super) const fn example(mut self, text: &'static str) -> Key {
        self.example = Some(text);
        self
    }

    pub(super) const fn limits(mut self, limits: Limits) -> Key {
        self.limits = limits;
        self
    }

    pub(super) const fn check(mut self, check: Check) -> Key {
        self.check = Some(check);
        self
    }

    pub(super) const fn variables(mut self, names: &'static [&'static str]) -> Key {
        self.variables = names;
        self
    }

    pub(super) const fn flag(mut self, flag: &'static str) -> Key {
        self.flag = Some(flag);
        self
    }
}

impl Key {
    /// `send.rate`; at the top of the file, the name alone.
    pub fn path(&self) -> String {
        join(self.table, self.name)
    }

    /// One line, without a final period.
    pub fn help(&self) -> String {
        paragraphs(self.text).next().unwrap_or_default()
    }

    /// What the manual says beyond the help; may be empty.
    pub fn details(&self) -> String {
        let rest: Vec<String> = paragraphs(self.text).skip(1).collect();
        rest.join(" ")
    }

    /// What holds without the key. `None`: the key is required.
    pub fn shown_default(&self) -> Option<String> {
        let quoted = || self.default.map(|text| format!("`{text}`"));
        self.default_text.map(str::to_string).or_else(quoted)
    }

    /// The help of the flag that sets this key, with the default in the form that clap uses.
    pub fn flag_help(&self) -> String {
        let default = self.shown_default().unwrap_or_default();
        format!("{} [default: {default}]", self.help()).replace('`', "")
    }

    /// `burst = 1`: the key with its default or an example, as written in a file.
    pub fn assignment(&self) -> String {
        let text = self.example.or(self.default).unwrap_or_default();
        match self.kind.is_quoted {
            true => format!("{} = \"{text}\"", self.name),
            false => format!("{} = {text}", self.name),
        }
    }

    /// The form of its values, after "is" or "is not".
    pub fn expects(&self) -> String {
        (self.kind.expects)(&self.limits)
    }

    /// Which values there are, for the manual.
    pub fn values(&self) -> Option<String> {
        (self.kind.values)(&self.limits)
    }

    /// The limits of a whole number.
    pub fn range(&self) -> RangeInclusive<i64> {
        match self.limits {
            Limits::Whole(low, high) => low..=high,
            _ => i64::MIN..=i64::MAX,
        }
    }

    /// The text of a TOML value; `None`: it has another type than this key.
    pub(super) fn text_of(&self, value: &DeValue<'_>) -> Option<String> {
        (self.kind.text_of)(value)
    }

    /// Whether a text is a value of this key.
    #[cfg(test)]
    fn accepts(&self, text: &str) -> Result<(), ValueError> {
        (self.kind.check)(text, &self.limits)?;
        self.check
            .map_or(Ok(()), |check| check(text).map_err(ValueError::Form))
    }
}

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
        let all: Vec<String> = paragraphs(self.text).collect();
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

/// `send` and `rate` give `send.rate`.
pub(super) fn join(table: &str, name: &str) -> String {
    match table {
        "" => name.to_string(),
        table => format!("{table}.{name}"),
    }
}

/// The paragraphs of a doc comment, each on one line.
fn paragraphs(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs: Vec<String> = lines
        .split(|line| line.is_empty())
        .map(|lines| lines.join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    paragraphs.into_iter()
}

#[cfg(test)]
mod tests {
    use super::super::keys::{CAMPAIGN, PROJECT, SendKeys};
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
