//! Logging in: which mechanism, and what is said in it (RFC 4954, RFC 4616, and XOAUTH2 of Google and Microsoft).
//! Pure but for [`log_in`], which holds the dialogue.

use super::reply::Answer;
use super::settings::Secret;
use super::wire::{Fault, Wire};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
    /// The password is an access token.
    XOAuth2,
}

impl Mechanism {
    fn keyword(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::XOAuth2 => "XOAUTH2",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keyword().to_ascii_lowercase())
    }
}

impl std::str::FromStr for Mechanism {
    type Err = String;
    fn from_str(text: &str) -> Result<Mechanism, String> {
        match text.to_ascii_lowercase().as_str() {
            "plain" => Ok(Mechanism::Plain),
            "login" => Ok(Mechanism::Login),
            "xoauth2" => Ok(Mechanism::XOAuth2),
            _ => Err(format!(
                "`{text}` is not one of `plain`, `login`, `xoauth2`"
            )),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}

/// The mechanism to use: the one that was asked for if it is offered, else PLAIN, else LOGIN. XOAUTH2 is only used
/// when asked for, because its secret is of another kind. `Err` says what is offered.
pub fn choose(wanted: Option<Mechanism>, offered: &[String]) -> Result<Mechanism, String> {
    let is_offered = |mechanism: Mechanism| offered.iter().any(|word| word == mechanism.keyword());
    if let Some(mechanism) = wanted {
        return match is_offered(mechanism) {
            true => Ok(mechanism),
            false => Err(format!(
                "the relay does not offer `{mechanism}` (it offers: {})",
                listed(offered)
            )),
        };
    }
    [Mechanism::Plain, Mechanism::Login]
        .into_iter()
        .find(|mechanism| is_offered(*mechanism))
        .ok_or_else(|| {
            format!(
                "the relay offers no login with a password (it offers: {})",
                listed(offered)
            )
        })
}

fn listed(offered: &[String]) -> String {
    if offered.is_empty() {
        "none".to_string()
    } else {
        offered.join(", ").to_ascii_lowercase()
    }
}

/// Says AUTH and answers the server's challenges; returns its last answer, 235 if it agreed.
pub async fn log_in(
    wire: &mut Wire,
    mechanism: Mechanism,
    credentials: &Credentials,
    within: Duration,
) -> Result<Answer, Fault> {
    let mut responses = responses(mechanism, credentials).into_iter();
    let mut line = format!("AUTH {}", mechanism.keyword());
    if mechanism != Mechanism::Login
        && let Some(first) = responses.next()
    {
        line.push(' ');
        line.push_str(&first);
    }
    loop {
        wire.say(&line, within).await?;
        let answer = wire.answer(within).await?;
        if answer.code != 334 {
            return Ok(answer);
        }
        // An empty response asks for the error itself (XOAUTH2); `*` gives up (RFC 4954 §4).
        line = match responses.next() {
            Some(response) => response,
            None if mechanism == Mechanism::XOAuth2 && !line.is_empty() => String::new(),
            None if line != "*" => "*".to_string(),
            None => return Ok(answer),
        };
    }
}

/// What is said after AUTH, in base64, in order.
fn responses(mechanism: Mechanism, credentials: &Credentials) -> Vec<String> {
    let user = &credentials.user;
    let password = credentials.password.reveal();
    match mechanism {
        Mechanism::Plain => vec![STANDARD.encode(format!("\0{user}\0{password}"))],
        Mechanism::Login => vec![STANDARD.encode(user), STANDARD.encode(password)],
        Mechanism::XOAuth2 => {
            vec![STANDARD.encode(format!("user={user}\x01auth=Bearer {password}\x01\x01"))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_what_is_asked_for_then_plain_then_login() {
        let offered = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let all = offered(&["XOAUTH2", "LOGIN", "PLAIN"]);
        assert_eq!(choose(None, &all), Ok(Mechanism::Plain));
        assert_eq!(choose(None, &offered(&["LOGIN"])), Ok(Mechanism::Login));
        assert_eq!(
            choose(Some(Mechanism::XOAuth2), &all),
            Ok(Mechanism::XOAuth2)
        );
        assert!(
            choose(None, &offered(&["XOAUTH2"]))
                .unwrap_err()
                .contains("xoauth2")
        );
        assert!(choose(None, &[]).unwrap_err().contains("none"));
        assert!(choose(Some(Mechanism::Plain), &offered(&["LOGIN"])).is_err());
    }

    #[test]
    fn says_what_the_mechanisms_want() {
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
        let decoded = STANDARD
            .decode(&responses(Mechanism::XOAuth2, &credentials)[0])
            .unwrap();
        assert_eq!(decoded, b"user=tim\x01auth=Bearer tanstaaftanstaaf\x01\x01");
    }
}
