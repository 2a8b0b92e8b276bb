//! From nothing to a connection that accepts mail: connect, greeting, EHLO, STARTTLS, AUTH.

use super::auth::{self, Credentials};
use super::connection::{Connection, ConnectionError, Stream};
use super::ehlo::Extensions;
use super::helo;
use super::relay::{LoginProblem, SessionEnd};
use super::reply::ServerReply;
use super::settings::{Mechanism, SecretSource, Timeouts};
use super::tls::{self, Tls};
use crate::domain::outcome::Stage;
use crate::threads;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that has said nothing for so long may be waiting for TLS.
const SILENCE: Duration = Duration::from_secs(10);

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
    /// `None`: the address of the connection.
    pub ehlo_name: Option<String>,
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
    /// Errors: [`SessionEnd::Unavailable`] with the stage that failed, or [`SessionEnd::LoginRefused`].
    pub async fn connect(&self) -> Result<Ready, SessionEnd> {
        // A relay may also repeat what it was told on an earlier connection.
        let hidden = self.credentials.as_ref().map(auth::redaction);
        let hidden = hidden.unwrap_or_default();
        let established = self.establish().await;
        let ready = established.map_err(|end| end.redacted(&hidden))?;
        let greeting = hidden.of(&ready.greeting).into_owned();
        Ok(Ready { greeting, ..ready })
    }

    async fn establish(&self) -> Result<Ready, SessionEnd> {
        let socket = self.open_socket().await?;
        let name = self.ehlo_name(&socket)?;
        let name = name.as_str();
        let mut plain = Connection::new(socket);
        let (greeting, mut connection, extensions) = match &self.security {
            Security::Implicit(tls) => {
                let mut connection = self.secured(plain, tls).await?;
                let greeting = self.greeting(&mut connection).await?;
                let extensions = self.say_ehlo(&mut connection, name).await?;
                (greeting, connection, extensions)
            }
            security => {
                let greeting = self.plain_greeting(&mut plain).await?;
                let extensions = self.say_ehlo(&mut plain, name).await?;
                match starttls(security, &extensions)? {
                    Some(tls) => {
                        let connection = self.start_tls(plain, tls, name).await?;
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
        let stream = timeout(within, connect(self.host.clone(), self.port))
            .await
            .map_err(|_| failed(format!("no connection within {} s", within.as_secs_f64())))?
            .map_err(|error| failed(error.to_string()))?;
        // With Nagle's algorithm the kernel holds back a write while an earlier one is unacknowledged: 40 ms a message.
        stream
            .set_nodelay(true)
            .map_err(|error| failed(error.to_string()))?;
        Ok(stream)
    }

    fn ehlo_name(&self, socket: &TcpStream) -> Result<String, SessionEnd> {
        match &self.ehlo_name {
            Some(name) => Ok(name.clone()),
            None => {
                let address = socket.local_addr();
                let address = address.map_err(|e| failed_at(Stage::Connect, e.to_string()))?;
                Ok(helo::literal(address.ip()))
            }
        }
    }

    /// The greeting in plain text. A server that waits for TLS says nothing, so one that is silent is asked whether it is
    /// such a server; a slow one gets its time all the same (RFC 5321 §4.5.3.2.1).
    async fn plain_greeting(
        &self,
        connection: &mut Connection<TcpStream>,
    ) -> Result<String, SessionEnd> {
        if timeout(SILENCE, connection.readable()).await.is_err() && self.speaks_tls().await {
            return Err(self.speaks_tls_first());
        }
        self.greeting(connection).await
    }

    /// Whether the server answers a TLS handshake with TLS, on a connection of its own.
    async fn speaks_tls(&self) -> bool {
        let Ok(tls) = Tls::new(&self.host, None) else {
            return false;
        };
        let asked = async {
            let socket = self.open_socket().await.ok()?;
            Some(tls::is_tls(&tls.handshake(socket).await))
        };
        timeout(SILENCE, asked).await.ok().flatten() == Some(true)
    }

    fn speaks_tls_first(&self) -> SessionEnd {
        let (host, port) = (shown_host(&self.host), self.port);
        let why =
            format!("port {port} speaks TLS from the first byte: use `smtps://{host}:{port}`");
        failed_at(Stage::Tls, why)
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
        name: &str,
    ) -> Result<(Connection, Extensions), SessionEnd> {
        let reply = self.command(&mut plain, Stage::Tls, "STARTTLS").await?;
        accepted(Stage::Tls, reply)?;
        let mut connection = self.secured(plain, tls).await?;
        let extensions = self.say_ehlo(&mut connection, name).await?;
        Ok((connection, extensions))
    }

    async fn secured(
        &self,
        plain: Connection<TcpStream>,
        tls: &Tls,
    ) -> Result<Connection, SessionEnd> {
        let secured = plain.secured(tls, self.timeouts.command).await;
        secured.map_err(|error| {
            let (host, port) = (shown_host(&self.host), self.port);
            let why = match error {
                ConnectionError::PlainText => {
                    format!("{error}: use `smtp://{host}:{port}`, which begins TLS with STARTTLS")
                }
                error => error.to_string(),
            };
            failed_at(Stage::Tls, why)
        })
    }

    /// EHLO, or HELO if the server does not know EHLO (RFC 5321 §3.2).
    async fn say_ehlo<S: Stream>(
        &self,
        connection: &mut Connection<S>,
        name: &str,
    ) -> Result<Extensions, SessionEnd> {
        let line = format!("EHLO {name}");
        let reply = self.command(connection, Stage::Ehlo, &line).await?;
        if reply.is_positive() {
            return Ok(Extensions::from_reply(&reply));
        }
        if !(500..=504).contains(&reply.code) {
            return Err(refused(Stage::Ehlo, reply));
        }
        let line = format!("HELO {name}");
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
            let why = "the relay offers no TLS, and a password is not sent in plain text";
            return Err(cannot_log_in((LoginProblem::NoTls, why.to_string())));
        }
        let mechanism = auth::choose(self.mechanism, &extensions.auth).map_err(cannot_log_in)?;
        let mut credentials = credentials.clone();
        if let (Mechanism::XOAuth2, Some(token)) = (mechanism, &self.token) {
            credentials.password = token.fetch().await.map_err(failed)?;
        }
        let reply = auth::log_in(connection, mechanism, &credentials, self.timeouts.command)
            .await
            .map_err(|error| failed(error.to_string()))?;
        match reply.code {
            500.. => {
                let reply = reply.into_reply();
                Err(SessionEnd::LoginRefused {
                    problem: LoginProblem::Refused,
                    why: reply.to_string(),
                    reply: Some(reply),
                })
            }
            _ => accepted(Stage::Auth, reply).map(|_| true),
        }
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

fn cannot_log_in((problem, why): (LoginProblem, String)) -> SessionEnd {
    SessionEnd::LoginRefused {
        problem,
        reply: None,
        why,
    }
}

/// As it stands in a URL.
fn shown_host(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_string(),
    }
}

fn failed_at(stage: Stage, why: String) -> SessionEnd {
    SessionEnd::Unavailable {
        stage,
        reply: None,
        why,
    }
}
/// Connects to the first address of the name that answers. Names are looked up on a thread, because the system's
/// function blocks.
async fn connect(host: String, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let look_up = move || (host.as_str(), port).to_socket_addrs();
            let found = threads::run(look_up).await;
            found.map_err(io::Error::other)??.collect()
        }
    };
    TcpStream::connect(addresses.as_slice()).await
}
