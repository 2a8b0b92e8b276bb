//! Recognises the delimiter of a CSV file from its header row, or from the line `sep=;` above it.

use super::split::line_end_bytes;

pub const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The delimiter that the line `sep=;` of Excel names, and the length of the line. It may name any sign.
pub fn sep_line(window: &[u8]) -> Option<(u8, usize)> {
    let line_end = window.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let (line, _) = window.split_at(line_end.unwrap_or(window.len()));
    let bare = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""));
    let (key, delimiter) = bare.unwrap_or(line).split_at_checked(4)?;
    let [delimiter] = delimiter else {
        return None;
    };
    let is_sign = delimiter.is_ascii() && !delimiter.is_ascii_alphanumeric() && *delimiter != b'"';
    let end = line.len() + line_end_bytes(window, line.len());
    (key.eq_ignore_ascii_case(b"sep=") && is_sign).then_some((*delimiter, end))
}

/// The delimiter that occurs most often outside quotes in the first line that is not empty. A comma if none occurs.
pub fn recognise(window: &[u8]) -> u8 {
    let mut counts = DELIMITERS.map(|delimiter| (delimiter, 0usize));
    let mut in_quotes = false;
    let mut has_begun = false;
    for byte in window {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'\n' | b'\r' if has_begun && !in_quotes => break,
            b'\n' | b'\r' => continue,
            byte if !in_quotes => {
                let hit = counts.iter_mut().find(|(delimiter, _)| delimiter == byte);
                if let Some((_, count)) = hit {
                    *count += 1;
                }
            }
            _ => {}
        }
        has_begun = true;
    }
    let mut best = (b',', 0);
    for (delimiter, count) in counts {
        if count > best.1 {
            best = (delimiter, count);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_delimiter_that_excel_names() {
        for (window, wanted) in [
            ("sep=;\r\nemail;name", Some((b';', 7))),
            ("SEP=,\nemail", Some((b',', 6))),
            ("\"sep=^\"\nemail", Some((b'^', 8))),
            ("sep=\t\remail", Some((b'\t', 6))),
            ("sep=|", Some((b'|', 5))),
            ("sep=;;\nemail", None),
            ("sep=a\n", None),
            ("sep=\n", None),
            ("email;sep=;\n", None),
            ("", None),
        ] {
            assert_eq!(sep_line(window.as_bytes()), wanted, "{window:?}");
        }
    }

    #[test]
    fn recognises_the_delimiter_outside_quotes() {
        for (window, wanted) in [
            ("email,name\n", b','),
            ("email;name\na,b,c,d;e", b';'),
            ("email\tname, first\tcity", b'\t'),
            ("\"a,b,c\";d\n", b';'),
            ("email|name\n", b'|'),
            ("email\n", b','),
            ("\r\n\r\nemail;name", b';'),
            ("", b','),
        ] {
            assert_eq!(recognise(window.as_bytes()), wanted, "{window:?}");
        }
    }
}
