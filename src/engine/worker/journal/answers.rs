//! Answers of the lanes: decided by the policy, counted by the breakers, reported to the machines.

use super::Journal;
use crate::domain::event::EventDetails;
use crate::engine::policy::{Decision, HardBounce};
use crate::engine::worker::lanes::Answer;
use crate::engine::worker::records::{SUPPRESSION, unwritable};
use crate::protocol::OpenMessage;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::PendingEvent;
use crate::queue::Record;
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
        let tries = open.message.line.tries;
        let decision = match answer.suppressed {
            true => Decision::suppressed(),
            false => {
                let in_doubt = run.manifest.in_doubt;
                Decision::after(&answer.attempt, tries, &self.schedule, in_doubt)
            }
        };
        self.lanes.judge(&answer, decision.trouble);
        let outcome = decision.outcome;
        // Addresses appear at debug and below only.
        tracing::debug!(
            address = open.message.line.address,
            ?outcome,
            reply = decision.details.reply,
            "attempt"
        );
        // It is flushed with the effects of this cycle, so it is durable before the message is done.
        if let Some(bounce) = &decision.suppress {
            let record = self.suppression(open, bounce, &run.manifest.id.campaign)?;
            self.outbox.add(SUPPRESSION, record);
        }
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
