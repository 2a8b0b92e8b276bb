//! An SMTP server as a relay. Remembers when the server broke the protocol, and does not pipeline for a while then.

use super::handshake::{Ready, Server};
use super::relay::{Capabilities, Feed, Relay, SessionEnd};
use super::session::{Mode, Session, Transfer};
use super::settings::Pipelining;
use async_trait::async_trait;
use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::Duration;
use tokio::time::Instant;

/// No pipelining for this long after a protocol error, because some servers answer pipelined commands wrongly.
const PIPELINING_PAUSE: Duration = Duration::from_secs(10 * 60);

pub struct ServerRelay {
    name: String,
    server: Server,
    pipelining: Pipelining,
    max_messages: Option<NonZeroU64>,
    protocol_error_at: Cell<Option<Instant>>,
}

impl ServerRelay {
    pub fn new(
        name: String,
        server: Server,
        pipelining: Pipelining,
        max_messages: Option<NonZeroU64>,
    ) -> ServerRelay {
        ServerRelay {
            name,
            server,
            pipelining,
            max_messages,
            protocol_error_at: Cell::new(None),
        }
    }

    fn may_pipeline(&self) -> bool {
        let last_error = self.protocol_error_at.get();
        let is_paused = last_error.is_some_and(|at| at.elapsed() < PIPELINING_PAUSE);
        self.pipelining == Pipelining::Auto && !is_paused
    }
}

#[async_trait(?Send)]
impl Relay for ServerRelay {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd {
        let Ready {
            connection,
            extensions,
            ..
        } = match self.server.connect().await {
            Ok(ready) => ready,
            Err(end) => return end,
        };
        let is_pipelined = extensions.pipelining && self.may_pipeline();
        // BDAT saves the dot-stuffing but no wait for a reply, so a server without PIPELINING gets DATA.
        let transfer = if is_pipelined && extensions.chunking {
            Transfer::Bdat
        } else {
            Transfer::Data
        };
        let mode = Mode {
            is_pipelined,
            transfer,
            timeouts: self.server.timeouts,
            max_messages: self.max_messages,
        };
        let mut session = Session::new(connection, feed, extensions, mode);
        let end = session.run().await;
        if session.saw_protocol_error() {
            self.protocol_error_at.set(Some(Instant::now()));
        }
        end
    }

    async fn probe(&self) -> Result<Capabilities, SessionEnd> {
        let mut ready = self.server.connect().await?;
        let within = self.server.timeouts.quit;
        if ready.connection.send_line("QUIT", within).await.is_ok() {
            // The capabilities are known, so the reply does not matter.
            let _ = ready.connection.reply_within(within).await;
        }
        ready.connection.close(within).await;
        let extensions = ready.extensions;
        Ok(Capabilities {
            greeting: ready.greeting,
            tls: ready.connection.tls().map(str::to_string),
            authenticated: ready.authenticated,
            size: extensions.size_limit_bytes,
            pipelining: extensions.pipelining,
            chunking: extensions.chunking,
            smtputf8: extensions.smtputf8,
            eight_bit_mime: extensions.eight_bit_mime,
            auth: extensions.auth,
        })
    }
}
