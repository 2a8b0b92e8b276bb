//! Reads a suppression list from a file: one address a line, alone or as `address,reason`, with or without a header. What
//! `export` writes comes back as it was.
//! Reads line by line, and keeps at most [`MAX_LINE_BYTES`] of a line.

use super::entry::fold;
use crate::domain::address::MAX_ADDRESS_BYTES;
use crate::domain::csv_cell::unescape_formula;
use crate::domain::outcome::Reason;
use crate::domain::shown::with_spaces;
use std::io::{self, BufRead};

/// A longer line is rejected.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// Names of the address column in the lists of mail providers, in lower case.
const ADDRESS_COLUMNS: [&str; 5] = ["address", "email", "e-mail", "mail", "recipient"];
const REASON_COLUMN: &str = "reason";
const SOURCE_COLUMN: &str = "source";
const SINCE_COLUMN: &str = "since";
const CAMPAIGN_COLUMN: &str = "campaign";

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedAddress {
    /// From 1.
    pub line: u64,
    /// In the form of [`fold`].
    pub address: String,
    /// `manual` if the list gives no reason, or one that mailq does not know.
    pub reason: Reason,
    /// The list's reason, if mailq does not know it.
    pub unknown_reason: Option<String>,
    /// What the list says of it besides, if its header names these columns.
    pub source: Option<String>,
    /// RFC 3339, UTC.
    pub since: Option<String>,
    pub campaign: Option<String>,
}

/// Why a line was rejected. The lines after it are still read, except after `Unreadable`.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("line {line}: `{found}` is not an address")]
    NotAnAddress { line: u64, found: String },
    #[error("line {line}: not valid UTF-8")]
    NotUtf8 { line: u64 },
    #[error("line {line}: longer than {MAX_LINE_BYTES} bytes")]
    TooLong { line: u64 },
    #[error("line {line}: {error}")]
    Unreadable { line: u64, error: io::Error },
}

/// Iterates over the addresses of a list. Skips empty lines and comments. A first line without `@` is a header, and
/// names the columns of address and reason, or a title.
pub struct Import<R> {
    source: R,
    line: u64,
    columns: Columns,
    /// The header's delimiter. Without a header each line may have its own.
    delimiter: Option<u8>,
    /// Whether a line that is neither empty nor a comment was read.
    is_past_first_line: bool,
    /// Whether the file cannot be read on.
    has_failed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Columns {
    address: usize,
    reason: Option<usize>,
    source: Option<usize>,
    since: Option<usize>,
    campaign: Option<usize>,
}

impl<R: BufRead> Import<R> {
    pub fn new(source: R) -> Import<R> {
        Import {
            source,
            line: 0,
            columns: Columns {
                address: 0,
                reason: Some(1),
                source: None,
                since: None,
                campaign: None,
            },
            delimiter: None,
            is_past_first_line: false,
            has_failed: false,
        }
    }

    /// The next line, `None` at the end of the file.
    fn read_line(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        self.line += 1;
        let line = self.line;
        let mut bytes = Vec::new();
        let read = read_bounded_line(&mut self.source, &mut bytes);
        match read.map_err(|error| ImportError::Unreadable { line, error })? {
            ReadLine::EndOfFile => Ok(None),
            ReadLine::Whole => Ok(Some(bytes)),
            ReadLine::TooLong => Err(ImportError::TooLong { line }),
        }
    }

    /// `None` for an empty line, a comment, a header and a title.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<ImportedAddress>, ImportError> {
        let line = self.line;
        let text = std::str::from_utf8(bytes).map_err(|_| ImportError::NotUtf8 { line })?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || is_comment(text) {
            return Ok(None);
        }
        let delimiter = self.delimiter.unwrap_or_else(|| delimiter(text));
        let cells = cells(text, delimiter);
        let is_first_line = !std::mem::replace(&mut self.is_past_first_line, true);
        if is_first_line && !text.contains('@') {
            let (columns, is_header) = columns(&cells);
            self.columns = columns;
            // The delimiter of a title is not that of the lines below it.
            self.delimiter = is_header.then_some(delimiter);
            return Ok(None);
        }
        let cell = |index: usize| {
            let cell = cells.get(index).map_or("", |cell| cell.trim());
            unescape_formula(cell)
        };
        let address = fold(cell(self.columns.address));
        if !is_address(&address) {
            let found = shown(cell(self.columns.address));
            return Err(ImportError::NotAnAddress { line, found });
        }
        // An unknown reason is no reason to mail the address.
        let reason = self.columns.reason.map_or("", cell);
        let known: Option<Reason> = reason.to_lowercase().parse().ok();
        let is_unknown = known.is_none() && !reason.is_empty();
        let text = |column: Option<usize>| {
            let text = column.map_or("", cell);
            (!text.is_empty()).then(|| text.to_string())
        };
        Ok(Some(ImportedAddress {
            line,
            address,
            reason: known.unwrap_or(Reason::Manual),
            unknown_reason: is_unknown.then(|| with_spaces(reason).to_string()),
            source: text(self.columns.source),
            since: self.columns.since.and_then(|since| in_utc(cell(since))),
            campaign: text(self.columns.campaign),
        }))
    }
}

impl<R: BufRead> Iterator for Import<R> {
    type Item = Result<ImportedAddress, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_failed {
            let parsed = match self.read_line() {
                Ok(Some(bytes)) => self.parse(&bytes),
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            // Otherwise a read error would repeat without end.
            self.has_failed = matches!(parsed, Err(ImportError::Unreadable { .. }));
            if let Some(item) = parsed.transpose() {
                return Some(item);
            }
        }
        None
    }
}

/// A local part may begin with `#` too (RFC 5322 §3.2.3), so `#a@b.example` is an address.
fn is_comment(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|rest| rest.starts_with(char::is_whitespace) || !rest.contains('@'))
}

enum ReadLine {
    EndOfFile,
    Whole,
    TooLong,
}

/// Reads past the next line feed and appends at most [`MAX_LINE_BYTES`] to `bytes`.
fn read_bounded_line(source: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<ReadLine> {
    let read = io::Read::take(&mut *source, MAX_LINE_BYTES).read_until(b'\n', bytes)?;
    if read == 0 {
        return Ok(ReadLine::EndOfFile);
    }
    if bytes.ends_with(b"\n") || (read as u64) < MAX_LINE_BYTES {
        return Ok(ReadLine::Whole);
    }
    let mut rest = Vec::new();
    loop {
        rest.clear();
        let more = io::Read::take(&mut *source, MAX_LINE_BYTES).read_until(b'\n', &mut rest)?;
        if more == 0 || rest.ends_with(b"\n") {
            return Ok(ReadLine::TooLong);
        }
    }
}

/// The first comma, semicolon or tab outside quotes; a comma if there is none. Looks from the first `@` on, because a
/// local part may contain these characters.
fn delimiter(text: &str) -> u8 {
    let from = text.find('@').unwrap_or(0);
    let mut quoted = false;
    let mut outside = text.bytes().enumerate().filter(|(_, byte)| {
        quoted ^= *byte == b'"';
        !quoted
    });
    let found = outside.find(|(at, byte)| *at >= from && matches!(byte, b',' | b';' | b'\t'));
    found.map_or(b',', |(_, byte)| byte)
}

/// A time of RFC 3339 in UTC. `None`: other text.
fn in_utc(text: &str) -> Option<String> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(match text.ends_with('Z') {
        true => text.to_string(),
        false => at.to_string(),
    })
}

/// The cells of one line.
fn cells(text: &str, delimiter: u8) -> Vec<String> {
    // A reader of CSV takes longer to make than a line to split, and few lines have quotes.
    if !text.contains('"') {
        let cells = text.split(char::from(delimiter));
        return cells.map(str::to_string).collect();
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let record = reader.records().next().and_then(Result::ok);
    record.map_or_else(Vec::new, |cells| cells.iter().map(str::to_string).collect())
}

/// The columns that a first line names, and whether it is a header rather than a title.
fn columns(cells: &[String]) -> (Columns, bool) {
    let find = |names: &[&str]| {
        cells
            .iter()
            .position(|cell| names.contains(&cell.trim().to_lowercase().as_str()))
    };
    let address = find(&ADDRESS_COLUMNS);
    let columns = Columns {
        address: address.unwrap_or(0),
        reason: find(&[REASON_COLUMN]),
        source: find(&[SOURCE_COLUMN]),
        since: find(&[SINCE_COLUMN]),
        campaign: find(&[CAMPAIGN_COLUMN]),
    };
    (columns, address.is_some() && cells.len() > 1)
}

/// Tells an address from other text. Laxer than `Address::parse`, because an invalid address may be suppressed too.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    text.len() <= MAX_ADDRESS_BYTES
        && parts.is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains([',', ';', '"'])
        })
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Text for an error message: one line, at most 80 characters.
fn shown(text: &str) -> String {
    with_spaces(text).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<String> {
        Import::new(bytes)
            .map(|item| match item {
                Ok(listed) => {
                    let unknown = listed
                        .unknown_reason
                        .map_or(String::new(), |reason| format!(": {reason}"));
                    format!(
                        "{} {} {}{unknown}",
                        listed.line, listed.address, listed.reason
                    )
                }
                Err(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn reads_plain_lists_and_csv() {
        let plain = "\u{feff}Anna@Example.org\r\n\n# old: x@y.example\n b@c.example \nd@e.example,complaint";
        let expected = [
            "1 anna@example.org manual",
            "4 b@c.example manual",
            "5 d@e.example complaint",
        ];
        assert_eq!(read(plain.as_bytes()), expected);
        let csv = "id;Reason;E-Mail\n1;Unsubscribe;\"a@b.example\"\n2;;c@d.example\n";
        let expected = ["2 a@b.example unsubscribe", "3 c@d.example manual"];
        assert_eq!(read(csv.as_bytes()), expected);
        assert_eq!(
            read(b"# mine\nemail\na@b.example,whatever\n"),
            ["3 a@b.example manual"]
        );
        assert!(read(b"").is_empty());
        // A title is not a header. A line with another delimiter than the header's is an error.
        let titled = read(b"Blocked, May 2026\na@b.example;unsubscribe\n");
        assert_eq!(titled, ["2 a@b.example manual"]);
        let odd = read(b"email,reason\na@b.example;unsubscribe\n");
        assert_eq!(odd, ["line 2: `a@b.example;unsubscribe` is not an address"]);
    }

    #[test]
    fn reports_bad_lines_and_reads_on() {
        let long = "x".repeat(3 * MAX_LINE_BYTES as usize);
        let mut bytes = b"a@b.example\nno address\n@x\na b@c.example\n".to_vec();
        bytes.extend_from_slice(b"\xff@b.example\nc@d.example;\"because, he said\"\n");
        bytes.extend_from_slice(format!("{long}\n{}@e.example\n", "y".repeat(250)).as_bytes());
        bytes.extend_from_slice(b"z@y.example");
        let found = read(&bytes);
        let expected = [
            "1 a@b.example manual",
            "line 2: `no address` is not an address",
            "line 3: `@x` is not an address",
            "line 4: `a b@c.example` is not an address",
            "line 5: not valid UTF-8",
            "6 c@d.example manual: because, he said",
            "line 7: longer than 65536 bytes",
        ];
        assert_eq!(
            found.iter().take(7).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
        assert!(found[7].starts_with("line 8: `yyy"), "{}", found[7]);
        assert_eq!(found[8..], ["9 z@y.example manual"]);
    }

    #[test]
    fn reads_what_a_list_says_besides() {
        let list = "address,reason,source,since,campaign\n\
                    a@b.example,complaint,\"550 \"\"no\"\", go\",2026-05-01T00:00:00.5Z,spring\n\
                    c@d.example,manual,because,2026-05-01T02:00:00+02:00,\n\
                    e@f.example,moved away,,last year,\n";
        let read: Vec<ImportedAddress> = Import::new(list.as_bytes()).map(Result::unwrap).collect();
        let texts = |listed: &ImportedAddress| {
            [
                &listed.unknown_reason,
                &listed.source,
                &listed.since,
                &listed.campaign,
            ]
            .map(|text| text.clone().unwrap_or_default())
        };
        let read: Vec<[String; 4]> = read.iter().map(texts).collect();
        assert_eq!(
            read,
            [
                ["", "550 \"no\", go", "2026-05-01T00:00:00.5Z", "spring"],
                ["", "because", "2026-05-01T00:00:00Z", ""],
                ["moved away", "", "", ""],
            ]
        );
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            prop_assert!(Import::new(bytes.as_slice()).count() <= lines);
        }
    }
}
