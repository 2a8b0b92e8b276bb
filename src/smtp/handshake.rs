//! From nothing to a connection that takes mail: connect, greeting, EHLO, TLS, login.

use super::End;
use super::auth::{self, Credentials, Mechanism};
use super::ehlo::Extensions;
use super::reply::Answer;
use super::settings::{Deadlines, SecretSource};
use super::tls::Tls;
use super::url::{ServerAddress, TlsPolicy};
use super::wire::{Fault, Wire};
use crate::domain::outcome::Stage;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whom to talk to, and how.
pub struct Server {
    pub address: ServerAddress,
    /// Present unless the policy is none.
    pub tls: Option<Tls>,
    pub credentials: Option<Credentials>,
    /// Where XOAUTH2 gets a fresh one from.
    pub token: Option<SecretSource>,
    pub mechanism: Option<Mechanism>,
    pub helo_name: String,
    pub deadlines: Deadlines,
}

/// A connection that is ready for MAIL FROM.
pub struct Ready {
    pub wire: Wire,
    pub greeting: String,
    pub extensions: Extensions,
    pub authenticated: bool,
}

impl Server {
    /// Errors: always [`End::Unavailable`], with the stage that failed.
    pub async fn reach(&self) -> Result<Ready, End> {
        let mut wire = Wire::plain(self.connect().await?);
        if self.address.tls == TlsPolicy::Implicit {
            wire = self.secured(wire).await?;
        }
        let greeting = wire
            .answer(self.deadlines.greeting)
            .await
            .map_err(|fault| unavailable(Stage::Greeting, fault))?;
        let greeting = accepted(Stage::Greeting, greeting)?.into_reply().text;
        let (mut wire, extensions) = self.introduce(wire).await?;
        let authenticated = self.log_in(&mut wire, &extensions).await?;
        Ok(Ready {
            wire,
            greeting,
            extensions,
            authenticated,
        })
    }

    async fn connect(&self) -> Result<TcpStream, End> {
        let within = self.deadlines.connect;
        let place = (self.address.host.as_str(), self.address.port);
        let failed = |why: String| End::Unavailable {
            stage: Stage::Connect,
            reply: None,
            why,
        };
        let stream = timeout(within, TcpStream::connect(place))
            .await
            .map_err(|_| failed(format!("no connection within {} s", within.as_secs_f64())))?
            .map_err(|error| failed(error.to_string()))?;
        // Without it the kernel holds back every write that follows an unacknowledged one, 40 ms a message.
        stream
            .set_nodelay(true)
            .map_err(|error| failed(error.to_string()))?;
        Ok(stream)
    }

    async fn secured(&self, wire: Wire) -> Result<Wire, End> {
        let Some(tls) = &self.tls else {
            let fault = Fault::OutOfPlace("TLS is not set up".to_string());
            return Err(unavailable(Stage::Tls, fault));
        };
        wire.secured(tls, self.deadlines.command)
            .await
            .map_err(|fault| unavailable(Stage::Tls, fault))
    }

    /// EHLO, and once more after STARTTLS, because what was said in plain text counts no longer (RFC 3207 §4.2).
    async fn introduce(&self, mut wire: Wire) -> Result<(Wire, Extensions), End> {
        let extensions = self.say_ehlo(&mut wire).await?;
        let wanted = match self.address.tls {
            TlsPolicy::Implicit | TlsPolicy::None => false,
            TlsPolicy::Opportunistic => extensions.starttls,
            TlsPolicy::Required if extensions.starttls => true,
            TlsPolicy::Required => {
                let why = "the relay does not offer STARTTLS, and TLS is required";
                return Err(End::Unavailable {
                    stage: Stage::Tls,
                    reply: None,
                    why: why.to_string(),
                });
            }
        };
        if !wanted {
            return Ok((wire, extensions));
        }
        let answer = self.ask(&mut wire, Stage::Tls, "STARTTLS").await?;
        accepted(Stage::Tls, answer)?;
        let mut wire = self.secured(wire).await?;
        let extensions = self.say_ehlo(&mut wire).await?;
        Ok((wire, extensions))
    }

    /// EHLO, and HELO where that is not understood (RFC 5321 §3.2).
    async fn say_ehlo(&self, wire: &mut Wire) -> Result<Extensions, End> {
        let line = format!("EHLO {}", self.helo_name);
        let answer = self.ask(wire, Stage::Ehlo, &line).await?;
        if answer.is_positive() {
            return Ok(Extensions::from_answer(&answer));
        }
        if !(500..=504).contains(&answer.code) {
            return Err(refused(Stage::Ehlo, answer));
        }
        let line = format!("HELO {}", self.helo_name);
        let answer = self.ask(wire, Stage::Ehlo, &line).await?;
        accepted(Stage::Ehlo, answer).map(|_| Extensions::default())
    }

    async fn log_in(&self, wire: &mut Wire, extensions: &Extensions) -> Result<bool, End> {
        let Some(credentials) = &self.credentials else {
            return Ok(false);
        };
        let failed = |why: String| End::Unavailable {
            stage: Stage::Auth,
            reply: None,
            why,
        };
        if wire.tls_description().is_none() && !may_be_overheard(&self.address) {
            return Err(failed(
                "the relay offers no TLS, and a password is not sent in plain text".to_string(),
            ));
        }
        let mechanism = auth::choose(self.mechanism, &extensions.auth).map_err(failed)?;
        let mut credentials = credentials.clone();
        if let Some(token) = self
            .token
            .as_ref()
            .filter(|_| mechanism == Mechanism::XOAuth2)
        {
            credentials.password = token.fetch().await.map_err(failed)?;
        }
        let answer = auth::log_in(wire, mechanism, &credentials, self.deadlines.command)
            .await
            .map_err(|fault| unavailable(Stage::Auth, fault))?;
        accepted(Stage::Auth, answer).map(|_| true)
    }

    async fn ask(&self, wire: &mut Wire, stage: Stage, line: &str) -> Result<Answer, End> {
        let within = self.deadlines.command;
        let said = async {
            wire.say(line, within).await?;
            wire.answer(within).await
        };
        said.await.map_err(|fault| unavailable(stage, fault))
    }
}

/// Whether a password may go in plain text: never leaving this machine, or by the user's own word.
fn may_be_overheard(address: &ServerAddress) -> bool {
    address.is_loopback() || address.tls == TlsPolicy::None
}

fn accepted(stage: Stage, answer: Answer) -> Result<Answer, End> {
    if answer.is_positive() {
        Ok(answer)
    } else {
        Err(refused(stage, answer))
    }
}

fn refused(stage: Stage, answer: Answer) -> End {
    let reply = answer.into_reply();
    End::Unavailable {
        stage,
        why: reply.to_string(),
        reply: Some(reply),
    }
}

fn unavailable(stage: Stage, fault: Fault) -> End {
    End::Unavailable {
        stage,
        reply: None,
        why: fault.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::url::RelayAddress;

    #[test]
    fn a_password_goes_in_plain_text_only_by_the_users_word() {
        let table = [
            ("smtp://mx.example.com", false),
            ("smtp://mx.example.com?tls=opportunistic", false),
            ("smtp://127.0.0.1.example.com?tls=opportunistic", false),
            ("smtp://mx.example.com?tls=none", true),
            ("smtp://localhost:25", true),
            ("smtp://[::1]:25?tls=opportunistic", true),
        ];
        for (url, may) in table {
            let Ok(RelayAddress::Server(address)) = url.parse() else {
                panic!("{url}");
            };
            assert_eq!(may_be_overheard(&address), may, "{url}");
        }
    }
}
