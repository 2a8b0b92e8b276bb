//! Finds the tags of a template and splits them into tokens. Comments and raw blocks are skipped. Lenient, because the
//! engine's own parser accepts or refuses the template.

use std::ops::Range;

/// `{{ … }}` or `{% … %}`.
pub enum Tag {
    Expression(Vec<Token>),
    Statement(Vec<Token>),
}

#[derive(Debug, Clone)]
pub struct Token {
    pub kind: TokenKind,
    /// Position in the source, in bytes.
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKind {
    Name(String),
    /// A string without its quotes.
    Text(String),
    Sign(char),
}

impl Token {
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Name(name) => Some(name),
            _ => None,
        }
    }

    pub fn is_any_sign(&self) -> bool {
        matches!(self.kind, TokenKind::Sign(_))
    }

    pub fn is_sign(&self, sign: char) -> bool {
        self.kind == TokenKind::Sign(sign)
    }

    pub fn is_name(&self, name: &str) -> bool {
        self.name() == Some(name)
    }
}

/// The tags of a template, in order.
pub fn tags(source: &str) -> impl Iterator<Item = Tag> {
    let mut lexer = Lexer::new(source);
    std::iter::from_fn(move || lexer.next_tag())
}

/// The tags of a template, in order, each with the position of what closes it, `%}` or `-%}`.
pub fn closed_tags(source: &str) -> impl Iterator<Item = (Tag, usize)> {
    let mut lexer = Lexer::new(source);
    std::iter::from_fn(move || lexer.next_tag().map(|tag| (tag, lexer.closed_at)))
}

/// The parts of a template outside of tags, comments and raw blocks.
pub fn text_ranges(source: &str) -> Vec<Range<usize>> {
    let mut lexer = Lexer::new(source);
    let mut ranges = Vec::new();
    let mut from = 0;
    while lexer.next_tag().is_some() {}
    for skipped in lexer.skipped {
        ranges.push(from..skipped.start.max(from));
        from = skipped.end;
    }
    ranges.push(from..source.len().max(from));
    ranges
}

struct Lexer<'a> {
    source: &'a str,
    /// At a character's first byte.
    at: usize,
    /// What closes the last tag is here.
    closed_at: usize,
    /// What is not text: tags, comments, raw blocks.
    skipped: Vec<Range<usize>>,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str) -> Lexer<'a> {
        Lexer {
            source,
            at: 0,
            closed_at: 0,
            skipped: Vec::new(),
        }
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn next_tag(&mut self) -> Option<Tag> {
        loop {
            self.at += self.rest().find('{')?;
            let start = self.at;
            match self.rest().as_bytes().get(1) {
                Some(b'{') => {
                    self.at += 2;
                    let tokens = self.tokens("}}");
                    self.skipped.push(start..self.at);
                    return Some(Tag::Expression(tokens));
                }
                Some(b'%') => {
                    self.at += 2;
                    let tokens = self.tokens("%}");
                    if tokens.first().is_some_and(|token| token.is_name("raw")) {
                        self.skip_raw_block();
                        self.skipped.push(start..self.at);
                        continue;
                    }
                    self.skipped.push(start..self.at);
                    return Some(Tag::Statement(tokens));
                }
                Some(b'#') => {
                    self.at += 2;
                    self.skip_past("#}");
                    self.skipped.push(start..self.at);
                }
                _ => self.at += 1,
            }
        }
    }

    /// Goes past the next `end`, or to the end of the source.
    fn skip_past(&mut self, end: &str) {
        let rest = self.rest();
        self.at += rest.find(end).map_or(rest.len(), |found| found + end.len());
    }

    fn skip_raw_block(&mut self) {
        let rest = self.rest();
        let end = rest.match_indices("{%").find(|(found, _)| {
            let inside = rest.get(found + 2..).unwrap_or_default();
            let inside = inside.trim_start_matches(['-', '+']);
            inside.trim_start().starts_with("endraw")
        });
        self.at += end.map_or(rest.len(), |(found, _)| found);
        self.skip_past("%}");
    }

    /// The tokens up to `close`, which is skipped.
    fn tokens(&mut self, close: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        // A map `{…}` inside a tag may end with `}`, right before the tag's own `}}`.
        let mut depth = 0usize;
        self.skip_whitespace_control();
        while let Some(c) = self.rest().chars().next() {
            let rest = self.rest();
            let closing = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if depth == 0 && closing.starts_with(close) {
                self.closed_at = self.at;
                self.at += rest.len() - closing.len() + close.len();
                return tokens;
            }
            let (kind, length) = token(rest, c);
            depth = match c {
                '{' => depth + 1,
                '}' => depth.saturating_sub(1),
                _ => depth,
            };
            let start = self.at;
            self.at += length;
            self.closed_at = self.at;
            tokens.extend(kind.map(|kind| Token {
                kind,
                start,
                end: start + length,
            }));
        }
        tokens
    }

    /// The `-` of `{%-` and the `+` of `{%+`.
    fn skip_whitespace_control(&mut self) {
        self.at += usize::from(self.rest().starts_with(['-', '+']));
    }
}

/// The token that `rest` begins with, and its length. Numbers and white space are no tokens.
fn token(rest: &str, first: char) -> (Option<TokenKind>, usize) {
    match first {
        '"' | '\'' => text(rest, first),
        c if c.is_ascii_alphabetic() || c == '_' => {
            let word = word(rest);
            (Some(TokenKind::Name(word.to_string())), word.len())
        }
        c if c.is_ascii_digit() => (None, word(rest).len()),
        c if c.is_whitespace() => (None, c.len_utf8()),
        c => (Some(TokenKind::Sign(c)), c.len_utf8()),
    }
}

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (word, _) = rest.split_at(end.unwrap_or(rest.len()));
    word
}

fn text(rest: &str, quote: char) -> (Option<TokenKind>, usize) {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == quote {
            return (Some(TokenKind::Text(text)), at + 1);
        }
        match c {
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            c => text.push(c),
        }
    }
    (Some(TokenKind::Text(text)), rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each tag as its kind and tokens.
    fn read(source: &str) -> Vec<String> {
        tags(source)
            .map(|tag| {
                let (kind, tokens) = match tag {
                    Tag::Expression(tokens) => ("expression", tokens),
                    Tag::Statement(tokens) => ("statement", tokens),
                };
                let mut shown = kind.to_string();
                for token in tokens {
                    assert!(source.get(token.start..token.end).is_some());
                    shown.push_str(&match token.kind {
                        TokenKind::Name(name) => format!(" {name}"),
                        TokenKind::Text(text) => format!(" {text:?}"),
                        TokenKind::Sign(sign) => format!(" {sign}"),
                    });
                }
                shown
            })
            .collect()
    }

    #[test]
    fn splits_tags_into_tokens() {
        assert_eq!(
            read("x {{ a.b|d('}}\\'') }}{%- if 12 >= c -%} { {{ {'k': {}}}}"),
            [
                "expression a . b | d ( \"}}'\" )",
                "statement if > = c",
                "expression { \"k\" : { } }",
            ]
        );
    }

    #[test]
    fn skips_comments_and_raw_blocks() {
        let source = "{# {{ a }} #}{% raw %}{{ b }}{%- endraw -%}{{ c }}{# {{ d }}";
        assert_eq!(read(source), ["expression c"]);
    }

    proptest::proptest! {
        #[test]
        fn reads_any_text(source in "[{}%#\"'a.|é \\\\]{0,40}") {
            read(&source);
        }
    }
}
