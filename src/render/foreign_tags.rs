//! Finds merge tags of other programs in the text of templates. mailq mails them as they stand. Reported are forms that
//! nothing else looks like, and, where braces or brackets mean other things too, only names of columns.

use super::error::Place;
use super::files::TemplateFiles;
use super::lexer::text_ranges;

/// A merge tag of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTag {
    pub place: Place,
    /// As it stands there: `*|FNAME|*`.
    pub tag: String,
    /// The column that it probably means.
    pub column: Option<String>,
}

/// The beginning and the end of a tag, and whether its name has to be a column.
const FORMS: [(&str, &str, bool); 22] = [
    ("*|", "|*", false),
    ("%%", "%%", false),
    ("<<", ">>", false),
    ("&lt;&lt;", "&gt;&gt;", false),
    ("<%=", "%>", false),
    ("<%-", "%>", false),
    ("<%", "%>", false),
    ("<?php", "?>", false),
    ("<?=", "?>", false),
    ("#{", "}", false),
    ("$(", ")", true),
    ("${", "}", false),
    ("[[", "]]", false),
    ("{ MERGEFIELD", "}", false),
    ("{$", "}", true),
    ("{", "}", true),
    ("[", "]", true),
    ("«", "»", true),
    ("##", "##", true),
    ("#", "#", true),
    ("__", "__", true),
    ("%", "%", true),
];
/// Names that lists of other programs have, so that `{fname}` is a tag without such a column too.
const USUAL: [&str; 12] = [
    "fname",
    "lname",
    "firstname",
    "lastname",
    "fullname",
    "email",
    "emailaddress",
    "unsubscribe",
    "unsubscribeurl",
    "unsub",
    "unsubscribelink",
    "company",
];
const MAX_NAME_CHARACTERS: usize = 60;

/// The tags of all templates, in order.
pub fn find(files: &TemplateFiles, columns: &[String]) -> Vec<ForeignTag> {
    let mut found = Vec::new();
    for template in files.templates.values() {
        let source = &template.source;
        let styles = styles(source);
        for range in text_ranges(source) {
            let mut at = range.start;
            while let Some(text) = source.get(at..range.end).filter(|text| !text.is_empty()) {
                let tag = tag(text, columns);
                let step = text.chars().next().map_or(1, char::len_utf8);
                let Some((length, column)) =
                    tag.filter(|_| !styles.iter().any(|s| s.contains(&at)))
                else {
                    at += step;
                    continue;
                };
                found.push(ForeignTag {
                    place: Place::of(&template.shown, source, at),
                    tag: text.get(..length).unwrap_or_default().to_string(),
                    column,
                });
                at += length;
            }
        }
    }
    found
}

/// The tag that a text begins with: its length, and the column that it means.
fn tag(text: &str, columns: &[String]) -> Option<(usize, Option<String>)> {
    FORMS.iter().find_map(|(open, close, needs_column)| {
        let inside = text.strip_prefix(open)?;
        let limit = inside.char_indices().nth(MAX_NAME_CHARACTERS + 2);
        let near = inside.get(..limit.map_or(inside.len(), |(at, _)| at))?;
        let name = near.get(..near.find(close)?)?;
        let column = meant(name, columns);
        let is_tag = match needs_column {
            true => column.is_some() || USUAL.contains(&normal(name).as_str()),
            false => true,
        };
        let is_code = open.starts_with("<?");
        ((is_code || is_name(name)) && is_tag)
            .then(|| (open.len() + name.len() + close.len(), column))
    })
}

/// `FNAME`, `First Name`, `MERGE1`, `subscriber.email`, `UNSUB:https`.
fn is_name(name: &str) -> bool {
    let name = name.trim();
    name.chars().next().is_some_and(char::is_alphabetic)
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | ' '))
}

fn meant(name: &str, columns: &[String]) -> Option<String> {
    let wanted = normal(name);
    let wanted = match wanted.as_str() {
        "fname" => "firstname",
        "lname" => "lastname",
        other => other,
    };
    let same = columns.iter().find(|column| normal(column) == wanted);
    same.filter(|_| !wanted.is_empty()).cloned()
}

/// Letters and digits in lower case.
fn normal(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// The contents of `<style>` elements, where braces are CSS.
fn styles(source: &str) -> Vec<std::ops::Range<usize>> {
    let lower = source.to_ascii_lowercase();
    let opened = lower.match_indices("<style").map(|(at, _)| at);
    opened
        .map(|at| {
            let rest = lower.get(at..).unwrap_or_default();
            at..at + rest.find("</style").unwrap_or(rest.len())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn found(source: &str) -> Vec<(String, Option<String>)> {
        let mut files = TemplateFiles::new(Path::new("/nowhere"));
        files.add_inline("t", source).unwrap();
        let columns = ["email", "name", "First Name"].map(str::to_string);
        let tags = find(&files, &columns).into_iter();
        tags.map(|tag| (tag.tag, tag.column)).collect()
    }

    #[test]
    fn finds_tags_of_other_programs() {
        for (source, tag, column) in [
            ("Dear *|FNAME|*,", "*|FNAME|*", Some("First Name")),
            ("*|UNSUB|*", "*|UNSUB|*", None),
            ("%%name%%", "%%name%%", Some("name")),
            ("%%First Name%%", "%%First Name%%", Some("First Name")),
            ("Hi {name}", "{name}", Some("name")),
            ("Hi {first_name}!", "{first_name}", Some("First Name")),
            ("<<Name>>", "<<Name>>", Some("name")),
            ("&lt;&lt;Name&gt;&gt;", "&lt;&lt;Name&gt;&gt;", Some("name")),
            ("«Name»", "«Name»", Some("name")),
            ("${name}", "${name}", Some("name")),
            ("[[name]]", "[[name]]", Some("name")),
            ("[NAME]", "[NAME]", Some("name")),
            ("{fname}", "{fname}", Some("First Name")),
            ("<%= name %>", "<%= name %>", Some("name")),
            ("<% if city %>", "<% if city %>", None),
            ("<%- name %>", "<%- name %>", Some("name")),
            ("<?= $name ?>", "<?= $name ?>", Some("name")),
            ("<?php echo $name; ?>", "<?php echo $name; ?>", None),
            ("#{name}", "#{name}", Some("name")),
            ("$(name)", "$(name)", Some("name")),
            ("#name#", "#name#", Some("name")),
            ("__NAME__", "__NAME__", Some("name")),
            ("{ MERGEFIELD name }", "{ MERGEFIELD name }", Some("name")),
            ("é{{ name }}%NAME%", "%NAME%", Some("name")),
        ] {
            assert_eq!(
                found(source),
                [(tag.to_string(), column.map(str::to_string))],
                "{source}"
            );
        }
    }

    #[test]
    fn leaves_other_braces_alone() {
        for source in [
            "<style>a{color:red} {name} p { email }</style>",
            "{# {name} #}{{ name }}{% if name %}{% endif %}",
            "{% raw %}{name}{% endraw %}",
            "100% off, 50% of all {other} [other] [1] [[1]] «other» ##",
            "<?xml version=\"1.0\"?> #top # one # __init__ $(5)",
            "<p style=\"x\">{}</p> 5 << 6 >> 7, * | *, ${5}",
        ] {
            assert_eq!(found(source), [], "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reads_any_text(source in "([{}%\\[\\]*|<>$«»#é ]|name|<style){0,30}") {
            found(&source);
        }
    }
}
