//! Relay URLs: `smtp://user@host:587?tls=none`, `smtps://host:465`, `maildir:PATH`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where a relay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayUrl {
    Smtp {
        /// A name or address, without the brackets of IPv6.
        host: String,
        port: u16,
        tls: TlsMode,
    },
    /// An outbox of files.
    Maildir(PathBuf),
}

/// How a connection is encrypted (RFC 8314, RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// From the first byte.
    Implicit,
    /// STARTTLS or nothing.
    Required,
    /// STARTTLS where offered, certificates unchecked.
    Opportunistic,
    None,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// PLAIN, else LOGIN, as the relay offers.
    #[default]
    Auto,
    Plain,
    Login,
    Xoauth2,
}

impl AuthMethod {
    pub(super) fn parse(text: &str) -> Result<AuthMethod, String> {
        Ok(match text {
            "plain" => AuthMethod::Plain,
            "login" => AuthMethod::Login,
            "xoauth2" => AuthMethod::Xoauth2,
            _ => AuthMethod::Auto,
        })
    }
}

impl RelayUrl {
    /// The relay, and the user where the URL names one. The error does not repeat the text, which may hold a password.
    pub fn parse(text: &str) -> Result<(RelayUrl, Option<String>), String> {
        if let Some(path) = text.strip_prefix("maildir:") {
            return match path {
                "" => Err("names no folder: `maildir:outbox`".into()),
                path => Ok((RelayUrl::Maildir(PathBuf::from(path)), None)),
            };
        }
        if let Some(rest) = text.strip_prefix("smtps://") {
            return smtp(rest, true);
        }
        if let Some(rest) = text.strip_prefix("smtp://") {
            return smtp(rest, false);
        }
        Err("is not `smtp://host:587`, `smtps://host:465` or `maildir:PATH`".into())
    }

    pub fn is_maildir(&self) -> bool {
        matches!(self, RelayUrl::Maildir(_))
    }
}

fn smtp(rest: &str, implicit: bool) -> Result<(RelayUrl, Option<String>), String> {
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("holds a password: leave it out and use `password_env`".into());
    }
    let (host, port) = host_and_port(place.trim_end_matches('/'))?;
    let tls = tls_mode(query, implicit, &host)?;
    let port = port.unwrap_or(match tls {
        TlsMode::Implicit => 465,
        _ if is_loopback(&host) => 25,
        _ => 587,
    });
    let user = user.filter(|user| !user.is_empty()).map(str::to_string);
    Ok((RelayUrl::Smtp { host, port, tls }, user))
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("has no `]` after the address")?;
        host.parse::<IpAddr>()
            .map_err(|_| "has no IP address in its brackets")?;
        match after {
            "" => (host, None),
            after => (host, Some(after.strip_prefix(':').unwrap_or(after))),
        }
    } else {
        match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(good) {
        return Err("names no host: `smtp://host:587`".into());
    }
    let port = match port {
        None => None,
        Some(port) => Some(
            port.parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or("has a port that is no number from 1 to 65535")?,
        ),
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn tls_mode(query: Option<&str>, implicit: bool, host: &str) -> Result<TlsMode, String> {
    match (query, implicit) {
        (None, true) => Ok(TlsMode::Implicit),
        (None, false) if is_loopback(host) => Ok(TlsMode::Opportunistic),
        (None | Some("tls=required"), false) => Ok(TlsMode::Required),
        (Some("tls=none"), false) => Ok(TlsMode::None),
        (Some("tls=opportunistic"), false) => Ok(TlsMode::Opportunistic),
        (Some(_), true) => Err("takes nothing after `?`: `smtps:` is always encrypted".into()),
        (Some(_), false) => {
            Err("takes `?tls=none`, `?tls=opportunistic` or `?tls=required` only".into())
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// As messages and events name it: `host:port`, or the path of the outbox.
impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayUrl::Smtp { host, port, .. } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            RelayUrl::Smtp { host, port, .. } => write!(f, "{host}:{port}"),
            RelayUrl::Maildir(path) => write!(f, "maildir:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, name, tls, user) in [
            (
                "smtp://mx.example.com",
                "mx.example.com:587",
                TlsMode::Required,
                None,
            ),
            (
                "smtp://me@MX.example.com:25",
                "mx.example.com:25",
                TlsMode::Required,
                Some("me"),
            ),
            (
                "smtp://me@corp.com@mx:587",
                "mx:587",
                TlsMode::Required,
                Some("me@corp.com"),
            ),
            ("smtps://mx/", "mx:465", TlsMode::Implicit, None),
            (
                "smtp://localhost",
                "localhost:25",
                TlsMode::Opportunistic,
                None,
            ),
            (
                "smtp://127.0.0.1:2525?tls=none",
                "127.0.0.1:2525",
                TlsMode::None,
                None,
            ),
            (
                "smtp://[::1]:2525",
                "[::1]:2525",
                TlsMode::Opportunistic,
                None,
            ),
            (
                "smtp://localhost?tls=required",
                "localhost:25",
                TlsMode::Required,
                None,
            ),
        ] {
            let (url, found) = RelayUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), name, "{text}");
            assert!(
                matches!(url, RelayUrl::Smtp { tls: mode, .. } if mode == tls),
                "{text}"
            );
            assert_eq!(found.as_deref(), user, "{text}");
        }
        let (url, _) = RelayUrl::parse("maildir:a/b c").unwrap();
        assert_eq!(url, RelayUrl::Maildir("a/b c".into()));
    }

    #[test]
    fn what_is_no_relay_is_refused_without_being_repeated() {
        for text in [
            "",
            "mx.example.com",
            "http://mx",
            "smtp://",
            "smtp://:25",
            "smtp://mx:0",
            "smtp://mx:99999",
            "smtp://mx:x",
            "smtp://[::1",
            "smtp://[mx]:25",
            "smtp://m x",
            "smtp://mx?tls=maybe",
            "smtps://mx?tls=none",
            "maildir:",
            "smtp://me:hunter2@mx",
        ] {
            let error = RelayUrl::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
