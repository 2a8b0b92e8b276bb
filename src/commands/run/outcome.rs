//! What became of a run during this call of `mailq run`. Other workers of the queue send its messages too, so the queue
//! says it, not this process alone.

use crate::domain::counters::{Counters, Final};
use crate::engine::account::CampaignRow;
use crate::engine::enqueue::EnqueueReport;
use crate::engine::worker::Summary;

/// The run's outcomes before this call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before(Counters);

impl Before {
    /// If this call enqueued the run, all its outcomes are of this call.
    pub fn of(rows: &[CampaignRow], enqueued: &EnqueueReport) -> Before {
        let is_known = |row: &&CampaignRow| enqueued.already_enqueued && row.key == enqueued.key;
        let known = rows.iter().find(is_known);
        Before(known.map_or_else(Counters::default, counters))
    }

    /// The summary of this process, with every outcome of the run since then, whoever sent it.
    pub fn until(self, now: &CampaignRow, own: &Summary) -> Summary {
        let now = counters(now);
        // The last commits of a worker that was cut off lack what it has counted itself.
        let since = |end: Final, own: u64| now.get(end).saturating_sub(self.0.get(end)).max(own);
        Summary {
            delivered: since(Final::Delivered, own.delivered),
            bounced: since(Final::Bounced, own.bounced),
            dead: since(Final::Dead, own.dead),
            suppressed: since(Final::Suppressed, own.suppressed),
            expired: since(Final::Expired, own.expired),
            cancelled: since(Final::Cancelled, own.cancelled),
            in_doubt: since(Final::InDoubt, own.in_doubt),
            ..own.clone()
        }
    }
}

fn counters(row: &CampaignRow) -> Counters {
    Counters {
        finals: row.finals(),
        moved: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;
    use crate::domain::records::Tally;
    use crate::engine::account::State;
    use std::time::Duration;

    fn row(delivered: u64, dead: u64) -> CampaignRow {
        let id = RunId::new("spring", "1");
        CampaignRow {
            key: id.key(),
            campaign: id.campaign,
            run: id.run,
            state: State::Done,
            not_before: None,
            waits_for_turn: false,
            has_expired: false,
            enqueued: delivered + dead,
            delivered,
            bounced: 0,
            dead,
            suppressed: 0,
            expired: 0,
            cancelled: 0,
            in_doubt: 0,
            retrying: 0,
            pending: 0,
        }
    }

    #[test]
    fn counts_what_other_workers_sent_of_the_run() {
        let id = RunId::new("spring", "1");
        let mut enqueued = EnqueueReport::new(&id, Tally::default(), Duration::ZERO);
        let own = Summary {
            delivered: 2,
            deferred: 7,
            ..Summary::default()
        };
        let ended = |enqueued: &EnqueueReport| {
            let all = Before::of(&[row(40, 1)], enqueued).until(&row(100, 3), &own);
            (all.delivered, all.dead, all.deferred)
        };
        assert_eq!(ended(&enqueued), (100, 3, 7));
        enqueued.already_enqueued = true;
        assert_eq!(ended(&enqueued), (60, 2, 7));
    }
}
