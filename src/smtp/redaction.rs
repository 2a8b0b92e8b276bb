//! Cuts what we sent in AUTH out of the words of a relay, because replies are printed, logged and stored in events, and
//! some relays repeat the line that they refuse.

use std::borrow::Cow;
use std::collections::HashSet;

/// Stands where a secret stood.
pub const HIDDEN: &str = "(hidden)";
/// So many characters of a longer secret in a row are cut too, because relays shorten and wrap what they repeat.
const WINDOW: usize = 12;
/// A secret shorter than this is cut only as a word of its own, because it is a part of many words.
const SHORTEST_PART: usize = 4;

/// Texts to be hidden. Compared without regard to case and white space.
#[derive(Clone, Default)]
pub struct Redaction {
    /// Each whole secret.
    secrets: Vec<Vec<u8>>,
    /// Every `WINDOW` characters in a row of the longer ones.
    windows: HashSet<[u8; WINDOW]>,
}

impl Redaction {
    /// Hides this text from now on.
    pub fn add(&mut self, secret: &str) {
        let secret: Vec<u8> = compared(secret).map(|(_, byte)| byte).collect();
        if secret.is_empty() || self.secrets.contains(&secret) {
            return;
        }
        let windows = secret.windows(WINDOW);
        self.windows
            .extend(windows.filter_map(|window| <[u8; WINDOW]>::try_from(window).ok()));
        self.secrets.push(secret);
    }

    /// The text with `(hidden)` where a secret stands.
    pub fn of<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let (places, bytes): (Vec<usize>, Vec<u8>) = compared(text).unzip();
        let mut is_hidden = vec![false; bytes.len()];
        for (start, window) in bytes.windows(WINDOW).enumerate() {
            if self.windows.contains(window) {
                hide(&mut is_hidden, start, WINDOW);
            }
        }
        for secret in self.secrets.iter().filter(|s| s.len() < WINDOW) {
            for (start, part) in bytes.windows(secret.len()).enumerate() {
                let counts =
                    || secret.len() >= SHORTEST_PART || is_word(text, &places, start, part.len());
                if part == secret && counts() {
                    hide(&mut is_hidden, start, secret.len());
                }
            }
        }
        let hidden = places.iter().zip(&is_hidden);
        let hidden: HashSet<usize> = hidden.filter(|(_, is)| **is).map(|(at, _)| *at).collect();
        match hidden.is_empty() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(without(text, &hidden)),
        }
    }
}

/// The bytes that are compared, each with its place in the text.
fn compared(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = text.bytes().enumerate();
    bytes
        .filter(|(_, byte)| !byte.is_ascii_whitespace() && !byte.is_ascii_control())
        .map(|(at, byte)| (at, byte.to_ascii_lowercase()))
}

fn hide(is_hidden: &mut [bool], start: usize, count: usize) {
    for hidden in is_hidden.iter_mut().skip(start).take(count) {
        *hidden = true;
    }
}

/// Whether no letter or digit stands next to these bytes in the text.
fn is_word(text: &str, places: &[usize], start: usize, count: usize) -> bool {
    let (Some(first), Some(last)) = (places.get(start), places.get(start + count - 1)) else {
        return false;
    };
    let before = text.get(..*first).and_then(|text| text.chars().next_back());
    let after = text.get(last + 1..).and_then(|text| text.chars().next());
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !is_part(before) && !is_part(after)
}

/// Replaces each row of hidden places, with the white space inside it, by one `(hidden)`.
fn without(text: &str, hidden: &HashSet<usize>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut space = String::new();
    let mut is_inside = false;
    for (at, c) in text.char_indices() {
        // A character of several bytes may be hidden in part.
        if (at..at + c.len_utf8()).any(|byte| hidden.contains(&byte)) {
            if !is_inside {
                shown.push_str(&std::mem::take(&mut space));
                shown.push_str(HIDDEN);
            }
            space.clear();
            is_inside = true;
        } else if c.is_whitespace() {
            space.push(c);
        } else {
            shown.push_str(&std::mem::take(&mut space));
            shown.push(c);
            is_inside = false;
        }
    }
    shown.push_str(&space);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secrets: &[&str], text: &str) -> String {
        let mut redaction = Redaction::default();
        for secret in secrets {
            redaction.add(secret);
        }
        redaction.of(text).into_owned()
    }

    #[test]
    fn cuts_a_secret_out_wherever_and_however_it_is_repeated() {
        let long = "AGpvaG4Ac3VwZXItc2VjcmV0LTE5";
        for (secrets, text, expected) in [
            (
                &["hunter2"][..],
                "5.7.8 bad `hunter2`!",
                "5.7.8 bad `(hidden)`!",
            ),
            (&["hunter2"], "5.7.8 bad HUNTER2", "5.7.8 bad (hidden)"),
            (&["two words"], "no two  words here", "no (hidden) here"),
            (&["p\u{e9}p\u{e9}"], "no p\u{e9}p\u{e9}.", "no (hidden)."),
            (
                &[long],
                "AUTH PLAIN AGpvaG4Ac3VwZXItc2VjcmV0LTE5: no",
                "AUTH PLAIN (hidden): no",
            ),
            // Shortened, and wrapped.
            (&[long], "bad: AGpvaG4Ac3VwZX...", "bad: (hidden)..."),
            (
                &[long],
                "bad: AGpvaG4Ac3VwZ\nXItc2VjcmV0LTE5 end",
                "bad: (hidden) end",
            ),
            // A short one is a part of many words.
            (&["a"], "a bad day: a", "(hidden) bad day: (hidden)"),
            (&["hunter2"], "5.7.8 denied", "5.7.8 denied"),
            (&[], "5.7.8 denied ", "5.7.8 denied "),
        ] {
            assert_eq!(shown(secrets, text), expected, "{text}");
        }
    }
}
