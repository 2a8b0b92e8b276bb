//! A finding of `check`: what, where, how severe, and how to fix it.

use crate::commands::Failure;
use crate::commands::failure::{GROUP_TOO_LARGE, SEVERAL, SPACE_BEFORE_QUOTE, UNNAMED};
use crate::domain::address::AddressError;
use crate::domain::shown::on_one_line;
use crate::recipients::{RecipientsError, RowError, RowProblem};
use crate::render::{ContentError, RenderError, RenderProblem};
use serde::Serialize;
use std::fmt;

/// Errors come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for scripts: `E30`, `W18`.
    pub id: &'static str,
    pub severity: Severity,
    /// Begins with the file and line.
    pub what: String,
    pub hint: Option<String>,
}

/// `error: … [E30]`, then the hint on a second line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {} [{}]", on_one_line(&self.what), self.id)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", on_one_line(hint)),
            None => Ok(()),
        }
    }
}

impl Finding {
    pub fn error(id: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding {
            id,
            severity: Severity::Error,
            what: what.into(),
            hint: Some(hint.into()),
        }
    }

    pub fn warning(id: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Warning,
            ..Finding::error(id, what, hint)
        }
    }

    /// With the text of the command that would stop at this error.
    fn of_failure(id: &'static str, failure: Failure) -> Finding {
        Finding {
            id,
            severity: Severity::Error,
            what: failure.what,
            hint: failure.hint,
        }
    }

    pub fn of_content(error: ContentError) -> Finding {
        let id = match &error {
            ContentError::Mailbox { .. } | ContentError::NoReturnPath { .. } => "E02",
            ContentError::Header { .. } => "E01",
            ContentError::NoBody { .. } | ContentError::Template(_) => "E20",
        };
        Finding::of_failure(id, error.into())
    }

    pub fn of_list(error: RecipientsError) -> Finding {
        Finding::of_failure("E30", error.into())
    }

    pub fn of_render(error: RenderError) -> Finding {
        let id = match &error.what {
            RenderProblem::Template(_) => "E20",
            RenderProblem::Control => "E03",
            RenderProblem::LongWord { .. } | RenderProblem::LongHeader { .. } => "E04",
            RenderProblem::NotAscii => "E08",
            RenderProblem::Mailbox { .. } => "E02",
            RenderProblem::TooLarge { .. } => "E22",
            RenderProblem::MessageId(_) => "E01",
        };
        Finding::of_failure(id, error.into())
    }

    pub fn of_row(error: &RowError) -> Finding {
        let (id, hint) = match &error.what {
            RowProblem::Address(AddressError::Idna) => ("E31", "fix the domain of the address"),
            RowProblem::Address(_) => ("E30", "fix the address, or remove the row"),
            RowProblem::Control { .. } | RowProblem::ControlInHeader { .. } => {
                ("E03", "remove the character from the cell")
            }
            RowProblem::Ragged { .. } => (
                "E30",
                "give the row as many cells as the header; a cell with a delimiter inside needs quotes",
            ),
            RowProblem::Several { .. } => ("E30", SEVERAL),
            RowProblem::Unnamed { .. } => ("E30", UNNAMED),
            RowProblem::NotUtf8 => ("E30", "save the list as `CSV UTF-8`"),
            RowProblem::CellTooLong | RowProblem::RowTooLong => ("E30", "shorten the row"),
            RowProblem::GroupTooLarge => ("E30", GROUP_TOO_LARGE),
            RowProblem::Unfit(_) => (
                "E30",
                "fix the row, or the template or the type of the column in the campaign file",
            ),
            RowProblem::SpaceBeforeQuote => ("E30", SPACE_BEFORE_QUOTE),
            RowProblem::HeaderAgain => ("E30", "delete the line"),
            RowProblem::OpenQuote | RowProblem::TextAfterQuote | RowProblem::QuoteInside => (
                "E30",
                "write a quote inside a quoted cell as two: `\"a \"\"b\"\" c\"`",
            ),
        };
        Finding::error(id, error.to_string(), hint)
    }
}
