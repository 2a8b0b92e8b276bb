//! A file of `src/` as the rules see it: its module, and its text without comments, strings and tests.

use std::fs;
use std::path::Path;

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to `src/`, with slashes.
    pub path: String,
    pub text: String,
    /// The text without comments and strings.
    pub code: String,
    /// The code without test modules.
    pub product: String,
    /// The line that follows a test module, if one does.
    pub after_tests: Option<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let code = code(text);
        let (product, after_tests) = without_tests(&code);
        Source {
            path: path.to_string(),
            text: text.to_string(),
            code,
            product,
            after_tests,
        }
    }

    /// The names from the crate down: `queue/sqlite/mod.rs` is `queue`, `sqlite`; `lib.rs` and `main.rs` are none.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let mut names: Vec<String> = path.split('/').map(str::to_string).collect();
        let last = names.last().map(String::as_str);
        if last == Some("mod") || ["lib", "main"].contains(&path) {
            names.pop();
        }
        names
    }

    /// `queue/sqlite/mod.rs` and `queue.rs` are of `queue`; `main.rs` is of `main`.
    pub fn top(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    /// Whether the whole file is tests.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs")
    }
}

/// Every file below `src/`, by path.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, "", &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(
        found.len() > 40,
        "only {} files: is this src/?",
        found.len()
    );
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).expect("source is UTF-8");
            found.push(Source::new(&format!("{prefix}{name}"), &text));
        }
    }
}

/// The text with comments left out and strings emptied, line breaks kept.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string_length(rest, out.chars().next_back()) {
            out.push_str("\"\"");
            out.extend(rest[..length].chars().filter(|c| *c == '\n'));
            length
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// How long the string or character is that begins here, if one does. `'a` alone is a lifetime.
fn string_length(rest: &str, before: Option<char>) -> Option<usize> {
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        let mut chars = rest.chars().skip(1);
        let is_character = match chars.next()? {
            '\\' => true,
            _ => chars.next() == Some('\''),
        };
        return is_character.then(|| quoted(rest, '\''));
    }
    let hashes = rest.strip_prefix('r').filter(|_| !in_name)?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    let body = hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    let inner = body.find(&end).unwrap_or(body.len());
    Some((2 + count + inner + end.len()).min(rest.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

const TESTS: &str = "#[cfg(test)]";

/// Code without the modules under `#[cfg(test)]`, and what stands behind the first of them.
fn without_tests(code: &str) -> (String, Option<String>) {
    let mut product = String::new();
    let mut behind = None;
    let mut rest = code;
    while let Some(at) = rest.find(TESTS) {
        let item = rest[at + TESTS.len()..].trim_start();
        let is_module = attributes_skipped(item)
            .trim_start_matches("pub(crate) ")
            .starts_with("mod ");
        let end = if is_module { item_length(item) } else { 0 };
        product.push_str(&rest[..at]);
        rest = &item[end..];
        let next = rest.trim();
        // A declaration, `mod tests;`, may stand among others.
        let has_body = is_module && item[..end].ends_with('}');
        if has_body && behind.is_none() && !next.is_empty() {
            behind = next.lines().next().map(str::to_string);
        }
    }
    product.push_str(rest);
    (product, behind)
}

/// `#[path = …]` and its like in front of an item.
fn attributes_skipped(item: &str) -> &str {
    let mut rest = item;
    while rest.starts_with("#[") {
        let end = rest.find(']').map_or(rest.len(), |end| end + 1);
        rest = rest[end..].trim_start();
    }
    rest
}

/// Up to the semicolon or the closing brace.
fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    item.len()
}
