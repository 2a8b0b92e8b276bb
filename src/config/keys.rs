//! The table of all keys: type, default, variable, flag and text of each, once. The reader of files, the suggestions
//! for typing errors, the sample file and the manual page all go by it.

use crate::domain::{rate::Rate, span};

/// One key of a file. Doc comments are the texts themselves: `doc` is what the manual prints.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The table that it stands in, empty at the top of the file.
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written in the file; `None`: unset unless given.
    pub default: Option<&'static str>,
    /// Variables that set it, the first wins.
    pub variables: &'static [&'static str],
    pub flag: Option<&'static str>,
    /// A value for the sample file, as written there.
    pub example: &'static str,
    pub doc: &'static str,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Text,
    Path,
    /// `30/min`, `unlimited`.
    Rate,
    /// `30s`, `1h`.
    Span,
    /// A whole number in this range.
    Count(u64, u64),
    /// A number in this range.
    Number(f64, f64),
    Boolean,
    Choice(&'static [&'static str]),
}

impl Kind {
    /// For people, after "is not".
    pub fn expects(&self) -> String {
        match self {
            Kind::Text => "a text in quotes".into(),
            Kind::Path => "a path in quotes".into(),
            Kind::Rate => "a rate like `\"30/min\"`, `\"500/s\"` or `\"unlimited\"`".into(),
            Kind::Span => "a duration like `\"500ms\"`, `\"30s\"`, `\"1h\"` or `\"7d\"`".into(),
            Kind::Count(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Number(low, high) => format!("a number from {low} to {high}"),
            Kind::Boolean => "`true` or `false`".into(),
            Kind::Choice(names) => format!("one of `{}`", names.join("`, `")),
        }
    }

    /// Whether a text, whichever layer it came from, is such a value.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let good = match self {
            Kind::Text | Kind::Path => !text.is_empty() && !text.contains(char::is_control),
            Kind::Rate => text.parse::<Rate>().is_ok(),
            Kind::Span => span::parse(text).is_ok(),
            Kind::Count(low, high) => text.parse().is_ok_and(|n: u64| (*low..=*high).contains(&n)),
            Kind::Number(low, high) => text.parse().is_ok_and(|n: f64| (*low..=*high).contains(&n)),
            Kind::Boolean => matches!(text, "true" | "false"),
            Kind::Choice(names) => names.contains(&text),
        };
        if good {
            Ok(())
        } else {
            Err(format!("not {}", self.expects()))
        }
    }

    /// Whether the value stands in quotes in the file.
    pub fn is_quoted(&self) -> bool {
        !matches!(self, Kind::Count(..) | Kind::Number(..) | Kind::Boolean)
    }
}

/// How a section appears in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[send]`
    Table,
    /// `[[relay]]`, any number of times.
    Repeated,
    /// `[site."gmail.com"]`, one for each name.
    Labelled,
    /// `[headers]`: names are the user's, values are texts.
    Free,
}

/// All that a kind of file may hold.
#[derive(Debug)]
pub struct Schema {
    /// Its manual page.
    pub page: &'static str,
    pub sections: &'static [(&'static str, Shape, &'static str)],
    pub keys: &'static [Key],
}

impl Schema {
    pub fn key(&self, section: &str, name: &str) -> Option<&'static Key> {
        self.keys
            .iter()
            .find(|key| key.section == section && key.name == name)
    }

    pub fn shape(&self, section: &str) -> Option<(&'static str, Shape)> {
        self.sections
            .iter()
            .find(|(name, ..)| *name == section)
            .map(|(name, shape, _)| (*name, *shape))
    }

    /// What was probably meant by a name that is not known in `section`: the same name elsewhere, else a near one here.
    pub fn nearest(&self, section: &str, name: &str) -> Option<String> {
        if let Some(elsewhere) = self.keys.iter().find(|key| key.name == name) {
            return Some(elsewhere.path());
        }
        let keys = self.keys.iter().filter(|key| key.section == section);
        let sections = self.sections.iter().map(|(name, ..)| *name);
        keys.map(|key| key.name)
            .chain(sections.filter(|_| section.is_empty()))
            .map(|known| (distance(name, known), known))
            .filter(|(far, known)| *far <= 1 + known.len() / 4 || known.starts_with(name))
            .min()
            .map(|(_, known)| known.to_string())
    }
}

/// Variables that begin like mailq's and are none, each with the one that was probably meant.
pub fn unknown_variables<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Vec<(&'a str, Option<&'static str>)> {
    const OTHERS: [&str; 2] = ["MAILQ_LOG", "MAILQ_LOG_FORMAT"];
    let known: Vec<&'static str> = PROJECT
        .keys
        .iter()
        .flat_map(|key| key.variables)
        .chain(&OTHERS)
        .copied()
        .collect();
    names
        .filter(|name| name.starts_with("MAILQ_") && !known.contains(name))
        .map(|name| {
            let near = known.iter().map(|known| (distance(name, known), *known));
            let nearest = near.filter(|(far, _)| *far <= 3).min();
            (name, nearest.map(|(_, known)| known))
        })
        .collect()
}

impl Key {
    /// `send.rate`; at the top of the file, the name alone.
    pub fn path(&self) -> String {
        match self.section {
            "" => self.name.to_string(),
            section => format!("{section}.{}", self.name),
        }
    }
}

/// Edits (insert, remove, replace a letter) that make one name of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let above = *cell;
            left = (above + 1)
                .min(left + 1)
                .min(diagonal + usize::from(a != b));
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

const UNSET: Key = Key {
    section: "",
    name: "",
    kind: Kind::Text,
    default: None,
    variables: &[],
    flag: None,
    example: "",
    doc: "",
};

mod campaign;
mod project;

pub use campaign::CAMPAIGN;
pub use project::PROJECT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        for (section, given, nearest) in [
            ("send", "rat", Some("rate")),
            ("send", "max_uncomitted", Some("max_uncommitted")),
            ("", "queu", Some("queue")),
            ("", "relays", Some("relay")),
            ("", "rate", Some("send.rate")),
            ("relay", "password", Some("password_env")),
            ("send", "zebra", None),
        ] {
            assert_eq!(
                PROJECT.nearest(section, given).as_deref(),
                nearest,
                "{given}"
            );
        }
        assert_eq!(CAMPAIGN.nearest("", "form").as_deref(), Some("from"));
        assert_eq!(
            CAMPAIGN.nearest("", "once-per").as_deref(),
            Some("once_per")
        );
    }

    #[test]
    fn variables_with_typing_errors_are_found() {
        let names = [
            "MAILQ_RTAE",
            "MAILQ_RATE",
            "MAILQ_LOG",
            "HOME",
            "MAILQ_XYZZYXYZZY",
        ];
        let found = unknown_variables(names.into_iter());
        let expected = [
            ("MAILQ_RTAE", Some("MAILQ_RATE")),
            ("MAILQ_XYZZYXYZZY", None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn defaults_and_examples_are_valid_and_names_unique() {
        for schema in [&PROJECT, &CAMPAIGN] {
            let mut seen = std::collections::BTreeSet::new();
            for key in schema.keys {
                let path = key.path();
                assert!(seen.insert(path.clone()), "{path} twice");
                assert!(key.section.is_empty() || schema.shape(key.section).is_some());
                assert!(key.doc.ends_with('.'), "{path}: `{}`", key.doc);
                for text in key.default.iter().chain([&key.example]) {
                    key.kind
                        .check(text)
                        .unwrap_or_else(|why| panic!("{path}: {text}: {why}"));
                }
                for variable in key.variables {
                    assert!(seen.insert(variable.to_string()), "{variable} twice");
                }
            }
        }
    }

    #[test]
    fn ranges_and_choices_are_kept() {
        assert!(Kind::Count(1, 5).check("0").is_err());
        assert!(Kind::Count(1, 5).check("5").is_ok());
        assert!(Kind::Count(1, 5).check("-1").is_err());
        assert!(Kind::Number(0.0, 1.0).check("NaN").is_err());
        assert!(
            Kind::Choice(&["a", "b"])
                .check("c")
                .unwrap_err()
                .contains("`a`, `b`")
        );
        assert!(Kind::Text.check("a\nb").is_err());
    }
}
