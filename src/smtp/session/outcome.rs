//! How a message and its session end: what a reply, a timeout or a lost connection means for each.

use super::channel::Channel;
use super::prepared::PreparedMessage;
use crate::domain::outcome::{Attempt, Stage, UnansweredCause};
use crate::smtp::connection::ConnectionError;
use crate::smtp::relay::SessionEnd;
use crate::smtp::reply::ServerReply;
use std::time::Duration;

/// A relay that closes the connection after this much idle time, or later, closes it for being idle.
const IDLE_TIMEOUT_AT_LEAST: Duration = Duration::from_secs(1);
/// A relay that stopped reading gets this long for a reply that says why.
const LATE_REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads the reply to the final dot.
pub async fn read_final_reply(channel: &mut Channel) -> (Attempt, Option<SessionEnd>) {
    let stage = Stage::FinalDot;
    match channel
        .connection
        .reply_within(channel.timeouts.final_dot)
        .await
    {
        Ok(reply) if reply.is_positive() => (Attempt::Delivered(reply.into_reply()), None),
        // The relay shuts down and drops the transaction (RFC 5321 §3.8).
        Ok(reply) if reply.code == 421 => {
            let end = SessionEnd::failed_with(stage, reply);
            let why = end.why().to_string();
            (Attempt::BrokenOff { stage, why }, Some(end))
        }
        Ok(reply) if reply.is_negative() => {
            let reply = reply.into_reply();
            (Attempt::Rejected { stage, reply }, None)
        }
        Ok(reply) => {
            let error = ConnectionError::unexpected(reply);
            (unanswered(&error), Some(channel.failed(stage, error)))
        }
        Err(error) => (unanswered(&error), Some(channel.failed(stage, error))),
    }
}

/// Whether the final dot may have left when a write failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalDot {
    Unsent,
    Sent,
}

/// A write of the content failed. The relay may have replied before it stopped reading.
pub async fn content_write_failed(
    channel: &mut Channel,
    message: PreparedMessage<'_>,
    error: ConnectionError,
    final_dot: FinalDot,
) -> SessionEnd {
    let stage = match final_dot {
        FinalDot::Unsent => Stage::Data,
        FinalDot::Sent => Stage::FinalDot,
    };
    match channel.connection.reply_within(LATE_REPLY_TIMEOUT).await {
        Ok(reply) if reply.code == 421 => {
            let end = SessionEnd::failed_with(Stage::Data, reply);
            message.attempt.broken_off(&end);
            end
        }
        Ok(reply) if reply.is_negative() => {
            let reply = reply.into_reply();
            message.attempt.settle(Attempt::Rejected { stage, reply });
            channel.failed(stage, error)
        }
        _ if final_dot == FinalDot::Sent => {
            message.attempt.settle(unanswered(&error));
            channel.failed(stage, error)
        }
        _ => {
            let end = channel.failed(stage, error);
            message.attempt.broken_off(&end);
            end
        }
    }
}

/// The relay replied or closed the connection before the final dot, when it was our turn to write.
pub fn interrupted(
    channel: &mut Channel,
    message: PreparedMessage<'_>,
    event: Result<ServerReply, ConnectionError>,
) -> SessionEnd {
    let end = match event {
        Ok(reply) if reply.code == 421 => SessionEnd::failed_with(Stage::Data, reply),
        Ok(reply) if reply.is_negative() => {
            let (stage, refusal) = (Stage::Data, reply.clone().into_reply());
            message.attempt.settle(Attempt::Rejected {
                stage,
                reply: refusal,
            });
            return SessionEnd::failed_with(stage, reply);
        }
        Ok(reply) => channel.failed(Stage::Data, ConnectionError::unexpected(reply)),
        Err(error) => channel.failed(Stage::Data, error),
    };
    message.attempt.broken_off(&end);
    end
}

/// The relay replied or closed the connection between two messages. This counts against the relay if it happens right
/// after connecting, before any message.
pub fn ended_by_relay(
    channel: &mut Channel,
    event: Result<ServerReply, ConnectionError>,
    has_sent_messages: bool,
    idle: Duration,
) -> SessionEnd {
    let is_normal = has_sent_messages || idle >= IDLE_TIMEOUT_AT_LEAST;
    match event {
        Ok(reply) if reply.is_negative() && is_normal => {
            SessionEnd::reconnect_after(reply.into_reply())
        }
        Ok(reply) if reply.is_negative() => SessionEnd::failed_with(Stage::MailFrom, reply),
        Ok(reply) => channel.failed(Stage::MailFrom, ConnectionError::unexpected(reply)),
        Err(error @ ConnectionError::Lost(_)) if is_normal => SessionEnd::Reconnect {
            reply: None,
            why: error.to_string(),
        },
        Err(error) => channel.failed(Stage::MailFrom, error),
    }
}

/// The final dot was written and no valid reply came.
fn unanswered(error: &ConnectionError) -> Attempt {
    let (cause, why) = match error {
        ConnectionError::Lost(_) => (
            UnansweredCause::ConnectionLost,
            "connection lost after the final dot".to_string(),
        ),
        ConnectionError::TimedOut(within) => (
            UnansweredCause::NoReply,
            format!(
                "no reply to the final dot within {} s",
                within.as_secs_f64()
            ),
        ),
        ConnectionError::NotAReply(_)
        | ConnectionError::UnexpectedReply(_)
        | ConnectionError::Tls(_)
        | ConnectionError::PlainText => (
            UnansweredCause::ConnectionLost,
            format!("invalid reply to the final dot: {error}"),
        ),
    };
    Attempt::Unanswered { cause, why }
}
