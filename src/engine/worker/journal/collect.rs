//! What the lanes have brought back: judged, counted by the breakers, reported to the machines.

use super::super::answers::{self, HardBounce};
use super::super::lanes::Handed;
use super::super::told::About;
use super::Journal;
use crate::protocol::machine::Report;
use crate::queue::Record;
use crate::suppression::Entry;

impl Journal {
    /// What the lanes have brought back: judged, counted by the breakers, reported to the machines.
    pub(super) fn take_answers(&mut self) {
        for answer in self.lanes.answers() {
            let handed = &answer.handed;
            let policy = self
                .ledger
                .run(handed.run)
                .map(|run| run.manifest.in_doubt)
                .unwrap_or_default();
            let judgement = answers::judge(&answer, &self.schedule, policy);
            self.lanes.judge(&answer, judgement.relay, judgement.site);
            // Addresses appear at debug and below only.
            tracing::debug!(address = handed.message.line.address, fate = ?judgement.fate, reply = judgement.note.reply, "attempt");
            if let Some(bounce) = &judgement.suppress {
                self.suppress(handed, bounce);
            }
            let report = Report {
                slot: handed.slot,
                fate: judgement.fate,
                note: judgement.note,
            };
            if !self.report(handed.at, handed.token, handed.slot, report.clone()) {
                let about = About {
                    at: handed.at,
                    number: handed.number,
                    run: handed.run,
                };
                self.late(&about, &handed.message, &report);
            }
        }
    }

    pub(super) fn suppress(&mut self, handed: &Handed, bounce: &HardBounce) {
        let campaign = self
            .ledger
            .run(handed.run)
            .map(|run| run.manifest.id.campaign.clone());
        let address = &handed.message.line.address;
        let entry = Entry::hard_bounce(
            address,
            bounce.reason,
            &bounce.reply,
            &campaign.unwrap_or_default(),
            &self.timestamp(),
        );
        if let Ok(payload) = entry.to_bytes() {
            let key = Some(entry.key(&self.setup.key).to_string());
            self.new_suppressions.push(Record {
                key,
                headers: Vec::new(),
                payload: Some(payload.into()),
            });
        }
    }
}
