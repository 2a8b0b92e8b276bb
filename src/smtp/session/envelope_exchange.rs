//! The commands of one message up to DATA, and the replies to them.

use super::channel::Channel;
use super::mode::{Mode, Reset, Transfer};
use crate::domain::outcome::{Reply, Stage};
use crate::smtp::envelope::Envelope;
use crate::smtp::relay::SessionEnd;
use crate::smtp::reply::ServerReply;

/// The result of the commands.
#[derive(Default)]
pub struct EnvelopeExchange {
    /// The first refusal. Later ones only follow from it.
    pub refused: Option<(Stage, Reply)>,
    /// The relay answered DATA with 354 and waits for content.
    pub awaits_content: bool,
    pub end: Option<SessionEnd>,
}

impl EnvelopeExchange {
    /// Reads the replies to the commands. With pipelining the commands have been written already. Otherwise only MAIL
    /// FROM has, and each further command is written after the reply to the one before it.
    pub async fn run(
        channel: &mut Channel,
        mode: Mode,
        reset: &mut Reset,
        envelope: &Envelope,
    ) -> EnvelopeExchange {
        let mut exchange = EnvelopeExchange::default();
        let finished = exchange.read_replies(channel, mode, reset, envelope).await;
        exchange.end = finished.err();
        exchange
    }

    async fn read_replies(
        &mut self,
        channel: &mut Channel,
        mode: Mode,
        reset: &mut Reset,
        envelope: &Envelope,
    ) -> Result<(), SessionEnd> {
        let timeouts = channel.timeouts;
        if reset.take_awaited() {
            channel.read_reset_reply().await?;
        }
        let mail_from = channel.read(Stage::MailFrom, timeouts.mail_from).await?;
        // An accepted MAIL FROM opens a transaction. If this message does not end it, RSET must.
        reset.is_needed = mail_from.is_positive();
        self.note(Stage::MailFrom, mail_from);
        if !mode.is_pipelined {
            if self.refused.is_some() {
                return Ok(());
            }
            channel.send(&envelope.rcpt_to, Stage::RcptTo).await?;
        }
        let rcpt_to = channel.read(Stage::RcptTo, timeouts.rcpt_to).await?;
        self.note(Stage::RcptTo, rcpt_to);
        if mode.transfer == Transfer::Bdat {
            return Ok(());
        }
        if !mode.is_pipelined {
            if self.refused.is_some() {
                return Ok(());
            }
            channel.send("DATA\r\n", Stage::Data).await?;
        }
        let data = channel.read(Stage::Data, timeouts.data).await?;
        self.awaits_content = data.code == 354;
        if !self.awaits_content {
            self.refuse(Stage::Data, data);
        }
        Ok(())
    }

    fn note(&mut self, stage: Stage, reply: ServerReply) {
        if !reply.is_positive() {
            self.refuse(stage, reply);
        }
    }

    fn refuse(&mut self, stage: Stage, reply: ServerReply) {
        self.refused
            .get_or_insert_with(|| (stage, reply.into_reply()));
    }
}

/// Ends DATA without content, because the relay accepted DATA although it refused every recipient (RFC 2920 §3.1).
pub async fn send_lone_dot(channel: &mut Channel, reset: &mut Reset) -> Result<(), SessionEnd> {
    reset.is_needed = false;
    channel.send(".\r\n", Stage::Data).await?;
    let within = channel.timeouts.final_dot;
    channel.read(Stage::FinalDot, within).await.map(|_| ())
}
