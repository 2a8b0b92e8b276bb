//! Relay URLs: `smtp://user@host:587`, `smtps://host:465`, `maildir:PATH`. A URL with a password is refused.

use crate::domain::address::is_ip_number;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// RFC 6409 §3.1.
const SUBMISSION_PORT: u16 = 587;
/// RFC 8314 §3.3.
const SUBMISSIONS_PORT: u16 = 465;
/// For a mail server on this machine.
const LOCAL_PORT: u16 = 25;

/// A mail server, or a folder in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayAddress {
    Server(ServerAddress),
    /// A folder that gets the messages as files.
    Maildir(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// A name in A-labels, or an IP address without brackets.
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub tls: TlsPolicy,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS from the first byte: `smtps:` (RFC 8314 §3.3).
    Implicit,
    /// STARTTLS or no mail.
    Required,
    /// STARTTLS if the server offers it. The certificate is verified then too.
    Opportunistic,
    /// Plain text. The default for a server on this machine.
    None,
}

/// Why a relay URL cannot be used. No variant contains text that may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// `meant`: the URL that it probably is. None if it may hold a password.
    #[error("a relay URL must begin with `smtp://`, `smtps://` or `maildir:`")]
    Scheme { meant: Option<String> },
    #[error("the relay URL contains a password; use `password_env` instead")]
    Password,
    #[error("`{0}` is not a host name")]
    Host(String),
    #[error("the port in the relay URL is not a number from 1 to 65535")]
    Port,
    #[error(
        "`?{0}=…` is not an option of a relay URL (options: `tls=required`, `tls=opportunistic`, `tls=none`)"
    )]
    Setting(String),
    #[error(
        "what stands behind `?` is not an option of a relay URL (options: `tls=required`, `tls=opportunistic`, `tls=none`)"
    )]
    NoSetting,
    #[error("`tls` in a relay URL is `required`, `opportunistic` or `none`")]
    Tls,
    #[error("`smtps://` is always encrypted and cannot be combined with `{0}`")]
    ImplicitTls(String),
    #[error("the user name in the relay URL is not valid percent-encoding")]
    User,
    #[error("`maildir:` needs the path of a folder")]
    NoPath,
    #[error("a relay URL cannot have a path after the host")]
    Path,
}

impl ServerAddress {
    /// Whether mail and passwords stay on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for RelayAddress {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<RelayAddress, UrlError> {
        if let Some(path) = text.strip_prefix("maildir:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(UrlError::NoPath)
            } else {
                Ok(RelayAddress::Maildir(PathBuf::from(path)))
            };
        }
        let scheme_error = || UrlError::Scheme { meant: meant(text) };
        let (scheme, rest) = text.split_once("://").ok_or_else(scheme_error)?;
        let implicit = match scheme.to_ascii_lowercase().as_str() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(scheme_error()),
        };
        server(rest, implicit).map(RelayAddress::Server)
    }
}

/// For `smtp.example.com:587`, `tls://smtp.example.com:465`: the URL in our form.
fn meant(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let address = server(rest, false).ok()?;
    let is_host = address.host.contains('.') || is_loopback(&address.host);
    let place = parts(rest).place;
    let has_port = place.ends_with(&format!(":{}", address.port));
    let is_of_tls = matches!(
        scheme.to_ascii_lowercase().as_str(),
        "ssl" | "tls" | "https"
    );
    let implicit = address.port == SUBMISSIONS_PORT || (is_of_tls && !has_port);
    let scheme = if implicit { "smtps" } else { "smtp" };
    // Another scheme may not go with the options.
    let is_valid = server(rest, implicit).is_ok();
    (is_host && is_valid).then(|| format!("{scheme}://{rest}"))
}

/// What stands behind the scheme of a URL: `user@place/path?query`.
struct Parts<'a> {
    user: Option<&'a str>,
    /// The host and its port.
    place: &'a str,
    path: &'a str,
    query: &'a str,
}

fn parts(rest: &str) -> Parts<'_> {
    // Split at the last `@`, because the user is often an address.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    Parts {
        user,
        place,
        path,
        query,
    }
}

fn server(rest: &str, implicit: bool) -> Result<ServerAddress, UrlError> {
    let Parts {
        user,
        place,
        path,
        query,
    } = parts(rest);
    // Checked before anything else, because a password with an `@` would leave a part of itself in the host, and errors
    // quote the host.
    // An `@` may also be a part of a password among the options.
    if user.is_some_and(|user| user.contains([':', '?'])) {
        return Err(UrlError::Password);
    }
    let (host, port) = host_and_port(place, implicit)?;
    if !path.is_empty() {
        return Err(UrlError::Path);
    }
    let tls = tls_policy(query, &host, implicit)?;
    let user = user.filter(|user| !user.is_empty());
    Ok(ServerAddress {
        host,
        port,
        user: user.map(percent_decoded).transpose()?,
        tls,
    })
}

fn host_and_port(place: &str, implicit: bool) -> Result<(String, u16), UrlError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or_else(|| UrlError::Host(place.to_string()))?;
            let address: IpAddr = host.parse().map_err(|_| UrlError::Host(place.into()))?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err(UrlError::Port),
            };
            (address.to_string(), port)
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            (host_name(host)?, port)
        }
    };
    let port = match port {
        None if implicit => SUBMISSIONS_PORT,
        None if is_loopback(&host) => LOCAL_PORT,
        None => SUBMISSION_PORT,
        Some(text) => match text.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(UrlError::Port),
        },
    };
    Ok((host, port))
}

fn host_name(text: &str) -> Result<String, UrlError> {
    let wrong = || UrlError::Host(text.to_string());
    let host = idna::domain_to_ascii(text).map_err(|_| wrong())?;
    let plausible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_number = is_ip_number(&host) && host.parse::<IpAddr>().is_err();
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plausible) || is_number {
        return Err(wrong());
    }
    Ok(host)
}

fn tls_policy(query: &str, host: &str, implicit: bool) -> Result<TlsPolicy, UrlError> {
    let mut policy = match (implicit, is_loopback(host)) {
        (true, _) => TlsPolicy::Implicit,
        (false, true) => TlsPolicy::None,
        (false, false) => TlsPolicy::Required,
    };
    for setting in query.split('&').filter(|setting| !setting.is_empty()) {
        policy = match (setting, implicit) {
            ("tls=required", true) => TlsPolicy::Implicit,
            ("tls=required", false) => TlsPolicy::Required,
            ("tls=opportunistic" | "tls=none", true) => {
                return Err(UrlError::ImplicitTls(setting.to_string()));
            }
            ("tls=opportunistic", false) => TlsPolicy::Opportunistic,
            ("tls=none", false) => TlsPolicy::None,
            _ => return Err(unknown_setting(setting)),
        };
    }
    Ok(policy)
}

/// The value may be a password.
fn unknown_setting(setting: &str) -> UrlError {
    let name = setting.split_once('=').map_or("", |(name, _)| name);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic());
    match name {
        "tls" => UrlError::Tls,
        name if is_name => UrlError::Setting(name.to_string()),
        _ => UrlError::NoSetting,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn percent_decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|byte| char::from(byte).to_digit(16))
                .ok_or(UrlError::User)
        };
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).map_err(|_| UrlError::User)?);
    }
    let user = String::from_utf8(bytes).map_err(|_| UrlError::User)?;
    if user.chars().any(char::is_control) {
        return Err(UrlError::User);
    }
    Ok(user)
}

/// `smtp://host:port` or `maildir:PATH`, without the user.
impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayAddress::Maildir(path) => {
                // Two slashes behind the colon are not part of a path.
                let has_two = path.as_os_str().as_encoded_bytes().starts_with(b"//");
                let slashes = if has_two { "//" } else { "" };
                write!(f, "maildir:{slashes}{}", path.display())
            }
            RelayAddress::Server(server) => {
                let scheme = match server.tls {
                    TlsPolicy::Implicit => "smtps",
                    _ => "smtp",
                };
                write!(f, "{scheme}://{}", server.host_and_port())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ServerAddress {
        match text.parse() {
            Ok(RelayAddress::Server(server)) => server,
            other => panic!("{text}: {other:?}"),
        }
    }

    // A table of cases is long and reads well.
    #[allow(clippy::too_many_lines)]
    #[test]
    fn parses_servers() {
        use TlsPolicy::{Implicit, None as Plain, Opportunistic, Required};
        let table = [
            (
                "smtp://mx.example.com",
                "mx.example.com",
                587,
                None,
                Required,
            ),
            (
                "smtps://mx.example.com/",
                "mx.example.com",
                465,
                None,
                Implicit,
            ),
            (
                "smtp://me@example.com@mx.example.com:25",
                "mx.example.com",
                25,
                Some("me@example.com"),
                Required,
            ),
            (
                "smtp://a%40b%3Ac@h:2525?tls=opportunistic",
                "h",
                2525,
                Some("a@b:c"),
                Opportunistic,
            ),
            (
                "smtp://mx.example.com?tls=none",
                "mx.example.com",
                587,
                None,
                Plain,
            ),
            ("smtp://127.0.0.1", "127.0.0.1", 25, None, Plain),
            ("smtp://LOCALHOST", "localhost", 25, None, Plain),
            ("smtp://localhost:587", "localhost", 587, None, Plain),
            ("smtp://[::1]:25?tls=required", "::1", 25, None, Required),
            ("smtps://[2001:db8::1]", "2001:db8::1", 465, None, Implicit),
            (
                "SMTP://b\u{fc}cher.example",
                "xn--bcher-kva.example",
                587,
                None,
                Required,
            ),
        ];
        for (text, host, port, user, tls) in table {
            let server = parsed(text);
            let seen = (
                server.host.as_str(),
                server.port,
                server.user.as_deref(),
                server.tls,
            );
            assert_eq!(seen, (host, port, user, tls), "{text}");
        }
        assert_eq!(parsed("smtp://[::1]:25").host_and_port(), "[::1]:25");
    }

    #[test]
    fn refuses_invalid_urls_without_showing_a_password() {
        for text in [
            "smtp://me:hunter2@mx.example.com",
            "smtp://me@example.com:hunter2@mx.example.com:587",
            "smtp://me:hunter2?/@mx.example.com",
            "smtp://mx.example.com?password=@hunter2",
            "smtp://me:hun@ter2@mxme:hunter2mx.example",
        ] {
            let error = text.parse::<RelayAddress>().unwrap_err();
            assert!(matches!(error, UrlError::Password));
            assert!(!error.to_string().contains("hunter2"));
        }
        for text in [
            "smtp://h?password=hunter2",
            "smtp://h?hunter2",
            "smtp://h?x&hunter2=x",
        ] {
            let error = text.parse::<RelayAddress>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for text in [
            "",
            "mx.example.com",
            "http://x",
            "smtp://",
            "smtp://h:0",
            "smtp://h:65536",
            "smtp://h:x",
            "smtp://[::1",
            "smtp://[::1]25",
            "smtp://h/path",
            "smtp://h?tls=maybe",
            "smtp://h?x=1",
            "smtps://h?tls=none",
            "smtp://a b",
            "smtp://0x7f.1",
            "smtp://127.1",
            "smtp://%zz@h",
            "smtp://%0a@h",
            "maildir:",
        ] {
            assert!(text.parse::<RelayAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_option_that_is_none_is_named_if_it_has_a_name() {
        let options = "(options: `tls=required`, `tls=opportunistic`, `tls=none`)";
        for (text, wanted) in [
            (
                "smtp://h?tls=yes",
                "`tls` in a relay URL is `required`, `opportunistic` or `none`".to_string(),
            ),
            (
                "smtp://h?ssl=1",
                format!("`?ssl=…` is not an option of a relay URL {options}"),
            ),
            (
                "smtp://h?hunter2",
                format!("what stands behind `?` is not an option of a relay URL {options}"),
            ),
        ] {
            let error = text.parse::<RelayAddress>().unwrap_err();
            assert_eq!(error.to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn a_url_without_our_scheme_says_what_it_could_be() {
        for (text, wanted) in [
            ("smtp.gmail.com:587", Some("smtp://smtp.gmail.com:587")),
            ("smtp.gmail.com:465", Some("smtps://smtp.gmail.com:465")),
            ("smtp.gmail.com", Some("smtp://smtp.gmail.com")),
            (
                "me@x.org@smtp.gmail.com:587",
                Some("smtp://me@x.org@smtp.gmail.com:587"),
            ),
            (
                "https://smtp.gmail.com:587",
                Some("smtp://smtp.gmail.com:587"),
            ),
            ("tls://smtp.gmail.com", Some("smtps://smtp.gmail.com")),
            (
                "tls://smtp.gmail.com:587?tls=required",
                Some("smtp://smtp.gmail.com:587?tls=required"),
            ),
            ("tls://smtp.gmail.com?tls=none", None),
            ("smtp.gmail.com:465?tls=opportunistic", None),
            ("localhost:25", Some("smtp://localhost:25")),
            ("me:hunter2@smtp.gmail.com:587", None),
            ("hunter2", None),
            ("${SMTP_URL}", None),
        ] {
            let error = text.parse::<RelayAddress>().unwrap_err();
            let meant = wanted.map(str::to_string);
            assert_eq!(error, UrlError::Scheme { meant }, "{text}");
        }
    }

    #[test]
    fn prints_the_url_without_the_user() {
        let shown = |text: &str| text.parse::<RelayAddress>().unwrap().to_string();
        assert_eq!(shown("smtp://me@h:25"), "smtp://h:25");
        assert_eq!(shown("maildir:out/box"), "maildir:out/box");
        for text in ["maildir:////x", "maildir:///x", "maildir://x"] {
            let address: RelayAddress = text.parse().unwrap();
            assert_eq!(address.to_string().parse(), Ok(address), "{text}");
        }
    }
}
