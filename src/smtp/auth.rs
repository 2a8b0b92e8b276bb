//! Login: the choice of a mechanism and its responses (RFC 4954, RFC 4616, and XOAUTH2 of Google and Microsoft). Pure,
//! except [`log_in`].

use super::connection::{Connection, ConnectionError};
use super::md5;
use super::redaction::Redaction;
use super::relay::LoginProblem;
use super::reply::ServerReply;
use super::settings::{Mechanism, Secret};
use crate::domain::digest::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}

/// The mechanism to use: `wanted` if there is one, else PLAIN, LOGIN or CRAM-MD5, the first that is offered. XOAUTH2 must
/// be wanted, because its secret is a token and not a password. Errors say what the server offers.
pub fn choose(
    wanted: Option<Mechanism>,
    offered: &[String],
) -> Result<Mechanism, (LoginProblem, String)> {
    let is_offered = |mechanism: &Mechanism| offered.iter().any(|word| word == mechanism.keyword());
    let (found, what) = match wanted {
        Some(mechanism) => (
            Some(mechanism).filter(is_offered),
            format!("the relay does not offer `{mechanism}`"),
        ),
        None => (
            Mechanism::OF_PASSWORDS.into_iter().find(is_offered),
            format!(
                "the relay offers none of {}",
                Mechanism::OF_PASSWORDS.map(|m| m.to_string()).join(", ")
            ),
        ),
    };
    let problem = match wanted.is_none() && is_offered(&Mechanism::XOAuth2) {
        true => LoginProblem::WantsToken,
        false => LoginProblem::NoMechanism,
    };
    found.ok_or_else(|| (problem, format!("{what} (it offers: {})", listed(offered))))
}

fn listed(offered: &[String]) -> String {
    if offered.is_empty() {
        "none".to_string()
    } else {
        offered.join(", ").to_ascii_lowercase()
    }
}

/// Sends AUTH and responds to the server's challenges. Returns the server's last reply, 235 after a successful login.
pub async fn log_in(
    connection: &mut Connection,
    mechanism: Mechanism,
    credentials: &Credentials,
    within: Duration,
) -> Result<ServerReply, ConnectionError> {
    let mut responses = responses(mechanism, credentials).into_iter();
    let mut line = format!("AUTH {}", mechanism.keyword());
    if mechanism.begins_with_response()
        && let Some(first) = responses.next()
    {
        line.push(' ');
        line.push_str(&first);
    }
    connection.hide(redaction(credentials));
    loop {
        connection.send_line(&line, within).await?;
        let reply = connection.reply_within(within).await?;
        if reply.code != 334 {
            return Ok(reply);
        }
        // After an XOAUTH2 error the server sends the final reply when it gets an empty response. `*` cancels (RFC 4954
        // §4).
        line = match responses.next() {
            _ if mechanism == Mechanism::CramMd5 && line.starts_with("AUTH") => {
                let response = cram_md5(&reply.into_reply().text, credentials);
                let mut hidden = redaction(credentials);
                // `*` cancels, and is nothing to hide.
                if response != "*" {
                    hidden.add(&response);
                }
                connection.hide(hidden);
                response
            }
            Some(response) => response,
            None if mechanism == Mechanism::XOAuth2 && !line.is_empty() => String::new(),
            None if line != "*" => "*".to_string(),
            None => return Ok(reply),
        };
    }
}

/// Everything that a login sends: some relays repeat what they refuse.
pub fn redaction(credentials: &Credentials) -> Redaction {
    let mut hidden = Redaction::default();
    hidden.add(credentials.password.reveal());
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2] {
        for response in responses(mechanism, credentials) {
            hidden.add(&response);
        }
    }
    hidden
}

/// The responses, in order, as base64.
fn responses(mechanism: Mechanism, credentials: &Credentials) -> Vec<String> {
    let user = &credentials.user;
    let password = credentials.password.reveal();
    match mechanism {
        Mechanism::Plain => vec![STANDARD.encode(format!("\0{user}\0{password}"))],
        Mechanism::Login => vec![STANDARD.encode(user), STANDARD.encode(password)],
        // It depends on the challenge.
        Mechanism::CramMd5 => Vec::new(),
        Mechanism::XOAuth2 => {
            vec![STANDARD.encode(format!("user={user}\x01auth=Bearer {password}\x01\x01"))]
        }
    }
}

/// The response to a challenge (RFC 2195 §2). Cancels the login if the challenge is not base64.
fn cram_md5(challenge: &str, credentials: &Credentials) -> String {
    let Ok(challenge) = STANDARD.decode(challenge.trim()) else {
        return "*".to_string();
    };
    let digest = md5::hmac(credentials.password.reveal().as_bytes(), &challenge);
    STANDARD.encode(format!("{} {}", credentials.user, hex(&digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_the_wanted_mechanism_then_plain_then_login() {
        let offered = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let all = offered(&["XOAUTH2", "LOGIN", "PLAIN"]);
        assert_eq!(choose(None, &all), Ok(Mechanism::Plain));
        assert_eq!(choose(None, &offered(&["LOGIN"])), Ok(Mechanism::Login));
        assert_eq!(
            choose(Some(Mechanism::XOAuth2), &all),
            Ok(Mechanism::XOAuth2)
        );
        assert_eq!(
            choose(None, &offered(&["CRAM-MD5"])),
            Ok(Mechanism::CramMd5)
        );
        for (wanted, words, problem, why) in [
            (
                None,
                &["XOAUTH2", "NTLM"][..],
                LoginProblem::WantsToken,
                "the relay offers none of plain, login, cram-md5 (it offers: xoauth2, ntlm)",
            ),
            (
                None,
                &[],
                LoginProblem::NoMechanism,
                "the relay offers none of plain, login, cram-md5 (it offers: none)",
            ),
            (
                Some(Mechanism::Plain),
                &["LOGIN"],
                LoginProblem::NoMechanism,
                "the relay does not offer `plain` (it offers: login)",
            ),
        ] {
            let refused = choose(wanted, &offered(words));
            assert_eq!(refused, Err((problem, why.to_string())));
        }
    }

    #[test]
    fn encodes_the_responses_of_each_mechanism() {
        let credentials = Credentials {
            user: "tim".into(),
            password: Secret::new("tanstaaftanstaaf"),
        };
        // The example of RFC 4616 §4, without an authorization identity.
        assert_eq!(
            responses(Mechanism::Plain, &credentials),
            ["AHRpbQB0YW5zdGFhZnRhbnN0YWFm"]
        );
        assert_eq!(
            responses(Mechanism::Login, &credentials),
            ["dGlt", "dGFuc3RhYWZ0YW5zdGFhZg=="]
        );
        // The example of RFC 2195 §2.
        let challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
        assert_eq!(
            cram_md5(challenge, &credentials),
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
        );
        assert_eq!(cram_md5("no base64!", &credentials), "*");
        let decoded = STANDARD
            .decode(&responses(Mechanism::XOAuth2, &credentials)[0])
            .unwrap();
        assert_eq!(decoded, b"user=tim\x01auth=Bearer tanstaaftanstaaf\x01\x01");
    }
}
