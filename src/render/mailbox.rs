//! Writes mailboxes into header fields: `To: Name <address>` (RFC 5322 §3.4, RFC 2047 §5).

use super::encoded_word;
use super::header::FOLD_AT;
use crate::domain::mailbox::Mailbox;

/// Appends the field with its CRLF. The address is written as it is: it has no control characters and at most 254 bytes.
/// The name is written so that no character of it can end it.
pub fn write(field: &str, mailbox: &Mailbox, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(b": ");
    let address = mailbox.address.as_str();
    match &mailbox.name {
        None => out.extend_from_slice(address.as_bytes()),
        Some(name) => {
            write_phrase(name, field.len() + 2, out);
            let column = column(out.get(start..).unwrap_or_default());
            if column + address.len() + 3 > FOLD_AT {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b" <");
            out.extend_from_slice(address.as_bytes());
            out.push(b'>');
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a name as words, as a quoted string, or as encoded words.
fn write_phrase(name: &str, column: usize, out: &mut Vec<u8>) {
    if is_words(name) && column + name.len() <= FOLD_AT {
        out.extend_from_slice(name.as_bytes());
        return;
    }
    let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    // Some programs decode what looks like an encoded word in quotes too, or make one space of several.
    let is_kept = !name.contains("=?") && !name.contains("  ");
    let is_printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_kept && is_printable && column + quoted.len() <= FOLD_AT {
        out.extend_from_slice(quoted.as_bytes());
    } else {
        encoded_word::write(name, column, out);
    }
}

/// Whether a name is atoms with a space between (RFC 5322 §3.2.3), none of which looks like an encoded word.
fn is_words(name: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let is_atom = |word: &str| !word.is_empty() && word.bytes().all(is_atext);
    name.split(' ').all(is_atom) && !name.contains("=?")
}

/// Bytes of the last line.
fn column(written: &[u8]) -> usize {
    let last = written.iter().rev().take_while(|byte| **byte != b'\n');
    last.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(field: &str, text: &str) -> String {
        let mut out = Vec::new();
        write(field, &Mailbox::parse(text).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_words_quoted_strings_and_encoded_words() {
        for (text, wanted) in [
            ("news@acme.example", "From: news@acme.example\r\n"),
            (
                "Acme <news@Acme.example>",
                "From: Acme <news@acme.example>\r\n",
            ),
            (
                "Acme <news@münchen.de>",
                "From: Acme <news@xn--mnchen-3ya.de>\r\n",
            ),
            (
                "Acme, Inc. <news@acme.example>",
                "From: \"Acme, Inc.\" <news@acme.example>\r\n",
            ),
            (
                "\"a \\\"b\\\" c\" <news@acme.example>",
                "From: \"a \\\"b\\\" c\" <news@acme.example>\r\n",
            ),
            (
                "Zoë <news@acme.example>",
                "From: =?utf-8?q?Zo=C3=AB?= <news@acme.example>\r\n",
            ),
            (
                "=?utf-8?q?x?= <news@acme.example>",
                "From: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <news@acme.example>\r\n",
            ),
        ] {
            assert_eq!(written("From", text), wanted);
        }
        let long = format!("{} Berg <news@acme.example>", "Anna".repeat(15));
        assert_eq!(
            written("To", &long),
            format!("To: {} Berg\r\n <news@acme.example>\r\n", "Anna".repeat(15))
        );
    }

    proptest! {
        #[test]
        fn an_independent_parser_reads_any_name_back(name in "([!-~é春𝄞]|=\\?utf-8\\?q\\?a\\?=)([ -~é春𝄞]){0,60}[!-~é春]") {
            let address = "anna@example.org";
            let mailbox = Mailbox { name: Some(name.clone()), address: crate::domain::address::Address::parse(address).unwrap() };
            let mut out = Vec::new();
            write("Reply-To", &mailbox, &mut out);
            let field = String::from_utf8(out).unwrap();
            prop_assert!(field.is_ascii());
            prop_assert!(field.trim_end_matches("\r\n").split("\r\n").all(|line| line.len() <= FOLD_AT));
            let folded = field.matches("\r\n").count();
            prop_assert_eq!(field.matches("\r\n ").count(), folded - 1);
            let message = format!("{field}\r\n");
            let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
            prop_assert_eq!(parsed.headers().len(), 1);
            let found = parsed.reply_to().unwrap().as_list().map(<[_]>::to_vec).unwrap_or_default();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].address(), Some(address));
            prop_assert_eq!(found[0].name(), Some(name.as_str()));
        }
    }
}
