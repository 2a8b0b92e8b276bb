//! Values of settings as errors show them: what may be a secret is left out.

use crate::smtp::HIDDEN;
use std::borrow::Cow;

/// A value for a message: of a URL without the login and without the values of its options, because either may be a
/// password. An `@` behind a `?` may end a login with a `?` in it, so then only the scheme is shown.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Cow::Borrowed(text);
    };
    let (before, options) = match rest.split_once('?') {
        Some((_, after)) if after.contains('@') => {
            return Cow::Owned(format!("{scheme}://{HIDDEN}"));
        }
        Some((before, _)) => (before, format!("?{HIDDEN}")),
        None => (rest, String::new()),
    };
    let (login, place) = match before.rsplit_once('@') {
        Some((_, place)) => (format!("{HIDDEN}@"), place),
        None => (String::new(), before),
    };
    Cow::Owned(format!("{scheme}://{login}{place}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_login_and_options() {
        for (text, shown) in [
            ("30/fortnight", "30/fortnight"),
            ("https://h/x", "https://h/x"),
            ("https://u:hun@ter2@h/x", "https://(hidden)@h/x"),
            ("https://h/x?key=hunter2&a", "https://h/x?(hidden)"),
            ("https://h/x?key=a@hunter2", "https://(hidden)"),
            ("https://u:hunt?er@h", "https://(hidden)"),
            ("https://u:hunt@er?s@h/x?key=1", "https://(hidden)"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
