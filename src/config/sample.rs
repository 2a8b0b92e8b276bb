//! The sample `mailq.toml` and the manual page mailq.toml(5), written from the table of keys.

use super::keys::{CAMPAIGN, Key, PROJECT, Schema, Shape};

/// A `mailq.toml` that works as it is (mail goes to files in `outbox/`) and shows every key with its default.
pub fn project_sample() -> String {
    let mut text = String::from(
        "# mailq.toml: this folder is a mailq project. Every key is explained in mailq.toml(5).\n\
         # What is commented out shows the default, or an example where there is none.\n",
    );
    for section in sections(&PROJECT) {
        text.push('\n');
        match section {
            ("", ..) => {}
            (_, Shape::Repeated, _) => text.push_str(RELAY),
            (name, Shape::Labelled, doc) => {
                text.push_str(&comment(doc));
                text.push_str(&format!("# [{name}.\"gmail.com\"]\n"));
            }
            (name, Shape::Free, doc) => {
                text.push_str(&comment(doc));
                text.push_str(&format!("# [{name}]\n"));
            }
            (name, _, doc) => {
                text.push_str(&comment(doc));
                text.push_str(&format!("[{name}]\n"));
            }
        }
        for key in keys(&PROJECT, section.0).filter(|key| key.path() != "relay.url") {
            text.push_str(&comment(key.doc));
            text.push_str(&format!("# {}\n", assignment(key)));
        }
    }
    text
}

const RELAY: &str = "\
# Where mail is handed over: to files in `outbox/` until you name a server. README.md shows Gmail, QQ, 163 and Postfix.
[[relay]]
url = \"maildir:outbox\"
# url = \"smtp://smtp.example.com:587\"
";

/// Wrapped at 100 columns.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

fn assignment(key: &Key) -> String {
    let text = key.default.unwrap_or(key.example);
    match key.kind.is_quoted() {
        true => format!("{} = \"{text}\"", key.name),
        false => format!("{} = {text}", key.name),
    }
}

/// The top of the file and its sections, in order.
fn sections(schema: &Schema) -> impl Iterator<Item = (&'static str, Shape, &'static str)> {
    [("", Shape::Table, "")]
        .into_iter()
        .chain(schema.sections.iter().copied())
}

fn keys<'a>(schema: &Schema, section: &'a str) -> impl Iterator<Item = &'static Key> + use<'a> {
    let keys = schema.keys;
    keys.iter().filter(move |key| key.section == section)
}

/// The page in roff (man macros).
pub fn manual_page() -> String {
    let mut page = String::from(
        ".TH mailq.toml 5 \"\" \"mailq\"\n.SH NAME\nmailq.toml \\- settings of a mailq project, and campaign files\n\
         .SH DESCRIPTION\nThe nearest \\fBmailq.toml\\fR upwards from the campaign's folder, else from the working \
         directory, makes its folder the project; relative paths in it belong there. A flag wins over a variable, a \
         variable over the file, the file over the default; \\fBmailq \\-\\-print\\-config\\fR shows what is in force \
         and where it comes from. An unknown key is an error.\n.PP\n\
         Durations: 500ms, 30s, 5m, 1h, 7d. Rates: 30/min, 500/s, 10000/h, 2M/day, unlimited.\n.SH \"KEYS OF MAILQ.TOML\"\n",
    );
    describe(&PROJECT, &mut page);
    page.push_str(".SH \"KEYS OF A CAMPAIGN FILE\"\n");
    describe(&CAMPAIGN, &mut page);
    page.push_str(VARIABLES);
    page
}

const VARIABLES: &str = ".SH ENVIRONMENT\n\
.TP\n\\fBSMTP_HOST\\fR, \\fBSMTP_PORT\\fR, \\fBSMTP_USER\\fR, \\fBSMTP_PASS\\fR\n\
A relay without a file; port 465 is TLS from the first byte. Each also with \\fBEMAIL_\\fR before it.\n\
.TP\n\\fBCONFIG_FILE\\fR\nThe project's file, as \\fB\\-\\-config\\fR.\n\
.TP\n\\fBMAILQ_LOG\\fR, \\fBLOG_LEVEL\\fR\nWhat is logged: error, warn, info, debug or trace.\n\
.TP\n\\fBMAILQ_LOG_FORMAT\\fR\ntext or json.\n\
.SH \"SEE ALSO\"\n.BR mailq (1)\n";

fn describe(schema: &Schema, page: &mut String) {
    for (name, shape, doc) in sections(schema) {
        let title = match shape {
            _ if name.is_empty() => String::new(),
            Shape::Table | Shape::Free => format!("[{name}]"),
            Shape::Repeated => format!("[[{name}]]"),
            Shape::Labelled => format!("[{name}.\"gmail.com\"]"),
        };
        if !title.is_empty() {
            page.push_str(&format!(".SS {}\n{}\n", roff(&title), roff(doc)));
        }
        for key in keys(schema, name) {
            page.push_str(&format!(
                ".TP\n\\fB{}\\fR\n{}",
                roff(&assignment(key)),
                roff(key.doc)
            ));
            let also: Vec<&str> = key.flag.iter().chain(key.variables).copied().collect();
            if !also.is_empty() {
                page.push_str(&roff(&format!(" Also {}.", also.join(", "))));
            }
            page.push('\n');
        }
    }
}

/// Escapes for roff; text in backticks is set bold.
fn roff(text: &str) -> String {
    let mut bold = false;
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '`' => {
                bold = !bold;
                escaped.push_str(if bold { "\\fB" } else { "\\fR" });
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
    use super::super::document::Document;
    use super::*;

    #[test]
    fn the_sample_is_valid_commented_or_not() {
        let sample = project_sample();
        let plain = Document::parse(&sample, "mailq.toml".into(), &PROJECT).unwrap();
        assert_eq!(plain.section("relay").count(), 1);
        let active: String = sample
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") && !rest.contains("`") => rest,
                Some(rest) if rest.starts_with('[') => rest,
                _ => line,
            })
            .filter(|line| *line != "url = \"smtp://smtp.example.com:587\"")
            .flat_map(|line| [line, "\n"])
            .collect();
        let full = Document::parse(&active, "mailq.toml".into(), &PROJECT).unwrap();
        let found: usize = full.tables.iter().map(|table| table.values.len()).sum();
        assert_eq!(found, PROJECT.keys.len(), "every key is shown");
    }

    #[test]
    fn the_page_names_every_key() {
        let page = manual_page();
        for key in PROJECT.keys.iter().chain(CAMPAIGN.keys) {
            assert!(
                page.contains(&format!("\\fB{} =", key.name)),
                "{}",
                key.path()
            );
        }
        assert!(!page.lines().any(|line| line.len() > 2_000));
    }
}
