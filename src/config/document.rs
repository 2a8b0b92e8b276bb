//! A TOML file checked against its schema: every key is known, every table has its shape, every value its type. What a
//! value means is decided in `layers.rs`, where variables and flags come in.

use super::advice::advice;
use super::cure;
use super::error::ConfigError;
use super::schema::{Form, Key, Schema, Shape, Table, join};
use super::source::Place;
use crate::bounded_file;
use std::borrow::Cow;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest file of settings.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// A file whose keys and types fit its schema.
pub struct Document<'t> {
    /// As messages name it.
    file: String,
    text: &'t str,
    root: DeTable<'t>,
}

/// A table of the file. `None`: the file does not have it.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document<'a>,
    table: Option<&'a DeTable<'a>>,
    /// Where it begins, in bytes.
    start: usize,
}

type SpannedKey<'a, 't> = &'a Spanned<Cow<'t, str>>;

/// Errors: no such file, no regular file, too long, not UTF-8.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    bounded_file::read_text(path, MAX_FILE_BYTES).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ConfigError::NoFile(path.to_path_buf()),
        std::io::ErrorKind::InvalidData => ConfigError::NotUtf8(path.to_path_buf()),
        _ => ConfigError::Unreadable {
            path: path.to_path_buf(),
            why: error.to_string(),
        },
    })
}

impl<'t> Document<'t> {
    /// Errors: not TOML, a key that the schema does not know, a table of another shape, a value of another type.
    pub fn parse(
        text: &'t str,
        file: String,
        schema: &Schema,
    ) -> Result<Document<'t>, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            ConfigError::Syntax {
                at: place(&file, text, offset).to_string(),
                why: error.message().to_string(),
                cure: cure::of_syntax(schema, text, offset, error.message()),
            }
        })?;
        let root = root.into_inner();
        let document = Document { file, text, root };
        document.check(schema, "", &document.root)?;
        Ok(document)
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    /// The top of the file.
    pub fn root(&self) -> Node<'_> {
        Node {
            document: self,
            table: Some(&self.root),
            start: 0,
        }
    }

    fn check(&self, schema: &Schema, path: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table {
            let name = key.get_ref();
            match (schema.table(&join(path, name)), schema.key(path, name)) {
                // A quoted key with a dot in it is not a path.
                (Some(below), _) if !name.contains('.') => {
                    self.check_table(schema, below, key, value)?;
                }
                (_, Some(known)) => {
                    self.text_of(known, value)?;
                }
                _ => {
                    return Err(ConfigError::UnknownKey {
                        at: self.at(key.span().start),
                        key: name.to_string(),
                        section: path.to_string(),
                        nearest: schema.nearest(path, name),
                        advice: advice(schema, path, name),
                        page: schema.page,
                    });
                }
            }
        }
        Ok(())
    }

    fn check_table(
        &self,
        schema: &Schema,
        table: &Table,
        key: SpannedKey<'_, '_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        match (table.shape, value.get_ref()) {
            (Shape::Table, DeValue::Table(keys)) => self.check(schema, table.path, keys),
            (Shape::Repeated, DeValue::Array(items)) => items.iter().try_for_each(|item| {
                let keys = item.get_ref().as_table();
                let keys = keys.ok_or_else(|| self.wrong_shape(table, key))?;
                self.check(schema, table.path, keys)
            }),
            (Shape::Labelled, DeValue::Table(labels)) => {
                labels.iter().try_for_each(|(label, value)| {
                    let keys = value.get_ref().as_table();
                    let keys = keys.ok_or_else(|| self.wrong_shape(table, label))?;
                    self.check_label(schema, table, label, keys)?;
                    self.check(schema, table.path, keys)
                })
            }
            (Shape::Free, DeValue::Table(texts)) => texts.iter().try_for_each(|(name, value)| {
                let is_text = value.get_ref().is_str();
                is_text.then_some(()).ok_or_else(|| ConfigError::BadKey {
                    at: self.at(value.span().start),
                    key: join(table.path, name.get_ref()),
                    why: "is not a text in quotes".into(),
                    cure: cure::of_text(name.get_ref(), value.get_ref()),
                })
            }),
            _ => Err(self.wrong_shape(table, key)),
        }
    }

    /// Errors: the name has a dot and no quotes.
    fn check_label(
        &self,
        schema: &Schema,
        table: &Table,
        label: SpannedKey<'_, '_>,
        keys: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        let is_key = |name: &str| schema.key(table.path, name).is_some();
        let cure = cure::of_label(table.path, label.get_ref(), keys, is_key);
        cure.map_or(Ok(()), |cure| {
            Err(ConfigError::BadKey {
                at: self.at(label.span().start),
                key: table.path.to_string(),
                why: "has a table inside a table".into(),
                cure: Some(cure),
            })
        })
    }

    fn wrong_shape(&self, table: &Table, key: SpannedKey<'_, '_>) -> ConfigError {
        let title = table.title();
        let form = match table.shape {
            Shape::Table | Shape::Free => format!("a table: `{title}`"),
            Shape::Repeated => format!("a list of tables: `{title}`, with two brackets"),
            Shape::Labelled => format!("a table for each name: `{title}`"),
        };
        ConfigError::BadKey {
            at: self.at(key.span().start),
            key: key.get_ref().to_string(),
            why: format!("is written as {form}"),
            cure: None,
        }
    }

    fn text_of(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<String, ConfigError> {
        key.text_of(value.get_ref())
            .ok_or_else(|| ConfigError::BadKey {
                at: self.at(value.span().start),
                key: key.path(),
                why: format!(
                    "is {}, not {}",
                    written(key, value.get_ref()),
                    key.expects()
                ),
                cure: cure::of_type(key, value.get_ref()),
            })
    }

    fn place(&self, offset: usize) -> Place {
        place(&self.file, self.text, offset)
    }

    fn at(&self, offset: usize) -> String {
        self.place(offset).to_string()
    }
}

/// `Document::parse` has checked every shape and type, so what has another one here is not in the file.
impl<'a> Node<'a> {
    /// A value as text, and where it stands.
    pub fn value(&self, key: &Key) -> Result<Option<(String, Place)>, ConfigError> {
        let Some(value) = self.table.and_then(|table| table.get(key.name)) else {
            return Ok(None);
        };
        let text = self.document.text_of(key, value)?;
        let place = self.document.place(value.span().start);
        Ok(Some((text, place)))
    }

    /// `[name]` below this table.
    fn table(&self, name: &str) -> Node<'a> {
        let found = self
            .table
            .and_then(|table| table.get_key_value(name))
            .and_then(|(key, value)| Some((key.span().start, value.get_ref().as_table()?)));
        Node {
            table: found.map(|(_, table)| table),
            start: found.map_or(self.start, |(start, _)| start),
            ..*self
        }
    }

    /// `[a.b]` below this table, named by its path; an empty path is this table itself.
    pub fn table_at(&self, path: &str) -> Node<'a> {
        let names = path.split('.').filter(|name| !name.is_empty());
        names.fold(*self, |node, name| node.table(name))
    }

    /// Each `[[name]]` below this table, in file order.
    pub fn repeated(&self, name: &str) -> Vec<Node<'a>> {
        let items = self.table.and_then(|table| table.get(name));
        let items = items.and_then(|value| value.get_ref().as_array());
        let items = items.into_iter().flat_map(|items| items.iter());
        items
            .map(|item| Node {
                table: item.get_ref().as_table(),
                start: item.span().start,
                ..*self
            })
            .collect()
    }

    /// Each `[name."label"]` below this table, with its label.
    pub fn labelled(&self, name: &str) -> Vec<(&'a str, Node<'a>)> {
        let labels = self.table(name).table;
        let labels = labels.into_iter().flat_map(|table| table.iter());
        labels
            .map(|(label, value)| {
                let node = Node {
                    table: value.get_ref().as_table(),
                    start: label.span().start,
                    ..*self
                };
                (label.get_ref().as_ref(), node)
            })
            .collect()
    }

    /// The names and texts of a table whose names the user chooses, each with the place of the text.
    pub fn texts(&self) -> Vec<(&'a str, &'a str, Place)> {
        let values = self.table.into_iter().flat_map(|table| table.iter());
        values
            .filter_map(|(name, value)| {
                let text = value.get_ref().as_str()?;
                let place = self.document.place(value.span().start);
                Some((name.get_ref().as_ref(), text, place))
            })
            .collect()
    }

    /// A table that the file does not have.
    pub fn absent(&self) -> Node<'a> {
        Node {
            table: None,
            ..*self
        }
    }

    pub fn place(&self) -> Place {
        self.document.place(self.start)
    }

    /// For a missing key: the file, and the place of a table that is not the top of the file.
    pub fn name(&self) -> String {
        let is_top = self
            .table
            .is_some_and(|table| std::ptr::eq(table, &self.document.root));
        match is_top {
            true => self.document.file.clone(),
            false => self.place().to_string(),
        }
    }
}

/// A value of the wrong type by its type. The value itself may be a secret.
fn written(key: &Key, value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) if key.form() == Form::List => "a list of other things than texts",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Line and column (in characters) of a byte offset.
fn place(file: &str, text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        file: file.to_string(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{PROJECT, RelayKeys, SendKeys};

    fn parse(text: &str) -> Result<Document<'_>, ConfigError> {
        Document::parse(text, "mailq.toml".into(), &PROJECT)
    }

    #[test]
    fn values_know_their_place() {
        let text = "env = \"test\"\n[send]\nburst = 0x10\n[[relay]]\nurl = \"maildir:a\"\n[[relay]]\n  url = \"maildir:b\"\n[site.\"gmail.com\"]\nrate = \"20/s\"\n";
        let document = parse(text).unwrap();
        let root = document.root();
        let (burst, place) = root
            .table("send")
            .value(SendKeys::burst())
            .unwrap()
            .unwrap();
        assert_eq!((burst.as_str(), place.line), ("16", 3));
        let relays: Vec<_> = root
            .repeated("relay")
            .iter()
            .map(|relay| {
                let (url, place) = relay.value(RelayKeys::url()).unwrap().unwrap();
                (url, place.line, place.column)
            })
            .collect();
        let expected = [("maildir:a", 5, 7), ("maildir:b", 7, 9)];
        assert_eq!(relays, expected.map(|(url, l, c)| (url.to_string(), l, c)));
        let sites = root.labelled("site");
        let [(label, site)] = sites.as_slice() else {
            panic!("one site: {}", sites.len());
        };
        assert_eq!((*label, site.place().column), ("gmail.com", 7));
    }

    #[test]
    fn names_the_place_of_each_error() {
        for (text, error) in [
            ("queu = \"x\"", "mailq.toml:1:1: unknown key `queu`"),
            (
                "[send]\nrat = 1",
                "mailq.toml:2:1: unknown key `rat` in `send`",
            ),
            ("[sned]\n", "mailq.toml:1:2: unknown key `sned`"),
            (
                "\"kafka.properties\" = {}",
                "mailq.toml:1:1: unknown key `kafka.properties`",
            ),
            (
                "[send]\nburst = \"1\"",
                "mailq.toml:2:9: `send.burst` is a text in quotes, not a whole number from 1 to 1000000",
            ),
            (
                "[send]\nrate = 30",
                "mailq.toml:2:8: `send.rate` is a number, not a rate like",
            ),
            (
                "[send]\nwindows = [1]",
                "mailq.toml:2:11: `send.windows` is a list of other things than texts, not a list of windows",
            ),
            (
                "[send]\nrate = [1]",
                "mailq.toml:2:8: `send.rate` is a list, not a rate like",
            ),
            (
                "[site.\"a.example\"]\nrate = {max = 1}",
                "mailq.toml:2:8: `site.rate` is a table, not a rate like",
            ),
            (
                "[kafka.properties]\nacks = 1",
                "mailq.toml:2:8: `kafka.properties.acks` is not a text in quotes",
            ),
            (
                "[relay]\nurl = \"x\"",
                "mailq.toml:1:2: `relay` is written as a list of tables: `[[relay]]`",
            ),
            (
                "[site]\nrate = \"1/s\"",
                "mailq.toml:2:1: `rate` is written as a table for each name",
            ),
            ("env = ", "mailq.toml:1:7: "),
            ("env = \"a\"\nenv = \"b\"", "mailq.toml:2:1: duplicate key"),
        ] {
            let Err(found) = parse(text) else {
                panic!("{text:?} is accepted");
            };
            assert!(found.to_string().starts_with(error), "{text:?}: {found}");
        }
        let Err(unknown) = parse("queu = \"x\"") else {
            panic!("`queu` is accepted");
        };
        let hint = unknown.hint().unwrap();
        assert!(hint.starts_with("did you mean `queue`?"), "{hint}");
    }

    #[test]
    fn says_what_to_write_instead() {
        for (text, hint) in [
            (
                "[send]\nburst = \"1\"",
                "write it without quotes: `burst = 1`",
            ),
            (
                "[send]\nrate = 30",
                "write it in quotes and with its unit: `rate = \"30/min\"`, `\"30/s\"` or `\"30/h\"`",
            ),
            (
                "[retry]\ninitial = 60",
                "write it in quotes and with its unit: `initial = \"60s\"`, `\"60m\"` or `\"60h\"`",
            ),
            ("env = 1", "write it in quotes: `env = \"1\"`"),
            ("[[relay]]\nuser = 5", "write it in quotes: `user = \"5\"`"),
            (
                "[[relay]]\npassword_env = 12345",
                "`man 5 mailq.toml` explains every key (`mailq manual DIR` writes the page)",
            ),
            (
                "[kafka.properties]\nacks = 1",
                "write it in quotes: `acks = \"…\"`",
            ),
            ("env = \"a\"\nenv = \"b\"", "delete one of the two lines"),
            (
                "[site.mail.example.com]\nrate = \"1/s\"",
                "a name with a dot needs quotes: `[site.\"mail.example.com\"]`",
            ),
        ] {
            let found = parse(text).err().and_then(|error| error.hint());
            assert_eq!(found.as_deref(), Some(hint), "{text}");
        }
    }
}
