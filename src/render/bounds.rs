//! Limits that the template engine does not have: how deep a template and its values are nested, so that neither ends the
//! process with a stack overflow. Steps and bytes are limited by the engine's fuel.

use super::lexer::{Tag, Token, TokenKind, closed_tags};
use super::row::RowValues;
use minijinja::value::{DynObject, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use std::cell::Cell;

/// The stack of each thread that compiles, checks or renders templates. Only what is used takes memory. The deepest
/// template and the deepest value that these limits allow need less than a fourth of it in a build without
/// optimisations.
pub const STACK_BYTES: usize = 256 << 20;
/// Most operators, filters, tests, attributes, calls and brackets in one tag. Each may nest the rest of the tag in it.
const MAX_OPERATORS: usize = 1_000;
/// Most `elif` in one template. Each is nested in the one before it.
const MAX_ELIFS: usize = 1_000;
/// Deepest list of lists in a variable.
const MAX_VALUE_DEPTH: usize = 100;
/// Most elements of lists that are looked at for one rendering.
const MAX_LOOKS: u64 = 4_000_000;

/// Functions around the value of each `set`. Nobody calls a function of such a name.
const KEPT: &str = "mailq__kept";
const KEPT_IN_NAMESPACE: &str = "mailq__kept_in_namespace";

thread_local! {
    /// How many elements were looked at since the rendering began.
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// What a template has too much of, and where.
pub struct Excess {
    /// Position in the source, in bytes.
    pub at: usize,
    pub what: String,
}

/// Finds a tag that is nested too deep.
pub fn excess(source: &str) -> Option<Excess> {
    let mut elifs = 0;
    closed_tags(source).find_map(|(tag, _)| {
        let (Tag::Expression(tokens) | Tag::Statement(tokens)) = &tag;
        elifs += usize::from(tokens.first().is_some_and(|first| first.is_name("elif")));
        let at = tokens.first().map_or(0, |first| first.start);
        if elifs > MAX_ELIFS {
            let what = format!("more than {MAX_ELIFS} `elif` in one template");
            return Some(Excess { at, what });
        }
        let beyond = operators(tokens).nth(MAX_OPERATORS)?;
        Some(Excess {
            at: beyond.start,
            what: format!(
                "more than {MAX_OPERATORS} operators, filters, calls and brackets in one tag"
            ),
        })
    })
}

/// What may nest the rest of the tag in it. An operator of two signs and a pair of brackets are one each.
fn operators(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut before: Option<&Token> = None;
    tokens.iter().filter(move |token| {
        let is_second = before.is_some_and(|first| are_one(first, token));
        // The second sign of one operator is not the first sign of the next one.
        before = Some(*token).filter(|_| !is_second);
        is_operator(token) && !is_second
    })
}

fn is_operator(token: &Token) -> bool {
    const WORDS: [&str; 6] = ["and", "or", "not", "in", "is", "if"];
    const OTHERS: [char; 5] = [',', ':', ')', ']', '}'];
    match token.name() {
        Some(name) => WORDS.contains(&name),
        None => token.is_any_sign() && !OTHERS.iter().any(|sign| token.is_sign(*sign)),
    }
}

/// Whether two signs are one operator: `==`, `!=`, `<=`, `>=`, `//` or `**`.
fn are_one(first: &Token, second: &Token) -> bool {
    let is_pair = match second.kind {
        TokenKind::Sign('=') => ['=', '!', '<', '>'].iter().any(|sign| first.is_sign(*sign)),
        TokenKind::Sign('/' | '*') => first.kind == second.kind,
        _ => false,
    };
    is_pair && first.end == second.start
}

/// The template with each `{% set x = value %}` as `{% set x = kept((value)) %}`. Lines stay the same.
pub fn bounded(source: &str) -> String {
    let mut bounded = String::with_capacity(source.len() + 64);
    let mut from = 0;
    for (tag, close) in closed_tags(source) {
        let Tag::Statement(tokens) = tag else {
            continue;
        };
        let Some((value, function)) = assigned(&tokens) else {
            continue;
        };
        bounded.push_str(source.get(from..value).unwrap_or_default());
        bounded.push_str(&format!("{function}(("));
        bounded.push_str(source.get(value..close).unwrap_or_default());
        bounded.push_str("))");
        from = close;
    }
    bounded.push_str(source.get(from..).unwrap_or_default());
    bounded
}

/// Where the value of a `set` begins, and the function for it. `None`: another tag, or `{% set x %}`.
fn assigned(tokens: &[Token]) -> Option<(usize, &'static str)> {
    let (set, rest) = tokens.split_first()?;
    let is_end = |token: &&Token| token.is_sign('=') || token.is_sign('|');
    let end = rest.iter().find(is_end).filter(|_| set.is_name("set"))?;
    let mut target = rest.iter().take_while(|token| !token.is_sign('='));
    let function = match target.any(|token| token.is_sign('.')) {
        true => KEPT_IN_NAMESPACE,
        false => KEPT,
    };
    end.is_sign('=').then_some((end.end, function))
}

/// Adds the functions that [`bounded`] writes.
pub fn add(environment: &mut Environment<'static>) {
    environment.add_function(KEPT, |value: Value| kept(value, false));
    environment.add_function(KEPT_IN_NAMESPACE, |value: Value| kept(value, true));
}

/// To be called before each rendering.
pub fn begin() {
    LOOKS.set(0);
}

/// The same value. Errors: it is nested too deep, or would nest a namespace in itself.
fn kept(value: Value, in_namespace: bool) -> Result<Value, Error> {
    let mut open = vec![(value.clone(), 0)];
    while let Some((next, depth)) = open.pop() {
        let Some(object) = container(&next) else {
            continue;
        };
        // The engine does not make this type public.
        if in_namespace && object.type_name().ends_with("::Namespace") {
            return Err(refused(
                "a namespace cannot be kept in a namespace".to_string(),
            ));
        }
        if depth >= MAX_VALUE_DEPTH {
            let what = format!("a value that is nested more than {MAX_VALUE_DEPTH} levels deep");
            return Err(refused(what));
        }
        for element in next.try_iter()? {
            LOOKS.set(LOOKS.get() + 1);
            if LOOKS.get() > MAX_LOOKS {
                let what = format!("more than {MAX_LOOKS} elements in the variables of `set`");
                return Err(refused(what));
            }
            if next.kind() == ValueKind::Map {
                open.push((next.get_item(&element)?, depth + 1));
            }
            if container(&element).is_some() {
                open.push((element, depth + 1));
            }
        }
    }
    Ok(value)
}

/// A value that holds others. `None` for texts, numbers and rows of the list.
fn container(value: &Value) -> Option<&DynObject> {
    let holds_others = matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
    );
    let object = value.as_object().filter(|_| holds_others)?;
    (!object.is::<RowValues>()).then_some(object)
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_keeps_its_lines_and_its_meaning() {
        for (source, wanted) in [
            ("{% set x = 1 %}", "{% set x =mailq__kept(( 1 ))%}"),
            (
                "a{%- set ns.x = ns.x\n ~ 'a=b' -%}b",
                "a{%- set ns.x =mailq__kept_in_namespace(( ns.x\n ~ 'a=b' ))-%}b",
            ),
            (
                "{% set a, b = 1, 2 %}",
                "{% set a, b =mailq__kept(( 1, 2 ))%}",
            ),
        ] {
            assert_eq!(bounded(source), wanted);
        }
        for source in [
            "{% set x | f(a=1) %}b{% endset %}",
            "{% set x %}b{% endset %}{{ a == b }}",
            "{% raw %}{% set x = 1 %}{% endraw %}{# {% set x = 1 %} #}",
            "{% if set == 1 %}{% endif %}",
        ] {
            assert_eq!(bounded(source), source);
        }
    }

    #[test]
    fn refuses_what_would_overflow_the_stack() {
        for (source, is_refused) in [
            (format!("{{{{ 1{} }}}}", "+1".repeat(1_000)), false),
            (format!("{{{{ 1{} }}}}", "+1".repeat(1_001)), true),
            (format!("{{{{ 1{} }}}}", "==1".repeat(1_000)), false),
            (format!("{{{{ 1{} }}}}", "==1".repeat(1_001)), true),
            (format!("{{{{ 1{} }}}}", "//1".repeat(1_001)), true),
            (format!("{{{{ {}1 }}}}", "(".repeat(1_001)), true),
            (format!("{{{{ [{}] }}}}", "['a', b], ".repeat(600)), false),
            (format!("{{{{ 1{} }}}}", "+1".repeat(26_000)), true),
            (format!("{{{{ {}1 }}}}", "not ".repeat(26_000)), true),
            (format!("{{{{ a{} }}}}", ".a".repeat(26_000)), true),
            (format!("{{{{ [{}] }}}}", "'a', 2, ".repeat(26_000)), false),
            (format!("{{% if a %}}{}", "{% elif a %}".repeat(900)), false),
            (
                format!("{{% if a %}}{}", "{% elif a %}".repeat(7_000)),
                true,
            ),
        ] {
            assert_eq!(excess(&source).is_some(), is_refused);
        }
    }
}
