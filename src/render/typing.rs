//! Finds what word processors and other programs put between braces, to explain a syntax error: curly quotes, entities
//! of HTML, no-break spaces, names of several words, tags of other template languages.

use super::lexer::{Tag, Token, TokenKind, tags};
use super::other_languages;
use super::slip::{Slip, SlipKind};

/// The first slip of a template that does not parse.
pub fn find(source: &str) -> Option<Slip> {
    tags(source).find_map(|tag| {
        let (tokens, is_statement) = match &tag {
            Tag::Expression(tokens) => (tokens, false),
            Tag::Statement(tokens) => (tokens, true),
        };
        let rest = tokens.get(usize::from(is_statement)..);
        let slips = [
            character(source, tokens),
            other_languages::find(tokens, is_statement),
            name(source, rest.unwrap_or_default()),
        ];
        slips.into_iter().flatten().min_by_key(|slip| slip.at)
    })
}

fn character(source: &str, tokens: &[Token]) -> Option<Slip> {
    let begin = tokens.first().map_or(0, |first| first.start);
    let before = source.get(..begin).unwrap_or_default();
    let blank = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_whitespace());
    let first = blank
        .filter_map(|(at, c)| Some((at, typographic(c)?)))
        .last();
    if let Some((at, what)) = first {
        return Some(Slip { at, what });
    }
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1..).unwrap_or_default();
        let gap_end = next.first().map_or(token.end, |next| next.start);
        let what = match &token.kind {
            TokenKind::Sign('&') => entity(source, token.start),
            TokenKind::Sign(sign) => typographic(*sign),
            TokenKind::Name(_) | TokenKind::Text(_) => None,
        };
        let here = what.map(|what| (token.start, what));
        let gap = source.get(token.end..gap_end).unwrap_or_default();
        let after = gap.char_indices().find_map(|(at, c)| {
            let what = typographic(c)?;
            Some((token.end + at, what))
        });
        if let Some((at, what)) = here.or(after) {
            return Some(Slip { at, what });
        }
    }
    None
}

fn typographic(c: char) -> Option<SlipKind> {
    let character = |instead| Some(SlipKind::Character(c.to_string(), instead));
    match c {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '＂' => {
            character("straight quotes `\"`")
        }
        '‘' | '’' | '‚' | '‛' | '′' | '`' | '´' => character("straight quotes `'`"),
        '–' | '—' | '−' => character("a hyphen `-`"),
        '×' => character("`*`"),
        '÷' => character("`/`"),
        '≤' => character("`<=`"),
        '≥' => character("`>=`"),
        '≠' => character("`!=`"),
        '，' => character("a comma `,`"),
        '（' | '）' => character("plain brackets `(…)`"),
        '｜' => character("`|`"),
        '\u{a0}' | '\u{202f}' | '\u{2007}' => {
            Some(SlipKind::Invisible("a no-break space", "a plain space"))
        }
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {
            Some(SlipKind::Invisible("an invisible character", "nothing"))
        }
        '\u{2000}'..='\u{200a}' | '\u{3000}' => Some(SlipKind::Invisible(
            "a space of another width",
            "a plain space",
        )),
        _ => None,
    }
}

fn entity(source: &str, at: usize) -> Option<SlipKind> {
    let rest = source.get(at..)?;
    let end = rest.char_indices().take(12).find(|(_, c)| *c == ';')?.0;
    let entity = rest.get(..end + 1)?;
    let instead = match entity {
        "&gt;" | "&#62;" => "`>`",
        "&lt;" | "&#60;" => "`<`",
        "&amp;" | "&#38;" => "`and`",
        "&nbsp;" | "&#160;" => "a plain space",
        "&quot;" | "&#34;" | "&ldquo;" | "&rdquo;" | "&#8220;" | "&#8221;" => "a quote `\"`",
        "&apos;" | "&#39;" | "&#039;" | "&lsquo;" | "&rsquo;" => "a quote `'`",
        _ => "the character itself",
    };
    Some(SlipKind::Entity(entity.to_string(), instead))
}

/// `{{ First Name }}`, `{{ Straße }}`: words where an expression has one.
fn name(source: &str, tokens: &[Token]) -> Option<Slip> {
    let words: Vec<&Token> = tokens
        .iter()
        .take_while(|token| !token.is_sign('|') && !is_operator(token))
        .collect();
    let (first, last) = (words.first()?, words.last()?);
    let is_letter = |token: &&Token| matches!(token.kind, TokenKind::Sign(c) if c.is_alphabetic());
    let two_names = words
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.name().is_some() && b.name().is_some()));
    let begins = first.name().is_some() || is_letter(first);
    let is_name = begins && (two_names || words.iter().any(is_letter));
    let has_text = words
        .iter()
        .any(|token| matches!(token.kind, TokenKind::Text(_)));
    let text = source.get(first.start..last.end)?.trim();
    (is_name && !has_text && text.chars().count() <= 80).then(|| Slip {
        at: first.start,
        what: SlipKind::Name(text.to_string()),
    })
}

fn is_operator(token: &Token) -> bool {
    let word = token.name().unwrap_or_default();
    matches!(word, "if" | "else" | "and" | "or" | "not" | "in" | "is")
        || matches!(
            token.kind,
            TokenKind::Sign('=' | '<' | '>' | '~' | '!' | '[' | ',')
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_does_not_belong_between_braces() {
        for (source, at, what) in [
            (
                "{{ name | default(“x”) }}",
                18,
                "the character `“` between braces",
            ),
            (
                "{{ name\u{a0}| upper }}",
                7,
                "a no-break space between braces",
            ),
            ("{{\u{a0}name }}", 2, "a no-break space between braces"),
            (
                "{% if a &gt; 2 %}",
                8,
                "the HTML entity `&gt;` between braces",
            ),
            (
                "{{ name == &quot;x&quot; }}",
                11,
                "the HTML entity `&quot;`",
            ),
            (
                "{{ name }}{{ First Name }}",
                13,
                "the name `First Name` is not a single word",
            ),
            (
                "{{ Unit price (EUR) | upper }}",
                3,
                "the name `Unit price (EUR)`",
            ),
            ("{% if First Name %}", 6, "the name `First Name`"),
            ("{{ Straße }}", 3, "the name `Straße`"),
            ("{{ 名前 }}", 3, "the name `名前`"),
            ("{{ .Name }}", 3, "`.` between braces, as in Go"),
            ("{{#if a}}", 2, "`#` between braces, as in Handlebars"),
            ("{{{name}}}", 2, "`{` between braces, as in Handlebars"),
        ] {
            let slip = find(source).unwrap_or_else(|| panic!("{source}"));
            assert!(
                slip.what.to_string().starts_with(what),
                "{source}: {slip:?}"
            );
            assert_eq!(slip.at, at, "{source}");
        }
    }

    #[test]
    fn leaves_valid_templates_alone() {
        for source in [
            "{{ name | default(\"“x”\") }} “{{ name }}”\u{a0}",
            "{% for a in b if not c %}{{ a if b else c }}{% endfor %}",
            "{% set x = 1 %}{{ a is defined and b in c }}{{ {'a': 1}.a }}",
        ] {
            assert_eq!(find(source), None, "{source}");
        }
    }

    #[test]
    fn names_what_other_languages_have() {
        for (source, at, what) in [
            (
                "{% assign x = 1 %}",
                3,
                "`assign` between braces, as in Liquid",
            ),
            ("{% if a %}{% elsif b %}", 13, "`elsif`"),
            ("{% if a %}{% else if b %}", 13, "`else if`"),
            ("{{ name | default: \"x\" }}", 17, "`:`"),
            ("{% if a && b %}", 8, "`&&`"),
            ("{% if a || b %}", 8, "`||`"),
            ("{% if !a %}", 6, "`!`"),
            ("{% if a === b %}", 8, "`===`"),
            ("{% if a <> b %}", 8, "`<>`"),
            ("{% if a = b %}", 8, "`=`"),
            ("{% if a == b && c %}", 13, "`&&`"),
            ("{% if a contains \"b\" %}", 8, "`contains`"),
            ("{{ a ?? b }}", 5, "`??`"),
            ("{{ a ? b : c }}", 5, "`?`"),
            ("{{ name }\n", 8, "the tag ends with one brace"),
            ("{{! hidden }}", 2, "`!`"),
            ("{{> footer }}", 2, "`>`"),
            ("{{^a}}", 2, "`^`"),
            ("{{<b>name</b>}}", 2, "`<` between braces, as in HTML"),
            ("{{{a.b}}}", 2, "`{`"),
        ] {
            let slip = find(source).unwrap_or_else(|| panic!("{source}"));
            assert!(
                slip.what.to_string().starts_with(what),
                "{source}: {slip:?}"
            );
            assert_eq!(slip.at, at, "{source}");
        }
    }

    #[test]
    fn leaves_our_own_operators_alone() {
        for source in [
            "{% if a != b and c <= d or not (e == f) %}",
            "{{ a | f(x=1, y=[2, {'k': 3}]) }}{{ a[1:2] }}{{ {'a': b}.a }}",
            "{% set x = {'a': 1} %}{% with y = 2 %}{% endwith %}{{ a if b == c else d }}",
            "{% for k in a if k != b %}{% endfor %}",
        ] {
            assert_eq!(find(source), None, "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reads_any_text(source in "([{}%&;.#“é|\u{a0} ]|name|gt){0,30}") {
            find(&source);
        }
    }
}
