//! The row that a report names when rows have the address of an earlier one.

use super::Options;
use super::error::{RecipientsError, RepeatedRow};
use super::mailboxes::Place;
use super::rows::rows;
use super::survey::Survey;
use crate::domain::mailbox_key::mailbox_key;
use std::path::Path;

/// The first row with other cells than the first one of its mailbox; if there is none, the first duplicate.
#[derive(Default)]
pub struct Repeated(Option<Noted>);

struct Noted {
    mailbox: String,
    line: u64,
    differs: bool,
}

impl Repeated {
    pub fn note(&mut self, place: Place, line: u64, mailbox: &str) {
        let differs = place == Place::Differing;
        let is_better = match &self.0 {
            Some(noted) => differs && !noted.differs,
            None => differs || place == Place::Repeated,
        };
        if is_better {
            self.0 = Some(Noted {
                mailbox: mailbox.to_string(),
                line,
                differs,
            });
        }
    }

    /// The row, with the line of the first one. The list is read again for that, because lines are not kept.
    pub fn row(
        self,
        path: &Path,
        options: &Options,
        survey: &Survey,
    ) -> Result<Option<RepeatedRow>, RecipientsError> {
        let Some(noted) = self.0 else {
            return Ok(None);
        };
        for row in rows(path, options, survey, 0..survey.counts.accepted)? {
            let row = row?;
            if mailbox_key(row.address.as_str()) == noted.mailbox {
                let rows = match noted.differs {
                    true => survey.counts.differing,
                    false => survey.counts.duplicates,
                };
                return Ok(Some(RepeatedRow {
                    file: path.display().to_string(),
                    line: noted.line,
                    first_line: row.line,
                    differs: noted.differs,
                    rows,
                }));
            }
        }
        Ok(None)
    }
}
