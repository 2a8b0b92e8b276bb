//! When two addresses are one mailbox. The only rule for that: duplicates and suppression both ask here.

use super::address::is_dot_atom;
use icu_normalizer::ComposingNormalizerBorrowed;
use std::borrow::Cow;

/// Two addresses with the same key are one mailbox: case counts nowhere, accents are composed (NFC), needless quotes are
/// left out, the domain is in A-labels. RFC 5321 §2.4 lets `Anna` and `anna` be two mailboxes, but no large provider has
/// them, and a person who refuses mail refuses it for both. Text that is no address is trimmed and in lower case.
pub fn mailbox_key(address: &str) -> Cow<'_, str> {
    let address = address.trim();
    if is_plain(address) {
        return Cow::Borrowed(address);
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Cow::Owned(composed(address));
    };
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| composed(domain));
    Cow::Owned(format!("{}@{domain}", composed(&without_quotes(local))))
}

/// Most addresses: nothing to change.
fn is_plain(address: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'.' | b'-' | b'_' | b'+' | b'@')
    };
    address.bytes().all(plain)
}

fn composed(text: &str) -> String {
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    let lower = nfc.normalize(text).to_lowercase();
    // A few characters decompose when they change their case.
    nfc.normalize(&lower).into_owned()
}

/// A quoted local part as a dot-atom if it can be one, else without needless backslashes (RFC 5321 §4.1.2).
fn without_quotes(local: &str) -> Cow<'_, str> {
    let quoted = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else {
        return Cow::Borrowed(local);
    };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(escaped) => text.push(escaped),
                None => return Cow::Borrowed(local),
            },
            // Not a quoted local part.
            '"' => return Cow::Borrowed(local),
            c => text.push(c),
        }
    }
    if is_dot_atom(&text) {
        return Cow::Owned(text);
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(format!("\"{escaped}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_mailbox_have_one_key() {
        for (key, spellings) in [
            (
                "anna@example.org",
                &[
                    "anna@example.org",
                    " Anna@EXAMPLE.org ",
                    "\"anna\"@example.org",
                    "\"an\\na\"@example.org",
                ][..],
            ),
            (
                "jos\u{e9}@example.org",
                &["jose\u{301}@example.org", "JOS\u{c9}@example.org"],
            ),
            (
                "x@xn--mnchen-3ya.de",
                &[
                    "x@m\u{fc}nchen.de",
                    "X@M\u{dc}NCHEN.DE",
                    "x@XN--MNCHEN-3YA.de",
                    "x@mu\u{308}nchen.de",
                ],
            ),
            (
                "\"a b\"@example.org",
                &["\"A b\"@example.org", "\"a\\ b\"@example.org"],
            ),
            ("nobody", &["Nobody "]),
        ] {
            for spelling in spellings {
                assert_eq!(mailbox_key(spelling), key, "{spelling}");
            }
        }
        for (one, other) in [
            ("anna@example.org", "anna@example.com"),
            ("a.b@example.org", "ab@example.org"),
            ("a+x@example.org", "a@example.org"),
            ("\"a b\"@example.org", "ab@example.org"),
        ] {
            assert_ne!(mailbox_key(one), mailbox_key(other));
        }
    }
}
