//! Filters, functions and methods of templates beyond those of the engine. Each costs no more than its input is long.

use super::cell_type::decimal;
use super::date::{self, DateCell, invalid};
use jiff::Zoned;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, HtmlEscape, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use unicode_width::UnicodeWidthStr;

/// Filters of the engine, and those that `add` adds: for the check of names before the first row is rendered.
pub const FILTERS: [&str; 59] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "currency",
    "d",
    "date",
    "dateformat",
    "datetimeformat",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "nl2br",
    "plural",
    "pluralize",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "strftime",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordwrap",
    "zip",
];
/// Tests of the engine: `{% if city is defined %}`.
pub const TESTS: [&str; 42] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// Methods of a text: `{{ name.title() }}`.
pub const METHODS: [&str; 25] = [
    "capitalize",
    "count",
    "endswith",
    "find",
    "format",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "join",
    "lower",
    "lstrip",
    "replace",
    "rfind",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
];
/// Most characters that the widths of one format may ask for.
const MAX_WIDTHS: usize = 100_000;
/// Longest width that `wordwrap` and `truncate` accept.
const MAX_WIDTH: usize = 10_000;

/// Adds everything to an environment. `now`: what `now()` returns, so that all messages of a campaign agree.
pub fn add(environment: &mut Environment<'static>, now: &Zoned) {
    for name in ["date", "strftime", "dateformat", "datetimeformat"] {
        environment.add_filter(name, date::filter);
    }
    for name in ["plural", "pluralize"] {
        environment.add_filter(name, plural);
    }
    environment.add_filter("currency", currency);
    environment.add_filter("nl2br", nl2br);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordwrap", wordwrap);
    let now = Value::from_object(DateCell::of(now));
    environment.add_function("now", move || now.clone());
    environment.add_function("parse_date", date::parse);
    environment.set_unknown_method_callback(|state, value, name, arguments| {
        if name == "format" {
            check_widths(value)?;
        }
        unknown_method_callback(state, value, name, arguments)
    });
}

/// Checks the widths in `"{:>20}".format(…)`: the engine writes them before it counts their bytes.
fn check_widths(format: &Value) -> Result<(), Error> {
    let text = format.as_str().unwrap_or_default();
    let starts = text.match_indices('{');
    let fields = starts.filter_map(|(at, brace)| text.get(at + brace.len()..));
    let numbers = fields.filter_map(specification);
    let numbers = numbers.flat_map(|text| text.split(|c: char| !c.is_ascii_digit()));
    // A number that is too long for its type is too large.
    let widths = numbers.filter(|number| !number.is_empty());
    let sum = widths.fold(0_usize, |sum, number| {
        sum.saturating_add(number.parse().unwrap_or(usize::MAX))
    });
    match sum > MAX_WIDTHS {
        true => Err(invalid(format!(
            "widths of more than {MAX_WIDTHS} characters"
        ))),
        false => Ok(()),
    }
}

/// The `*>20` of a field that begins as `name:*>20}`. `None`: it has no colon. A brace may be the character that fills.
fn specification(field: &str) -> Option<&str> {
    let name_end = field.find([':', '{', '}'])?;
    let rest = field.get(name_end..)?.strip_prefix(':')?;
    let mut characters = rest.chars();
    let fill = match (characters.next()?, characters.next()) {
        (fill, Some('<' | '>' | '^' | '=')) => fill.len_utf8(),
        _ => 0,
    };
    let end = rest.get(fill..)?.find(['{', '}']);
    rest.get(..end.map_or(rest.len(), |end| fill + end))
}

/// `{{ count | plural("ticket", "tickets") }}`; alone it gives an `s` unless the number is 1.
fn plural(value: &Value, one: Option<String>, many: Option<String>) -> Result<String, Error> {
    let number = match value.len() {
        Some(length) if value.kind() != ValueKind::String => length as f64,
        _ => number(value)?,
    };
    Ok(match number == 1.0 {
        true => one.unwrap_or_default(),
        false => many.unwrap_or_else(|| "s".into()),
    })
}

/// The number that a value is, or that a cell contains.
fn number(value: &Value) -> Result<f64, Error> {
    let text = value.to_string();
    let found = match value.kind() {
        ValueKind::Number => text.parse().ok(),
        _ => decimal(text.trim()),
    };
    found.ok_or_else(|| {
        let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        invalid(format!("`{shown}` is not a number like `9.50`"))
    })
}

/// `{{ price | currency("EUR", locale="de") }}`: `1.234,50 €`. The locale decides separators and the place of the sign.
fn currency(value: &Value, code: Option<&str>, options: Kwargs) -> Result<String, Error> {
    let locale: Option<&str> = options.get("locale")?;
    let digits: Option<usize> = options.get("digits")?;
    options.assert_all_used()?;
    let code = code.unwrap_or("USD");
    let is_whole = matches!(code, "JPY" | "KRW" | "VND" | "CLP" | "ISK");
    let digits = digits.unwrap_or(if is_whole { 0 } else { 2 }).min(9);
    let number = number(value)?;
    let written = format!("{:.digits$}", number.abs());
    let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let language = locale
        .unwrap_or("en")
        .split(['_', '-'])
        .next()
        .unwrap_or_default();
    let (thousands, point, is_before) = match language {
        "en" | "zh" | "ja" => (",", ".", true),
        "de" | "es" | "it" | "pt" | "nl" => (".", ",", false),
        "fr" => ("\u{202f}", ",", false),
        other => {
            return Err(invalid(format!(
                "no locale `{other}` (locales: en, de, fr, es, it, nl, pt, zh, ja)"
            )));
        }
    };
    let sign = match code {
        "EUR" => "€",
        "USD" => "$",
        "GBP" => "£",
        "JPY" | "CNY" => "¥",
        other => other,
    };
    let mut amount = grouped(whole, thousands);
    if !fraction.is_empty() {
        amount.push_str(point);
        amount.push_str(fraction);
    }
    let minus = if number < 0.0 && written.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        "-"
    } else {
        ""
    };
    Ok(match (is_before, sign == code) {
        (true, false) => format!("{minus}{sign}{amount}"),
        (true, true) => format!("{sign} {minus}{amount}"),
        (false, _) => format!("{minus}{amount}\u{a0}{sign}"),
    })
}

/// Digits in groups of three.
fn grouped(digits: &str, separator: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push_str(separator);
        }
        grouped.push(digit);
    }
    grouped
}

/// Line breaks of a cell as `<br>`, and the rest escaped.
fn nl2br(value: &Value) -> Value {
    let text = value.to_string();
    let text = match value.is_safe() {
        true => text,
        false => HtmlEscape(&text).to_string(),
    };
    let text = text.replace("\r\n", "\n").replace('\n', "<br>\n");
    Value::from_safe_string(text)
}

/// `{{ text | truncate(80) }}`: whole words and `...`, at most as many characters as given.
fn truncate(
    text: String,
    length: Option<usize>,
    kill_words: Option<bool>,
    end: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let length = length
        .or(options.get("length")?)
        .unwrap_or(255)
        .min(MAX_WIDTH);
    let kill_words = kill_words.or(options.get("killwords")?).unwrap_or(false);
    let end = end.or(options.get("end")?).unwrap_or_else(|| "...".into());
    // How many characters more are left as they are; what Jinja calls so has a default of 5 there.
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(0);
    options.assert_all_used()?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let room = length.saturating_sub(end.chars().count());
    let start: String = text.chars().take(room).collect();
    let start = match start.rsplit_once(char::is_whitespace) {
        Some((words, _)) if !kill_words => words.trim_end(),
        _ => &start,
    };
    Ok(format!("{start}{end}"))
}

/// `{{ text | wordwrap(72) }}`: lines of at most as many columns, broken at spaces. A longer word has its own line.
fn wordwrap(text: String, width: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let width = width
        .or(options.get("width")?)
        .unwrap_or(79)
        .clamp(1, MAX_WIDTH);
    options.assert_all_used()?;
    let lines = text.split('\n').map(|line| wrapped(line, width));
    Ok(lines.collect::<Vec<String>>().join("\n"))
}

fn wrapped(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_string();
    }
    let mut written = String::with_capacity(line.len());
    let mut column = 0;
    for word in line.split_whitespace() {
        let columns = word.width();
        if column > 0 && column + 1 + columns > width {
            written.push('\n');
            column = 0;
        } else if column > 0 {
            written.push(' ');
            column += 1;
        }
        written.push_str(word);
        column += columns;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::{ErrorKind, context};

    fn environment() -> Environment<'static> {
        let mut environment = Environment::new();
        let now = "2026-11-21T10:30:00+08:00[+08:00]".parse().unwrap();
        add(&mut environment, &now);
        environment
    }

    fn rendered(source: &str) -> Result<String, String> {
        let long = "one two three four five six";
        let cells = context! { n => "1", m => "3", price => "1234.5", day => "2026-12-01", long, br => "a<b\nc" };
        let rendered = environment().render_str(source, cells);
        rendered.map_err(|error| error.to_string())
    }

    #[test]
    fn filters_write_what_people_expect() {
        for (source, wanted) in [
            (
                "{{ n }} day{{ n|pluralize }}, {{ m|plural('Tag', 'Tage') }}",
                "1 day, Tage",
            ),
            ("{{ price|currency }}", "$1,234.50"),
            (
                "{{ price|currency('EUR', locale='de') }}",
                "1.234,50\u{a0}€",
            ),
            (
                "{{ -0.001|currency('JPY') }} {{ 5|currency('CHF') }}",
                "¥0 CHF 5.00",
            ),
            ("{{ br|nl2br }}", "a&lt;b<br>\nc"),
            (
                "{{ long|truncate(12) }}|{{ long|truncate(length=8, killwords=true, end='…') }}",
                "one two...|one two…",
            ),
            ("{{ long|wordwrap(9) }}", "one two\nthree\nfour five\nsix"),
            (
                "{{ day|strftime('%d.%m.%Y') }} {{ day|date }}",
                "01.12.2026 2026-12-01",
            ),
            (
                "{{ now()|date('%Y') }} {{ now() < parse_date('2026-12-01') }}",
                "2026 True",
            ),
            ("{{ long.title().startswith('One') }}", "True"),
            (
                "{{ '{order2026001}|{order2026001:>3}'.format(order2026001=n) }}",
                "1|  1",
            ),
        ] {
            assert_eq!(rendered(source).as_deref(), Ok(wanted), "{source}");
        }
        for (source, wanted) in [
            ("{{ long|currency }}", "is not a number like"),
            ("{{ price|currency(locale='xx') }}", "no locale `xx`"),
            ("{{ long|date }}", "is not a date like"),
            ("{{ '{:2000000000}'.format(n) }}", "widths of more than"),
            ("{{ '{:{>2000000}'.format(n) }}", "widths of more than"),
            ("{{ '{:}>2000000}'.format(n) }}", "widths of more than"),
        ] {
            let error = rendered(source).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn every_name_that_is_checked_exists() {
        let environment = environment();
        for name in FILTERS {
            let found = environment.render_str(&format!("{{{{ 'x'|{name} }}}}"), ());
            let kind = found.err().map(|error| error.kind());
            assert_ne!(kind, Some(ErrorKind::UnknownFilter), "{name}");
        }
        let words = TESTS
            .iter()
            .filter(|name| name.starts_with(char::is_alphabetic));
        for name in words {
            let found = environment.render_str(&format!("{{{{ 'x' is {name} }}}}"), ());
            let kind = found.err().map(|error| error.kind());
            assert_ne!(kind, Some(ErrorKind::UnknownTest), "{name}");
        }
        for name in METHODS {
            let found = environment.render_str(&format!("{{{{ 'x'.{name}() }}}}"), ());
            let kind = found.err().map(|error| error.kind());
            assert_ne!(kind, Some(ErrorKind::UnknownMethod), "{name}");
        }
    }
}
