//! A reply prepared for the rules: its text in lower case without echoed addresses, its codes and its stage.

use crate::domain::outcome::{Reply, Stage};

/// Only this much of a reply is examined. A hostile reply can be long, and the reason is at the beginning.
pub const MAX_TEXT_BYTES: usize = 2_048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Transient,
    Permanent,
    /// Neither 4xx nor 5xx.
    Junk,
}

#[derive(Debug)]
pub struct Evidence {
    pub stage: Stage,
    pub code: u16,
    pub severity: Severity,
    /// Subject and detail of the enhanced code.
    pub detail: Option<(u16, u16)>,
    text: String,
}

impl Evidence {
    pub fn new(stage: Stage, reply: &Reply) -> Evidence {
        Evidence {
            stage,
            code: reply.code,
            severity: match reply.code {
                400..=499 => Severity::Transient,
                500..=599 => Severity::Permanent,
                _ => Severity::Junk,
            },
            detail: reply.enhanced.map(|code| (code.1, code.2)),
            text: normalise(&reply.text),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the failure concerns all recipients: 421 (RFC 5321 §3.8), no storage on the system (452, x.3.1), not
    /// accepting mail (x.3.2), congestion (4.4.5).
    pub fn is_about_everybody(&self) -> bool {
        if self.severity != Severity::Transient {
            return false;
        }
        match self.detail {
            Some((3, 1) | (3, 2) | (4, 5)) => true,
            Some((1 | 2, _)) => false,
            None | Some((0, _)) => matches!(self.code, 421 | 431 | 452) && !self.has("mailbox"),
            Some(_) => self.code == 421,
        }
    }

    /// Whether the text matches a pattern: its parts, separated by `*`, occur in this order, each at the beginning of a
    /// word, so that `rbl` does not match `garble`. A part that begins with punctuation matches anywhere.
    pub fn has(&self, pattern: &str) -> bool {
        let mut rest = self.text.as_str();
        pattern.split('*').all(|part| match after(rest, part) {
            Some(left) => {
                rest = left;
                true
            }
            None => false,
        })
    }
}

/// The text after the first `part` at the beginning of a word.
fn after<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    let anywhere = !part.starts_with(|c: char| c.is_alphanumeric());
    text.match_indices(part).find_map(|(at, found)| {
        let before = text.get(..at)?.chars().next_back();
        let begins = anywhere || !before.is_some_and(char::is_alphanumeric);
        begins.then(|| text.get(at + found.len()..)).flatten()
    })
}

/// Lower case, one space between words, without words that contain `@`: `550 <spam@example.org>` is not about spam.
fn normalise(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut words = String::with_capacity(end);
    let kept = text.get(..end).unwrap_or_default().split_whitespace();
    for word in kept.filter(|word| !word.contains('@')) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&word.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(text: &str) -> Evidence {
        let reply = Reply {
            code: 550,
            enhanced: None,
            text: text.to_string(),
        };
        Evidence::new(Stage::RcptTo, &reply)
    }

    #[test]
    fn matches_parts_in_order_at_the_beginning_of_words() {
        let it = evidence("5.1.1 <Spam@x.example>:  Your IP is on the RBL. Code p=NoSuchUser");
        for there in ["your ip*rbl", "rbl", "p=nosuchuser", "nosuchuser", "on the"] {
            assert!(it.has(there), "{there}");
        }
        for missing in ["rbl*your ip", "spam", "bl", "our ip", "suchuser"] {
            assert!(!it.has(missing), "{missing}");
        }
        assert!(!evidence("garbled").has("rbl"));
        assert!(evidence("garbl rbl").has("rbl"));
    }

    #[test]
    fn examines_only_the_beginning_of_a_long_reply() {
        let long = format!("{}é quota", "ä".repeat(MAX_TEXT_BYTES));
        let it = evidence(&long);
        assert!(it.text().len() <= MAX_TEXT_BYTES);
        assert!(!it.has("quota"));
        assert!(
            evidence(&format!("x{}", "ä".repeat(MAX_TEXT_BYTES)))
                .text()
                .len()
                < MAX_TEXT_BYTES
        );
    }
}
