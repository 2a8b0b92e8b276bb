//! Numbers and untrusted text, as a terminal shows them.

use crate::domain::shown::is_hidden;
use crate::recipients::Tidied;

/// Thousands with commas.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 letter`, `1,200 letters`, `3 batches`.
pub fn counted(number: u64, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with(['s', 'h']) => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", grouped(number))
}

/// What was left out of a list or put right in it, each as a phrase.
pub fn tidied(tidied: &Tidied) -> Vec<String> {
    let phrases = [
        (tidied.cleaned_addresses, "address", "cleaned"),
        (tidied.empty_rows, "empty row", "ignored"),
        (tidied.ignored_columns, "column", "without a name ignored"),
    ];
    phrases
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, noun, what)| format!("{} {what}", counted(count, noun)))
        .collect()
}

/// Untrusted text on one line, at most this many characters. Hidden characters are replaced, because a relay or a list
/// must not control the terminal.
pub fn plain(text: &str, characters: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(characters)
        .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(characters).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_control_characters_and_shortens_text() {
        assert_eq!(
            plain("a\x1b[31mb\r\nc", 20),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}c"
        );
        assert_eq!(plain("a\u{202e}b", 20), "a\u{fffd}b");
        assert_eq!(plain("abcd", 4), "abcd");
        assert_eq!(plain("abcde", 4), "abc…");
    }
}
