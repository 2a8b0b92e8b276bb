//! One key of a file: what a declaration says about it, and the texts that follow from that.

use super::field::Field;
use super::value::{BETWEEN, Form, Limits, Value};
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
    pub example: Option<&'static str>,
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
    check: fn(&str, &Limits) -> Result<(), super::ValueError>,
    form: Form,
}

impl Kind {
    const fn of<T: Value>() -> Kind {
        Kind {
            expects: T::expects,
            text_of: T::text_of,
            values: T::values,
            check: |text, limits| T::parse(text, limits).map(drop),
            form: T::FORM,
        }
    }
}

/// Called by `keys!`: the parts of a declaration are the names of the methods below.
impl Key {
    pub(in crate::config) const fn new<F: Field>(
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

    pub(in crate::config) const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self.is_required = false;
        self
    }

    pub(in crate::config) const fn default_text(mut self, text: &'static str) -> Key {
        self.default_text = Some(text);
        self
    }

    pub(in crate::config) const fn example(mut self, text: &'static str) -> Key {
        self.example = Some(text);
        self
    }

    pub(in crate::config) const fn limits(mut self, limits: Limits) -> Key {
        self.limits = limits;
        self
    }

    pub(in crate::config) const fn check(mut self, check: Check) -> Key {
        self.check = Some(check);
        self
    }

    pub(in crate::config) const fn variables(mut self, names: &'static [&'static str]) -> Key {
        self.variables = names;
        self
    }

    pub(in crate::config) const fn flag(mut self, flag: &'static str) -> Key {
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
        match self.kind.form {
            Form::Quoted => format!("{} = \"{text}\"", self.name),
            Form::Bare => format!("{} = {text}", self.name),
            Form::List => {
                let items = text.split(BETWEEN).map(str::trim);
                let items: Vec<String> = items.map(|item| format!("\"{item}\"")).collect();
                format!("{} = [{}]", self.name, items.join(", "))
            }
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
    pub(in crate::config) fn text_of(&self, value: &DeValue<'_>) -> Option<String> {
        (self.kind.text_of)(value)
    }

    /// How a file has its values.
    pub(in crate::config) fn form(&self) -> Form {
        self.kind.form
    }

    /// Whether a text is a value of this key.
    pub(in crate::config) fn accepts(&self, text: &str) -> Result<(), super::ValueError> {
        (self.kind.check)(text, &self.limits)?;
        self.check
            .map_or(Ok(()), |check| check(text).map_err(super::ValueError::Form))
    }
}

/// `send` and `rate` give `send.rate`.
pub(in crate::config) fn join(table: &str, name: &str) -> String {
    match table {
        "" => name.to_string(),
        table => format!("{table}.{name}"),
    }
}

/// The paragraphs of a doc comment, each on one line.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs: Vec<String> = lines
        .split(|line| line.is_empty())
        .map(|lines| lines.join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    paragraphs.into_iter()
}
