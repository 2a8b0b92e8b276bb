//! The header row: which delimiter, which columns, where the address is.

use super::error::{HeaderProblem, RecipientsError, control_name, shortened};
use super::record::Record;
use crate::domain::address::Address;
use crate::domain::nearest::nearest;
use std::collections::HashSet;

const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The delimiter that stands most often in the first line that is not empty, outside of quotes; a comma if none does.
pub fn delimiter(window: &[u8]) -> u8 {
    let mut counts = [0usize; 3];
    let mut in_quotes = false;
    let mut begun = false;
    for byte in window {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'\n' | b'\r' if begun && !in_quotes => break,
            b'\n' | b'\r' => continue,
            byte if !in_quotes => {
                let hits = DELIMITERS.iter().zip(&mut counts);
                hits.filter(|(delimiter, _)| *delimiter == byte)
                    .for_each(|(_, count)| *count += 1);
            }
            _ => {}
        }
        begun = true;
    }
    let mut best = (b',', 0);
    for (delimiter, count) in DELIMITERS.into_iter().zip(counts) {
        if count > best.1 {
            best = (delimiter, count);
        }
    }
    best.0
}

/// The names, white space around them ignored: none empty, none twice, none an address.
pub fn columns(record: &Record) -> Result<Vec<String>, HeaderProblem> {
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(record.len());
    for (index, cell) in record.cells().enumerate() {
        let name = name(cell, index + 1)?;
        if !seen.insert(name.clone()) {
            return Err(HeaderProblem::Duplicate { name });
        }
        columns.push(name);
    }
    Ok(columns)
}

fn name(cell: &[u8], number: usize) -> Result<String, HeaderProblem> {
    let name = match std::str::from_utf8(cell) {
        Ok(name) => name.trim(),
        Err(_) => return Err(HeaderProblem::NotUtf8 { number }),
    };
    if name.is_empty() {
        return Err(HeaderProblem::Empty { number });
    }
    if let Some(byte) = name.bytes().find(u8::is_ascii_control) {
        let shown = control_name(byte);
        return Err(HeaderProblem::Control { number, shown });
    }
    if Address::parse(name).is_ok() {
        let value = shortened(name.as_bytes());
        return Err(HeaderProblem::Missing { value });
    }
    Ok(name.to_string())
}

/// The index of the column with the addresses.
pub fn email(
    columns: &[String],
    wanted: &str,
    path: String,
    line: u64,
) -> Result<usize, RecipientsError> {
    if let Some(index) = columns.iter().position(|column| column == wanted) {
        return Ok(index);
    }
    let nearest = nearest(wanted, columns.iter().map(String::as_str));
    Err(RecipientsError::NoEmailColumn {
        path,
        line,
        wanted: wanted.to_string(),
        columns: columns.to_vec(),
        nearest: nearest.map(str::to_string),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_recognised_outside_of_quotes() {
        for (window, wanted) in [
            ("email,name\n", b','),
            ("email;name\na,b,c,d;e", b';'),
            ("email\tname, first\tcity", b'\t'),
            ("\"a,b,c\";d\n", b';'),
            ("email\n", b','),
            ("\r\n\r\nemail;name", b';'),
            ("", b','),
        ] {
            assert_eq!(delimiter(window.as_bytes()), wanted, "{window:?}");
        }
    }
}
