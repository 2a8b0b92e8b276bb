//! What to write instead of a line that is not TOML, of a value of another type, or of a name without quotes: hints.

use super::hidden::without_secrets;
use super::schema::{Form, Key, Schema};
use toml::de::{DeTable, DeValue};

/// In place of a value that no key has accepted: it may be a secret in the wrong place.
const SOMETHING: &str = "…";

/// For a value of another type than the key has.
pub fn of_type(key: &Key, value: &DeValue<'_>) -> Option<String> {
    let name = key.name;
    if is_of_secret(name) {
        return None;
    }
    match value {
        DeValue::String(text) if key.accepts(text.trim()).is_ok() => {
            let text = text.trim();
            match key.form() {
                Form::Bare => Some(format!("write it without quotes: `{name} = {text}`")),
                Form::List => Some(in_brackets(name, text)),
                Form::Quoted => None,
            }
        }
        DeValue::Integer(number) if key.form() == Form::Quoted => {
            let with = |unit: &str| key.accepts(&format!("{number}{unit}")).is_ok();
            if with("") {
                return Some(in_quotes(name, number));
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

/// For a value of a table whose values are all texts. No key says what a number there means, so it is not shown.
pub fn of_text(name: &str, value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(_) => Some(in_quotes(name, SOMETHING)),
        DeValue::Boolean(flag) => Some(in_quotes(name, flag)),
        _ => None,
    }
}

fn in_quotes(name: &str, value: impl std::fmt::Display) -> String {
    format!("write it in quotes: `{} = \"{value}\"`", as_key(name))
}

/// TOML takes a dot outside of quotes for a table inside a table.
fn as_key(name: &str) -> String {
    match name.contains('.') {
        true => format!("\"{name}\""),
        false => name.to_string(),
    }
}

fn in_brackets(name: &str, text: &str) -> String {
    format!("write it in brackets: `{name} = [\"{text}\"]`")
}

/// A key whose value names where a secret is kept: a user may have written the secret itself.
fn is_of_secret(name: &str) -> bool {
    name.contains("password") || name.contains("secret") || name.ends_with("_env")
}

/// For `[site.gmail.com]`: TOML takes a dot outside of quotes for a table inside a table. `keys`: of `[site.gmail]`.
/// `is_key`: whether a name is a key of such a table, whose value only has the wrong type.
pub fn of_label(
    table: &str,
    label: &str,
    keys: &DeTable<'_>,
    is_key: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut name = label.to_string();
    let mut below = keys;
    loop {
        let inner = below.iter().find_map(|(key, value)| {
            let inner = value.get_ref().as_table()?;
            (!is_key(key.get_ref())).then_some((key.get_ref(), inner))
        });
        let Some((key, inner)) = inner else {
            break;
        };
        name = format!("{name}.{key}");
        below = inner;
    }
    (name != label).then(|| format!("a name with a dot needs quotes: `[{table}.\"{name}\"]`"))
}

/// For a file that is not TOML: what other formats and word processors put on the line at this byte. `why`: what the
/// parser says.
pub fn of_syntax(schema: &Schema, text: &str, offset: usize, why: &str) -> Option<String> {
    let before = text.get(..offset)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next().unwrap_or_default().trim();
    if why.starts_with("duplicate key") {
        let is_title = line.starts_with('[');
        let cure = if is_title { SECOND_TITLE } else { SECOND_LINE };
        return Some(cure.to_string());
    }
    let of_json = || text.trim_start().starts_with('{').then_some(JSON);
    let fixed = of_json().or_else(|| of_line(line));
    fixed
        .map(str::to_string)
        .or_else(|| of_assignment(schema, line))
}

const SECOND_LINE: &str = "delete one of the two lines";
const SECOND_TITLE: &str = "write all keys of a table below its first title";
const JSON: &str = "settings are TOML and not JSON: `queue = \"sqlite:.mailq/queue.db\"`, and `[send]` begins a table";

fn of_line(line: &str) -> Option<&'static str> {
    if line.starts_with("//") || line.starts_with(';') || line.starts_with("--") {
        return Some("a comment begins with `#`");
    }
    let value = line.split_once(['=', ':']).map(|(_, value)| value.trim());
    if value.is_some_and(|value| value.starts_with(['“', '”', '„', '«', '»', '‘', '’']))
    {
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

/// For `name = value` and `name: value`.
fn of_assignment(schema: &Schema, line: &str) -> Option<String> {
    let (name, rest) = line.split_once(['=', ':'])?;
    let (name, value) = (name.trim(), without_comment(rest).trim_end_matches(','));
    let is_toml = line.get(name.len()..)?.trim_start().starts_with('=');
    if !is_name(name) || value.is_empty() {
        return None;
    }
    let keys: Vec<&Key> = schema.keys().filter(|key| key.name == name).collect();
    if !is_toml {
        let value = assigned(&keys, value.trim_matches('"'));
        return Some(format!(
            "TOML writes `=` between a key and its value: `{} = {value}`",
            as_key(name)
        ));
    }
    if let Some(flag) = flag(value) {
        // The error is elsewhere if the line already has it.
        return (flag != value).then(|| format!("write `{name} = {flag}`"));
    }
    let is_bare = value.starts_with(|c: char| c.is_alphanumeric() || c == '.' || c == '/');
    let is_word = is_bare && !value.contains(['"', '\'', '[', '{']);
    if !is_word || value.parse::<f64>().is_ok() {
        return None;
    }
    match form(&keys) {
        Form::Bare => None,
        Form::Quoted => Some(in_quotes(name, shown(&keys, value))),
        Form::List => Some(in_brackets(name, shown(&keys, value))),
    }
}

/// A value without quotes ends where a comment begins.
fn without_comment(value: &str) -> &str {
    let value = value.trim();
    let end = match value.starts_with('"') {
        true => None,
        false => value.find(" #").or_else(|| value.find("\t#")),
    };
    end.and_then(|end| value.get(..end))
        .unwrap_or(value)
        .trim_end()
}

/// Else the line is no assignment, and what stands there may be anything.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(good)
}

fn flag(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some("true"),
        "false" | "no" | "off" => Some("false"),
        _ => None,
    }
}

/// How the keys of one name have their values; a name that no key has is taken for a text.
fn form(keys: &[&Key]) -> Form {
    keys.first().map_or(Form::Quoted, |key| key.form())
}

/// A value as TOML has it.
fn assigned(keys: &[&Key], value: &str) -> String {
    if let Some(flag) = flag(value) {
        return flag.to_string();
    }
    let shown = shown(keys, value);
    match form(keys) {
        Form::Bare => shown.to_string(),
        Form::Quoted => format!("\"{shown}\""),
        Form::List => format!("[\"{shown}\"]"),
    }
}

/// A value that every key of this name accepts, so that it is the right one for that place.
fn shown<'v>(keys: &[&Key], value: &'v str) -> &'v str {
    let accepts = |key: &&Key| !is_of_secret(key.name) && key.accepts(value).is_ok();
    let is_plain = without_secrets(value) == value && !value.contains('"');
    match !keys.is_empty() && is_plain && keys.iter().all(accepts) {
        true => value,
        false => SOMETHING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;
    use crate::config::keys::PROJECT;

    fn found(line: &str) -> Option<String> {
        of_syntax(&PROJECT, line, 0, "")
    }

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
            (
                "rate = 30/min # slow",
                "write it in quotes: `rate = \"30/min\"`",
            ),
            (
                "windows = Mon 09:00-18:00 UTC",
                "write it in brackets: `windows = [\"Mon 09:00-18:00 UTC\"]`",
            ),
            (
                "sasl.password = hunter2",
                "write it in quotes: `\"sasl.password\" = \"…\"`",
            ),
            (
                "password_file = hunter2",
                "write it in quotes: `password_file = \"…\"`",
            ),
            (
                "connections: 5",
                "TOML writes `=` between a key and its value: `connections = 5`",
            ),
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
            assert_eq!(found(line).as_deref(), Some(hint), "{line}");
            let second = format!("env = \"ü\"\n  {line}\nburst = 1\n");
            let found = of_syntax(&PROJECT, &second, 13, "");
            assert!(found.is_some() || line.starts_with('{'), "{line}");
        }
        for line in [
            "[send",
            "= 1",
            "",
            "env",
            "group = true",
            "env = \"a “word”\"",
            "connections = many",
            "password hunter2 = x",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
        assert_eq!(of_syntax(&PROJECT, "é", 1, ""), None);
    }

    #[test]
    fn a_key_that_is_there_twice_is_deleted_once() {
        for (line, hint) in [("group = true", SECOND_LINE), ("[send]", SECOND_TITLE)] {
            let found = of_syntax(&PROJECT, line, 0, "duplicate key");
            assert_eq!(found.as_deref(), Some(hint), "{line}");
        }
    }

    #[test]
    fn no_hint_shows_what_may_be_a_secret() {
        for line in [
            "password = hunter2",
            "password: hunter2",
            "password: 12345",
            "sasl.password: hunter2",
            "sasl.password = hunter2",
            "password_env: hunter2",
            "password_file = hunter2",
            "password_command = hunter2 12345",
            "url = smtp://news:hunter2@mx:587",
            "url: smtp://news:hunter2@mx:587",
            "relay: \"smtp://news:hunter2@mx:587\"",
            "env = https://news:hunter2@mx",
            "rate = hunter2",
            "smtp://news:hunter2@mx:587",
            "hunter2 12345: x",
        ] {
            let hint = found(line).unwrap_or_default();
            let is_shown = hint.contains("hunter2") || hint.contains("12345");
            assert!(!is_shown, "{line}: {hint}");
        }
        for text in [
            "[[relay]]\npassword_env = 12345",
            "[[relay]]\npassword_file = 12345",
            "[[relay]]\npassword_command = 12345",
            "[kafka]\nsasl_password_file = 12345",
            "[kafka.properties]\n\"sasl.password\" = 12345",
        ] {
            let document = Document::parse(text, "mailq.toml".into(), &PROJECT);
            let hint = document.err().unwrap().hint().unwrap();
            assert!(!hint.contains("12345"), "{text}: {hint}");
        }
    }
}
