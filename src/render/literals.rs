//! Which texts a variable of a template can be, where the template says it: `{% set part = "a.html" %}`,
//! `{% for part in ["a.html", "b.html"] %}`. So `{% include part %}` needs these templates and no others.

use super::lexer::{Token, TokenKind};
use std::collections::BTreeMap;

/// Texts by variable. `None`: it may be anything else as well.
#[derive(Debug, Default)]
pub struct Literals(BTreeMap<String, Option<Vec<String>>>);

impl Literals {
    /// Notes what the tokens of a `{% … %}` tag bind.
    pub fn note(&mut self, tokens: &[Token]) {
        let Some((keyword, rest)) = tokens.split_first() else {
            return;
        };
        let is_end = |token: &Token| match keyword.name() {
            Some("set") => token.is_sign('='),
            Some("for") => token.is_name("in"),
            _ => false,
        };
        let binds = ["set", "for", "macro", "call", "with", "import", "from"];
        if !keyword.name().is_some_and(|word| binds.contains(&word)) {
            return;
        }
        let end = rest.iter().position(is_end).unwrap_or(rest.len());
        let (targets, value) = rest.split_at(end);
        let texts = match value.split_first() {
            Some((_, value)) if targets.len() == 1 && keyword.is_name("set") => choice(value),
            Some((_, value)) if targets.len() == 1 => list(value),
            _ => None,
        };
        for name in targets.iter().filter_map(Token::name) {
            let texts = texts.clone();
            match self.0.get_mut(name) {
                Some(known) => *known = known.take().zip(texts).map(|(a, b)| [a, b].concat()),
                None => drop(self.0.insert(name.to_string(), texts)),
            }
        }
    }

    /// The texts that a computed name can be. `None`: it may be anything.
    pub fn of(&self, computed: &[Token]) -> Option<&[String]> {
        match computed {
            [variable] => self.0.get(variable.name()?)?.as_deref(),
            _ => None,
        }
    }
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
    use crate::render::lexer::{Tag, tags};

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
        ] {
            let mut literals = Literals::default();
            let mut last = Vec::new();
            for tag in tags(&format!("{source}{{{{ x }}}}")) {
                match tag {
                    Tag::Statement(tokens) => literals.note(&tokens),
                    Tag::Expression(tokens) => last = tokens,
                }
            }
            let found: Option<Vec<String>> = literals.of(&last).map(<[String]>::to_vec);
            assert_eq!(found, wanted, "{source}");
        }
    }
}
