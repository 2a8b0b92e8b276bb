//! From nothing to a connection that accepts mail: connect, greeting, EHLO, STARTTLS, AUTH.

use super::auth::{self, Credentials};
use super::connection::{Connection, ConnectionError, Stream};
use super::ehlo::Extensions;
use super::relay::SessionEnd;
use super::reply::ServerReply;
use super::settings::{Mechanism, SecretSource, Timeouts};
use super::tls::Tls;
use crate::domain::outcome::Stage;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server, and how to connect to it.
pub struct Server {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// Whether a password may be sent without TLS: the server is on this machine, or the user asked for plain text.
    pub allows_plain_text_login: bool,
    pub credentials: Option<Credentials>,
    /// Fetches the token for each login with XOAUTH2.
    pub token: Option<SecretSource>,
    pub mechanism: Option<Mechanism>,
    pub ehlo_name: String,
    pub timeouts: Timeouts,
}

/// When TLS begins.
pub enum Security {
    Plain,
    /// STARTTLS if the server offers it.
    Opportunistic(Tls),
    /// STARTTLS, or no mail.
    Required(Tls),
    /// From the first byte (RFC 8314 §3.3).
    Implicit(Tls),
}

/// A connection that is ready for MAIL FROM.
pub struct Ready {
    pub connection: Connection,
    pub greeting: String,
    pub extensions: Extensions,
    pub authenticated: bool,
}

impl Server {
    /// Errors: always [`SessionEnd::Unavailable`], with the stage that failed.
    pub async fn connect(&self) -> Result<Ready, SessionEnd> {
        let mut plain = Connection::new(self.open_socket().await?);
        let (greeting, mut connection, extensions) = match &self.security {
            Security::Implicit(tls) => {
                let mut connection = self.secured(plain, tls).await?;
                let greeting = self.greeting(&mut connection).await?;
                let extensions = self.say_ehlo(&mut connection).await?;
                (greeting, connection, extensions)
            }
            security => {
                let greeting = self.greeting(&mut plain).await?;
                let extensions = self.say_ehlo(&mut plain).await?;
                match starttls(security, &extensions)? {
                    Some(tls) => {
                        let connection = self.start_tls(plain, tls).await?;
                        (greeting, connection.0, connection.1)
                    }
                    None => (greeting, plain.in_plain_text(), extensions),
                }
            }
        };
        let authenticated = self.log_in(&mut connection, &extensions).await?;
        Ok(Ready {
            connection,
            greeting,
            extensions,
            authenticated,
        })
    }

    async fn open_socket(&self) -> Result<TcpStream, SessionEnd> {
        let within = self.timeouts.connect;
        let failed = |why: String| failed_at(Stage::Connect, why);
        let address = (self.host.as_str(), self.port);
        let stream = timeout(within, TcpStream::connect(address))
            .await
            .map_err(|_| failed(format!("no connection within {} s", within.as_secs_f64())))?
            .map_err(|error| failed(error.to_string()))?;
        // With Nagle's algorithm the kernel holds back a write while an earlier one is unacknowledged: 40 ms a message.
        stream
            .set_nodelay(true)
            .map_err(|error| failed(error.to_string()))?;
        Ok(stream)
    }

    async fn greeting<S: Stream>(
        &self,
        connection: &mut Connection<S>,
    ) -> Result<String, SessionEnd> {
        let greeting = connection.reply_within(self.timeouts.greeting).await;
        let greeting = greeting.map_err(|error| failed_at(Stage::Greeting, error.to_string()))?;
        Ok(accepted(Stage::Greeting, greeting)?.into_reply().text)
    }

    /// Switches to TLS and says EHLO again: what the server offered in plain text no longer counts (RFC 3207 §4.2).
    async fn start_tls(
        &self,
        mut plain: Connection<TcpStream>,
        tls: &Tls,
    ) -> Result<(Connection, Extensions), SessionEnd> {
        let reply = self.command(&mut plain, Stage::Tls, "STARTTLS").await?;
        accepted(Stage::Tls, reply)?;
        let mut connection = self.secured(plain, tls).await?;
        let extensions = self.say_ehlo(&mut connection).await?;
        Ok((connection, extensions))
    }

    async fn secured(
        &self,
        plain: Connection<TcpStream>,
        tls: &Tls,
    ) -> Result<Connection, SessionEnd> {
        let secured = plain.secured(tls, self.timeouts.command).await;
        secured.map_err(|error| failed_at(Stage::Tls, error.to_string()))
    }

    /// EHLO, or HELO if the server does not know EHLO (RFC 5321 §3.2).
    async fn say_ehlo<S: Stream>(
        &self,
        connection: &mut Connection<S>,
    ) -> Result<Extensions, SessionEnd> {
        let line = format!("EHLO {}", self.ehlo_name);
        let reply = self.command(connection, Stage::Ehlo, &line).await?;
        if reply.is_positive() {
            return Ok(Extensions::from_reply(&reply));
        }
        if !(500..=504).contains(&reply.code) {
            return Err(refused(Stage::Ehlo, reply));
        }
        let line = format!("HELO {}", self.ehlo_name);
        let reply = self.command(connection, Stage::Ehlo, &line).await?;
        accepted(Stage::Ehlo, reply).map(|_| Extensions::default())
    }

    async fn log_in(
        &self,
        connection: &mut Connection,
        extensions: &Extensions,
    ) -> Result<bool, SessionEnd> {
        let Some(credentials) = &self.credentials else {
            return Ok(false);
        };
        let failed = |why: String| failed_at(Stage::Auth, why);
        if connection.tls().is_none() && !self.allows_plain_text_login {
            return Err(failed(
                "the relay offers no TLS, and a password is not sent in plain text".to_string(),
            ));
        }
        let mechanism = auth::choose(self.mechanism, &extensions.auth).map_err(failed)?;
        let mut credentials = credentials.clone();
        if let (Mechanism::XOAuth2, Some(token)) = (mechanism, &self.token) {
            credentials.password = token.fetch().await.map_err(failed)?;
        }
        let reply = auth::log_in(connection, mechanism, &credentials, self.timeouts.command)
            .await
            .map_err(|error| failed(error.to_string()))?;
        accepted(Stage::Auth, reply).map(|_| true)
    }

    async fn command<S: Stream>(
        &self,
        connection: &mut Connection<S>,
        stage: Stage,
        line: &str,
    ) -> Result<ServerReply, SessionEnd> {
        let within = self.timeouts.command;
        let exchanged = async {
            connection.send_line(line, within).await?;
            connection.reply_within(within).await
        };
        let failed = |error: ConnectionError| failed_at(stage, error.to_string());
        exchanged.await.map_err(failed)
    }
}

/// The TLS to start with STARTTLS, if any.
fn starttls<'a>(
    security: &'a Security,
    extensions: &Extensions,
) -> Result<Option<&'a Tls>, SessionEnd> {
    match security {
        Security::Opportunistic(tls) | Security::Required(tls) if extensions.starttls => {
            Ok(Some(tls))
        }
        Security::Required(_) => {
            let why = "the relay does not offer STARTTLS, and TLS is required";
            Err(failed_at(Stage::Tls, why.to_string()))
        }
        Security::Opportunistic(_) | Security::Plain | Security::Implicit(_) => Ok(None),
    }
}

fn accepted(stage: Stage, reply: ServerReply) -> Result<ServerReply, SessionEnd> {
    if reply.is_positive() {
        Ok(reply)
    } else {
        Err(refused(stage, reply))
    }
}

fn refused(stage: Stage, reply: ServerReply) -> SessionEnd {
    let reply = reply.into_reply();
    SessionEnd::Unavailable {
        stage,
        why: reply.to_string(),
        reply: Some(reply),
    }
}

fn failed_at(stage: Stage, why: String) -> SessionEnd {
    SessionEnd::Unavailable {
        stage,
        reply: None,
        why,
    }
}
