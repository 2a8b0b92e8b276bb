//! The slots of one limit: of the whole queue, of a relay, or of a site. They come from the queue's bucket if it has
//! one for all processes, else from a bucket of this process with its share of the limit.

mod next_slots;
mod own_bucket;
mod stock;

pub use next_slots::NextSlots;

use crate::domain::rate::Rate;
use crate::engine::limits::shares::Share;
use crate::queue::{self, Queue, SlotRequest};
use own_bucket::OwnBucket;
use std::time::Duration;
use stock::Stock;

/// Slots are taken this long before they begin, or as long as a commit takes if that is longer: a claim should be
/// acknowledged when its slot begins.
const SHORTEST_HORIZON: Duration = Duration::from_millis(60);
const LONGEST_HORIZON: Duration = Duration::from_secs(1);

/// How far ahead slots are taken when the slowest of the last cycles took this long.
pub fn horizon(slowest_cycle: Duration) -> Duration {
    (slowest_cycle * 2).clamp(SHORTEST_HORIZON, LONGEST_HORIZON)
}

#[derive(Debug)]
pub struct Pace {
    /// The limit, or this worker's share of it.
    share: Option<Share>,
    slots: Slots,
}

#[derive(Debug)]
enum Slots {
    Stock(Stock),
    Own(OwnBucket),
}

impl Pace {
    /// Without buckets in the queue the limit is shared out, and nothing may be used before a share is set.
    pub fn new(queue: &dyn Queue, bucket: String, rate: Rate, burst: u32) -> Pace {
        match queue.buckets() {
            Some(_) => Pace {
                share: Some(Share { rate, burst }),
                slots: Slots::Stock(Stock::new(bucket)),
            },
            None => Pace {
                share: None,
                slots: Slots::Own(OwnBucket::new()),
            },
        }
    }

    /// Without slots.
    #[cfg(test)]
    pub fn none() -> Pace {
        Pace {
            share: None,
            slots: Slots::Stock(Stock::new(String::new())),
        }
    }

    pub fn is_unlimited(&self) -> bool {
        let rate = self.share.map(|share| share.rate);
        rate == Some(Rate::Unlimited)
    }

    /// Sets another limit. Does nothing where the limit is shared out, because the new share is set separately.
    pub fn set_rate(&mut self, rate: Rate, burst: u32) {
        if let Slots::Stock(stock) = &mut self.slots
            && self.share != Some(Share { rate, burst })
        {
            self.share = Some(Share { rate, burst });
            stock.clear();
        }
    }

    /// Sets the share of the limit, from now until then; `None`: nothing.
    pub fn set_share(&mut self, (share, until): (Option<Share>, Duration), now: Duration) {
        if let Slots::Own(own) = &mut self.slots {
            own.ends_at = until;
            if share != self.share {
                own.set(share, now);
                self.share = share;
            }
        }
    }

    /// What may be used of the limit, as last set.
    pub fn share(&self) -> Option<Rate> {
        self.share.map(|share| share.rate)
    }

    /// Nothing of the limit may be used now.
    pub fn is_closed(&self, now: Duration) -> bool {
        match &self.slots {
            _ if self.is_unlimited() => false,
            Slots::Stock(_) => self.share.is_none(),
            Slots::Own(own) => self.share.is_none() || own.ends_at <= now,
        }
    }

    /// Slots for this worker's next messages; `usize::MAX` without a limit.
    pub fn stock(&mut self, now: Duration) -> usize {
        self.count(now, Stock::count, OwnBucket::count)
    }

    /// Those of them that have begun; `usize::MAX` without a limit.
    pub fn begun(&mut self, now: Duration) -> usize {
        self.count(now, Stock::begun, OwnBucket::begun)
    }

    fn count(
        &mut self,
        now: Duration,
        of_stock: impl FnOnce(&mut Stock, Rate, Duration) -> usize,
        of_own: impl FnOnce(&OwnBucket, Duration) -> usize,
    ) -> usize {
        let is_closed = self.is_closed(now);
        match (self.share, &mut self.slots) {
            (Some(share), _) if share.rate == Rate::Unlimited => usize::MAX,
            (Some(share), Slots::Stock(stock)) => of_stock(stock, share.rate, now),
            (Some(_), Slots::Own(own)) if !is_closed => of_own(own, now),
            _ => 0,
        }
    }

    /// When the first of them begins.
    pub fn opens(&mut self, now: Duration) -> Option<Duration> {
        let is_closed = self.is_closed(now);
        match (self.share?, &mut self.slots) {
            (share, _) if share.rate == Rate::Unlimited => Some(now),
            (share, Slots::Stock(stock)) => stock.first(share.rate, now),
            (_, Slots::Own(own)) if !is_closed => own.first(now),
            _ => None,
        }
    }

    /// Uses the slot that has begun.
    pub fn take(&mut self, now: Duration) {
        let is_closed = self.is_closed(now);
        match (self.share, &mut self.slots) {
            (Some(share), Slots::Stock(stock)) => stock.take(share.rate, now),
            (Some(_), Slots::Own(own)) if !is_closed => own.take(now),
            _ => {}
        }
    }

    /// When asking for slots makes sense again. `None`: there is no limit, or nothing may be used.
    pub fn ask_at(&self, now: Duration, horizon: Duration) -> Option<Duration> {
        let next = match &self.slots {
            _ if self.is_unlimited() || self.is_closed(now) => return None,
            Slots::Stock(stock) => stock.next(),
            Slots::Own(own) => own.next(),
        };
        Some(next.saturating_sub(horizon))
    }

    /// What to ask the queue's bucket for, so that there are `want` slots that begin soon. `could_go`: a message lacks
    /// nothing but its slot. `None`: nothing; a bucket of this process looks ahead by itself.
    pub fn request(
        &mut self,
        (want, could_go): (usize, bool),
        now: Duration,
        horizon: Duration,
    ) -> Option<SlotRequest> {
        match (self.share?, &mut self.slots) {
            (share, Slots::Stock(stock)) => stock.request(share, (want, could_go), now, horizon),
            (_, Slots::Own(own)) => {
                own.look_ahead(want, now, horizon);
                None
            }
        }
    }

    /// Takes what the bucket gave.
    pub fn receive(&mut self, given: queue::Slots) {
        if let Slots::Stock(stock) = &mut self.slots {
            stock.receive(given);
        }
    }
}
