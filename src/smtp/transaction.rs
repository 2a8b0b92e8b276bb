//! Mail transactions on a connection that is ready for them, one after the other: MAIL, RCPT, DATA in one write where
//! the relay can take it, and the content of a message in one write with the commands of the next (RFC 2920 §3.1).
//! It always knows on which side of the final dot it stands.

use super::draft::{Draft, Handover};
use super::ehlo::Extensions;
use super::reply::Answer;
use super::settings::Deadlines;
use super::wire::{Fault, Wire, WriteFault};
use super::{End, Feed, Outgoing};
use crate::domain::outcome::{Attempt, Reply, Stage};
use futures_util::FutureExt;
use std::num::NonZeroU64;
use std::time::Duration;
use tokio::time::Instant;

/// A relay that lets us wait this long before it hangs up has nothing against us.
const PATIENT: Duration = Duration::from_secs(1);
/// How long a relay that stopped reading may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
    owes_reset: bool,
    /// RSET was written, and its reply comes before that to MAIL.
    awaits_reset: bool,
    finished_count: u64,
    /// A buffer to use again.
    spare: Vec<u8>,
    /// The other side broke the protocol.
    pub is_distrusted: bool,
}

/// What became of the commands of one message.
#[derive(Default)]
struct Parley {
    /// The first refusal; those after it only follow from it.
    refused: Option<(Stage, Reply)>,
    /// The relay waits for content.
    is_open: bool,
    end: Option<End>,
}

impl Parley {
    fn refuse(&mut self, stage: Stage, answer: Answer) {
        self.refused
            .get_or_insert_with(|| (stage, answer.into_reply()));
    }
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
                let why = "as many messages as one connection may carry".to_string();
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

    async fn parley(&mut self, draft: &Draft<'_>) -> Parley {
        let mut parley = Parley::default();
        parley.end = self.hear_commands(draft, &mut parley).await.err();
        parley
    }

    /// Reads the replies up to that to DATA; without pipelining it says the commands one by one.
    async fn hear_commands(&mut self, draft: &Draft<'_>, parley: &mut Parley) -> Result<(), End> {
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

    /// The claim grew too old. After 354 the only way out that sends nothing is to hang up without the dot.
    fn abandon(
        &mut self,
        draft: Draft<'feed>,
        is_short: bool,
    ) -> Result<Option<Draft<'feed>>, End> {
        let why = "its claim grew too old before the final dot".to_string();
        self.wire.output.clear();
        draft.taken.not_sent(why.as_str());
        if is_short && self.handover == Handover::Chunk {
            return Ok(None);
        }
        Err(End::Parted { reply: None, why })
    }

    /// The relay stopped reading in the middle of the content; perhaps it said why.
    async fn cut_off(&mut self, draft: Draft<'feed>, fault: Fault, dot_is_out: bool) -> End {
        match self.wire.answer(LAST_WORDS).await {
            Ok(answer) if answer.code == 421 => {
                draft.taken.not_sent(fault.to_string());
                self.busy(Stage::Data, answer)
            }
            Ok(answer) if answer.is_negative() => {
                let reply = answer.into_reply();
                let stage = if dot_is_out {
                    Stage::FinalDot
                } else {
                    Stage::Data
                };
                draft.taken.settle(Attempt::Rejected { stage, reply });
                self.closed(stage, fault)
            }
            _ if dot_is_out => {
                draft.taken.settle(unanswered(&fault));
                self.closed(Stage::FinalDot, fault)
            }
            _ => {
                draft
                    .taken
                    .not_sent(format!("{fault} before the final dot"));
                self.closed(Stage::Data, fault)
            }
        }
    }

    /// The answer to the final dot.
    async fn hear_verdict(&mut self) -> (Attempt, Option<End>) {
        match self.wire.answer(self.deadlines.final_dot).await {
            Ok(answer) if answer.is_positive() => (Attempt::Delivered(answer.into_reply()), None),
            // RFC 5321 §3.8: the relay goes away and the transaction with it.
            Ok(answer) if answer.code == 421 => {
                let end = self.busy(Stage::FinalDot, answer);
                (Attempt::NotSent { why: why(&end) }, Some(end))
            }
            Ok(answer) if answer.is_negative() => {
                let (stage, reply) = (Stage::FinalDot, answer.into_reply());
                (Attempt::Rejected { stage, reply }, None)
            }
            Ok(answer) => {
                let fault = out_of_place(answer);
                (
                    unanswered(&fault),
                    Some(self.closed(Stage::FinalDot, fault)),
                )
            }
            Err(fault) => (
                unanswered(&fault),
                Some(self.closed(Stage::FinalDot, fault)),
            ),
        }
    }

    /// RFC 2920 §3.1: the relay takes content although it took no recipient, so it gets none.
    async fn say_lone_dot(&mut self) -> Result<(), End> {
        self.memory.owes_reset = false;
        self.command(".\r\n", Stage::Data).await?;
        self.hear(Stage::FinalDot, self.deadlines.final_dot)
            .await
            .map(|_| ())
    }

    async fn command(&mut self, line: &str, stage: Stage) -> Result<(), End> {
        self.wire.output.extend_from_slice(line.as_bytes());
        let written = self.wire.flush(self.deadlines.command).await;
        written.map_err(|failed| self.closed(stage, failed.fault))
    }

    /// A reply that may stand at this stage; 421 and everything else end the conversation.
    async fn hear(&mut self, stage: Stage, within: Duration) -> Result<Answer, End> {
        match self.wire.answer(within).await {
            Ok(answer) if answer.code == 421 => Err(self.busy(stage, answer)),
            Ok(answer) if answer.is_negative() => Ok(answer),
            Ok(answer) if stage == Stage::Data && answer.code == 354 => Ok(answer),
            Ok(answer) if stage != Stage::Data && answer.is_positive() => Ok(answer),
            Ok(answer) => Err(self.closed(stage, out_of_place(answer))),
            Err(fault) => Err(self.closed(stage, fault)),
        }
    }

    async fn hear_reset(&mut self) -> Result<(), End> {
        let answer = self.hear(Stage::MailFrom, self.deadlines.command).await?;
        if answer.is_positive() {
            return Ok(());
        }
        Err(self.closed(Stage::MailFrom, out_of_place(answer)))
    }

    fn is_worn_out(&self) -> bool {
        self.most_messages
            .is_some_and(|most| self.memory.finished_count >= most.get())
    }

    async fn quit(&mut self, end: End) -> End {
        let within = self.deadlines.quit;
        if self.wire.say("QUIT", within).await.is_ok() {
            // The relay may answer or hang up; both are the end.
            let _ = self.wire.answer(within).await;
        }
        self.wire.close(within).await;
        end
    }

    /// The relay said something, or hung up, while nothing was asked.
    fn parted(&mut self, said: Result<Answer, Fault>, idle_since: Instant) -> End {
        let is_known = self.memory.finished_count > 0 || idle_since.elapsed() >= PATIENT;
        match said {
            Ok(answer) if answer.code == 421 && is_known => {
                let reply = answer.into_reply();
                End::Parted {
                    why: reply.to_string(),
                    reply: Some(reply),
                }
            }
            Ok(answer) if answer.is_negative() => self.busy(Stage::MailFrom, answer),
            Ok(answer) => self.closed(Stage::MailFrom, out_of_place(answer)),
            Err(fault @ Fault::Lost(_)) if is_known => End::Parted {
                reply: None,
                why: fault.to_string(),
            },
            Err(fault) => self.closed(Stage::MailFrom, fault),
        }
    }

    fn give_back(&mut self, next: Option<Draft<'feed>>, end: End) -> End {
        if let Some(draft) = next {
            draft.taken.not_sent(why(&end));
        }
        end
    }

    fn busy(&self, stage: Stage, answer: Answer) -> End {
        let reply = answer.into_reply();
        End::Closed {
            stage,
            why: reply.to_string(),
            reply: Some(reply),
        }
    }

    fn closed(&mut self, stage: Stage, fault: Fault) -> End {
        self.memory.is_distrusted |= fault.is_protocol_error();
        End::Closed {
            stage,
            reply: None,
            why: fault.to_string(),
        }
    }
}

fn out_of_place(answer: Answer) -> Fault {
    Fault::OutOfPlace(format!("a reply out of place: `{}`", answer.into_reply()))
}

fn unanswered(fault: &Fault) -> Attempt {
    let why = match fault {
        Fault::Lost(_) => "connection lost after the final dot".to_string(),
        Fault::Silent(within) => {
            format!(
                "no reply to the final dot within {} s",
                within.as_secs_f64()
            )
        }
        Fault::Junk(_) | Fault::OutOfPlace(_) => format!("junk after the final dot: {fault}"),
    };
    Attempt::Unanswered { why }
}

fn why(end: &End) -> String {
    match end {
        End::Finished => String::new(),
        End::Parted { why, .. } | End::Closed { why, .. } | End::Unavailable { why, .. } => {
            why.clone()
        }
    }
}
