//! Foreign text where people look at it: cells, replies, names of files and values of settings must not move the cursor,
//! turn the writing direction or hide a part of themselves.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character shows nothing of itself: a control character (C0, DEL, C1), a line or paragraph separator, a mark
/// of the writing direction, a character without width, or a tag.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || is_zero_width(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFF9}'..='\u{FFFB}')
}

/// Characters that copy and paste brings along, and nobody sees.
pub fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// The text on one line, with hidden characters by name: `\n`, `\u{202e}`.
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// The same for a text of several lines: line ends and tabs stay.
pub fn on_lines(text: &str) -> Cow<'_, str> {
    let text = match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    };
    let is_shown = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    match text {
        Cow::Borrowed(text) => escaped(text, is_shown),
        Cow::Owned(text) => Cow::Owned(escaped(&text, is_shown).into_owned()),
    }
}

/// The text with spaces in place of hidden characters, for records: what is stored is shown later.
pub fn with_spaces(text: &str) -> Cow<'_, str> {
    match text.contains(is_hidden) {
        true => Cow::Owned(text.replace(is_hidden, " ")),
        false => Cow::Borrowed(text),
    }
}

/// JSON with hidden characters escaped as JSON does it, so that it means the same.
pub fn in_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_hidden(c) {
            true => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a text cannot fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' if is_escaped(c) => shown.extend(c.escape_default()),
            c if is_escaped(c) => {
                // Writing to a text cannot fail.
                let _ = write!(shown, "{}", c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_have_names() {
        for (text, shown) in [
            ("Zo\u{eb} \u{2603} 春", "Zo\u{eb} \u{2603} 春"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{1b}[31m\u{9b}2J\u{7f}", "\\u{1b}[31m\\u{9b}2J\\u{7f}"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{2028}b\u{200b}c", "a\\u{2028}b\\u{200b}c"),
            ("a\u{e0041}\u{ad}\u{feff}", "a\\u{e0041}\\u{ad}\\u{feff}"),
        ] {
            assert_eq!(on_one_line(text), shown);
            // What was shown is shown the same again.
            assert_eq!(on_one_line(shown), shown);
        }
        assert_eq!(on_lines("a\r\nb\tc\u{1b}\n"), "a\nb\tc\\u{1b}\n");
        let json = in_json("[\"a\u{202e}\u{e0041}\"]");
        assert_eq!(json, r#"["a\u202e\udb40\udc41"]"#);
        assert_eq!(with_spaces("a\u{1b}b\u{202e}c"), "a b c");
    }
}
