//! What becomes of a message: the event that records it, and where the message goes.

use crate::domain::counters::Final;
use crate::domain::event::EventType;
use std::time::Duration;

/// Decided by the policy after an attempt, or by the machine without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Delivered, bounced, suppressed, expired or cancelled: nothing follows.
    Ended(Final),
    /// Moves to a retry tier. `in_doubt`: the relay may have the message, and the event says so.
    Retry {
        delay: Duration,
        uses_try: bool,
        in_doubt: bool,
    },
    /// No more tries, or refused: moves to the dlq.
    Dead,
    /// The relay may have the message, and a person must decide: moves to the dlq.
    HeldInDoubt,
    /// The last owner may have sent it: its claim is taken back, so it is sent again.
    Resend,
}

impl Outcome {
    pub fn event_type(self) -> EventType {
        match self {
            Outcome::Ended(end) => EventType::from(end),
            Outcome::Retry { in_doubt, .. } if !in_doubt => EventType::Deferred,
            Outcome::Dead => EventType::Dead,
            Outcome::Retry { .. } | Outcome::HeldInDoubt | Outcome::Resend => EventType::InDoubt,
        }
    }

    /// No attempt follows.
    pub fn is_final(self) -> bool {
        !matches!(self, Outcome::Retry { .. } | Outcome::Resend)
    }

    /// The letter carries the event.
    pub fn is_letter(self) -> bool {
        matches!(self, Outcome::Dead | Outcome::HeldInDoubt)
    }

    /// Known for certain from the relay's reply, so it is recorded though the claim is another worker's by now.
    pub fn is_certain(self) -> bool {
        matches!(self, Outcome::Ended(Final::Delivered | Final::Bounced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(in_doubt: bool) -> Outcome {
        Outcome::Retry {
            delay: Duration::from_secs(60),
            uses_try: true,
            in_doubt,
        }
    }

    #[test]
    fn each_outcome_has_its_event() {
        use EventType::*;
        // Outcome, event, final, in a letter, certain.
        for (outcome, event, is_final, is_letter, is_certain) in [
            (
                Outcome::Ended(Final::Delivered),
                Delivered,
                true,
                false,
                true,
            ),
            (Outcome::Ended(Final::Bounced), Bounced, true, false, true),
            (
                Outcome::Ended(Final::Suppressed),
                Suppressed,
                true,
                false,
                false,
            ),
            (Outcome::Ended(Final::Expired), Expired, true, false, false),
            (
                Outcome::Ended(Final::Cancelled),
                Cancelled,
                true,
                false,
                false,
            ),
            (retry(false), Deferred, false, false, false),
            (retry(true), InDoubt, false, false, false),
            (Outcome::Dead, Dead, true, true, false),
            (Outcome::HeldInDoubt, InDoubt, true, true, false),
            (Outcome::Resend, InDoubt, false, false, false),
        ] {
            let found = (outcome.event_type(), outcome.is_final());
            assert_eq!(found, (event, is_final), "{outcome:?}");
            let found = (outcome.is_letter(), outcome.is_certain());
            assert_eq!(found, (is_letter, is_certain), "{outcome:?}");
        }
    }
}
