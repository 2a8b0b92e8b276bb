//! What the lanes have brought back: judged, counted by the breakers, reported to the machines.

use super::Journal;
use super::ownership::late_kind;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::worker::answers::{self, HardBounce};
use crate::engine::worker::lanes::{Answer, Handed};
use crate::engine::worker::records::{About, unwritable};
use crate::protocol::invariant::{Broken, Invariant};
use crate::queue::Record;
use crate::suppression::Entry;

const SUPPRESSION: TopicPartition = TopicPartition::new(Topic::Suppression, 0);

impl Journal {
    /// What the lanes have brought back: judged, counted by the breakers, reported to the machines.
    pub(super) fn take_answers(&mut self) {
        for answer in self.lanes.answers() {
            let at = answer.handed.at;
            let taken = self.take_answer(answer);
            self.or_stand_still(at, taken);
        }
    }

    fn take_answer(&mut self, answer: Answer) -> Result<(), Broken> {
        let handed = &answer.handed;
        let (at, run) = (handed.at, self.followed.ledger.run(handed.run));
        let run = run.ok_or_else(|| {
            Broken::new(at, Invariant::RunHasManifest, format!("run {}", handed.run))
        })?;
        let judgement = answers::judge(&answer, &self.schedule, run.manifest.in_doubt);
        self.lanes.judge(&answer, judgement.relay, judgement.site);
        // Addresses appear at debug and below only.
        tracing::debug!(address = handed.message.line.address, fate = ?judgement.fate, reply = judgement.note.reply, "attempt");
        if let Some(bounce) = &judgement.suppress {
            let record = self.suppression(handed, bounce, &run.manifest.id.campaign)?;
            self.outbox.add(SUPPRESSION, record);
        }
        let (fate, note) = (judgement.fate, judgement.note);
        if let Some(machine) = self.partitions.under(at, handed.token) {
            return machine.report(handed.reference, fate, note);
        }
        let about = About {
            at,
            number: handed.number,
            run: handed.run,
        };
        if let Some(kind) = late_kind(fate) {
            self.late(&about, &handed.message, kind, &note);
        }
        Ok(())
    }

    fn suppression(
        &self,
        handed: &Handed,
        bounce: &HardBounce,
        campaign: &str,
    ) -> Result<Record, Broken> {
        let address = &handed.message.line.address;
        let (reason, reply) = (bounce.reason, &bounce.reply);
        let entry = Entry::hard_bounce(address, reason, reply, campaign, &self.timestamp());
        let payload = entry
            .to_bytes()
            .map_err(|error| unwritable(handed.at, error))?;
        Ok(Record {
            key: Some(entry.key(&self.setup.key).to_string()),
            headers: Vec::new(),
            payload: Some(payload.into()),
        })
    }
}
