//! The commands of one message and their replies, up to the answer to DATA: all at once with PIPELINING, else one by
//! one.

use super::End;
use super::draft::{Draft, Handover};
use super::endings::out_of_place;
use super::reply::Answer;
use super::transaction::Conversation;
use crate::domain::outcome::{Reply, Stage};
use std::time::Duration;

/// What became of the commands of one message.
#[derive(Default)]
pub(super) struct Parley {
    /// The first refusal; those after it only follow from it.
    pub(super) refused: Option<(Stage, Reply)>,
    /// The relay waits for content.
    pub(super) is_open: bool,
    pub(super) end: Option<End>,
}

impl Parley {
    fn refuse(&mut self, stage: Stage, answer: Answer) {
        self.refused
            .get_or_insert_with(|| (stage, answer.into_reply()));
    }
}

impl Conversation<'_> {
    pub(super) async fn parley(&mut self, draft: &Draft<'_>) -> Parley {
        let mut parley = Parley::default();
        parley.end = self.hear_commands(draft, &mut parley).await.err();
        parley
    }

    /// Reads the replies up to that to DATA; without pipelining it says the commands one by one.
    pub(super) async fn hear_commands(
        &mut self,
        draft: &Draft<'_>,
        parley: &mut Parley,
    ) -> Result<(), End> {
        if std::mem::take(&mut self.memory.awaits_reset) {
            self.hear_reset().await?;
        }
        let mail_from = self.hear(Stage::MailFrom, self.deadlines.mail_from).await?;
        self.memory.owes_reset = mail_from.is_positive();
        if !mail_from.is_positive() {
            parley.refuse(Stage::MailFrom, mail_from);
        }
        if !self.is_pipelined {
            if parley.refused.is_some() {
                return Ok(());
            }
            self.command(&draft.envelope.rcpt_to, Stage::RcptTo).await?;
        }
        let rcpt_to = self.hear(Stage::RcptTo, self.deadlines.rcpt_to).await?;
        if !rcpt_to.is_positive() {
            parley.refuse(Stage::RcptTo, rcpt_to);
        }
        if self.handover == Handover::Chunk {
            return Ok(());
        }
        if !self.is_pipelined {
            if parley.refused.is_some() {
                return Ok(());
            }
            self.command("DATA\r\n", Stage::Data).await?;
        }
        let data = self.hear(Stage::Data, self.deadlines.data).await?;
        parley.is_open = data.code == 354;
        if !parley.is_open {
            parley.refuse(Stage::Data, data);
        }
        Ok(())
    }

    /// RFC 2920 §3.1: the relay takes content although it took no recipient, so it gets none.
    pub(super) async fn say_lone_dot(&mut self) -> Result<(), End> {
        self.memory.owes_reset = false;
        self.command(".\r\n", Stage::Data).await?;
        self.hear(Stage::FinalDot, self.deadlines.final_dot)
            .await
            .map(|_| ())
    }

    pub(super) async fn command(&mut self, line: &str, stage: Stage) -> Result<(), End> {
        self.wire.output.extend_from_slice(line.as_bytes());
        let written = self.wire.flush(self.deadlines.command).await;
        written.map_err(|failed| self.closed(stage, failed.fault))
    }

    /// A reply that may stand at this stage; 421 and everything else end the conversation.
    pub(super) async fn hear(&mut self, stage: Stage, within: Duration) -> Result<Answer, End> {
        match self.wire.answer(within).await {
            Ok(answer) if answer.code == 421 => Err(self.busy(stage, answer)),
            Ok(answer) if answer.is_negative() => Ok(answer),
            Ok(answer) if stage == Stage::Data && answer.code == 354 => Ok(answer),
            Ok(answer) if stage != Stage::Data && answer.is_positive() => Ok(answer),
            Ok(answer) => Err(self.closed(stage, out_of_place(answer))),
            Err(fault) => Err(self.closed(stage, fault)),
        }
    }

    pub(super) async fn hear_reset(&mut self) -> Result<(), End> {
        let answer = self.hear(Stage::MailFrom, self.deadlines.command).await?;
        if answer.is_positive() {
            return Ok(());
        }
        Err(self.closed(Stage::MailFrom, out_of_place(answer)))
    }
}
