//! The mail transactions of a session, one after the other. Knows at each moment whether the final dot of a message has
//! been written.

use super::channel::Channel;
use super::envelope_exchange::{EnvelopeExchange, send_lone_dot};
use super::mode::{Mode, Reset, Transfer};
use super::outcome::{
    FinalDot, content_write_failed, ended_by_relay, interrupted, read_final_reply,
};
use super::prepared::PreparedMessage;
use crate::domain::outcome::{Attempt, Reply, Stage, TOO_MANY_CONNECTIONS};
use crate::smtp::connection::{Connection, ConnectionError, WriteError};
use crate::smtp::ehlo::Extensions;
use crate::smtp::relay::{Feed, Outgoing, SessionEnd};
use crate::smtp::reply::ServerReply;
use futures_util::FutureExt;
use tokio::time::Instant;

pub struct Session<'feed> {
    channel: Channel,
    feed: &'feed dyn Feed,
    extensions: Extensions,
    mode: Mode,
    reset: Reset,
    /// Messages whose final dot was written.
    sent_count: u64,
    /// A buffer to reuse.
    spare: Vec<u8>,
}

impl<'feed> Session<'feed> {
    pub fn new(
        connection: Connection,
        feed: &'feed dyn Feed,
        extensions: Extensions,
        mode: Mode,
    ) -> Session<'feed> {
        Session {
            channel: Channel {
                connection,
                timeouts: mode.timeouts,
                saw_protocol_error: false,
            },
            feed,
            extensions,
            mode,
            reset: Reset::default(),
            sent_count: 0,
            spare: Vec::new(),
        }
    }

    pub fn saw_protocol_error(&self) -> bool {
        self.channel.saw_protocol_error
    }

    /// Sends messages until the feed or the relay ends the session.
    pub async fn run(&mut self) -> SessionEnd {
        let mut begun = None;
        loop {
            let message = match begun.take() {
                Some(message) => message,
                None => match self.begin_next().await {
                    Ok(Some(message)) => message,
                    Ok(None) => {
                        self.channel.quit().await;
                        return SessionEnd::Finished;
                    }
                    Err(end) => return end,
                },
            };
            match self.transact(message).await {
                Ok(next) => begun = next,
                Err(end) => return end,
            }
        }
    }

    /// Waits for a message and writes its first commands. `None`: the feed has no more.
    async fn begin_next(&mut self) -> Result<Option<PreparedMessage<'feed>>, SessionEnd> {
        let idle_since = Instant::now();
        loop {
            if self.has_reached_limit() {
                self.channel.quit().await;
                let why = "the connection has carried its maximum number of messages".to_string();
                return Err(SessionEnd::Reconnect { reply: None, why });
            }
            // The relay is watched while the feed is empty, so that no message goes to a closed connection. Both
            // futures can be dropped: the feed takes no message before it is ready, and a reply is resumed where it
            // was.
            let message = tokio::select! {
                biased;
                message = self.feed.next() => message,
                event = self.channel.connection.next_reply() => {
                    return Err(self.ended_while_idle(event, idle_since));
                }
            };
            let Some(message) = message else {
                return Ok(None);
            };
            let Some(message) = self.prepare(message) else {
                continue;
            };
            if let Some(event) = self.channel.connection.next_reply().now_or_never() {
                message
                    .attempt
                    .not_sent("the relay hung up between messages");
                return Err(self.ended_while_idle(event, idle_since));
            }
            return match self.write_first_commands(&message).await {
                Ok(()) => Ok(Some(message)),
                Err(end) => {
                    message.attempt.not_sent(end.why());
                    Err(end)
                }
            };
        }
    }

    fn ended_while_idle(
        &mut self,
        event: Result<ServerReply, ConnectionError>,
        idle_since: Instant,
    ) -> SessionEnd {
        let has_sent_messages = self.sent_count > 0;
        let idle = idle_since.elapsed();
        ended_by_relay(&mut self.channel, event, has_sent_messages, idle)
    }

    async fn write_first_commands(
        &mut self,
        message: &PreparedMessage<'_>,
    ) -> Result<(), SessionEnd> {
        if !self.mode.is_pipelined && self.reset.take_needed() {
            self.channel.send("RSET\r\n", Stage::MailFrom).await?;
            self.channel.read_reset_reply().await?;
        }
        self.append_first_commands(message);
        message.attempt.begin();
        let within = self.mode.timeouts.mail_from;
        let written = self.channel.connection.flush(within).await;
        written.map_err(|failed| self.channel.failed(Stage::MailFrom, failed.error))
    }

    /// MAIL FROM; with pipelining also RSET before it, and RCPT TO and DATA after it.
    fn append_first_commands(&mut self, message: &PreparedMessage<'_>) {
        let out = &mut self.channel.connection.output;
        if self.reset.take_needed() {
            self.reset.is_awaited = true;
            out.extend_from_slice(b"RSET\r\n");
        }
        out.extend_from_slice(message.envelope.mail_from.as_bytes());
        if self.mode.is_pipelined {
            out.extend_from_slice(message.envelope.rcpt_to.as_bytes());
            if self.mode.transfer == Transfer::Data {
                out.extend_from_slice(b"DATA\r\n");
            }
        }
    }

    fn prepare(&mut self, message: Outgoing) -> Option<PreparedMessage<'feed>> {
        let spare = std::mem::take(&mut self.spare);
        let transfer = self.mode.transfer;
        PreparedMessage::new(self.feed, message, &self.extensions, transfer, spare)
    }

    /// The transaction of a message whose first commands have been written. Returns the next message, if its first
    /// commands were written with the content of this one.
    async fn transact(
        &mut self,
        message: PreparedMessage<'feed>,
    ) -> Result<Option<PreparedMessage<'feed>>, SessionEnd> {
        let envelope = &message.envelope;
        let exchange =
            EnvelopeExchange::run(&mut self.channel, self.mode, &mut self.reset, envelope).await;
        match (exchange.refused, exchange.end) {
            (None, None) => self.send_content(message).await,
            (None, Some(end)) => {
                message.attempt.broken_off(&end);
                Err(end)
            }
            (Some(refusal), Some(end)) => {
                let (stage, reply) = refusal;
                message.attempt.settle(Attempt::Rejected { stage, reply });
                Err(end)
            }
            (Some(refusal), None) => {
                let end = self.end_refused(message, refusal);
                if exchange.awaits_content {
                    send_lone_dot(&mut self.channel, &mut self.reset).await?;
                }
                let Some(end) = end else {
                    return Ok(None);
                };
                self.channel.quit().await;
                Err(end)
            }
        }
    }

    /// A connection that goes on although it refused a message is left if another one may do better.
    fn end_refused(
        &self,
        message: PreparedMessage<'feed>,
        (stage, reply): (Stage, Reply),
    ) -> Option<SessionEnd> {
        let is_deferral = (400..500).contains(&reply.code);
        // A connection that has carried mail may have reached a limit of its own, such as 452 for too many messages. The
        // message is tried on a new one. If it is the relay's trouble that says so too.
        if stage == Stage::MailFrom && is_deferral && self.sent_count > 0 {
            let end = SessionEnd::reconnect_after(reply);
            message.attempt.not_sent(end.why());
            return Some(end);
        }
        let attempt = Attempt::Rejected { stage, reply };
        let end = too_many_connections(&attempt);
        message.attempt.settle(attempt);
        end
    }

    /// Writes the content, with the first commands of the next message, and reads the final reply.
    async fn send_content(
        &mut self,
        mut message: PreparedMessage<'feed>,
    ) -> Result<Option<PreparedMessage<'feed>>, SessionEnd> {
        let is_short = match message.take_block() {
            Some(block) => {
                self.spare = std::mem::replace(&mut self.channel.connection.output, block);
                true
            }
            None => {
                if let Err(error) = self.write_all_but_last_piece(&message).await {
                    let final_dot = FinalDot::Unsent;
                    let channel = &mut self.channel;
                    return Err(content_write_failed(channel, message, error, final_dot).await);
                }
                false
            }
        };
        // Every command has been answered. Another reply now would pass for the reply to the final dot. And a
        // connection that is found closed before the dot leaves no message in doubt.
        if let Some(event) = self.channel.connection.next_reply().now_or_never() {
            return Err(interrupted(&mut self.channel, message, event));
        }
        if !message.attempt.may_finish() {
            return self.abandon(message, is_short);
        }
        message.attempt.final_dot_is_sent();
        let bytes_to_final_dot = self.channel.connection.output.len();
        self.sent_count += 1;
        // Servers disagree about the transaction after a failed BDAT (RFC 3030 §2), so RSET follows.
        self.reset.is_needed = self.mode.transfer == Transfer::Bdat;
        let next = self.begin_along();
        let within = self.mode.timeouts.data_block;
        if let Err(failed) = self.channel.connection.flush(within).await {
            let WriteError {
                written_bytes,
                error,
            } = failed;
            let final_dot = match written_bytes >= bytes_to_final_dot {
                true => FinalDot::Sent,
                false => FinalDot::Unsent,
            };
            let end = content_write_failed(&mut self.channel, message, error, final_dot).await;
            return Err(give_back(next, end));
        }
        let (attempt, end) = read_final_reply(&mut self.channel).await;
        let end = end.or_else(|| too_many_connections(&attempt));
        message.attempt.settle(attempt);
        match end {
            None => Ok(next),
            Some(end) => Err(give_back(next, end)),
        }
    }

    /// The claim expired. After 354 the only way to send nothing is to close the connection without the final dot. A
    /// BDAT that has not been written needs nothing.
    fn abandon(
        &mut self,
        message: PreparedMessage<'feed>,
        is_short: bool,
    ) -> Result<Option<PreparedMessage<'feed>>, SessionEnd> {
        let why = "the claim expired before the final dot".to_string();
        self.channel.connection.output.clear();
        message.attempt.not_sent(why.as_str());
        if is_short && self.mode.transfer == Transfer::Bdat {
            return Ok(None);
        }
        Err(SessionEnd::Reconnect { reply: None, why })
    }

    /// Takes the next message, if one may start now, and appends its first commands to the content of this one.
    fn begin_along(&mut self) -> Option<PreparedMessage<'feed>> {
        if !self.mode.is_pipelined || self.has_reached_limit() {
            return None;
        }
        let message = self.feed.try_next()?;
        let message = self.prepare(message)?;
        self.append_first_commands(&message);
        message.attempt.begin();
        Some(message)
    }

    /// Leaves the last piece of a long message in `output`.
    async fn write_all_but_last_piece(
        &mut self,
        message: &PreparedMessage<'_>,
    ) -> Result<(), ConnectionError> {
        let connection = &mut self.channel.connection;
        let mut pieces = message.pieces();
        loop {
            match pieces.next_into(&mut connection.output) {
                Ok(true) => connection.flush(self.mode.timeouts.data_block).await?,
                Ok(false) => return Ok(()),
                // The message was checked when it was prepared, and has not changed since.
                Err(error) => return Err(ConnectionError::Lost(error.to_string())),
            }
        }
    }

    fn has_reached_limit(&self) -> bool {
        let max = self.mode.max_messages;
        max.is_some_and(|max| self.sent_count >= max.get())
    }
}

/// The connection that gets 432 is closed, because the relay goes on with it only when there are fewer.
fn too_many_connections(attempt: &Attempt) -> Option<SessionEnd> {
    match attempt {
        Attempt::Rejected { reply, .. } if reply.code == TOO_MANY_CONNECTIONS => {
            Some(SessionEnd::reconnect_after(reply.clone()))
        }
        _ => None,
    }
}

/// The session ended before the next message was sent.
fn give_back(next: Option<PreparedMessage<'_>>, end: SessionEnd) -> SessionEnd {
    if let Some(message) = next {
        message.attempt.not_sent(end.why());
    }
    end
}
