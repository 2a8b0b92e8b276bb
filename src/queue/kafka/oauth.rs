//! The token of an OAUTHBEARER login: the user's command prints it. librdkafka asks for a new one before it expires.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A command that takes longer is killed.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The lifetime of a token that does not say when it expires.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// Tokens are a few kilobytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Runs the command in a shell. The token never appears in an error.
pub(super) fn fetch(command: Option<&str>) -> Result<OAuthToken, String> {
    let command = command.ok_or("`token_command` in `[kafka]` says how to get a token")?;
    let token = run(command)?;
    if token.is_empty() {
        return Err("the token command printed nothing".to_string());
    }
    let claims = claims(&token);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let expires = claims.as_ref().and_then(|claims| claims["exp"].as_u64());
    let expires = expires.map_or(now + DEFAULT_LIFETIME, Duration::from_secs);
    let subject = claims.as_ref().and_then(|claims| claims["sub"].as_str());
    Ok(OAuthToken {
        token,
        principal_name: subject.unwrap_or("mailq").replace('\0', ""),
        lifetime_ms: i64::try_from(expires.as_millis()).unwrap_or(i64::MAX),
    })
}

fn run(command: &str) -> Result<String, String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the token command does not start: {error}"))?;
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.map(|output| output.take(MAX_BYTES).read_to_string(&mut text));
        read.is_some_and(|read| read.is_ok()).then_some(text)
    });
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < TIMEOUT => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                // Errors mean that it has ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the token command did not end within {TIMEOUT:?}"));
            }
        }
    };
    let text = reader.join().ok().flatten().unwrap_or_default();
    match status.success() {
        true => Ok(text.trim().to_string()),
        false => Err(format!("the token command failed: {status}")),
    }
}

/// The claims of a JSON Web Token (RFC 7519). `None`: it is another kind of token.
fn claims(token: &str) -> Option<serde_json::Value> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_token_says_when_it_expires() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"mailer","exp":2000000000}"#);
        let token = fetch(Some(&format!("echo head.{payload}.signature"))).unwrap();
        assert_eq!(token.principal_name, "mailer");
        assert_eq!(token.lifetime_ms, 2_000_000_000_000);
        assert_eq!(token.token, format!("head.{payload}.signature"));
    }

    #[test]
    fn an_opaque_token_has_the_default_lifetime() {
        let token = fetch(Some("echo opaque")).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let left = token.lifetime_ms - i64::try_from(now.as_millis()).unwrap();
        assert!((200_000..=300_000).contains(&left), "{left}");
    }

    #[test]
    fn errors_do_not_show_the_token() {
        for (command, expected) in [("echo secret; exit 3", "failed"), ("true", "nothing")] {
            let why = fetch(Some(command)).err().unwrap();
            assert!(why.contains(expected) && !why.contains("secret"), "{why}");
        }
        assert!(fetch(None).is_err());
    }
}
