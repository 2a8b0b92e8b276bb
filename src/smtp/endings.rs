//! How messages and conversations end: what a reply, a silence or a lost connection means for each of them.

use super::End;
use super::draft::{Draft, Handover};
use super::reply::Answer;
use super::transaction::Conversation;
use super::wire::Fault;
use crate::domain::outcome::{Attempt, Stage};
use std::time::Duration;
use tokio::time::Instant;

/// A relay that lets us wait this long before it hangs up has nothing against us.
const PATIENT: Duration = Duration::from_secs(1);
/// How long a relay that stopped reading may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl<'feed> Conversation<'feed> {
    /// The claim grew too old. After 354 the only way out that sends nothing is to hang up without the dot.
    pub(super) fn abandon(
        &mut self,
        draft: Draft<'feed>,
        is_short: bool,
    ) -> Result<Option<Draft<'feed>>, End> {
        let why = "the claim expired before the final dot".to_string();
        self.wire.output.clear();
        draft.taken.not_sent(why.as_str());
        if is_short && self.handover == Handover::Chunk {
            return Ok(None);
        }
        Err(End::Parted { reply: None, why })
    }

    /// The relay stopped reading in the middle of the content; perhaps it said why.
    pub(super) async fn cut_off(
        &mut self,
        draft: Draft<'feed>,
        fault: Fault,
        dot_is_out: bool,
    ) -> End {
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

    /// The relay spoke, or was gone, when it was our turn and before the final dot.
    pub(super) fn interrupted(&mut self, draft: Draft<'feed>, said: Result<Answer, Fault>) -> End {
        let end = match said {
            Ok(answer) if answer.code == 421 => self.busy(Stage::Data, answer),
            Ok(answer) if answer.is_negative() => {
                let (stage, reply) = (Stage::Data, answer.clone().into_reply());
                draft.taken.settle(Attempt::Rejected { stage, reply });
                return self.busy(stage, answer);
            }
            Ok(answer) => self.closed(Stage::Data, out_of_place(answer)),
            Err(fault) => self.closed(Stage::Data, fault),
        };
        draft.taken.not_sent(why(&end));
        end
    }

    /// The answer to the final dot.
    pub(super) async fn hear_verdict(&mut self) -> (Attempt, Option<End>) {
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

    pub(super) async fn quit(&mut self, end: End) -> End {
        let within = self.deadlines.quit;
        if self.wire.say("QUIT", within).await.is_ok() {
            // The relay may answer or hang up; both are the end.
            let _ = self.wire.answer(within).await;
        }
        self.wire.close(within).await;
        end
    }

    /// The relay said something, or hung up, while nothing was asked.
    pub(super) fn parted(&mut self, said: Result<Answer, Fault>, idle_since: Instant) -> End {
        let is_known = self.memory.finished_count > 0 || idle_since.elapsed() >= PATIENT;
        match said {
            Ok(answer) if answer.is_negative() && is_known => {
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

    pub(super) fn give_back(&mut self, next: Option<Draft<'feed>>, end: End) -> End {
        if let Some(draft) = next {
            draft.taken.not_sent(why(&end));
        }
        end
    }

    pub(super) fn busy(&self, stage: Stage, answer: Answer) -> End {
        let reply = answer.into_reply();
        End::Closed {
            stage,
            why: reply.to_string(),
            reply: Some(reply),
        }
    }

    pub(super) fn closed(&mut self, stage: Stage, fault: Fault) -> End {
        self.memory.is_distrusted |= fault.is_protocol_error();
        End::Closed {
            stage,
            reply: None,
            why: fault.to_string(),
        }
    }
}

pub(super) fn out_of_place(answer: Answer) -> Fault {
    Fault::OutOfPlace(format!("unexpected reply: `{}`", answer.into_reply()))
}

pub(super) fn unanswered(fault: &Fault) -> Attempt {
    let why = match fault {
        Fault::Lost(_) => "connection lost after the final dot".to_string(),
        Fault::Silent(within) => {
            format!(
                "no reply to the final dot within {} s",
                within.as_secs_f64()
            )
        }
        Fault::Junk(_) | Fault::OutOfPlace(_) | Fault::Insecure(_) => {
            format!("invalid reply to the final dot: {fault}")
        }
    };
    Attempt::Unanswered { why }
}

pub(super) fn why(end: &End) -> String {
    match end {
        End::Finished => String::new(),
        End::Parted { why, .. } | End::Closed { why, .. } | End::Unavailable { why, .. } => {
            why.clone()
        }
    }
}
