//! Errors of a campaign's content, of its templates, and of a single message.

use super::other_languages;
use super::slip::SlipKind;
use crate::domain::mailbox::MailboxProblem;
use crate::domain::nearest::nearest;
use crate::domain::recipient::RecipientRow;
use std::fmt;

/// Longest part of a wrong value in an error message, in characters.
pub(super) const SHOWN_VALUE_CHARACTERS: usize = 200;

/// A position in a template. Line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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

impl Place {
    /// A string as a template has it here: in single quotes where the template stands in the quotes of a campaign file.
    pub fn quoted(&self, text: &str) -> String {
        match (self.is_in_campaign_file(), text.contains(['"', '\''])) {
            (true, false) => format!("'{text}'"),
            (true, true) => format!("\\\"{}\\\"", text.replace('"', "\\\\\\\"")),
            (false, _) => format!("{text:?}"),
        }
    }

    /// `campaign.toml: subject`.
    fn is_in_campaign_file(&self) -> bool {
        self.file.contains(": ")
    }

    /// How a template names a column here: `name`, or `row["First Name"]`.
    pub fn cell(&self, column: &str) -> String {
        match cell_name(column) == column {
            true => column.to_string(),
            false => format!("row[{}]", self.quoted(column)),
        }
    }

    /// The position of byte `at` of a source.
    pub(super) fn of(file: &str, source: &str, at: usize) -> Place {
        let before = source.get(..at).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(line_start..).unwrap_or_default();
        Place {
            file: file.to_string(),
            line: before.matches('\n').count() + 1,
            column: column.chars().count() + 1,
        }
    }
}

/// A template cannot be used with this list. Reported before the first row is rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("{file}: {what}")]
    Unreadable { file: String, what: String },
    #[error("{wanted_by}: template `{name}` is outside the templates directory")]
    Outside { wanted_by: String, name: String },
    #[error("{wanted_by}: no template `{name}` in `{directory}`")]
    Missing {
        wanted_by: String,
        name: String,
        directory: String,
    },
    #[error("{place}: {what}")]
    Syntax { place: Place, what: String },
    /// A tag is nested deeper than the engine can take.
    #[error("{place}: {what}")]
    Excess { place: Place, what: String },
    /// A cell is compared with something that is never equal to it, or calculated with.
    #[error("{place}: `{column}` is {kind}, and {used}")]
    TextUsed {
        place: Place,
        column: String,
        /// `text`, or the type that the campaign gives to the column.
        kind: &'static str,
        used: TextUse,
    },
    #[error("{origin}: `[columns]` names `{name}`, which is not a column of {recipients} (columns: {})", .columns.join(", "))]
    NoTypedColumn {
        origin: String,
        name: String,
        recipients: String,
        columns: Vec<String>,
    },
    #[error(
        "{origin}: `group = true` puts the rows of an address into the variable `rows`, but {recipients} has a column of that name"
    )]
    RowsColumn { origin: String, recipients: String },
    /// A column has the name of something that this template uses.
    #[error("{place}: `{name}` is a column of {recipients}, and hides {hidden} of that name")]
    HiddenName {
        place: Place,
        name: String,
        recipients: String,
        /// `the function`, or `the variable for the whole row`.
        hidden: &'static str,
    },
    #[error(transparent)]
    UnknownName(Box<UnknownName>),
    /// A syntax error with its reason.
    #[error("{place}: {what}")]
    Slip { place: Place, what: SlipKind },
    #[error(transparent)]
    UnknownColumn(#[from] Box<UnknownColumn>),
    #[error("{place}: `{column}` is text and has no attribute `{attribute}`")]
    NoAttribute {
        place: Place,
        column: String,
        attribute: String,
    },
}

/// What a template does with a cell that is of another kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextUse {
    /// The operator, and what the other side is.
    #[error("`{0}` compares it with {1}")]
    Compared(String, &'static str),
    #[error("`{0}` calculates with numbers")]
    Calculated(String),
}

/// A filter or a method that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: there is no {what} `{name}`")]
pub struct UnknownName {
    pub place: Place,
    pub what: &'static str,
    pub name: String,
    pub nearest: Option<&'static str>,
    pub known: Vec<&'static str>,
}

impl UnknownName {
    pub(super) fn new(
        what: &'static str,
        name: &str,
        known: &[&'static str],
        place: Place,
    ) -> UnknownName {
        UnknownName {
            place,
            what,
            name: name.to_string(),
            nearest: match what {
                "filter" => other_languages::filter(name),
                _ => None,
            }
            .or_else(|| nearest(name, known.iter().copied())),
            known: known.to_vec(),
        }
    }
}

/// How a template names a column: `count`, or `row["Unit price"]` if the name is not a single word.
pub fn cell_name(column: &str) -> String {
    let mut characters = column.chars();
    let is_word = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    match is_word {
        true => column.to_string(),
        false => format!("row[{column:?}]"),
    }
}

/// The lines of a campaign file that give a type to a column.
pub fn declared(column: &str, cell_type: &str) -> String {
    let is_bare = column
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match is_bare && !column.is_empty() {
        true => format!("`[columns]` with `{column} = \"{cell_type}\"`"),
        false => format!("`[columns]` with `{column:?} = \"{cell_type}\"`"),
    }
}

/// A variable that is not a column. `nearest`: the column with the most similar name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: `{name}` is not a column of {recipients} (columns: {})", .columns.join(", "))]
pub struct UnknownColumn {
    pub place: Place,
    pub name: String,
    pub recipients: String,
    pub columns: Vec<String>,
    pub nearest: Option<String>,
}

/// The campaign file has a value that no message can be made with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error("{origin}: `{key}` is `{value}`: {what}")]
    Mailbox {
        origin: String,
        key: &'static str,
        value: String,
        what: MailboxProblem,
    },
    /// The address of `from` is only known row by row, but bounces go to one address.
    #[error("{origin}: `return_path` is required, because the address in `from` is a template")]
    NoReturnPath { origin: String },
    #[error("{origin}: neither `html` nor `text` is given")]
    NoBody { origin: String },
    #[error("{origin}: header `{name}`: {what}")]
    Header {
        origin: String,
        name: String,
        what: HeaderNameProblem,
    },
    #[error(transparent)]
    Template(#[from] TemplateError),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameProblem {
    #[error("a name consists of 1 to 70 visible ASCII characters without `:`")]
    Syntax,
    #[error("mailq sets this header itself")]
    Reserved,
    #[error("given twice")]
    Duplicate,
}

/// One message cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// `templates/spring.html:12`, or the campaign file and the key.
    pub at: String,
    /// Line of the recipients file.
    pub recipient_line: u64,
    pub what: RenderProblem,
}

impl std::error::Error for RenderError {}

impl RenderError {
    pub(super) fn new(row: &RecipientRow, at: &str, what: RenderProblem) -> RenderError {
        RenderError {
            at: at.to_string(),
            recipient_line: row.line,
            what,
        }
    }

    /// The error for a place that names the line of the recipient.
    pub fn without_line(&self) -> String {
        format!("{}: {}", self.at, self.what)
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RenderError {
            at,
            recipient_line,
            what,
        } = self;
        write!(f, "{at}: {what} (recipient on line {recipient_line})")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderProblem {
    #[error("{0}")]
    Template(String),
    #[error("a control character or line break in the value of a header")]
    Control,
    #[error("the value must be ASCII")]
    NotAscii,
    #[error("a word of {bytes} bytes does not fit on a header line")]
    LongWord { bytes: usize },
    #[error("the value is {bytes} bytes long (at most {limit})")]
    LongHeader { bytes: usize, limit: usize },
    #[error("the message is {bytes} bytes long (at most {limit})")]
    TooLarge { bytes: usize, limit: usize },
    #[error("`{0}` is not a message id")]
    MessageId(String),
    /// `from`, `reply_to` or `to_name` renders to something else.
    #[error("`{value}`: {what}")]
    Mailbox { value: String, what: MailboxProblem },
}

/// The beginning of a text, for an error message.
pub(super) fn shown(text: &str, max_characters: usize) -> String {
    let characters = text.chars().flat_map(char::escape_debug);
    characters.take(max_characters).collect()
}
