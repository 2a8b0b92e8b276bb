//! Commands and replies of an established session. A failure or an unexpected reply ends the session.

use crate::domain::outcome::Stage;
use crate::smtp::connection::{Connection, ConnectionError};
use crate::smtp::relay::SessionEnd;
use crate::smtp::reply::ServerReply;
use crate::smtp::settings::Timeouts;
use std::time::Duration;

pub struct Channel {
    pub connection: Connection,
    pub timeouts: Timeouts,
    /// The relay broke the protocol.
    pub saw_protocol_error: bool,
}

impl Channel {
    /// Writes a command with its CRLF.
    pub async fn send(&mut self, command: &str, stage: Stage) -> Result<(), SessionEnd> {
        self.connection.output.extend_from_slice(command.as_bytes());
        let sent = self.connection.flush(self.timeouts.command).await;
        sent.map_err(|failed| self.failed(stage, failed.error))
    }

    /// Reads a reply that is valid at this stage. 421 is valid at every stage and ends the session (RFC 5321 §3.8).
    pub async fn read(
        &mut self,
        stage: Stage,
        within: Duration,
    ) -> Result<ServerReply, SessionEnd> {
        match self.connection.reply_within(within).await {
            Ok(reply) if reply.code == 421 => Err(SessionEnd::failed_with(stage, reply)),
            Ok(reply) if reply.is_negative() => Ok(reply),
            Ok(reply) if stage == Stage::Data && reply.code == 354 => Ok(reply),
            Ok(reply) if stage != Stage::Data && reply.is_positive() => Ok(reply),
            Ok(reply) => Err(self.failed(stage, ConnectionError::unexpected(reply))),
            Err(error) => Err(self.failed(stage, error)),
        }
    }

    /// Reads the reply to RSET, which is always positive (RFC 5321 §4.1.1.5).
    pub async fn read_reset_reply(&mut self) -> Result<(), SessionEnd> {
        let reply = self.read(Stage::MailFrom, self.timeouts.command).await?;
        if reply.is_positive() {
            return Ok(());
        }
        Err(self.failed(Stage::MailFrom, ConnectionError::unexpected(reply)))
    }

    pub fn failed(&mut self, stage: Stage, error: ConnectionError) -> SessionEnd {
        self.saw_protocol_error |= error.is_protocol_error();
        SessionEnd::Failed {
            stage,
            reply: None,
            why: error.to_string(),
        }
    }

    pub async fn quit(&mut self) {
        let within = self.timeouts.quit;
        if self.connection.send_line("QUIT", within).await.is_ok() {
            // The relay may reply or close the connection. Both end the session.
            let _ = self.connection.reply_within(within).await;
        }
        self.connection.close(within).await;
    }
}
