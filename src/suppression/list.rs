//! Suppression lists as files: read one address a line, alone or as `address,reason`, with or without a header; written
//! as CSV that a spreadsheet does not take for formulas. Lines are read one by one and bounded.

use super::entry::{Entry, fold};
use crate::domain::outcome::Reason;
use std::io::{self, BufRead, Write};

/// Longer lines are no addresses.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// RFC 5321 §4.5.3.1.3, less the angle brackets.
const MAX_ADDRESS_BYTES: usize = 254;
const HEADER: [&str; 5] = ["address", "reason", "source", "since", "campaign"];

/// One line of a list: a folded address and why, `manual` where the list does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// From 1.
    pub line: u64,
    pub address: String,
    pub reason: Reason,
    /// What stood there instead of a reason of ours.
    pub words: Option<String>,
}

/// A line that is not taken; the rest goes on.
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

/// Reads a list, line by line. Empty lines and comments are skipped; a first line without an `@` is the
/// header and says by name where the address (`address`, `email`) and the reason stand.
pub struct Import<R> {
    source: R,
    line: u64,
    columns: Columns,
    /// The header's; without one each line shows its own.
    delimiter: Option<u8>,
    /// The first line that lists something, or the header, has been seen.
    begun: bool,
    failed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Columns {
    address: usize,
    reason: usize,
}

impl<R: BufRead> Import<R> {
    pub fn new(source: R) -> Import<R> {
        Import {
            source,
            line: 0,
            columns: Columns {
                address: 0,
                reason: 1,
            },
            delimiter: None,
            begun: false,
            failed: false,
        }
    }

    /// The next line's bytes, `None` at the end; what exceeds the limit is read past and not kept.
    fn read_line(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        self.line += 1;
        let line = self.line;
        let mut bytes = Vec::new();
        let read = limited(&mut self.source, &mut bytes);
        match read.map_err(|error| ImportError::Unreadable { line, error })? {
            Length::End => Ok(None),
            Length::Within => Ok(Some(bytes)),
            Length::Beyond => Err(ImportError::TooLong { line }),
        }
    }

    /// `None` for a line that lists nothing.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<Listed>, ImportError> {
        let line = self.line;
        let text = std::str::from_utf8(bytes).map_err(|_| ImportError::NotUtf8 { line })?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || is_comment(text) {
            return Ok(None);
        }
        let delimiter = self.delimiter.unwrap_or_else(|| delimiter(text));
        let cells = cells(text, delimiter);
        let first = !std::mem::replace(&mut self.begun, true);
        if first && !text.contains('@') {
            // A title says nothing of the lines below it.
            let (columns, is_header) = columns(&cells);
            self.columns = columns;
            self.delimiter = is_header.then_some(delimiter);
            return Ok(None);
        }
        let cell = |index: usize| cells.get(index).map_or("", |cell| plain(cell.trim()));
        let address = fold(cell(self.columns.address));
        if !is_address(&address) {
            let found = shown(cell(self.columns.address));
            return Err(ImportError::NotAnAddress { line, found });
        }
        // Whoever is on the list does not want mail, in whatever words somebody wrote down why.
        let why = cell(self.columns.reason);
        let known: Option<Reason> = why.to_lowercase().parse().ok();
        let words = (known.is_none() && !why.is_empty()).then(|| shown(why));
        Ok(Some(Listed {
            line,
            address,
            reason: known.unwrap_or(Reason::Manual),
            words,
        }))
    }
}

impl<R: BufRead> Iterator for Import<R> {
    type Item = Result<Listed, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            let listed = match self.read_line() {
                Ok(Some(bytes)) => self.take(&bytes),
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            // A file that cannot be read on would fail for ever.
            self.failed = matches!(listed, Err(ImportError::Unreadable { .. }));
            if let Some(item) = listed.transpose() {
                return Some(item);
            }
        }
        None
    }
}

/// `#` is also what a local part may begin with (RFC 5322 §3.2.3).
fn is_comment(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|rest| rest.starts_with(char::is_whitespace) || !rest.contains('@'))
}

enum Length {
    End,
    Within,
    Beyond,
}

/// Reads up to and past a line feed, keeping at most [`MAX_LINE_BYTES`].
fn limited(source: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<Length> {
    let read = io::Read::take(&mut *source, MAX_LINE_BYTES).read_until(b'\n', bytes)?;
    if read == 0 {
        return Ok(Length::End);
    }
    if bytes.ends_with(b"\n") || (read as u64) < MAX_LINE_BYTES {
        return Ok(Length::Within);
    }
    let mut rest = Vec::new();
    loop {
        rest.clear();
        let more = io::Read::take(&mut *source, MAX_LINE_BYTES).read_until(b'\n', &mut rest)?;
        if more == 0 || rest.ends_with(b"\n") {
            return Ok(Length::Beyond);
        }
    }
}

/// What separates the cells of a line: the first comma, semicolon or tab outside quotes, and behind an address if there
/// is one, whose local part may hold some.
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

/// The cells of one line, quoted or not.
fn cells(text: &str, delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let record = reader.records().next().and_then(Result::ok);
    record.map_or_else(Vec::new, |cells| cells.iter().map(str::to_string).collect())
}

/// Second: the address's is among them by name.
fn columns(cells: &[String]) -> (Columns, bool) {
    let find = |names: &[&str]| {
        cells
            .iter()
            .position(|cell| names.contains(&cell.trim().to_lowercase().as_str()))
    };
    let address = find(&["address", "email", "e-mail", "mail", "recipient"]);
    let columns = Columns {
        address: address.unwrap_or(0),
        reason: find(&["reason"]).unwrap_or(usize::MAX),
    };
    (columns, address.is_some() && cells.len() > 1)
}

/// Enough to tell an address from anything else: what is suppressed here need not be mailable.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    text.len() <= MAX_ADDRESS_BYTES
        && parts.is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains([',', ';', '"'])
        })
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// What was found, short enough for a message.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(80)
        .collect()
}

/// Writes a list as CSV with a header. Entries must come one by one: a list can be long.
pub fn export(
    entries: impl IntoIterator<Item = Entry>,
    target: impl Write,
) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(target);
    writer.write_record(HEADER)?;
    for entry in entries {
        writer.write_record([
            guarded(&entry.address),
            guarded(&entry.reason.to_string()),
            guarded(&entry.source),
            guarded(&entry.since),
            guarded(entry.campaign.as_deref().unwrap_or("")),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Spreadsheets run cells that begin like formulas; a quote before them makes them text. One that would look guarded
/// already gets another, so that [`plain`] gives back what was there. Line feeds become spaces: a list has one entry
/// a line.
fn guarded(cell: &str) -> String {
    let cell = cell.replace(['\n', '\r'], " ");
    let bare = cell.trim_start_matches('\'');
    if bare.starts_with(FORMULA) {
        format!("'{cell}")
    } else {
        cell
    }
}

/// A cell without the guard that [`guarded`] puts before it.
fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(FORMULA) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(address: &str, source: &str) -> Entry {
        Entry {
            address: address.to_string(),
            reason: Reason::Complaint,
            source: source.to_string(),
            since: "2026-05-01T00:00:00Z".to_string(),
            campaign: None,
        }
    }

    fn read(bytes: &[u8]) -> Vec<String> {
        Import::new(bytes)
            .map(|item| match item {
                Ok(listed) => {
                    let words = listed
                        .words
                        .map_or(String::new(), |words| format!(": {words}"));
                    format!(
                        "{} {} {}{words}",
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
        // A title is no header; a header with another separator is told.
        let titled = read(b"Blocked, May 2026\na@b.example;unsubscribe\n");
        assert_eq!(titled, ["2 a@b.example manual"]);
        let odd = read(b"email,reason\na@b.example;unsubscribe\n");
        assert_eq!(odd, ["line 2: `a@b.example;unsubscribe` is not an address"]);
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_goes_on() {
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
    fn exported_cells_are_no_formulas() {
        let mut written = Vec::new();
        let entries = [
            entry("=cmd@x.example", "@SUM(A1)\n\r=x"),
            entry("'-a@x.example", "-1"),
        ];
        export(entries, &mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "address,reason,source,since,campaign\n\
             '=cmd@x.example,complaint,'@SUM(A1)  =x,2026-05-01T00:00:00Z,\n\
             ''-a@x.example,complaint,'-1,2026-05-01T00:00:00Z,\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_exported_can_be_imported(
            locals in prop::collection::vec("['=+@a-z0-9,;\"#-]{1,20}", 1..20),
            source in "\\PC{0,40}",
        ) {
            let addresses: Vec<String> = locals.iter().map(|l| format!("{l}@b.example")).collect();
            let mut written = Vec::new();
            export(addresses.iter().map(|a| entry(a, &source)), &mut written).unwrap();
            let read: Vec<String> = Import::new(written.as_slice())
                .map(|item| item.unwrap().address)
                .collect();
            prop_assert_eq!(read, addresses);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            prop_assert!(Import::new(bytes.as_slice()).count() <= lines);
        }
    }
}
