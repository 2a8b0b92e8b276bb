//! The known name that somebody probably meant, for hints.

/// The name with the fewest edits from `wanted`, letter case ignored, if it is close enough to be a slip.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    let allowed = (wanted.len() / 2).clamp(1, 4);
    names
        .into_iter()
        .map(|name| (edits(&wanted, name), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements that make `name` of `wanted` (Levenshtein), row by row.
fn edits(wanted: &[char], name: &str) -> usize {
    let mut above: Vec<usize> = (0..=wanted.len()).collect();
    for (row, letter) in name.to_lowercase().chars().enumerate() {
        let mut left = row + 1;
        let mut below = Vec::with_capacity(above.len());
        below.push(left);
        for (pair, other) in above.windows(2).zip(wanted) {
            let (corner, up) = match pair {
                [corner, up] => (*corner, *up),
                _ => (0, 0),
            };
            let replaced = corner + usize::from(letter != *other);
            left = replaced.min(up + 1).min(left + 1);
            below.push(left);
        }
        above = below;
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_find_their_name_and_strangers_do_not() {
        let names = ["email", "name", "city", "first name"];
        for (wanted, found) in [
            ("e-mail", Some("email")),
            ("Email", Some("email")),
            ("mail", Some("email")),
            ("nmae", Some("name")),
            ("first_name", Some("first name")),
            ("telephone", None),
            ("", None),
        ] {
            assert_eq!(nearest(wanted, names), found, "{wanted}");
        }
    }
}
