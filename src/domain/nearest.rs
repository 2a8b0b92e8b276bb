//! Finds the known name that a user probably meant, for hints.

/// Returns the name with the fewest edits (insert, delete, replace a letter) from `wanted`, ignoring case. At most half
/// of the letters, and never more than four, may differ: beyond that it is another word and not a typing error.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 2).clamp(1, 4);
    names
        .into_iter()
        .map(|name| (strsim::levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_name_behind_a_typing_error() {
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
