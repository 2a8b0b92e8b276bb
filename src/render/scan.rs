//! Scans a template for what the engine does not report: where a variable is used, whether `default` or `is defined`
//! guards it, which names a template binds, and which other templates it needs.

use super::lexer::{Tag, Token, TokenKind, tags};
use super::literals::Literals;
use std::ops::Range;

/// The use of a name: a variable, or the first part of `a.b.c`.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    /// Position in the source, in bytes.
    pub at: usize,
}

/// Another template that is included, extended or imported.
#[derive(Debug, PartialEq, Eq)]
pub struct Dependency {
    pub name: DependencyName,
    /// Position in the source, in bytes.
    pub at: usize,
    /// The template works without it.
    pub is_optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DependencyName {
    Known(String),
    /// Computed, and so known only when a message is rendered: every name with this beginning and this end.
    Like(String, String),
}

impl DependencyName {
    /// Whether it may be this name.
    pub fn may_be(&self, name: &str) -> bool {
        match self {
            DependencyName::Known(known) => known == name,
            DependencyName::Like(beginning, end) => {
                let is_long_enough = name.len() >= beginning.len() + end.len();
                is_long_enough
                    && name.starts_with(beginning.as_str())
                    && name.ends_with(end.as_str())
            }
        }
    }
}

#[derive(Debug, Default)]
pub struct Scan {
    /// Variables without a guard.
    pub references: Vec<Reference>,
    /// Variables in `is defined` and `is undefined`.
    pub tested: Vec<String>,
    /// Variables with a `default` filter.
    pub defaulted: Vec<String>,
    /// Names that `set`, `for`, `with`, `macro`, `call`, `import` and `from` bind.
    pub bound: Vec<String>,
    /// Keys of `row["First name"]` without a guard.
    pub row_keys: Vec<Reference>,
    /// Uses of `row` as the whole row: `row.name`, `row["First name"]`.
    pub row_uses: Vec<Reference>,
    /// Names that are called: `now` of `now()`.
    pub calls: Vec<Reference>,
    /// Methods of variables that are called: `name.title`.
    pub methods: Vec<String>,
    pub dependencies: Vec<Dependency>,
    /// The source with a number in place of each guarded variable, so that the engine does not report those as
    /// undeclared. Positions are the same.
    pub masked: String,
}

impl Scan {
    /// Every variable of the template, guarded or not.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let unguarded = self.references.iter().map(|found| found.name.as_str());
        let guarded = self.tested.iter().chain(&self.defaulted);
        unguarded.chain(guarded.map(String::as_str))
    }
}

pub fn scan(source: &str) -> Scan {
    let mut scan = Scan::default();
    let mut guarded = Vec::new();
    let mut literals = Literals::new(source);
    for tag in tags(source) {
        let tokens = match tag {
            Tag::Expression(tokens) => tokens,
            Tag::Statement(tokens) => {
                literals.pass(&tokens);
                scan_statement(&tokens, &literals, &mut scan);
                tokens
            }
        };
        scan_variables(&tokens, &mut scan, &mut guarded);
    }
    scan.masked = masked(source, &guarded);
    scan
}

/// Collects what the keyword of a `{% … %}` tag binds or needs.
fn scan_statement(tokens: &[Token], literals: &Literals, scan: &mut Scan) {
    let Some((keyword, rest)) = tokens.split_first() else {
        return;
    };
    let names_before = |is_end: &dyn Fn(&Token) -> bool| {
        let names = rest.iter().take_while(|token| !is_end(token));
        let names = names.filter_map(Token::name).map(str::to_string);
        names.collect::<Vec<String>>()
    };
    match keyword.name().unwrap_or_default() {
        "for" => scan
            .bound
            .extend(names_before(&|token| token.is_name("in"))),
        "set" => scan.bound.extend(names_before(&|token| token.is_sign('='))),
        "macro" | "call" => scan.bound.extend(names_before(&|token| token.is_sign(')'))),
        "with" => {
            let pairs = rest.windows(2);
            let bound = pairs.filter_map(|pair| match pair {
                [name, equals] if equals.is_sign('=') => name.name(),
                _ => None,
            });
            scan.bound.extend(bound.map(str::to_string));
        }
        "include" | "extends" => scan.dependencies.extend(dependencies(rest, literals)),
        "import" | "from" => {
            scan.dependencies.extend(dependencies(rest, literals));
            scan.bound.extend(names_before(&|_| false));
        }
        _ => {}
    }
}

/// The templates that the rest of an `include`, `extends`, `import` or `from` tag names.
fn dependencies(tokens: &[Token], literals: &Literals) -> Vec<Dependency> {
    let is_optional = tokens.iter().any(|token| token.is_name("missing"));
    let ends_the_name = |token: Option<&Token>| match token.map(|token| token.name()) {
        None => true,
        Some(name) => matches!(name, Some("ignore" | "with" | "without" | "as" | "import")),
    };
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    let dependency = |token: &Token, name: DependencyName, is_optional| Dependency {
        name,
        at: token.start,
        is_optional,
    };
    match &first.kind {
        TokenKind::Text(name) if ends_the_name(tokens.get(1)) => {
            let name = DependencyName::Known(name.clone());
            vec![dependency(first, name, is_optional)]
        }
        // Of a list the engine takes the first template that exists.
        TokenKind::Sign('[') => choices(tokens)
            .into_iter()
            .filter_map(|choice| Some((choice.first()?, choice)))
            .flat_map(|(token, choice)| {
                let names = names_of(choice, literals).into_iter();
                names.map(|name| dependency(token, name, true))
            })
            .collect(),
        _ => {
            let end = tokens.iter().position(|token| ends_the_name(Some(token)));
            let (computed, _) = tokens.split_at(end.unwrap_or(tokens.len()));
            let is_optional = is_optional || literals.of(computed).is_some();
            let names = names_of(computed, literals).into_iter();
            names
                .map(|name| dependency(first, name, is_optional))
                .collect()
        }
    }
}

/// The templates that an expression can name.
fn names_of(expression: &[Token], literals: &Literals) -> Vec<DependencyName> {
    let known = |name: &String| DependencyName::Known(name.clone());
    if let [only] = expression
        && let TokenKind::Text(name) = &only.kind
    {
        return vec![known(name)];
    }
    match literals.of(expression) {
        Some(names) => names.iter().map(known).collect(),
        None => vec![like(expression)],
    }
}

/// The elements of the list that the tokens begin with.
fn choices(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut found, mut depth, mut begin) = (Vec::new(), 0_usize, 1);
    for (index, token) in tokens.iter().enumerate() {
        let opens = ['[', '(', '{'].iter().any(|sign| token.is_sign(*sign));
        let closes = [']', ')', '}'].iter().any(|sign| token.is_sign(*sign));
        depth = (depth + usize::from(opens)).saturating_sub(usize::from(closes));
        if depth == 0 || (depth == 1 && token.is_sign(',')) {
            found.extend(tokens.get(begin..index));
            begin = index + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// What is known of a computed name: of `"parts/" ~ language ~ ".html"`, how it begins and ends.
fn like(computed: &[Token]) -> DependencyName {
    let is_joined = |token: Option<&Token>| token.is_some_and(|token| token.is_sign('~'));
    let is_choice = computed.iter().any(|token| token.is_name("if"));
    let part = |token: Option<&Token>, beside: Option<&Token>| match token.map(|token| &token.kind)
    {
        Some(TokenKind::Text(text)) if is_joined(beside) && !is_choice => text.clone(),
        _ => String::new(),
    };
    let beginning = part(computed.first(), computed.get(1));
    let before_last = computed.len().checked_sub(2);
    let end = part(computed.last(), before_last.and_then(|at| computed.get(at)));
    DependencyName::Like(beginning, end)
}

/// Collects the variables of a tag. `guarded` gets the positions of those that a guard makes harmless.
fn scan_variables(tokens: &[Token], scan: &mut Scan, guarded: &mut Vec<Range<usize>>) {
    let mut before: Option<&Token> = None;
    for (index, token) in tokens.iter().enumerate() {
        // An attribute, a filter or a test.
        let belongs_to_variable = before.is_some_and(|before| {
            before.is_sign('.') || before.is_sign('|') || before.is_name("is")
        });
        before = Some(token);
        let Some(name) = token.name() else { continue };
        let rest = tokens.get(index + 1..).unwrap_or_default();
        if belongs_to_variable || is_keyword_argument(rest) {
            continue;
        }
        if let [dot, method, open, ..] = rest
            && dot.is_sign('.')
            && open.is_sign('(')
            && let Some(method) = method.name()
        {
            scan.methods.push(format!("{name}.{method}"));
        }
        let is_whole_row = match rest {
            // A method of a text.
            [dot, _, open, ..] if dot.is_sign('.') && open.is_sign('(') => false,
            [next, ..] => next.is_sign('[') || next.is_sign('.'),
            [] => false,
        };
        if name == "row" && is_whole_row {
            scan.row_uses.push(Reference {
                name: name.to_string(),
                at: token.start,
            });
        }
        if rest.first().is_some_and(|open| open.is_sign('(')) {
            scan.calls.push(Reference {
                name: name.to_string(),
                at: token.start,
            });
        }
        let (end, rest) = skip_attributes(token.end, rest);
        match guard(rest) {
            Guard::Default => {
                scan.defaulted.push(name.to_string());
                guarded.push(token.start..end);
            }
            Guard::Test => {
                scan.tested.push(name.to_string());
                guarded.push(token.start..end);
            }
            Guard::None => scan.references.push(Reference {
                name: name.to_string(),
                at: token.start,
            }),
        }
        if let ("row", Some(key)) = (name, row_key(rest)) {
            scan.row_keys.push(key);
        }
    }
}

fn is_keyword_argument(rest: &[Token]) -> bool {
    match rest {
        [equals, next, ..] => equals.is_sign('=') && !next.is_sign('='),
        _ => false,
    }
}

/// Skips `.b.c` after a variable. Returns where it ends, and the tokens after it.
fn skip_attributes(mut end: usize, mut rest: &[Token]) -> (usize, &[Token]) {
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

/// The guard in the tokens after a variable.
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

/// The key of `["First name"]` after `row`, if no guard follows.
fn row_key(rest: &[Token]) -> Option<Reference> {
    let [open, key, close, more @ ..] = rest else {
        return None;
    };
    if !open.is_sign('[') || !close.is_sign(']') || !matches!(guard(more), Guard::None) {
        return None;
    }
    match &key.kind {
        TokenKind::Text(name) => Some(Reference {
            name: name.clone(),
            at: key.start,
        }),
        _ => None,
    }
}

/// The source with `0` and spaces in place of these variables. Every position stays the same.
fn masked(source: &str, variables: &[Range<usize>]) -> String {
    let mut variables = variables.iter().peekable();
    let mut masked = String::with_capacity(source.len());
    for (at, c) in source.char_indices() {
        while variables.next_if(|variable| variable.end <= at).is_some() {}
        match variables.peek() {
            Some(variable) if variable.start == at => masked.push('0'),
            Some(variable) if variable.contains(&at) => {
                masked.extend(std::iter::repeat_n(' ', c.len_utf8()));
            }
            _ => masked.push(c),
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(references: &[Reference]) -> Vec<&str> {
        references.iter().map(|found| found.name.as_str()).collect()
    }

    #[test]
    fn finds_guards() {
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
    fn finds_dependencies() {
        let found = scan(
            "{% extends 'a.html' %}{%- include \"b.html\" ignore missing -%}{% include lang ~ '.html' %}{% from 'c.html' import x as y %}{% include ['d.html', 'e.html'] %}{% include ['parts/' ~ lang ~ '.html', one[0], 'f.html'] %}",
        );
        let known = |name: &str| DependencyName::Known(name.to_string());
        let dependencies: Vec<(DependencyName, bool)> = found
            .dependencies
            .iter()
            .map(|dependency| (dependency.name.clone(), dependency.is_optional))
            .collect();
        assert_eq!(
            dependencies,
            [
                (known("a.html"), false),
                (known("b.html"), true),
                (
                    DependencyName::Like(String::new(), ".html".to_string()),
                    false
                ),
                (known("c.html"), false),
                (known("d.html"), true),
                (known("e.html"), true),
                (
                    DependencyName::Like("parts/".to_string(), ".html".to_string()),
                    true
                ),
                (DependencyName::Like(String::new(), String::new()), true),
                (known("f.html"), true),
            ]
        );
        assert!(found.bound.contains(&"y".to_string()));
    }

    #[test]
    fn finds_bindings_and_row_keys() {
        let found = scan(
            "{% for k, v in x %}{% set z = 1 %}{% with w = 2 %}{{ row[\"A b\"] }}{{ row['c'] | d('') }}{{ f(q=1) }}",
        );
        assert_eq!(found.bound, ["k", "v", "z", "w"]);
        assert_eq!(names(&found.row_keys), ["A b"]);
        assert!(!names(&found.references).contains(&"q"));
    }

    proptest::proptest! {
        #[test]
        fn scans_any_text_and_keeps_positions(source in "[{}%#\"'a.|é d\\\\\u{a0}]{0,40}") {
            proptest::prop_assert_eq!(scan(&source).masked.len(), source.len());
        }
    }
}
