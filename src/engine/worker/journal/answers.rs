//! Answers of the lanes: decided by the policy, counted by the breakers, reported to the machines.

use super::Journal;
use crate::domain::event::EventDetails;
use crate::domain::outcome::Attempt;
use crate::domain::topic::TopicPartition;
use crate::engine::policy::{Circumstances, Decision, HardBounce};
use crate::engine::worker::lanes::Answer;
use crate::engine::worker::records::{SUPPRESSION, unwritable};
use crate::protocol::OpenMessage;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::{MessageRef, PendingEvent};
use crate::queue::{Record, Token};
use crate::suppression::Entry;
use std::rc::Rc;

impl Journal {
    pub(super) fn take_answers(&mut self) {
        for answer in self.lanes.answers() {
            let at = answer.in_flight.open.at;
            let taken = self.take_answer(answer);
            self.or_stop_partition(at, taken);
        }
    }

    fn take_answer(&mut self, answer: Answer) -> Result<(), Broken> {
        let open = &answer.in_flight.open;
        let (at, key) = (open.at, open.run);
        let run = self.followed.ledger.run(key);
        let run =
            run.ok_or_else(|| Broken::new(at, Invariant::RunHasManifest, format!("run {key}")))?;
        let decision = match answer.suppressed {
            true => Decision::suppressed(),
            false => {
                let in_doubt = run.manifest.in_doubt;
                let told = self.circumstances(&answer);
                Decision::after(&answer.attempt, &told, &self.schedule, in_doubt)
            }
        };
        // It is flushed with the effects of this cycle, so it is durable before the message is done.
        if let Some(bounce) = &decision.suppress {
            let record = self.suppression(open, bounce, &run.manifest.id.campaign)?;
            self.outbox.add(SUPPRESSION, record);
        }
        if let Attempt::Delivered(_) = answer.attempt {
            let due_at = run
                .starts_at()
                .map_or(open.due_at, |at| at.max(open.due_at));
            let latency = answer.answered_at.duration_since(due_at);
            // A clock that was set back gives no time.
            let latency = latency.unwrap_or_default();
            self.watch.delivered_after(latency);
        }
        self.note_broken_session(&answer, decision.outcome.is_some());
        self.lanes.judge(&answer, decision.trouble);
        let outcome = decision.outcome;
        // Addresses appear at debug and below only.
        tracing::debug!(
            address = open.message.line.address,
            ?outcome,
            reply = decision.details.reply,
            "attempt"
        );
        let details = Rc::new(EventDetails {
            relay: answer.relay,
            ..decision.details
        });
        let message = answer.in_flight.open;
        if let Some(machine) = self.partitions.under(at, answer.in_flight.token) {
            return machine.report(message.reference, outcome, details);
        }
        if let Some(outcome) = outcome {
            self.add_late(&PendingEvent {
                message,
                outcome,
                details,
            });
        }
        Ok(())
    }

    /// What is known of the message beside what the relay said.
    fn circumstances(&self, answer: &Answer) -> Circumstances {
        let line = &answer.in_flight.open.message.line;
        let now = self.setup.clock.since_boot();
        let broken = self.broken_sessions.of(&key_of(answer));
        // A message that was moved has waited for the shortest delay at least.
        let moved = now.saturating_sub(self.schedule.shortest());
        let last_try = broken.map_or(moved, |(_, at)| at);
        let relay = answer.relay.as_deref();
        Circumstances {
            tries: line.tries,
            moves: line.hop,
            broken_off: broken.map_or(0, |(count, _)| count),
            takes_others: self.lanes.has_taken_since(relay, last_try),
            is_paused: self.lanes.is_paused(relay, &answer.in_flight.site),
        }
    }

    fn note_broken_session(&mut self, answer: &Answer, is_decided: bool) {
        let key = key_of(answer);
        match answer.attempt {
            Attempt::BrokenOff { .. } if !is_decided => {
                let now = self.setup.clock.since_boot();
                self.broken_sessions.add(key, now);
            }
            // It was not tried.
            Attempt::NotSent { .. } => {}
            _ => self.broken_sessions.forget(&key),
        }
    }

    fn suppression(
        &self,
        open: &OpenMessage,
        bounce: &HardBounce,
        campaign: &str,
    ) -> Result<Record, Broken> {
        let address = &open.message.line.address;
        let (reason, reply) = (bounce.reason, &bounce.reply);
        let entry = Entry::hard_bounce(address, reason, reply, campaign, &self.timestamp());
        let payload = entry
            .to_bytes()
            .map_err(|error| unwritable(open.at, error))?;
        Ok(Record {
            key: Some(entry.key(&self.setup.key).to_string()),
            headers: Vec::new(),
            payload: Some(payload.into()),
        })
    }
}

fn key_of(answer: &Answer) -> (TopicPartition, Token, MessageRef) {
    let in_flight = &answer.in_flight;
    (in_flight.open.at, in_flight.token, in_flight.open.reference)
}
