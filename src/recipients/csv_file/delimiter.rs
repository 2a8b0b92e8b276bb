//! Recognises the delimiter of a CSV file from its header row.

const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

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
    fn recognises_the_delimiter_outside_quotes() {
        for (window, wanted) in [
            ("email,name\n", b','),
            ("email;name\na,b,c,d;e", b';'),
            ("email\tname, first\tcity", b'\t'),
            ("\"a,b,c\";d\n", b';'),
            ("email\n", b','),
            ("\r\n\r\nemail;name", b';'),
            ("", b','),
        ] {
            assert_eq!(recognise(window.as_bytes()), wanted, "{window:?}");
        }
    }
}
