//! Takes back messages that have not begun and cannot begin now, so that others can be claimed.

use super::{Answer, InFlight, Inner, Lanes};
use crate::domain::ids::RunKey;
use crate::domain::outcome::Attempt;
use crate::domain::topic::TopicPartition;
use std::cell::Cell;
use std::collections::VecDeque;
use std::time::SystemTime;

impl Lanes {
    /// Returns messages of a partition that have not begun, unused.
    pub fn take_back(&self, at: TopicPartition) {
        self.take_back_if(
            |in_flight| in_flight.open.at == at,
            "the partition was revoked",
        );
    }

    /// Returns messages that cannot begin now, unused, so that others can be claimed: those whose claim has expired, of
    /// a held run, or of a held site; all but one, the probe, while every relay is held; and all outside the send
    /// windows or while the quotas of all relays are used up.
    pub fn take_back_held(&self, is_held: impl Fn(RunKey) -> bool) {
        let now = self.setup.clock.since_boot();
        let (valid, sites, all_held) = {
            let inner = self.inner.borrow();
            if inner.waiting.is_empty() {
                return;
            }
            let sites = inner.held_sites(now);
            (inner.valid.clone(), sites, inner.are_all_held())
        };
        let nothing_goes = !self.may_send();
        let kept = Cell::new(0usize);
        let goes = |in_flight: &InFlight| {
            let holds = valid
                .get(&in_flight.open.at)
                .is_some_and(|(token, until)| *token == in_flight.token && now < *until);
            let goes = nothing_goes
                || !holds
                || is_held(in_flight.open.run)
                || sites.contains(&in_flight.site)
                || (all_held && kept.get() > 0);
            kept.set(kept.get() + usize::from(!goes));
            goes
        };
        self.take_back_if(goes, "the message is held");
    }

    pub(super) fn take_back_if(&self, which: impl Fn(&InFlight) -> bool, why: &str) {
        let mut inner = self.inner.borrow_mut();
        let waiting = std::mem::take(&mut inner.waiting);
        let (back, stay): (VecDeque<InFlight>, VecDeque<InFlight>) =
            waiting.into_iter().partition(|in_flight| which(in_flight));
        inner.waiting = stay;
        let answered_at = self.setup.clock.now();
        for in_flight in back {
            inner.waits_no_more(&in_flight.site);
            inner.give_back(in_flight, why, false, answered_at);
        }
        if !inner.answers.is_empty() {
            self.answered.notify_one();
        }
    }
}

impl Inner {
    /// The message comes back as it was: no relay has had it.
    pub(super) fn give_back(
        &mut self,
        in_flight: InFlight,
        why: &str,
        suppressed: bool,
        answered_at: SystemTime,
    ) {
        let attempt = Attempt::NotSent {
            why: why.to_string(),
        };
        self.answers.push(Answer {
            in_flight,
            relay: None,
            attempt,
            answered_at,
            suppressed,
        });
    }
}
