//! What commands printed, with what differs from run to run replaced by names, and how it is compared.

/// What stands for itself in this scenario: text and its name.
pub type Names = Vec<(String, &'static str)>;

/// `{{run}}`, `{{id}}`, `{{time}}`, `{{date}}`, `{{clock}}` and `{{took}}` for what looks like one; `names` first.
pub fn normal(text: &str, names: &Names) -> String {
    let mut text = text.to_string();
    for (value, name) in names {
        text = text.replace(value, name);
    }
    text.lines()
        .flat_map(|line| [normal_line(line), "\n".into()])
        .collect()
}

fn normal_line(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let is_inside = out.chars().next_back().is_some_and(char::is_alphanumeric);
        let found = MATCHERS
            .iter()
            .find_map(|(of, name)| of(rest).map(|length| (length, name)));
        match found {
            Some((length, name)) if !is_inside => {
                out.push_str(name);
                rest = &rest[length..];
            }
            _ => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// The length of what begins here, if it is one.
type Matcher = fn(&str) -> Option<usize>;
const MATCHERS: [(Matcher, &str); 6] = [
    (|text| hexadecimal(text, 32), "{{id}}"),
    (|text| hexadecimal(text, 16), "{{run}}"),
    (time, "{{time}}"),
    (|text| shape(text, "0000-00-00"), "{{date}}"),
    (|text| shape(text, "00:00:00"), "{{clock}}"),
    (took, "{{took}}"),
];

fn hexadecimal(text: &str, count: usize) -> Option<usize> {
    let length = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let next = text[length..].chars().next();
    (length == count && !next.is_some_and(char::is_alphanumeric)).then_some(length)
}

fn time(text: &str) -> Option<usize> {
    let length = shape(text, "0000-00-00T00:00:00")?;
    text[length..]
        .find('Z')
        .filter(|end| *end <= 10)
        .map(|end| length + end + 1)
}

fn shape(text: &str, wanted: &str) -> Option<usize> {
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        other => found == other,
    };
    let is_it = text.len() >= wanted.len() && text.bytes().zip(wanted.bytes()).all(fits);
    is_it.then_some(wanted.len())
}

/// `12ms (3.4/s)`.
fn took(text: &str) -> Option<usize> {
    let starts = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find("/s)").filter(|end| starts && *end < 40)?;
    let start = text.find(" (").filter(|start| *start < end)?;
    let span = &text[..start];
    let is_span = span
        .split(' ')
        .all(|word| mailq::domain::duration::parse(word).is_ok());
    is_span.then_some(end + 3)
}

/// Whole, but `…` stands for anything in a line, and a line `...` for any lines. An error names the first line that
/// is not there.
pub fn compare(expected: &str, found: &str) -> Result<(), String> {
    let found: Vec<&str> = found.lines().collect();
    let mut at = 0;
    let mut may_skip = false;
    for wanted in expected.lines() {
        if wanted == "..." {
            may_skip = true;
            continue;
        }
        let rest = found.get(at..).unwrap_or_default();
        let place = match may_skip {
            true => rest.iter().position(|line| fits(wanted, line)),
            false => rest.first().filter(|line| fits(wanted, line)).map(|_| 0),
        };
        let place = place.ok_or_else(|| {
            let there = rest.first().map_or("the end", |line| line);
            format!("wanted: {wanted}\n found: {there}")
        })?;
        at += place + 1;
        may_skip = false;
    }
    match found.get(at) {
        Some(more) if !may_skip => Err(format!("wanted: the end\n found: {more}")),
        _ => Ok(()),
    }
}

fn fits(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    last.map_or(rest.is_empty(), |part| line.ends_with(part))
}

pub fn replaces_what_differs_each_time() {
    let names = vec![("/tmp/x1".to_string(), "{{folder}}")];
    for (text, wanted) in [
        (
            "a/790e7a92052a7ca0 at /tmp/x1/q",
            "a/{{run}} at {{folder}}/q\n",
        ),
        (
            "16 delivered in 526ms (30.4/s)",
            "16 delivered in {{took}}\n",
        ),
        ("in 1m 2s (1,234 rows/s); bad", "in {{took}}; bad\n"),
        ("2026-11-21T19:11:08.640369503Z,1", "{{time}},1\n"),
        ("2026-11-21: 3 of 5 (30/s)", "{{date}}: 3 of 5 (30/s)\n"),
    ] {
        assert_eq!(normal(text, &names), wanted);
    }
}

pub fn finds_missing_and_additional_lines() {
    for (expected, found, same) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("a\nb\n", "a\n", false),
        ("a\n...\nc\n", "a\nb\nc\n", true),
        ("...\nb\n", "a\nb\nc\n", false),
        ("...\nb\n...\n", "a\nb\nc\n", true),
        ("a … c", "a b c", true),
        ("a … c", "a b d", false),
        ("a …", "a", false),
    ] {
        assert_eq!(
            compare(expected, found).is_ok(),
            same,
            "{expected} / {found}"
        );
    }
}
