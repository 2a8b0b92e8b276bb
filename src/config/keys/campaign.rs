//! The keys of a campaign file.

use crate::config::declare::keys;
use crate::config::mailbox::MailboxTemplate;
use crate::config::schema::{Choice, Limits, Shape, Table};
use crate::domain::mailbox::Mailbox;
use crate::domain::records::{InDoubtPolicy, SeveralPolicy};
use crate::recipients::{DuplicatesPolicy, FileEncoding};
use std::path::PathBuf;
use std::time::Duration;

keys! {
    /// What is sent, and to whom.
    pub struct CampaignKeys in "" as Table {
        /// Name of the campaign
        ///
        /// Up to 100 letters, digits, `.`, `_` and `-`.
        name: Option<String> {
            default_text: "the file name without `.toml`",
            example: "spring-sale",
            check: is_name,
        }

        /// Sender: `Name <address>` or an address, a template
        ///
        /// In `{{ agent }} <news@acme.example>` each mail has the name of its row. If the address is from the row too,
        /// `return_path` is required. Every row is checked before anything is enqueued.
        from: MailboxTemplate {
            example: "Acme <news@acme.example>",
        }

        /// Where replies go: `Name <address>` or an address, a template
        ///
        /// With `{{ owner }}` they go to the address in the column `owner` of the row, and to `from` where the cell is empty.
        reply_to: Option<MailboxTemplate> {
            default_text: "to `from`",
            example: "help@acme.example",
        }

        /// Name of the recipient in the field `To`, a template
        ///
        /// Nothing but the address where it renders to white space.
        to_name: Option<String> {
            default_text: "the name in `Name <address>` of the list, if there is one",
            example: "{{ first_name }} {{ last_name }}",
        }

        /// Address that bounces go to (MAIL FROM)
        return_path: Option<Mailbox> {
            default_text: "the address in `from`",
            example: "bounces@mail.acme.example",
        }

        /// Subject, a template
        subject: String {
            example: "Spring sale, {{ name }}",
        }

        /// HTML template, a file in `templates/`
        ///
        /// At least one of `html` and `text` is required.
        html: Option<String> {
            default_text: "no HTML part",
            example: "spring-sale.html",
        }

        /// Plain text template, a file in `templates/`
        text: Option<String> {
            default_text: "no plain text part",
            example: "spring-sale.txt",
        }

        /// Recipients CSV, or workbook (`.xlsx`, `.ods`), relative to the campaign file
        ///
        /// Cells of a workbook are read as a person sees them; dates are like `2026-12-01`. Zeros that only the format of a
        /// number shows are not read: make such cells text.
        recipients: Option<PathBuf> {
            default_text: "the campaign file with `.csv` instead of `.toml`",
            example: "spring-sale.csv",
        }

        /// Column of the recipients CSV that holds the address
        ///
        /// White space and marks around an address are left out. The name in `Name <address>` stands in the field `To`. As
        /// a variable the column is the address that the mail goes to.
        email_column: String {
            default: "email",
        }

        /// Sheet of a workbook with the recipients
        sheet: Option<String> {
            default_text: "the first one",
            example: "Customers",
        }

        /// What happens to a cell that holds several addresses
        ///
        /// `error`: the row is invalid. `each`: one mail to each of them.
        several: SeveralPolicy {
            default: "error",
            example: "each",
        }

        /// What it means when rows of one address differ
        ///
        /// The first row of the address is mailed in both cases, and the others are not. `error`: nothing is stopped, but
        /// a warning names the first row that differs, and `enqueue` and `run` end with exit code 1. `first`: the first
        /// row is enough, so there is no warning. With `group = true` the mail has all rows.
        duplicates: DuplicatesPolicy {
            default: "error",
            example: "first",
        }

        /// One mail for all rows of an address, wherever they stand in the list
        ///
        /// The columns are those of the first row, and all rows are in `rows`: `{% for row in rows %}{{ row.item }}{% endfor %}`.
        /// Without this each address gets the mail of its first row.
        group: bool {
            default: "false",
            example: "true",
        }

        /// Encoding of a recipients CSV that is not UTF-8
        ///
        /// For example `windows-1252`, `macintosh`, `gb18030` or `shift_jis`. A byte order mark in the file wins. UTF-16
        /// is recognised without this key.
        encoding: Option<String> {
            default_text: "UTF-8",
            example: "windows-1252",
            check: is_encoding,
        }

        /// How long after the start of the run messages are still sent
        ///
        /// The run starts when all its messages are in the queue, or at the time given with `--at`. Messages that are
        /// not delivered by then count as expired.
        expires: Option<Duration> {
            default_text: "no limit",
            example: "24h",
            limits: Limits::Span(Duration::from_secs(1), Duration::from_secs(3_650 * 86_400)),
        }

        /// What `mailq run` sends at most once per
        ///
        /// `run`: once for the same inputs. `day`, `week` or `month`: once in this period, in the time zone of the host.
        once_per: OncePer {
            default: "run",
            example: "day",
        }

        /// What happens to a message that the relay may or may not have accepted
        ///
        /// `resend` sends it again with the same Message-ID. `hold` leaves the decision to a person; `mailq dlq list`
        /// shows it.
        in_doubt: InDoubtPolicy {
            default: "resend",
            example: "hold",
        }
    }
}

pub const HEADERS: Table = Table::new(
    "headers",
    Shape::Free,
    "Header fields to add to each message. The values are templates: `\"X-City\" = \"{{ city }}\"`.",
    &[],
);

pub const COLUMNS: Table = Table::new(
    "columns",
    Shape::Free,
    "Types of columns: `count = \"integer\"`, `price = \"decimal\"`, `vip = \"boolean\"`, `when = \"date\"`. Cells of all \
     other columns are text, which a template cannot compare or calculate with as numbers. Every row is checked before \
     anything is enqueued. An integer is `12` or `-3`. A decimal is `9.50` or `9,50`. A boolean is `true`, `yes`, `y`, \
     `1`, `x`, or `false`, `no`, `n`, `0` and empty. A date is `2026-12-01`, `2026-12-01 09:00`, `1.12.2026` or a time \
     with an offset; templates compare it with `now()` and `parse_date(\"2026-12-31\")`, and write it with \
     `{{ when | date(\"%d. %B %Y\", locale=\"de\") }}`.",
    &[],
);

/// What `mailq run` sends at most once per.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OncePer {
    Run,
    Day,
    Week,
    Month,
}

impl Choice for OncePer {
    const NAMES: &'static [(&'static str, OncePer)] = &[
        ("run", OncePer::Run),
        ("day", OncePer::Day),
        ("week", OncePer::Week),
        ("month", OncePer::Month),
    ];
}

impl Choice for DuplicatesPolicy {
    const NAMES: &'static [(&'static str, DuplicatesPolicy)] = &[
        ("error", DuplicatesPolicy::Error),
        ("first", DuplicatesPolicy::First),
    ];
}

impl Choice for SeveralPolicy {
    const NAMES: &'static [(&'static str, SeveralPolicy)] = &[
        ("error", SeveralPolicy::Error),
        ("each", SeveralPolicy::Each),
    ];
}

impl Choice for InDoubtPolicy {
    const NAMES: &'static [(&'static str, InDoubtPolicy)] = &[
        ("resend", InDoubtPolicy::Resend),
        ("hold", InDoubtPolicy::Hold),
    ];
}

/// Whether a text names an encoding that lists can be read in.
pub fn is_encoding(text: &str) -> Result<(), String> {
    match FileEncoding::of_name(text) {
        Some(_) => Ok(()),
        None => Err("not the name of an encoding, such as `windows-1252`".into()),
    }
}

/// Whether a text can name a campaign or a run.
pub fn is_name(text: &str) -> Result<(), String> {
    let fits = (1..=100).contains(&text.chars().count());
    match fits && text.chars().all(fits_a_name) && !text.starts_with(['.', '-']) {
        true => Ok(()),
        false => Err(
            "not up to 100 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
                .into(),
        ),
    }
}

pub fn fits_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}
