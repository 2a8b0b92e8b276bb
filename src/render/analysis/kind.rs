//! The kinds of values in templates, as far as the analysis tells them apart.

use minijinja::Value;
use minijinja::value::ValueKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    /// Of texts: `names | split(",")`.
    Texts,
    Numbers,
    /// The whole row.
    Row,
    /// All rows of a mailbox.
    Rows,
    /// Anything else, or not known before rendering.
    Other,
}

/// A value's kind, and the column that its text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    pub kind: Kind,
    pub column: Option<String>,
    /// The cell itself, not something that was made of it.
    pub is_cell: bool,
    /// A text in quotes in the template that is a number: `"9"`.
    pub is_numeral: bool,
}

impl Typed {
    pub fn of(kind: Kind) -> Typed {
        Typed {
            kind,
            column: None,
            is_cell: false,
            is_numeral: false,
        }
    }

    pub fn other() -> Typed {
        Typed::of(Kind::Other)
    }

    pub fn cell(kind: Kind, column: &str) -> Typed {
        Typed {
            column: Some(column.to_string()),
            is_cell: true,
            ..Typed::of(kind)
        }
    }

    pub fn constant(value: &Value) -> Typed {
        match value.kind() {
            ValueKind::String => Typed {
                is_numeral: value
                    .as_str()
                    .is_some_and(|text| text.trim().parse::<f64>().is_ok()),
                ..Typed::of(Kind::Text)
            },
            ValueKind::Number => Typed::of(Kind::Number),
            ValueKind::Bool => Typed::of(Kind::Boolean),
            _ => Typed::other(),
        }
    }

    /// A text made of this one.
    pub fn derived(self) -> Typed {
        Typed {
            is_cell: false,
            ..self
        }
    }

    pub fn is_text(&self) -> bool {
        self.kind == Kind::Text
    }

    /// A value that may be the one or the other. A text of a cell stays one, since it is in some of the messages.
    pub fn or(self, other: Typed) -> Typed {
        match (self.kind == other.kind, &self.column, &other.column) {
            (true, Some(_), _) => self,
            (true, None, _) => other,
            (false, Some(_), _) if self.is_text() => self,
            (false, _, Some(_)) if other.is_text() => other,
            _ => Typed::other(),
        }
    }

    /// A value that was bound in different branches: nothing is said unless both agree.
    pub fn merged(self, other: &Typed) -> Typed {
        match self == *other {
            true => self,
            false => Typed::other(),
        }
    }

    /// An element of this list.
    pub fn element(&self) -> Typed {
        let kind = match self.kind {
            Kind::Texts => Kind::Text,
            Kind::Numbers => Kind::Number,
            Kind::Rows => Kind::Row,
            _ => Kind::Other,
        };
        Typed {
            column: self.column.clone(),
            ..Typed::of(kind)
        }
    }
}
