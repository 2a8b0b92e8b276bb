//! The manual page mailq.toml(5), made from the declared keys, in roff with man macros.

use super::environment::VARIABLES;
use super::keys::{CAMPAIGN, PROJECT};
use super::schema::{Key, Schema};

const DESCRIPTION: &str = "\
The nearest `mailq.toml` in the folder of the campaign or above it, else in the working directory or above it, makes its \
folder the project. Relative paths in it belong to that folder. A flag wins over a variable, a variable over the file, \
and the file over the default; `mailq --print-config` shows each value and where it comes from. An unknown key is an \
error.";

const UNITS: &str = "\
Durations have one unit: `500ms`, `30s`, `5m`, `1h`, `7d`. Rates count messages: `30/min`, `500/s`, `10000/h`, \
`2M/day`, `unlimited`. They hold for all workers together, while connections are counted for one worker.";

/// The page in roff.
pub fn manual_page() -> String {
    let mut page = String::from(
        ".TH mailq.toml 5 \"\" \"mailq\"\n.SH NAME\nmailq.toml \\- settings of a mailq project, and campaign files\n\
         .SH DESCRIPTION\n",
    );
    page.push_str(&format!("{}\n.PP\n{}\n", roff(DESCRIPTION), roff(UNITS)));
    page.push_str(".SH \"KEYS OF MAILQ.TOML\"\n");
    describe(&PROJECT, &mut page);
    page.push_str(".SH \"KEYS OF A CAMPAIGN FILE\"\n");
    describe(&CAMPAIGN, &mut page);
    page.push_str(".SH ENVIRONMENT\n");
    for variable in VARIABLES {
        let names: Vec<String> = variable.names.iter().map(|name| bold(name)).collect();
        let (names, text) = (names.join(", "), roff(variable.text));
        page.push_str(&format!(".TP\n{names}\n{text}\n"));
    }
    page.push_str(".SH \"SEE ALSO\"\n.BR mailq (1)\n");
    page
}

fn describe(schema: &Schema, page: &mut String) {
    for table in schema.tables {
        let (title, text) = (roff(&table.title()), roff(&table.text()));
        match table.path {
            "" => page.push_str(&format!("{text}\n")),
            _ => page.push_str(&format!(".SS {title}\n{text}\n")),
        }
        for key in table.keys {
            let (head, text) = (bold(&key.assignment()), roff(&entry(key)));
            page.push_str(&format!(".TP\n{head}\n{text}\n"));
        }
    }
}

/// Everything about a key, as sentences.
fn entry(key: &Key) -> String {
    let mut sentences = vec![format!("{}.", key.help()), key.details()];
    sentences.extend(key.values().map(|values| format!("{values}.")));
    sentences.push(match key.shown_default() {
        _ if key.is_required => "Required.".into(),
        Some(default) => format!("Default: {default}."),
        None => String::new(),
    });
    let also: Vec<String> = key
        .flag
        .iter()
        .chain(key.variables)
        .map(|name| format!("`{name}`"))
        .collect();
    if !also.is_empty() {
        sentences.push(format!("Also {}.", also.join(", ")));
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.join(" ")
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", roff(text))
}

/// Escapes for roff; text in backticks is set bold.
fn roff(text: &str) -> String {
    let mut is_bold = false;
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '`' => {
                is_bold = !is_bold;
                escaped.push_str(if is_bold { "\\fB" } else { "\\fR" });
            }
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '"' => escaped.push_str("\\(dq"),
            other => escaped.push(other),
        }
    }
    match escaped.starts_with(['.', '\'']) {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_key() {
        let page = manual_page();
        for key in PROJECT.keys().chain(CAMPAIGN.keys()) {
            let head = bold(&key.assignment());
            assert!(page.contains(&head), "{}", key.path());
        }
        assert!(!page.lines().any(|line| line.len() > 2_000));
    }

    #[test]
    fn an_entry_has_help_details_values_default_and_sources() {
        assert_eq!(
            entry(crate::config::keys::SendKeys::burst()),
            "Messages that may leave at once after a pause. The rate may then be exceeded by `burst - 1` messages in \
             one window, such as one minute for `30/min`. A whole number from 1 to 1000000. Default: `1`. Also \
             `--burst`, `MAILQ_BURST`."
        );
    }
}
