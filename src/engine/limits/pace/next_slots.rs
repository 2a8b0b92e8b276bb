//! When asking for slots makes sense again, over all limits that have none left.

use std::time::Duration;

/// The next slot of each limit that has none left.
#[derive(Default)]
pub struct NextSlots {
    pub all: Option<Duration>,
    pub relays: Vec<Option<Duration>>,
}

impl NextSlots {
    /// A message needs a slot of the whole queue and one of any relay.
    pub fn first(self, relays: usize) -> Option<Duration> {
        let is_any_free = self.relays.len() < relays || self.relays.contains(&None);
        let relay = self.relays.into_iter().flatten().min();
        // A relay with slots left may be unavailable or busy. Then the messages wait for slots of the others.
        self.all
            .max(relay.filter(|_| !is_any_free || self.all.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_slot_is_asked_for_when_a_message_could_use_it() {
        let at = |seconds| Some(Duration::from_secs(seconds));
        let first = |all, relays: &[Option<Duration>], count| {
            let relays = relays.to_vec();
            NextSlots { all, relays }.first(count)
        };
        assert_eq!(first(None, &[], 1), None);
        assert_eq!(first(at(3), &[], 1), at(3));
        assert_eq!(first(at(3), &[at(5)], 1), at(5));
        // The other relay has no limit, or a slot left over.
        assert_eq!(first(at(3), &[at(5)], 2), at(3));
        assert_eq!(first(at(3), &[at(5), None], 2), at(3));
        assert_eq!(first(None, &[at(5), at(4)], 2), at(4));
        assert_eq!(first(None, &[at(5)], 2), at(5));
        assert_eq!(first(None, &[at(5), None], 2), at(5));
    }
}
