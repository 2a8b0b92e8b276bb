//! The sample `mailq.toml` that `mailq init` writes, made from the declared keys.

use super::keys::{PROJECT, RelayKeys};
use super::layers::Keys;
use super::schema::{Shape, Table};

/// A `mailq.toml` that works as it is (mail goes to files in `outbox/`) and shows every key with its default.
pub fn project_sample() -> String {
    let mut text = String::from(
        "# mailq.toml: this folder is a mailq project. mailq.toml(5) explains every key.\n\
         # A line that is commented out shows the default, or an example if there is no default.\n",
    );
    for table in PROJECT.tables {
        text.push('\n');
        text.push_str(&head(table));
        let keys = table.keys.iter();
        // The head of a relay shows its URL.
        for key in keys.filter(|key| key.path() != RelayKeys::url().path()) {
            text.push_str(&comment(&format!("{}.", key.help())));
            text.push_str(&format!("# {}\n", key.assignment()));
        }
    }
    text
}

const RELAY: &str = "\
# Where mail is handed over: to files in `outbox/` until you name a server. README.md shows Gmail, QQ, 163 and Postfix.
[[relay]]
url = \"maildir:outbox\"
";

fn head(table: &Table) -> String {
    match table.shape {
        _ if table.path.is_empty() => String::new(),
        _ if table.path == RelayKeys::TABLE.path => {
            format!("{RELAY}# {}\n", RelayKeys::url().assignment())
        }
        // A table inside another one is for one relay that has it.
        Shape::Table if !table.path.contains('.') => {
            format!("{}{}\n", comment(&table.text()), table.title())
        }
        Shape::Table | Shape::Repeated | Shape::Labelled | Shape::Free => {
            format!("{}# {}\n", comment(&table.text()), table.title())
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;

    fn parse(text: &str) -> Document<'_> {
        Document::parse(text, "mailq.toml".into(), &PROJECT).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn the_sample_is_valid_with_and_without_its_comments() {
        let sample = project_sample();
        let plain = parse(&sample);
        assert_eq!(plain.root().repeated("relay").len(), 1);
        let example = RelayKeys::url().assignment();
        let active: String = sample
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") && !rest.contains('`') => rest,
                Some(rest) if rest.starts_with('[') => rest,
                _ => line,
            })
            .filter(|line| *line != example)
            .flat_map(|line| [line, "\n"])
            .collect();
        parse(&active);
        for key in PROJECT.keys() {
            let line = format!("{}\n", key.assignment());
            assert!(sample.contains(&line), "{line}");
        }
    }
}
