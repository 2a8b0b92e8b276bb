//! What people write who know another template language: statements, operators, filters and words of Liquid, Twig,
//! Handlebars, Go and JavaScript, and what each of them is here.

use super::lexer::{Token, TokenKind};
use super::slip::{Slip, SlipKind};

/// First words of a statement, the language, and what to write.
const STATEMENTS: [(&[&str], &str, &str); 8] = [
    (&["assign"], "Liquid", "`{% set shop = \"Acme\" %}`"),
    (
        &["capture", "endcapture"],
        "Liquid",
        "`{% set x %}…{% endset %}`",
    ),
    (
        &["unless", "endunless"],
        "Liquid",
        "`{% if not city %}…{% endif %}`",
    ),
    (
        &["case", "when", "endcase", "switch", "endswitch"],
        "Liquid",
        "`{% if city == \"Bern\" %}…{% elif city == \"Basel\" %}…{% endif %}`",
    ),
    (&["elsif", "elseif"], "Liquid and Twig", "`{% elif city %}`"),
    (&["comment", "endcomment"], "Liquid", "`{# … #}`"),
    (
        &["foreach", "endforeach", "each", "endeach"],
        "other languages",
        "`{% for row in rows %}…{% endfor %}`",
    ),
    (&["end"], "Go", "`{% endif %}` or `{% endfor %}`"),
];

/// Filters of other languages and ours.
const FILTERS: [(&[&str], &str); 9] = [
    (&["upcase", "uppercase", "strtoupper"], "upper"),
    (&["downcase", "lowercase", "strtolower"], "lower"),
    (&["ucfirst", "capfirst"], "capitalize"),
    (&["titlecase", "ucwords", "title_case"], "title"),
    (&["strip", "lstrip", "rstrip"], "trim"),
    (&["size", "len"], "length"),
    (&["raw", "html_safe"], "safe"),
    (&["url_encode", "urlize"], "urlencode"),
    (&["newline_to_br", "linebreaksbr"], "nl2br"),
];

/// Our filter for one of another language.
pub fn filter(name: &str) -> Option<&'static str> {
    let found = FILTERS.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, ours)| *ours)
}

/// What to write instead of a word that is used as a variable or after `is`, and is none.
pub fn word(name: &str) -> Option<&'static str> {
    match name {
        "if" | "unless" => {
            Some("a condition is `{% if city %}…{% endif %}`, with `%` at the braces")
        }
        "else" => Some("write `{% else %}`, with `%` at the braces"),
        "elif" | "elsif" | "elseif" => Some("write `{% elif city %}`, with `%` at the braces"),
        "endif" | "end" | "fi" => Some("write `{% endif %}`, with `%` at the braces"),
        "for" | "range" | "each" => {
            Some("a loop is `{% for row in rows %}…{% endfor %}`, with `%` at the braces")
        }
        "endfor" => Some("write `{% endfor %}`, with `%` at the braces"),
        "forloop" => Some("write `loop`, as in `{{ loop.index }}`"),
        "null" | "NULL" | "nil" | "blank" | "empty" | "undefined" => {
            Some("an empty cell is an empty text: `{% if not city %}`")
        }
        _ => None,
    }
}

/// The first thing in a tag that another language has and this one does not.
pub fn find(tokens: &[Token], is_statement: bool) -> Option<Slip> {
    let first = tokens.first()?;
    let begin = match is_statement {
        true => statement(first, tokens.get(1)),
        false => sign(first, tokens),
    };
    begin.or_else(|| operator(tokens, is_statement))
}

fn statement(first: &Token, second: Option<&Token>) -> Option<Slip> {
    let name = first.name()?;
    if name == "else" && second.is_some_and(|token| token.is_name("if")) {
        return Some(slip(
            first.start,
            "else if",
            "Liquid and Twig",
            "`{% elif city %}`",
        ));
    }
    let found = STATEMENTS.iter().find(|(names, ..)| names.contains(&name));
    let (_, language, instead) = found?;
    Some(slip(first.start, name, language, instead))
}

/// `{{ .Name }}`, `{{#if}}`, `{{{name}}}`, `{{> footer }}`, `{{<b>name</b>}}`.
fn sign(first: &Token, tokens: &[Token]) -> Option<Slip> {
    const COLUMN: &str = "a column as `{{ name }}`, and a condition as `{% if city %}…{% endif %}`";
    let TokenKind::Sign(sign) = first.kind else {
        return None;
    };
    let is_triple = || {
        let is_map = tokens.iter().any(|token| token.is_sign(':'));
        tokens.len() > 2 && !is_map && tokens.last().is_some_and(|token| token.is_sign('}'))
    };
    let (language, instead) = match sign {
        '.' => ("Go", COLUMN),
        '#' | '/' => ("Handlebars", COLUMN),
        '^' => ("Handlebars", "`{% if not city %}…{% endif %}`"),
        '>' => ("Handlebars", "`{% include \"footer.html\" %}`"),
        '!' => ("Handlebars", "a comment as `{# … #}`"),
        '$' => ("Smarty", COLUMN),
        '<' => ("HTML", "the tags outside of the braces"),
        '{' if is_triple() => ("Handlebars", COLUMN),
        _ => return None,
    };
    Some(slip(first.start, &sign.to_string(), language, instead))
}

fn operator(tokens: &[Token], is_statement: bool) -> Option<Slip> {
    let begins_condition = is_statement
        && tokens.first().is_some_and(|first| {
            first.is_name("if") || first.is_name("elif") || first.is_name("unless")
        });
    let mut depth = 0usize;
    let mut is_second_sign = false;
    for (index, token) in tokens.iter().enumerate() {
        if is_second_sign {
            is_second_sign = false;
            continue;
        }
        if begins_condition && token.is_name("contains") {
            let instead = "`\"Bern\" in city`";
            return Some(slip(token.start, "contains", "Liquid", instead));
        }
        let TokenKind::Sign(sign) = token.kind else {
            continue;
        };
        let rest = tokens.get(index..).unwrap_or_default();
        let found = match sign {
            '}' if depth == 0 => return Some(one_brace(token.start, is_statement)),
            ':' if depth == 0 && is_after_filter(tokens, index) => Some((
                ":",
                "Liquid",
                "brackets: `{{ name | default(\"friend\") }}`",
            )),
            _ => operator_of(sign, rest, begins_condition && depth == 0),
        };
        if let Some((shown, language, instead)) = found {
            return Some(slip(token.start, shown, language, instead));
        }
        depth = match sign {
            '{' | '(' | '[' => depth + 1,
            '}' | ')' | ']' => depth.saturating_sub(1),
            _ => depth,
        };
        // `==`, `!=`, `<=` and `>=` are ours, and their second sign is no operator of its own.
        is_second_sign = matches!(sign, '=' | '!' | '<' | '>') && is_joined(rest, '=');
    }
    None
}

/// `{% if name }` and `{{ name }`.
fn one_brace(at: usize, is_statement: bool) -> Slip {
    let instead = if is_statement { "`%}`" } else { "`}}`" };
    let reason = "the tag ends with one brace".to_string();
    Slip {
        at,
        what: SlipKind::OtherLanguage { reason, instead },
    }
}

/// The operator of another language that tokens begin with: as it is shown, its language, ours.
fn operator_of(
    sign: char,
    rest: &[Token],
    is_condition: bool,
) -> Option<(&'static str, &'static str, &'static str)> {
    match sign {
        '&' if is_joined(rest, '&') => Some(("&&", "JavaScript", "`and`")),
        '|' if is_joined(rest, '|') => Some(("||", "JavaScript", "`or`")),
        '=' if is_joined(rest, '=') && is_joined(rest.get(1..)?, '=') => {
            Some(("===", "JavaScript", "`==`"))
        }
        '!' if is_joined(rest, '=') && is_joined(rest.get(1..)?, '=') => {
            Some(("!==", "JavaScript", "`!=`"))
        }
        '<' if is_joined(rest, '>') => Some(("<>", "SQL", "`!=`")),
        '!' if !is_joined(rest, '=') => Some(("!", "JavaScript", "`not`")),
        '?' if is_joined(rest, '?') => Some(("??", "Twig", "`{{ name | default(\"friend\") }}`")),
        '?' => Some(("?", "JavaScript", "`{{ city if city else \"…\" }}`")),
        '=' if is_condition && !is_joined(rest, '=') => Some(("=", "SQL", "`==`")),
        _ => None,
    }
}

/// Whether the first token has this sign right behind it.
fn is_joined(tokens: &[Token], sign: char) -> bool {
    matches!(tokens, [first, second, ..] if first.end == second.start && second.is_sign(sign))
}

/// `| default:`
fn is_after_filter(tokens: &[Token], index: usize) -> bool {
    let before = tokens.get(..index).unwrap_or_default();
    matches!(before, [.., pipe, name] if pipe.is_sign('|') && name.name().is_some())
}

fn slip(at: usize, found: &str, language: &'static str, instead: &'static str) -> Slip {
    Slip {
        at,
        what: SlipKind::OtherLanguage {
            reason: format!("`{found}` between braces, as in {language}"),
            instead,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::lexer::{Tag, tags};

    fn found(source: &str) -> Option<(String, &'static str)> {
        let slip = tags(source).find_map(|tag| match tag {
            Tag::Expression(tokens) => find(&tokens, false),
            Tag::Statement(tokens) => find(&tokens, true),
        });
        match slip?.what {
            SlipKind::OtherLanguage { reason, instead } => Some((reason, instead)),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn comparisons_of_ours_are_left_alone() {
        for source in [
            "{% set d = {'same': a == b} %}",
            "{{ f({'k': a != b}) }}",
            "{{ [a <= b, c >= d] }}{% if a == b|d(c=1) %}{% endif %}",
        ] {
            assert_eq!(found(source), None, "{source}");
        }
    }

    #[test]
    fn operators_behind_a_comparison_are_found() {
        for (source, wanted) in [
            ("{% if a == b && c %}", "`and`"),
            ("{% if a == b and c = d %}", "`==`"),
            ("{% if a === b %}", "`==`"),
            ("{% if a !== b %}", "`!=`"),
            ("{% if a == b or c contains d %}", "`\"Bern\" in city`"),
        ] {
            let instead = found(source).map(|(_, instead)| instead);
            assert_eq!(instead, Some(wanted), "{source}");
        }
    }

    #[test]
    fn a_tag_that_ends_with_one_brace_is_named_with_its_end() {
        for (source, wanted) in [("{% if name }a%}", "`%}`"), ("{{ name } a }}", "`}}`")] {
            let reason = "the tag ends with one brace".to_string();
            assert_eq!(found(source), Some((reason, wanted)), "{source}");
        }
    }
}
