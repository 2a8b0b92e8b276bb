//! The addresses in a cell. People and programs put spaces, marks and names around them, and several into one cell.

use super::error::RowProblem;
use crate::domain::address::{Address, AddressError};
use crate::domain::mailbox::{Mailbox, checked_name, phrase};
use crate::domain::shown::is_zero_width;

/// What a cell holds.
#[derive(Debug, PartialEq, Eq)]
pub struct AddressCell {
    /// At least one. Each with the name that stands beside it.
    pub addresses: Vec<Mailbox>,
    /// Something around an address was taken off.
    pub is_cleaned: bool,
}

/// Reads a cell with one address, or with several where `several` is allowed.
pub fn read(cell: &[u8], several: bool) -> Result<AddressCell, RowProblem> {
    let text = std::str::from_utf8(cell).map_err(|_| RowProblem::NotUtf8)?;
    // A curly quote could be a letter of an address, but is none.
    if !text.starts_with(is_mark)
        && !text.ends_with(is_mark)
        && let Ok(address) = Address::parse(text)
    {
        return Ok(AddressCell {
            addresses: vec![Mailbox {
                name: None,
                address,
            }],
            is_cleaned: false,
        });
    }
    let pieces = pieces(text);
    let found: Vec<Result<Mailbox, AddressError>> = pieces.iter().map(|piece| one(piece)).collect();
    let valid = found.iter().filter(|found| found.is_ok()).count();
    match (found.len(), several) {
        (0 | 1, _) => Ok(AddressCell {
            addresses: vec![one(text)?],
            is_cleaned: true,
        }),
        (count, false) if valid > 1 => Err(RowProblem::Several { count }),
        (_, false) => Err(RowProblem::Address(
            Address::parse(text).err().unwrap_or(AddressError::TwoAts),
        )),
        (_, true) => Ok(AddressCell {
            addresses: found.into_iter().collect::<Result<_, _>>()?,
            is_cleaned: false,
        }),
    }
}

/// Whether a cell is one or several addresses.
pub fn holds_address(cell: &str) -> bool {
    read(cell.as_bytes(), true).is_ok()
}

/// The address in a text that holds one: `Anna <anna@example.org>`, `mailto:anna@example.org`, `'anna@example.org`.
fn one(text: &str) -> Result<Mailbox, AddressError> {
    let text = text.trim_matches(|c| is_space(c) || matches!(c, ',' | ';'));
    let text = shown_by_link(text).unwrap_or(text);
    let inside = text
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'));
    // A name as RFC 822 put it: `anna@example.org (Anna)`.
    let comment = || {
        text.strip_suffix(')')
            .and_then(|rest| rest.split_once(" ("))
    };
    let (beside, text) = match inside {
        Some((before, inside)) => (before, inside),
        None => comment().map_or(("", text), |(before, inside)| (inside, before)),
    };
    let text = text.trim_matches(is_mark);
    let text = match text.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto:") => {
            rest.split_once('?').map_or(rest, |(address, _)| address)
        }
        _ => text,
    };
    let text = text.trim_matches(is_mark);
    let unquoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Ok(Mailbox {
        address: Address::parse(unquoted.unwrap_or(text))?,
        name: name(beside),
    })
}

/// The address that a link of HTML shows, as web tables are copied: `<a href="mailto:…">anna@example.org</a>`.
fn shown_by_link(text: &str) -> Option<&str> {
    let (tag, rest) = text.split_once('>')?;
    let is_link = tag.get(..3)?.eq_ignore_ascii_case("<a ");
    let end = rest.len().checked_sub("</a>".len())?;
    let (shown, close) = rest.split_at_checked(end)?;
    let is_closed = close.eq_ignore_ascii_case("</a>");
    (is_link && is_closed && shown.contains('@')).then_some(shown)
}

/// The name in what stands beside an address. White space is one space each time. `None` for what says nothing in a
/// mail: another address, an encoded word, what is too long for a name.
fn name(beside: &str) -> Option<String> {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    let visible: String = beside.chars().filter(|c| !is_zero_width(*c)).collect();
    let words: Vec<&str> = visible
        .split(is_blank)
        .filter(|word| !word.is_empty())
        .collect();
    let name = phrase(words.join(" ").trim_matches(is_mark))?;
    let says_nothing = name.contains('@') || name.contains("=?");
    checked_name(&name).ok()?.filter(|_| !says_nothing)
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || is_zero_width(c)
}

/// White space, marks that spreadsheets put before text, and quotes that people put around an address.
fn is_mark(c: char) -> bool {
    is_space(c)
        || matches!(
            c,
            '\'' | '`'
                | '´'
                | '<'
                | '>'
                | ','
                | ';'
                | '‘'
                | '’'
                | '‚'
                | '“'
                | '”'
                | '„'
                | '«'
                | '»'
                | '‹'
                | '›'
        )
}

/// The parts of a cell with an address each, if it has several `@`. Names stay with the address that they belong to.
fn pieces(text: &str) -> Vec<String> {
    if text.matches('@').count() < 2 {
        return Vec::new();
    }
    let mut pieces: Vec<String> = Vec::new();
    // A part without an address, such as the `Berg` of `Berg, Anna <anna@example.org>`.
    let mut name = String::new();
    for part in split_outside_quotes(text) {
        if !part.contains('@') {
            name.push_str(part);
            name.push(' ');
            continue;
        }
        let part = std::mem::take(&mut name) + part;
        let is_list = part.matches('@').count() > 1 && !part.contains('<');
        match is_list {
            true => pieces.extend(words_with_address(&part)),
            false => pieces.push(part),
        }
    }
    pieces
}

/// Parts between commas, semicolons and line breaks that are not in quotes.
fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    text.split(move |c| {
        in_quotes ^= c == '"';
        !in_quotes && matches!(c, ',' | ';' | '\r' | '\n' | '，' | '；' | '、')
    })
}

fn words_with_address(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '/' | '|' | '&'));
    let words = words.filter(|word| word.contains('@'));
    words.map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cell: &str, several: bool) -> Result<(Vec<String>, bool), String> {
        let cell = read(cell.as_bytes(), several).map_err(|problem| problem.to_string())?;
        let addresses = cell.addresses.iter().map(|found| found.address.to_string());
        Ok((addresses.collect(), cell.is_cleaned))
    }

    #[test]
    fn takes_off_what_stands_around_an_address() {
        let anna = |is_cleaned| Ok((vec!["anna@example.org".to_string()], is_cleaned));
        assert_eq!(found("anna@example.org", false), anna(false));
        for cell in [
            " anna@example.org ",
            "anna@example.org\u{a0}",
            "\u{3000}anna@example.org\r\n",
            "\u{feff}anna@example.org\u{200b}",
            "'anna@example.org",
            "'anna@example.org'",
            "\"anna@example.org\"",
            "\u{201c}anna@example.org\u{201d}",
            "mailto:anna@example.org",
            "MAILTO:anna@example.org?subject=Hi",
            "<anna@example.org>",
            "<mailto:anna@example.org>",
            "<a href=\"mailto:anna@example.org\">anna@example.org</a>",
            "<A HREF='mailto:info@example.org'>anna@example.org</A>",
            "Anna Berg <anna@example.org>",
            "Berg, Anna <anna@example.org>",
            "\"Berg, Anna\" <anna@example.org>",
            "anna@home.example <anna@example.org>",
            "Anna Berg<anna@example.org>;",
            "anna@example.org (Anna Berg)",
            "anna@example.org,",
        ] {
            assert_eq!(found(cell, false), anna(true), "{cell:?}");
        }
        for kept in [
            "o'neil@example.org",
            "\"a b\"@example.org",
            "a/b@example.org",
        ] {
            assert_eq!(found(kept, false), Ok((vec![kept.to_string()], false)));
        }
    }

    #[test]
    fn keeps_the_name_beside_an_address() {
        for (cell, wanted) in [
            ("anna@example.org", None),
            ("<anna@example.org>", None),
            ("Anna Berg <anna@example.org>", Some("Anna Berg")),
            ("Berg, Anna <anna@example.org>", Some("Berg, Anna")),
            ("\"Berg, Anna\" <anna@example.org>", Some("Berg, Anna")),
            ("'Anna Berg' <anna@example.org>", Some("Anna Berg")),
            (
                "\u{201e}Anna\u{201c} <mailto:anna@example.org>",
                Some("Anna"),
            ),
            ("Anna\u{a0}\r\n Berg\t<anna@example.org>", Some("Anna Berg")),
            ("An\u{200b}na\0 <anna@example.org>", Some("Anna")),
            ("anna@example.org (Anna Berg)", Some("Anna Berg")),
            ("anna@home.example <anna@example.org>", None),
            ("=?utf-8?q?Anna?= <anna@example.org>", None),
            ("A <b> <anna@example.org>", None),
            (&format!("{} <anna@example.org>", "x".repeat(256)), None),
        ] {
            let cell = read(cell.as_bytes(), false).unwrap();
            assert_eq!(cell.addresses[0].name.as_deref(), wanted);
        }
        let cell = read(
            "Anna <a@x.io>, \"B, Bert\" <b@x.io>; c@x.io".as_bytes(),
            true,
        )
        .unwrap();
        let names = cell.addresses.iter().map(|found| found.name.as_deref());
        assert_eq!(
            names.collect::<Vec<_>>(),
            [Some("Anna"), Some("B, Bert"), None]
        );
    }

    #[test]
    fn reads_several_addresses_only_where_they_are_allowed() {
        for cell in [
            "a@x.io; b@x.io",
            "a@x.io,b@x.io",
            "a@x.io b@x.io",
            "a@x.io\nb@x.io",
            "a@x.io / b@x.io",
            "a@x.io und b@x.io",
            "Anna <a@x.io>, \"B, Bert\" <b@x.io>;",
            "Berg, Anna <a@x.io>; b@x.io",
        ] {
            let both = vec!["a@x.io".to_string(), "b@x.io".to_string()];
            assert_eq!(found(cell, true), Ok((both, false)), "{cell:?}");
            assert_eq!(
                found(cell, false),
                Err("2 addresses in one cell".to_string()),
                "{cell:?}"
            );
        }
        assert_eq!(found("a@@x.io", true), Err("two `@`".to_string()));
        assert_eq!(found("a@x.io; b@@x.io", true), Err("two `@`".to_string()));
        assert!(found("", true).is_err() && found("<>", false).is_err());
    }
}
