//! A TOML file read against its schema: every value as text with its place, every unknown key an error. What a value
//! means is decided a layer up, where variables and flags come in.

use super::error::ConfigError;
use super::keys::{Key, Kind, Schema, Shape};
use super::source::Place;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file that was read.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// As messages name it.
    pub name: String,
    pub tables: Vec<Table>,
}

/// One table of it; the top of the file is the table without a name.
#[derive(Debug, Clone)]
pub struct Table {
    pub section: &'static str,
    /// The name in `[site."name"]`.
    pub label: Option<String>,
    pub place: Place,
    pub values: BTreeMap<String, Found>,
}

/// A value as it would be typed on a command line, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub text: String,
    pub place: Place,
}

impl Document {
    /// Errors: no such file, not UTF-8, not TOML, a key that the schema does not know, a value of another type.
    pub fn read(path: &Path, name: String, schema: &Schema) -> Result<Document, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ConfigError::NoFile(path.to_path_buf()),
            _ => ConfigError::Unreadable {
                path: path.to_path_buf(),
                why: error.to_string(),
            },
        })?;
        Document::parse(&text, name, schema)
    }

    pub fn parse(text: &str, name: String, schema: &Schema) -> Result<Document, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            at: place(&name, text, error.span().map_or(0, |span| span.start)).to_string(),
            why: error.message().to_string(),
        })?;
        let mut reader = Reader {
            name: &name,
            text,
            schema,
            tables: Vec::new(),
        };
        reader.top(root.get_ref())?;
        let tables = reader.tables;
        Ok(Document { name, tables })
    }

    /// The tables of a section in file order.
    pub fn section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Table> {
        self.tables
            .iter()
            .filter(move |table| table.section == section)
    }

    /// A value of a section that appears once.
    pub fn find(&self, section: &str, name: &str) -> Option<&Found> {
        let table = self.tables.iter().find(|table| table.section == section)?;
        table.values.get(name)
    }
}

type SpannedKey<'a, 'i> = &'a Spanned<std::borrow::Cow<'i, str>>;

struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    schema: &'t Schema,
    tables: Vec<Table>,
}

impl Reader<'_> {
    fn top(&mut self, root: &DeTable<'_>) -> Result<(), ConfigError> {
        let mut values = BTreeMap::new();
        for (key, value) in root {
            match self.schema.shape(key.get_ref()) {
                Some((section, shape)) => self.section(section, shape, key, value)?,
                None => {
                    let found = self.leaf("", key, value)?;
                    values.insert(key.get_ref().to_string(), found);
                }
            }
        }
        self.tables.push(Table {
            section: "",
            label: None,
            place: place(self.name, self.text, 0),
            values,
        });
        Ok(())
    }

    fn section(
        &mut self,
        section: &'static str,
        shape: Shape,
        key: SpannedKey<'_, '_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        match (shape, value.get_ref()) {
            (Shape::Table, DeValue::Table(table)) => self.table(section, None, key, table),
            (Shape::Labelled, DeValue::Table(labels)) => {
                for (label, value) in labels {
                    let DeValue::Table(table) = value.get_ref() else {
                        return Err(self.wrong_shape(label, section, shape));
                    };
                    self.table(section, Some(label.get_ref().to_string()), label, table)?;
                }
                Ok(())
            }
            (Shape::Repeated, DeValue::Array(items)) => {
                for item in items.iter() {
                    let DeValue::Table(table) = item.get_ref() else {
                        return Err(self.wrong_shape(key, section, shape));
                    };
                    let values = self.leaves(section, table)?;
                    self.push(section, None, item.span().start, values);
                }
                Ok(())
            }
            (Shape::Free, DeValue::Table(table)) => {
                let mut values = BTreeMap::new();
                for (name, value) in table {
                    let found = self.value(Kind::Text, section, name, value)?;
                    values.insert(name.get_ref().to_string(), found);
                }
                self.push(section, None, key.span().start, values);
                Ok(())
            }
            _ => Err(self.wrong_shape(key, section, shape)),
        }
    }

    fn table(
        &mut self,
        section: &'static str,
        label: Option<String>,
        key: SpannedKey<'_, '_>,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        let values = self.leaves(section, table)?;
        self.push(section, label, key.span().start, values);
        Ok(())
    }

    fn push(
        &mut self,
        section: &'static str,
        label: Option<String>,
        offset: usize,
        values: BTreeMap<String, Found>,
    ) {
        let place = place(self.name, self.text, offset);
        self.tables.push(Table {
            section,
            label,
            place,
            values,
        });
    }

    fn leaves(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
    ) -> Result<BTreeMap<String, Found>, ConfigError> {
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let nested = format!("{section}.{}", key.get_ref());
            match self.schema.shape(&nested) {
                Some((section, shape)) => self.section(section, shape, key, value)?,
                None => {
                    let found = self.leaf(section, key, value)?;
                    values.insert(key.get_ref().to_string(), found);
                }
            }
        }
        Ok(values)
    }

    fn leaf(
        &self,
        section: &str,
        key: SpannedKey<'_, '_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Found, ConfigError> {
        let known: Option<&Key> = self.schema.key(section, key.get_ref());
        let Some(known) = known else {
            return Err(ConfigError::UnknownKey {
                at: self.at(key.span().start),
                key: key.get_ref().to_string(),
                section: section.to_string(),
                nearest: self.schema.nearest(section, key.get_ref()),
                page: self.schema.page,
            });
        };
        self.value(known.kind, section, key, value)
    }

    /// The type must fit the key's kind; what the text says is checked with the other layers'.
    fn value(
        &self,
        kind: Kind,
        section: &str,
        key: SpannedKey<'_, '_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Found, ConfigError> {
        let text = match (kind, value.get_ref()) {
            (Kind::Boolean, DeValue::Boolean(flag)) => flag.to_string(),
            (Kind::Count(..), DeValue::Integer(number)) => {
                i64::from_str_radix(number.as_str(), number.radix())
                    .map_or_else(|_| number.to_string(), |number| number.to_string())
            }
            (Kind::Number(..), DeValue::Integer(number)) => number.to_string(),
            (Kind::Number(..), DeValue::Float(number)) => number.to_string(),
            (kind, DeValue::String(text)) if kind.is_quoted() => text.to_string(),
            _ => {
                return Err(ConfigError::BadKey {
                    at: self.at(value.span().start),
                    key: path(section, key.get_ref()),
                    why: format!("is not {}", kind.expects()),
                });
            }
        };
        Ok(Found {
            text,
            place: place(self.name, self.text, value.span().start),
        })
    }

    fn wrong_shape(&self, key: SpannedKey<'_, '_>, section: &str, shape: Shape) -> ConfigError {
        let form = match shape {
            Shape::Table | Shape::Free => format!("a table: `[{section}]`"),
            Shape::Repeated => format!("a list of tables: `[[{section}]]`, with two brackets"),
            Shape::Labelled => format!("a table for each name: `[{section}.\"example.com\"]`"),
        };
        ConfigError::BadKey {
            at: self.at(key.span().start),
            key: key.get_ref().to_string(),
            why: format!("is written as {form}"),
        }
    }

    fn at(&self, offset: usize) -> String {
        place(self.name, self.text, offset).to_string()
    }
}

fn path(section: &str, name: &str) -> String {
    match section {
        "" => name.to_string(),
        section => format!("{section}.{name}"),
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
    use super::super::keys::PROJECT;
    use super::*;

    fn parse(text: &str) -> Result<Document, ConfigError> {
        Document::parse(text, "mailq.toml".into(), &PROJECT)
    }

    #[test]
    fn values_know_their_place() {
        let text = "env = \"test\"\n[send]\nburst = 0x10\n[[relay]]\nurl = \"maildir:a\"\n[[relay]]\n  url = \"maildir:b\"\n[site.\"gmail.com\"]\nrate = \"20/s\"\n";
        let document = parse(text).unwrap();
        assert_eq!(document.find("", "env").unwrap().text, "test");
        let burst = document.find("send", "burst").unwrap();
        assert_eq!((burst.text.as_str(), burst.place.line), ("16", 3));
        let relays: Vec<_> = document
            .section("relay")
            .map(|table| {
                let url = table.values.get("url").unwrap();
                (url.text.as_str(), url.place.line, url.place.column)
            })
            .collect();
        assert_eq!(relays, [("maildir:a", 5, 7), ("maildir:b", 7, 9)]);
        let site = document.section("site").next().unwrap();
        assert_eq!(site.label.as_deref(), Some("gmail.com"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, error) in [
            ("queu = \"x\"", "mailq.toml:1:1: unknown key `queu`"),
            (
                "[send]\nrat = 1",
                "mailq.toml:2:1: unknown key `rat` in `send`",
            ),
            ("[sned]\n", "mailq.toml:1:2: unknown key `sned`"),
            (
                "[send]\nburst = \"1\"",
                "mailq.toml:2:9: `send.burst` is not a whole number from 1 to 1000000",
            ),
            (
                "[send]\nrate = 30",
                "mailq.toml:2:8: `send.rate` is not a rate like",
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
            let found = parse(text).unwrap_err().to_string();
            assert!(found.starts_with(error), "{text:?}: {found}");
        }
        let hint = parse("queu = \"x\"").unwrap_err().hint().unwrap();
        assert!(hint.starts_with("did you mean `queue`?"), "{hint}");
    }
}
