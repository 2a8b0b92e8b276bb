//! Mail transactions on a connection that is ready for them, one after the other: MAIL, RCPT, DATA in one write where
//! the relay can take it, and the content of a message in one write with the commands of the next (RFC 2920 §3.1).
//! It always knows on which side of the final dot it stands.

use super::draft::{Draft, Handover};
use super::ehlo::Extensions;
use super::endings::why;
use super::settings::Deadlines;
use super::wire::{Fault, Wire, WriteFault};
use super::{End, Feed, Outgoing};
use crate::domain::outcome::{Attempt, Stage};
use futures_util::FutureExt;
use std::num::NonZeroU64;
use tokio::time::Instant;

pub struct Conversation<'feed> {
    pub wire: Wire,
    pub feed: &'feed dyn Feed,
    pub deadlines: Deadlines,
    pub extensions: Extensions,
    pub is_pipelined: bool,
    pub handover: Handover,
    pub most_messages: Option<NonZeroU64>,
    pub memory: Memory,
}

/// What a conversation has to remember between messages.
#[derive(Default)]
pub struct Memory {
    /// A transaction was left open: RSET goes before the next MAIL.
    pub(super) owes_reset: bool,
    /// RSET was written, and its reply comes before that to MAIL.
    pub(super) awaits_reset: bool,
    pub(super) finished_count: u64,
    /// A buffer to use again.
    pub(super) spare: Vec<u8>,
    /// The other side broke the protocol.
    pub is_distrusted: bool,
}

impl<'feed> Conversation<'feed> {
    /// Carries messages until the feed or the relay ends it.
    pub async fn run(&mut self) -> End {
        let mut begun = None;
        loop {
            let draft = match begun.take() {
                Some(draft) => draft,
                None => match self.begin().await {
                    Ok(Some(draft)) => draft,
                    Ok(None) => return self.quit(End::Finished).await,
                    Err(end) => return end,
                },
            };
            match self.carry(draft).await {
                Ok(next) => begun = next,
                Err(end) => return end,
            }
        }
    }

    /// Waits for a message and writes its first commands. Watches the relay meanwhile, so that no message is given
    /// to a connection that is gone.
    async fn begin(&mut self) -> Result<Option<Draft<'feed>>, End> {
        let idle_since = Instant::now();
        loop {
            if self.is_worn_out() {
                let why = "the connection has carried its maximum number of messages".to_string();
                return Err(self.quit(End::Parted { reply: None, why }).await);
            }
            let message = tokio::select! {
                biased;
                message = self.feed.next() => message,
                said = self.wire.next_answer() => return Err(self.parted(said, idle_since)),
            };
            let Some(message) = message else {
                return Ok(None);
            };
            let Some(draft) = self.draft(message) else {
                continue;
            };
            if let Some(said) = self.wire.next_answer().now_or_never() {
                draft.taken.not_sent("the relay hung up between messages");
                return Err(self.parted(said, idle_since));
            }
            return match self.open(&draft).await {
                Ok(()) => Ok(Some(draft)),
                Err(end) => {
                    draft.taken.not_sent(why(&end));
                    Err(end)
                }
            };
        }
    }

    /// Writes the first commands of a message, after RSET where a transaction is left over.
    async fn open(&mut self, draft: &Draft<'_>) -> Result<(), End> {
        if self.memory.owes_reset && !self.is_pipelined {
            self.memory.owes_reset = false;
            self.command("RSET\r\n", Stage::MailFrom).await?;
            self.hear_reset().await?;
        }
        self.append_commands(draft);
        draft.taken.begins();
        let written = self.wire.flush(self.deadlines.mail_from).await;
        written.map_err(|failed| self.closed(Stage::MailFrom, failed.fault))
    }

    fn append_commands(&mut self, draft: &Draft<'_>) {
        let out = &mut self.wire.output;
        if self.memory.owes_reset {
            self.memory.owes_reset = false;
            self.memory.awaits_reset = true;
            out.extend_from_slice(b"RSET\r\n");
        }
        out.extend_from_slice(draft.envelope.mail_from.as_bytes());
        if self.is_pipelined {
            out.extend_from_slice(draft.envelope.rcpt_to.as_bytes());
            if self.handover == Handover::Dot {
                out.extend_from_slice(b"DATA\r\n");
            }
        }
    }

    fn draft(&mut self, message: Outgoing) -> Option<Draft<'feed>> {
        let spare = std::mem::take(&mut self.memory.spare);
        Draft::take(self.feed, message, &self.extensions, self.handover, spare)
    }

    /// One message whose first commands are written. Returns the next, if its commands went with the content.
    async fn carry(&mut self, draft: Draft<'feed>) -> Result<Option<Draft<'feed>>, End> {
        let parley = self.parley(&draft).await;
        match (parley.refused, parley.end) {
            (None, None) => self.finish(draft).await,
            (None, Some(end)) => {
                draft.taken.not_sent(why(&end));
                Err(end)
            }
            (Some((stage, reply)), end) => {
                draft.taken.settle(Attempt::Rejected { stage, reply });
                if let Some(end) = end {
                    return Err(end);
                }
                if parley.is_open {
                    self.say_lone_dot().await?;
                }
                Ok(None)
            }
        }
    }

    /// The content, and with it the commands of the next message.
    async fn finish(&mut self, mut draft: Draft<'feed>) -> Result<Option<Draft<'feed>>, End> {
        let is_short = match draft.take_block() {
            Some(block) => {
                self.memory.spare = std::mem::replace(&mut self.wire.output, block);
                true
            }
            None => {
                if let Err(fault) = self.pour(&draft).await {
                    return Err(self.cut_off(draft, fault, false).await);
                }
                false
            }
        };
        // Every command is answered by now. What comes unasked would be taken for the answer to the dot, and a
        // connection found dead here leaves nobody in doubt.
        if let Some(said) = self.wire.next_answer().now_or_never() {
            return Err(self.interrupted(draft, said));
        }
        if !draft.taken.may_finish() {
            return self.abandon(draft, is_short);
        }
        draft.taken.dot_goes_out();
        let dot_end_bytes = self.wire.output.len();
        self.memory.finished_count += 1;
        // A failed BDAT leaves the transaction in a state that servers disagree about (RFC 3030 §2).
        self.memory.owes_reset = self.handover == Handover::Chunk;
        let next = self.begin_along();
        if let Err(WriteFault {
            written_bytes,
            fault,
        }) = self.wire.flush(self.deadlines.data_block).await
        {
            let end = self
                .cut_off(draft, fault, written_bytes >= dot_end_bytes)
                .await;
            return Err(self.give_back(next, end));
        }
        let (attempt, end) = self.hear_verdict().await;
        draft.taken.settle(attempt);
        match end {
            None => Ok(next),
            Some(end) => Err(self.give_back(next, end)),
        }
    }

    /// Takes the next message if one may begin now, and appends its commands to the content.
    fn begin_along(&mut self) -> Option<Draft<'feed>> {
        if !self.is_pipelined || self.is_worn_out() {
            return None;
        }
        let message = self.feed.try_next()?;
        let draft = self.draft(message)?;
        self.append_commands(&draft);
        draft.taken.begins();
        Some(draft)
    }

    /// Writes a long message but for its last piece, which is left in `output`.
    async fn pour(&mut self, draft: &Draft<'_>) -> Result<(), Fault> {
        let mut pieces = draft.pieces();
        loop {
            match pieces.next_into(&mut self.wire.output) {
                Ok(true) => self.wire.flush(self.deadlines.data_block).await?,
                Ok(false) => return Ok(()),
                Err(error) => return Err(Fault::OutOfPlace(error.to_string())),
            }
        }
    }

    fn is_worn_out(&self) -> bool {
        self.most_messages
            .is_some_and(|most| self.memory.finished_count >= most.get())
    }
}
