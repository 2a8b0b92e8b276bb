//! Which texts a variable of a template can be, where the template says it: `{% set part = "a.html" %}`,
//! `{% for part in ["a.html", "b.html"] %}`. So `{% include part %}` needs these templates and no others.

use super::lexer::{Tag, Token, TokenKind, tags};
use std::collections::{BTreeMap, BTreeSet};

/// Tags that bind names. What binds a name in another way than by texts makes it anything.
const BINDING: [&str; 7] = ["set", "for", "macro", "call", "with", "import", "from"];
/// Tags that have an end tag, beside `for` and the `set` without `=`.
const OPENING: [&str; 7] = [
    "if",
    "block",
    "macro",
    "filter",
    "call",
    "with",
    "autoescape",
];

/// The texts of the variables of one template, up to a place in it.
#[derive(Debug, Default)]
pub struct Literals {
    /// By variable, what all tags of the template bind it to. `None`: it may be anything else as well.
    texts: BTreeMap<String, Option<Vec<String>>>,
    /// What was bound before this place by a `set` outside of all other tags. A `set` inside of one may not be reached, and
    /// then the variable is a column of the list.
    set: BTreeSet<String>,
    /// The tags that are open at this place, each with the variable of its `for`.
    open: Vec<Option<String>>,
}

impl Literals {
    /// At the beginning of a template.
    pub fn new(source: &str) -> Literals {
        let mut literals = Literals::default();
        for tag in tags(source) {
            if let Tag::Statement(tokens) = tag {
                literals.bind(&tokens);
            }
        }
        literals
    }

    /// Notes what the tokens of a `{% … %}` tag bind.
    fn bind(&mut self, tokens: &[Token]) {
        let Some((keyword, rest)) = tokens.split_first() else {
            return;
        };
        if !keyword.name().is_some_and(|word| BINDING.contains(&word)) {
            return;
        }
        let (targets, value) = targets_and_value(keyword, rest);
        let texts = match value.split_first() {
            Some((_, value)) if targets.len() == 1 && keyword.is_name("set") => choice(value),
            Some((_, value)) if targets.len() == 1 => list(value),
            _ => None,
        };
        for name in targets.iter().filter_map(Token::name) {
            let texts = texts.clone();
            match self.texts.get_mut(name) {
                Some(known) => *known = known.take().zip(texts).map(|(a, b)| [a, b].concat()),
                None => drop(self.texts.insert(name.to_string(), texts)),
            }
        }
    }

    /// Goes past the next `{% … %}` tag of the template.
    pub fn pass(&mut self, tokens: &[Token]) {
        let Some((keyword, rest)) = tokens.split_first() else {
            return;
        };
        let (targets, _) = targets_and_value(keyword, rest);
        let target = targets.first().and_then(Token::name).map(str::to_string);
        match keyword.name().unwrap_or_default() {
            "set" if !is_assignment(rest) => self.open.push(None),
            "set" if self.open.is_empty() => self.set.extend(target),
            "for" => self.open.push(target),
            // The loop had no elements, so its variable is not bound.
            "else" => {
                if let Some(variable) = self.open.last_mut() {
                    *variable = None;
                }
            }
            word if OPENING.contains(&word) => self.open.push(None),
            word if word.starts_with("end") => drop(self.open.pop()),
            _ => {}
        }
    }

    /// The texts that a computed name can be. `None`: it may be anything.
    pub fn of(&self, computed: &[Token]) -> Option<&[String]> {
        let [variable] = computed else {
            return None;
        };
        let name = variable.name()?;
        let is_of_loop = self.open.iter().any(|one| one.as_deref() == Some(name));
        let is_bound = is_of_loop || self.set.contains(name);
        self.texts.get(name).filter(|_| is_bound)?.as_deref()
    }
}

/// What a tag binds, and the value with the `=` or `in` before it.
fn targets_and_value<'a>(keyword: &Token, rest: &'a [Token]) -> (&'a [Token], &'a [Token]) {
    let is_end = |token: &Token| match keyword.name() {
        Some("set") => token.is_sign('='),
        Some("for") => token.is_name("in"),
        _ => false,
    };
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    rest.split_at(end)
}

/// `{% set x = … %}`, not `{% set x %}` or `{% set x | filter(a=1) %}`.
fn is_assignment(rest: &[Token]) -> bool {
    let mut signs = rest.iter().filter(|token| token.is_any_sign());
    signs
        .find(|token| token.is_sign('=') || token.is_sign('|'))
        .is_some_and(|token| token.is_sign('='))
}

fn text(token: &Token) -> Option<String> {
    match &token.kind {
        TokenKind::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// `"a.html"`, or `"a.html" if … else "b.html"`.
fn choice(value: &[Token]) -> Option<Vec<String>> {
    let is_joined = |token: &Token| {
        ['~', '+', '%', '|']
            .into_iter()
            .any(|sign| token.is_sign(sign))
    };
    let (first, last) = (text(value.first()?)?, text(value.last()?)?);
    let elses = value.iter().filter(|token| token.is_name("else")).count();
    let is_choice = elses == 1 && value.get(1).is_some_and(|token| token.is_name("if"));
    let before_last = value.len().checked_sub(2).and_then(|at| value.get(at));
    let is_whole = before_last.is_some_and(|token| token.is_name("else"));
    match value.len() {
        1 => Some(vec![first]),
        _ if is_choice && is_whole && !value.iter().any(is_joined) => Some(vec![first, last]),
        _ => None,
    }
}

/// `["a.html", "b.html"]`.
fn list(value: &[Token]) -> Option<Vec<String>> {
    let [open, items @ .., close] = value else {
        return None;
    };
    let is_list = open.is_sign('[') && close.is_sign(']');
    let items = items.iter().filter(|token| !token.is_sign(','));
    let texts = items.map(text).collect::<Option<Vec<String>>>();
    texts.filter(|_| is_list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_texts_of_a_variable() {
        let all = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect());
        for (source, wanted) in [
            ("{% set x = 'a' %}", all(&["a"])),
            ("{% set x = 'a' if b == 'c' else 'd' %}", all(&["a", "d"])),
            ("{% set x = 'a' %}{% set x = 'b' %}", all(&["a", "b"])),
            ("{% for x in ['a', 'b'] %}", all(&["a", "b"])),
            ("{% set x = 'a' ~ y %}", None),
            ("{% set x = 'a' if b else c %}", None),
            ("{% set x = 'a' %}{% set x = y %}{% set x = 'b' %}", None),
            ("{% set x = 'a' %}{% macro m(x) %}", None),
            ("{% for x, y in ['a', 'b'] %}", None),
            ("{% for x in ['a', b] %}", None),
            ("{% set y = 'a' %}", None),
            ("{% if x == '' %}{% set x = 'a' %}{% endif %}", None),
            ("{% for y in z %}{% set x = 'a' %}{% endfor %}", None),
            ("{% set y %}{% set x = 'a' %}{% endset %}", None),
            (
                "{% set y | f(a=1) %}b{% endset %}{% set x = 'a' %}",
                all(&["a"]),
            ),
            (
                "{% set x = 'a' %}{% if b %}{% set x = 'c' %}{% endif %}",
                all(&["a", "c"]),
            ),
            ("{% set x = 'a' %}{% if b %}", all(&["a"])),
            ("{% for x in ['a', 'b'] %}{% if y %}", all(&["a", "b"])),
            ("{% for x in ['a', 'b'] %}{% else %}", None),
            ("{% for x in ['a', 'b'] %}{% endfor %}", None),
        ] {
            let source = format!("{source}{{{{ x }}}}");
            let mut literals = Literals::new(&source);
            let mut last = Vec::new();
            for tag in tags(&source) {
                match tag {
                    Tag::Statement(tokens) => literals.pass(&tokens),
                    Tag::Expression(tokens) => last = tokens,
                }
            }
            let found: Option<Vec<String>> = literals.of(&last).map(<[String]>::to_vec);
            assert_eq!(found, wanted, "{source}");
        }
    }

    #[test]
    fn a_set_counts_for_what_stands_behind_it_and_everywhere_in_its_loop() {
        for source in [
            "{{ x }}{% set x = 'a' %}",
            "{% set x = 'a' %}{% for y in z %}{{ x }}{% set x = y %}{% endfor %}",
        ] {
            let mut literals = Literals::new(source);
            for tag in tags(source) {
                match tag {
                    Tag::Statement(tokens) => literals.pass(&tokens),
                    Tag::Expression(tokens) => assert_eq!(literals.of(&tokens), None, "{source}"),
                }
            }
        }
    }
}
