//! What to write instead of a line that is not TOML, of a value of another type, or of a name without quotes: hints.

use super::schema::{Form, Key};
use toml::de::{DeTable, DeValue};

/// For a value of another type than the key has.
pub fn of_type(key: &Key, value: &DeValue<'_>) -> Option<String> {
    let name = key.name;
    match value {
        DeValue::String(text) if key.accepts(text.trim()).is_ok() => {
            let text = text.trim();
            match key.form() {
                Form::Bare => Some(format!("write it without quotes: `{name} = {text}`")),
                Form::List => Some(format!("write it in brackets: `{name} = [\"{text}\"]`")),
                Form::Quoted => None,
            }
        }
        DeValue::Integer(number) if key.form() == Form::Quoted => {
            let with = |unit: &str| key.accepts(&format!("{number}{unit}")).is_ok();
            if with("") {
                // In place of the name of a variable it may be the password.
                return (!name.ends_with("_env")).then(|| in_quotes(name, number));
            }
            if with("/min") {
                let all =
                    format!("`{name} = \"{number}/min\"`, `\"{number}/s\"` or `\"{number}/h\"`");
                return Some(format!("write it in quotes and with its unit: {all}"));
            }
            if with("s") {
                let all = format!("`{name} = \"{number}s\"`, `\"{number}m\"` or `\"{number}h\"`");
                return Some(format!("write it in quotes and with its unit: {all}"));
            }
            None
        }
        _ => None,
    }
}

/// For a value of a table whose values are all texts.
pub fn of_text(name: &str, value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(in_quotes(name, number)),
        DeValue::Boolean(flag) => Some(in_quotes(name, flag)),
        _ => None,
    }
}

fn in_quotes(name: &str, value: impl std::fmt::Display) -> String {
    format!("write it in quotes: `{name} = \"{value}\"`")
}

/// For `[site.gmail.com]`: TOML takes a dot outside of quotes for a table inside a table. `keys`: of `[site.gmail]`.
pub fn of_label(table: &str, label: &str, keys: &DeTable<'_>) -> Option<String> {
    let mut name = label.to_string();
    let mut below = keys;
    loop {
        let inner = below.iter().find_map(|(key, value)| {
            let inner = value.get_ref().as_table()?;
            Some((key.get_ref(), inner))
        });
        let Some((key, inner)) = inner else {
            break;
        };
        name = format!("{name}.{key}");
        below = inner;
    }
    (name != label).then(|| format!("a name with a dot needs quotes: `[{table}.\"{name}\"]`"))
}

/// For a file that is not TOML: what other formats and word processors put on the line at this byte.
pub fn of_syntax(text: &str, offset: usize) -> Option<String> {
    let before = text.get(..offset)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next().unwrap_or_default().trim();
    let of_json = || text.trim_start().starts_with('{').then_some(JSON);
    let fixed = of_json().or_else(|| of_line(line));
    fixed.map(str::to_string).or_else(|| of_assignment(line))
}

const JSON: &str = "settings are TOML and not JSON: `queue = \"sqlite:.mailq/queue.db\"`, and `[send]` begins a table";

fn of_line(line: &str) -> Option<&'static str> {
    if line.starts_with("//") || line.starts_with(';') || line.starts_with("--") {
        return Some("a comment begins with `#`");
    }
    if line.contains(['“', '”', '„', '«', '»', '‘', '’']) {
        return Some("write straight quotes `\"`");
    }
    if line.ends_with(';') {
        return Some("remove the `;` at the end of the line");
    }
    if line.contains("\"") && line.contains('\\') {
        return Some(
            "write `\\\\` for each `\\`, or put the text in single quotes: `'C:\\lists\\a.csv'`",
        );
    }
    None
}

fn of_assignment(line: &str) -> Option<String> {
    let Some((name, value)) = line.split_once('=') else {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().trim_matches('"');
        return (!value.is_empty()).then(|| {
            format!(
                "TOML writes `=` between a key and its value: `{} = \"{value}\"`",
                name.trim()
            )
        });
    };
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.parse::<f64>().is_ok() {
        return None;
    }
    let meant = match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => "true",
        "false" | "no" | "off" => "false",
        _ => {
            let is_bare = value.starts_with(|c: char| c.is_alphanumeric() || c == '.' || c == '/');
            let is_word = is_bare && !value.contains(['"', '\'', '[', '{']);
            return is_word.then(|| in_quotes(name, value.trim_end_matches(',')));
        }
    };
    Some(format!("write `{name} = {meant}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_toml_has_a_hint() {
        for (line, hint) in [
            ("queue = “sqlite:x”", "write straight quotes `\"`"),
            (
                "queue = \"sqlite:x\";",
                "remove the `;` at the end of the line",
            ),
            ("// queue", "a comment begins with `#`"),
            ("rate = 30/min", "write it in quotes: `rate = \"30/min\"`"),
            ("group = yes", "write `group = true`"),
            ("group = True", "write `group = true`"),
            (
                "queue: sqlite:x",
                "TOML writes `=` between a key and its value: `queue = \"sqlite:x\"`",
            ),
            ("{\"queue\": 1}", JSON),
            (
                "key_file = \"C:\\Users\\key\"",
                "write `\\\\` for each `\\`, or put the text in single quotes: `'C:\\lists\\a.csv'`",
            ),
        ] {
            assert_eq!(of_syntax(line, 0).as_deref(), Some(hint), "{line}");
            let second = format!("env = \"ü\"\n  {line}\nburst = 1\n");
            let found = of_syntax(&second, 13);
            assert!(found.is_some() || line.starts_with('{'), "{line}");
        }
        for line in ["[send", "= 1", "", "env"] {
            assert_eq!(of_syntax(line, 0), None, "{line}");
        }
        assert_eq!(of_syntax("é", 1), None);
    }
}
