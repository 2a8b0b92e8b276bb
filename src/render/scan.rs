//! Looks through a template's tags for what the engine does not tell: where a variable stands, whether it is guarded by
//! `default` or `is defined`, which names are bound, which other templates are wanted. Lenient: the engine's own parser
//! has accepted the template before.

/// A variable, or the root of `a.b.c`.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub at: usize,
}

/// Another template that is included, extended or imported.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `None` when only rendering can tell.
    pub name: Option<String>,
    pub at: usize,
    pub may_be_missing: bool,
}

#[derive(Debug, Default)]
pub struct Scan {
    /// Not guarded by `default`.
    pub references: Vec<Reference>,
    /// Names in `is defined` and `is undefined`.
    pub tested: Vec<String>,
    /// Names that `set`, `for`, `with`, `macro`, `call`, `import` and `from` bind.
    pub bound: Vec<String>,
    /// `row["First name"]`, not guarded.
    pub cells: Vec<Reference>,
    pub wanted: Vec<Wanted>,
    /// Guarded by `default`.
    pub defaulted: Vec<String>,
    /// The source with guarded variables replaced by a number, so that the engine's analysis passes over them.
    pub masked: String,
}

impl Scan {
    /// Every variable that stands in the template, guarded or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let open = self.references.iter().map(|found| found.name.as_str());
        let guarded = self.tested.iter().chain(&self.defaulted);
        open.chain(guarded.map(String::as_str))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Name(String),
    Text(String),
    Sign(char),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Token {
    fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Name(name) => Some(name),
            _ => None,
        }
    }

    fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    fn is_name(&self, name: &str) -> bool {
        self.name() == Some(name)
    }
}

pub fn scan(source: &str) -> Scan {
    let mut scan = Scan::default();
    let mut masked = source.as_bytes().to_vec();
    let mut at = 0;
    while let Some((open, kind)) = next_tag(source, at) {
        let (tokens, end) = match kind {
            '#' => (Vec::new(), after(source, open + 2, "#}")),
            kind => tokens(source, open + 2, kind),
        };
        at = end.max(open + 2);
        if kind == '%' {
            let first = tokens.first().and_then(Token::name);
            if first == Some("raw") {
                at = end_of_raw(source, at);
                continue;
            }
            statement(&tokens, &mut scan);
        }
        expressions(&tokens, &mut scan, &mut masked);
    }
    scan.masked = String::from_utf8(masked).unwrap_or_else(|_| source.to_string());
    scan
}

fn next_tag(source: &str, from: usize) -> Option<(usize, char)> {
    let rest = source.get(from..)?;
    let mut open = 0;
    loop {
        open += rest.get(open..)?.find('{')?;
        match rest.as_bytes().get(open + 1) {
            Some(b'{') => return Some((from + open, '{')),
            Some(b'%') => return Some((from + open, '%')),
            Some(b'#') => return Some((from + open, '#')),
            _ => open += 1,
        }
    }
}

fn after(source: &str, from: usize, end: &str) -> usize {
    let rest = source.get(from..).unwrap_or_default();
    rest.find(end)
        .map_or(source.len(), |found| from + found + end.len())
}

fn end_of_raw(source: &str, from: usize) -> usize {
    let rest = source.get(from..).unwrap_or_default();
    let end = rest.match_indices("{%").find(|(found, _)| {
        let inside = rest.get(found + 2..).unwrap_or_default();
        let inside = inside.trim_start_matches(['-', '+']);
        inside.trim_start().starts_with("endraw")
    });
    match end {
        Some((found, _)) => after(source, from + found, "%}"),
        None => source.len(),
    }
}

/// The tokens of a tag and where it ends.
fn tokens(source: &str, from: usize, kind: char) -> (Vec<Token>, usize) {
    let close = if kind == '{' { "}}" } else { "%}" };
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    // White space control: `{%-`, `-%}`.
    let is_control = |at: usize| matches!(source.as_bytes().get(at), Some(b'-' | b'+'));
    let mut at = from + usize::from(is_control(from));
    while let Some(c) = source.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = source.get(at..).unwrap_or_default();
        let end = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        if depth == 0 && end.starts_with(close) {
            return (tokens, at + rest.len() - end.len() + close.len());
        }
        let (kind, length) = match c {
            '"' | '\'' => text(rest, c),
            c if c.is_ascii_alphabetic() || c == '_' => name(rest),
            c if c.is_ascii_digit() => (None, number(rest)),
            c if c.is_whitespace() => (None, c.len_utf8()),
            c => (Some(Kind::Sign(c)), c.len_utf8()),
        };
        depth = match c {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        if let Some(kind) = kind {
            tokens.push(Token {
                kind,
                start: at,
                end: at + length,
            });
        }
        at += length;
    }
    (tokens, source.len())
}

fn name(rest: &str) -> (Option<Kind>, usize) {
    let length = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let name = rest.get(..length).unwrap_or_default().to_string();
    (Some(Kind::Name(name)), length)
}

fn number(rest: &str) -> usize {
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len())
}

fn text(rest: &str, quote: char) -> (Option<Kind>, usize) {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == quote {
            return (Some(Kind::Text(text)), at + 1);
        }
        match c {
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            c => text.push(c),
        }
    }
    (Some(Kind::Text(text)), rest.len())
}

/// What the keyword of a `{% … %}` tag binds or wants.
fn statement(tokens: &[Token], scan: &mut Scan) {
    let Some((keyword, rest)) = tokens.split_first() else {
        return;
    };
    let until = |end: &dyn Fn(&Token) -> bool| {
        let names = rest.iter().take_while(|token| !end(token));
        let names = names.filter_map(Token::name).map(str::to_string);
        names.collect::<Vec<String>>()
    };
    match keyword.name().unwrap_or_default() {
        "for" => scan.bound.extend(until(&|token| token.is_name("in"))),
        "set" => scan.bound.extend(until(&|token| token.is_sign('='))),
        "macro" | "call" => scan.bound.extend(until(&|token| token.is_sign(')'))),
        "with" => {
            let pairs = rest.windows(2);
            let bound = pairs.filter_map(|pair| match pair {
                [name, equals] if equals.is_sign('=') => name.name(),
                _ => None,
            });
            scan.bound.extend(bound.map(str::to_string));
        }
        "include" | "extends" => scan.wanted.extend(wanted(rest)),
        "import" | "from" => {
            scan.wanted.extend(wanted(rest));
            scan.bound.extend(until(&|_| false));
        }
        _ => {}
    }
}

fn wanted(tokens: &[Token]) -> Vec<Wanted> {
    let may_be_missing = tokens.iter().any(|token| token.is_name("missing"));
    let follows = |token: Option<&Token>| match token.map(|token| token.name()) {
        None => true,
        Some(name) => matches!(name, Some("ignore" | "with" | "without" | "as" | "import")),
    };
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    let of = |token: &Token, name: Option<&String>, may_be_missing| Wanted {
        name: name.cloned(),
        at: token.start,
        may_be_missing,
    };
    match &first.kind {
        Kind::Text(name) if follows(tokens.get(1)) => vec![of(first, Some(name), may_be_missing)],
        Kind::Sign('[') => {
            let choices = tokens.iter().filter_map(|token| match &token.kind {
                Kind::Text(name) => Some(of(token, Some(name), true)),
                _ => None,
            });
            choices.collect()
        }
        _ => vec![of(first, None, may_be_missing)],
    }
}

/// The variables among a tag's tokens.
fn expressions(tokens: &[Token], scan: &mut Scan, masked: &mut [u8]) {
    let mut before: Option<&Token> = None;
    for (index, token) in tokens.iter().enumerate() {
        let follows_variable = before.is_some_and(|before| {
            before.is_sign('.') || before.is_sign('|') || before.is_name("is")
        });
        before = Some(token);
        let Some(name) = token.name() else { continue };
        let rest = tokens.get(index + 1..).unwrap_or_default();
        if follows_variable || is_keyword_argument(rest) {
            continue;
        }
        let (end, rest) = attributes(token.end, rest);
        match guard(rest) {
            Guard::Default => {
                scan.defaulted.push(name.to_string());
                mask(masked, token.start, end);
            }
            Guard::Test => {
                scan.tested.push(name.to_string());
                mask(masked, token.start, end);
            }
            Guard::None => scan.references.push(Reference {
                name: name.to_string(),
                at: token.start,
            }),
        }
        if let ("row", Some(cell)) = (name, cell(rest)) {
            scan.cells.push(cell);
        }
    }
}

fn is_keyword_argument(rest: &[Token]) -> bool {
    match rest {
        [equals, next, ..] => equals.is_sign('=') && !next.is_sign('='),
        _ => false,
    }
}

/// Goes over `.b.c` after a variable.
fn attributes(mut end: usize, mut rest: &[Token]) -> (usize, &[Token]) {
    while let [dot, name, more @ ..] = rest {
        if !dot.is_sign('.') || name.name().is_none() {
            break;
        }
        end = name.end;
        rest = more;
    }
    (end, rest)
}

enum Guard {
    Default,
    Test,
    None,
}

fn guard(rest: &[Token]) -> Guard {
    let is_test = |name: Option<&str>| matches!(name, Some("defined" | "undefined"));
    match rest {
        [pipe, filter, ..]
            if pipe.is_sign('|') && matches!(filter.name(), Some("default" | "d")) =>
        {
            Guard::Default
        }
        [is, test, ..] if is.is_name("is") && is_test(test.name()) => Guard::Test,
        [is, not, test, ..] if is.is_name("is") && not.is_name("not") && is_test(test.name()) => {
            Guard::Test
        }
        _ => Guard::None,
    }
}

/// `["First name"]` without a guard behind it.
fn cell(rest: &[Token]) -> Option<Reference> {
    let [open, key, close, more @ ..] = rest else {
        return None;
    };
    if !open.is_sign('[') || !close.is_sign(']') || !matches!(guard(more), Guard::None) {
        return None;
    }
    match &key.kind {
        Kind::Text(name) => Some(Reference {
            name: name.clone(),
            at: key.start,
        }),
        _ => None,
    }
}

/// Writes `0` and spaces over a variable, which is ASCII: every position stays what it was.
fn mask(masked: &mut [u8], start: usize, end: usize) {
    let variable = masked.get_mut(start..end).unwrap_or_default();
    variable.fill(b' ');
    if let Some(first) = variable.first_mut() {
        *first = b'0';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(references: &[Reference]) -> Vec<&str> {
        references.iter().map(|found| found.name.as_str()).collect()
    }

    #[test]
    fn guards_are_seen() {
        let found = scan(
            "{{ a | default('}}') }}{{ b|d(c) }}{% if e.f is not defined %}{{ e }}{% endif %}{# {{ g }} #}{% raw %}{{ h }}{% endraw %}{{ i | upper | default(1) }}",
        );
        assert_eq!(found.tested, ["e"]);
        for name in ["c", "e", "i"] {
            assert!(names(&found.references).contains(&name), "{name}");
        }
        for name in ["a", "b", "g", "h"] {
            assert!(!names(&found.references).contains(&name), "{name}");
        }
        assert!(
            found
                .masked
                .starts_with("{{ 0 | default('}}') }}{{ 0|d(c) }}{% if 0   is not defined %}")
        );
    }

    #[test]
    fn other_templates_are_seen() {
        let found = scan(
            "{% extends 'a.html' %}{%- include \"b.html\" ignore missing -%}{% include lang ~ '.html' %}{% from 'c.html' import x as y %}{% include ['d.html', 'e.html'] %}",
        );
        let wanted: Vec<(Option<&str>, bool)> = found
            .wanted
            .iter()
            .map(|wanted| (wanted.name.as_deref(), wanted.may_be_missing))
            .collect();
        assert_eq!(
            wanted,
            [
                (Some("a.html"), false),
                (Some("b.html"), true),
                (None, false),
                (Some("c.html"), false),
                (Some("d.html"), true),
                (Some("e.html"), true),
            ]
        );
        assert!(found.bound.contains(&"y".to_string()));
    }

    #[test]
    fn bindings_and_cells_are_seen() {
        let found = scan(
            "{% for k, v in x %}{% set z = 1 %}{% with w = 2 %}{{ row[\"A b\"] }}{{ row['c'] | d('') }}{{ f(q=1) }}",
        );
        assert_eq!(found.bound, ["k", "v", "z", "w"]);
        assert_eq!(names(&found.cells), ["A b"]);
        assert!(!names(&found.references).contains(&"q"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(source in "[{}%#\"'a.|é \\\\]{0,40}") {
            let _ = scan(&source);
        }
    }
}
