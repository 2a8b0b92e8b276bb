//! E-mail addresses of recipients: syntax and lengths of RFC 5321, domains as lower-case A-labels (RFC 5890).

use super::shown::is_hidden;
use std::borrow::Cow;
use std::fmt;

/// Longest local part in octets (RFC 5321 §4.5.3.1.1).
pub const MAX_LOCAL_BYTES: usize = 64;
/// Longest domain in octets (RFC 5321 §4.5.3.1.2).
pub const MAX_DOMAIN_BYTES: usize = 255;
/// Longest address in octets: a path has at most 256, and two of them are its angle brackets (RFC 5321 §4.5.3.1.3).
pub const MAX_ADDRESS_BYTES: usize = 254;
/// Longest label of a domain in octets (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// A valid argument of RCPT TO. The local part is as given, the domain is in lower-case A-labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    /// Length of the local part.
    local_bytes: usize,
}

/// What is wrong with an address. The text completes "column `email` is `anna@@example.org`: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("empty, but an address is needed")]
    Empty,
    #[error("no `@`")]
    NoAt,
    /// A character that looks like it.
    #[error("`{0}` is another character than `@`")]
    OtherAt(char),
    #[error("two `@`")]
    TwoAts,
    #[error("nothing before the `@`")]
    NoLocal,
    #[error("nothing after the `@`")]
    NoDomain,
    #[error("the part before the `@` is {bytes} bytes long (at most {MAX_LOCAL_BYTES})")]
    LocalTooLong { bytes: usize },
    #[error("the domain is {bytes} bytes long (at most {MAX_DOMAIN_BYTES})")]
    DomainTooLong { bytes: usize },
    #[error("`{label}` in the domain is longer than {MAX_LABEL_BYTES} bytes")]
    LabelTooLong { label: String },
    #[error("the address is {bytes} bytes long (at most {MAX_ADDRESS_BYTES})")]
    TooLong { bytes: usize },
    #[error("a dot at the beginning or end, or two in a row, before the `@`")]
    LocalDots,
    #[error("{shown} is not allowed before the `@`")]
    LocalCharacter { shown: String },
    #[error("the quoted part before the `@` does not end with a quote")]
    LocalQuote,
    #[error("a dot at the beginning or end, or two in a row, in the domain")]
    DomainDots,
    #[error("{shown} is not allowed in a domain")]
    DomainCharacter { shown: String },
    #[error("`{label}` in the domain begins or ends with a hyphen")]
    LabelHyphen { label: String },
    #[error("the domain is an IP address, not a name")]
    IpLiteral,
    #[error("the domain has no dot")]
    Dotless,
    #[error("the domain is not a valid international name (IDNA)")]
    Idna,
}

impl Address {
    /// Reads one mailbox, white space around it ignored: `local@domain` with a dot-atom or quoted local part
    /// (RFC 5321 §4.1.2). IP literals and dotless domains other than `localhost` are refused: no bulk mail goes there.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = split(text)?;
        check_local(local)?;
        let domain = checked_domain(domain)?;
        let bytes = local.len() + 1 + domain.len();
        if bytes > MAX_ADDRESS_BYTES {
            return Err(AddressError::TooLong { bytes });
        }
        let mut text = String::with_capacity(bytes);
        text.push_str(local);
        text.push('@');
        text.push_str(&domain);
        Ok(Address {
            text,
            local_bytes: local.len(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn local(&self) -> &str {
        self.halves().0
    }

    pub fn domain(&self) -> &str {
        let (_, at_and_domain) = self.halves();
        at_and_domain.trim_start_matches('@')
    }

    /// The local part, and `@` with the domain.
    fn halves(&self) -> (&str, &str) {
        self.text.split_at(self.local_bytes)
    }

    /// Whether the relay must offer SMTPUTF8, because the local part is not ASCII (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.local().is_ascii()
    }
}

/// A domain as addresses have it: in lower-case A-labels. The final dot of a fully qualified name is left out.
pub fn domain(text: &str) -> Result<String, AddressError> {
    let text = text.trim();
    checked_domain(text.strip_suffix('.').unwrap_or(text)).map(Cow::into_owned)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits at the last `@`. Only a quoted local part may contain another.
fn split(text: &str) -> Result<(&str, &str), AddressError> {
    let (local, domain) = text.rsplit_once('@').ok_or_else(|| {
        let other = text.chars().find(|c| matches!(c, '＠' | '﹫'));
        other.map_or(AddressError::NoAt, AddressError::OtherAt)
    })?;
    if local.contains('@') && !local.starts_with('"') {
        return Err(AddressError::TwoAts);
    }
    if local.is_empty() {
        return Err(AddressError::NoLocal);
    }
    if domain.is_empty() {
        return Err(AddressError::NoDomain);
    }
    if local.len() > MAX_LOCAL_BYTES {
        return Err(AddressError::LocalTooLong { bytes: local.len() });
    }
    Ok((local, domain))
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if let Some(quoted) = local.strip_prefix('"') {
        return check_quoted(quoted);
    }
    if has_stray_dots(local) {
        return Err(AddressError::LocalDots);
    }
    match local.chars().find(|c| *c != '.' && !is_atext(*c)) {
        Some(c) => Err(AddressError::LocalCharacter { shown: shown(c) }),
        None => Ok(()),
    }
}

fn has_stray_dots(local: &str) -> bool {
    local.starts_with('.') || local.ends_with('.') || local.contains("..")
}

/// Whether a text can be a local part without quotes (dot-atom of RFC 5322 §3.2.3).
pub(super) fn is_dot_atom(text: &str) -> bool {
    !text.is_empty() && !has_stray_dots(text) && text.chars().all(|c| c == '.' || is_atext(c))
}

/// The inside of a quoted local part and its closing quote.
fn check_quoted(quoted: &str) -> Result<(), AddressError> {
    let inside = quoted.strip_suffix('"').ok_or(AddressError::LocalQuote)?;
    let mut characters = inside.chars();
    while let Some(c) = characters.next() {
        let c = match c {
            '\\' => characters.next().ok_or(AddressError::LocalQuote)?,
            '"' => return Err(AddressError::LocalQuote),
            c => c,
        };
        if !(matches!(c, ' '..='~') || is_visible(c)) {
            return Err(AddressError::LocalCharacter { shown: shown(c) });
        }
    }
    if inside.is_empty() {
        return Err(AddressError::NoLocal);
    }
    Ok(())
}

/// atext of RFC 5322 §3.2.3 with the UTF-8 of RFC 6532.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_visible(c)
}

/// Whether a character beyond ASCII is allowed: no white space, no control character, and none of the invisible
/// characters that copy and paste brings along.
fn is_visible(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !is_hidden(c) && !is_blank(c)
}

/// Letters that show nothing, and characters that only change the one before them without a trace on most screens.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFA0}'
            | '\u{180B}'..='\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// The domain in lower-case A-labels.
fn checked_domain(domain: &str) -> Result<Cow<'_, str>, AddressError> {
    if domain.starts_with('[') {
        return Err(AddressError::IpLiteral);
    }
    check_characters(domain)?;
    let ascii = to_ascii(domain)?;
    if ascii.len() > MAX_DOMAIN_BYTES {
        return Err(AddressError::DomainTooLong { bytes: ascii.len() });
    }
    for label in ascii.split('.') {
        check_label(label)?;
    }
    if is_ip_number(&ascii) {
        return Err(AddressError::IpLiteral);
    }
    if !ascii.contains('.') && ascii != "localhost" {
        return Err(AddressError::Dotless);
    }
    Ok(ascii)
}

fn check_characters(domain: &str) -> Result<(), AddressError> {
    let allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '-')
            || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
    };
    match domain.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(AddressError::DomainCharacter { shown: shown(c) }),
        None => Ok(()),
    }
}

fn to_ascii(domain: &str) -> Result<Cow<'_, str>, AddressError> {
    let is_ordinary = domain.is_ascii() && !contains_punycode(domain);
    if !is_ordinary {
        let ascii = idna::domain_to_ascii(domain).map_err(|_| AddressError::Idna)?;
        // The mapping of IDNA can produce characters that are not allowed.
        check_characters(&ascii)?;
        return Ok(Cow::Owned(ascii));
    }
    if domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(domain.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(domain))
}

fn contains_punycode(domain: &str) -> bool {
    domain.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
    })
}

fn check_label(label: &str) -> Result<(), AddressError> {
    if label.is_empty() {
        return Err(AddressError::DomainDots);
    }
    if label.len() > MAX_LABEL_BYTES {
        let label = label.to_string();
        return Err(AddressError::LabelTooLong { label });
    }
    if label.starts_with('-') || label.ends_with('-') {
        let label = label.to_string();
        return Err(AddressError::LabelHyphen { label });
    }
    Ok(())
}

/// Whether resolvers may read a host as the number of an IPv4 address, as in `127.1` and `0x7f.1`: no top-level domain is
/// a number (RFC 3696 §2).
pub fn is_ip_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// A character for error messages: itself, or its name if it is invisible.
fn shown(c: char) -> String {
    match c {
        ' ' => "a space".to_string(),
        '\t' => "a tab".to_string(),
        '`' => "a backtick".to_string(),
        c if c.is_control() || c.is_whitespace() || (!c.is_ascii() && !is_visible(c)) => {
            format!("the invisible character U+{:04X}", u32::from(c))
        }
        c => format!("`{c}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_valid_addresses_and_lower_cases_their_domains() {
        for (given, accepted) in [
            ("anna@example.org", "anna@example.org"),
            ("  anna@example.org\t", "anna@example.org"),
            ("Anna.B@Example.ORG", "Anna.B@example.org"),
            (
                "a+tag!#$%&'*/=?^_`{|}~-@x.io",
                "a+tag!#$%&'*/=?^_`{|}~-@x.io",
            ),
            ("\"a b\"@example.org", "\"a b\"@example.org"),
            ("\"a@b\\\"c\"@example.org", "\"a@b\\\"c\"@example.org"),
            ("root@localhost", "root@localhost"),
            ("jörg@münchen.de", "jörg@xn--mnchen-3ya.de"),
            ("x@MÜNCHEN.de", "x@xn--mnchen-3ya.de"),
            ("x@XN--MNCHEN-3YA.de", "x@xn--mnchen-3ya.de"),
            ("收件@例子.中国", "收件@xn--fsqu00a.xn--fiqs8s"),
            ("a@1.2.3.example", "a@1.2.3.example"),
        ] {
            let address = Address::parse(given).unwrap();
            assert_eq!(address.as_str(), accepted);
            assert_eq!(
                format!("{}@{}", address.local(), address.domain()),
                accepted
            );
        }
        assert!(Address::parse("jörg@example.org").unwrap().needs_smtputf8());
        assert!(!Address::parse("x@münchen.de").unwrap().needs_smtputf8());
    }

    // A table of cases is long and reads well.
    #[allow(clippy::too_many_lines)]
    #[test]
    fn refuses_invalid_addresses_with_a_reason() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long_label = format!("a@{}.org", "b".repeat(64));
        let long_domain = format!("a@{}org", "b23456789.".repeat(26));
        let long = format!("{}@{}org", "a".repeat(64), "b23456789.".repeat(19));
        for (given, reason) in [
            ("", "empty, but an address is needed"),
            (" \u{a0}", "empty, but an address is needed"),
            ("anna", "no `@`"),
            ("anna＠example.org", "`＠` is another character than `@`"),
            ("anna@@example.org", "two `@`"),
            ("anna@b@example.org", "two `@`"),
            ("@example.org", "nothing before the `@`"),
            ("\"\"@example.org", "nothing before the `@`"),
            ("anna@", "nothing after the `@`"),
            (
                &long_local,
                "the part before the `@` is 65 bytes long (at most 64)",
            ),
            (&long_domain, "the domain is 263 bytes long (at most 255)"),
            (&long, "the address is 258 bytes long (at most 254)"),
            (
                ".a@example.org",
                "a dot at the beginning or end, or two in a row, before the `@`",
            ),
            (
                "a..b@example.org",
                "a dot at the beginning or end, or two in a row, before the `@`",
            ),
            ("a b@example.org", "a space is not allowed before the `@`"),
            (
                "Anna <a@example.org>",
                "a space is not allowed before the `@`",
            ),
            ("<a@example.org", "`<` is not allowed before the `@`"),
            (
                "a\u{200b}@example.org",
                "the invisible character U+200B is not allowed before the `@`",
            ),
            (
                "a\u{e0041}@example.org",
                "the invisible character U+E0041 is not allowed before the `@`",
            ),
            (
                "a\u{3164}@example.org",
                "the invisible character U+3164 is not allowed before the `@`",
            ),
            ("a@0x7f.1", "the domain is an IP address, not a name"),
            ("a@127.1", "the domain is an IP address, not a name"),
            ("a@x.0X7F", "the domain is an IP address, not a name"),
            (
                "a\r\nRCPT TO:<x>@example.org",
                "the invisible character U+000D is not allowed before the `@`",
            ),
            (
                "\"a@example.org",
                "the quoted part before the `@` does not end with a quote",
            ),
            (
                "\"a\"b\"@example.org",
                "the quoted part before the `@` does not end with a quote",
            ),
            (
                "\"a\\\"@example.org",
                "the quoted part before the `@` does not end with a quote",
            ),
            (
                "a@.org",
                "a dot at the beginning or end, or two in a row, in the domain",
            ),
            (
                "a@example..org",
                "a dot at the beginning or end, or two in a row, in the domain",
            ),
            (
                "a@example.org.",
                "a dot at the beginning or end, or two in a row, in the domain",
            ),
            ("a@exa mple.org", "a space is not allowed in a domain"),
            ("a@example.org>", "`>` is not allowed in a domain"),
            ("a@exa_mple.org", "`_` is not allowed in a domain"),
            (
                "a@-x.org",
                "`-x` in the domain begins or ends with a hyphen",
            ),
            ("a@[192.0.2.1]", "the domain is an IP address, not a name"),
            ("a@192.0.2.1", "the domain is an IP address, not a name"),
            ("a@example", "the domain has no dot"),
            (
                "a@xn--a.org",
                "the domain is not a valid international name (IDNA)",
            ),
        ] {
            let error = Address::parse(given).expect_err(given);
            assert_eq!(error.to_string(), reason, "{given}");
        }
        let error = Address::parse(&long_label).unwrap_err();
        assert!(matches!(error, AddressError::LabelTooLong { .. }));
    }

    #[test]
    fn a_domain_alone_becomes_as_addresses_have_it() {
        for (given, name) in [
            ("gmail.com", "gmail.com"),
            ("GMail.com.", "gmail.com"),
            (" bücher.de ", "xn--bcher-kva.de"),
            ("BÜCHER.de.", "xn--bcher-kva.de"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(domain(given).as_deref(), Ok(name), "{given}");
        }
        for (given, reason) in [
            ("gmail", "the domain has no dot"),
            (
                ".",
                "a dot at the beginning or end, or two in a row, in the domain",
            ),
            (
                "a..de",
                "a dot at the beginning or end, or two in a row, in the domain",
            ),
            ("192.0.2.1", "the domain is an IP address, not a name"),
        ] {
            assert_eq!(domain(given).unwrap_err().to_string(), reason, "{given}");
        }
    }

    proptest! {
        #[test]
        fn accepted_addresses_are_safe_in_a_command_and_parse_to_themselves(text in "\\PC{0,20}@\\PC{0,30}|[ -~]{0,12}@[a-zA-Zü.-]{0,12}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(!address.as_str().chars().any(|c| c.is_control()));
                prop_assert!(address.domain().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-'));
                prop_assert!(address.as_str().len() <= MAX_ADDRESS_BYTES);
                prop_assert_eq!(Address::parse(address.as_str()), Ok(address));
            }
        }
    }
}
