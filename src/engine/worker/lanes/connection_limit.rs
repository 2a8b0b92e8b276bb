//! How many connections a relay lets in, learned from those that it turned away. Pure.

use std::time::Duration;

/// One more connection is tried this often, less often each time that it is turned away again.
const RAISE_AFTER: Duration = Duration::from_secs(60);
const LONGEST_RAISE_AFTER: Duration = Duration::from_secs(600);
/// Messages that were begun before the limit was lowered may be refused for so long after that.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct ConnectionLimit {
    configured: usize,
    allowed: usize,
    raise_after: Duration,
    changed_at: Duration,
}

impl ConnectionLimit {
    pub fn new(configured: usize) -> ConnectionLimit {
        ConnectionLimit {
            configured: configured.max(1),
            allowed: configured.max(1),
            raise_after: RAISE_AFTER,
            changed_at: Duration::ZERO,
        }
    }

    /// Whether one more may be opened beside these.
    pub fn may_open(&mut self, open: usize, now: Duration) -> bool {
        let waited = now.saturating_sub(self.changed_at) >= self.raise_after;
        if open >= self.allowed && self.allowed < self.configured && waited {
            self.allowed += 1;
            self.changed_at = now;
        }
        open < self.allowed
    }

    /// "Too many connections" was the answer while `open` others were open. Returns the new limit where it is lower.
    pub fn turned_away(&mut self, open: usize, now: Duration) -> Option<usize> {
        let allowed = open.max(1);
        // Others that were begun at the same time are turned away too, and say the same.
        if allowed >= self.allowed {
            return None;
        }
        Some(self.lower(allowed, now))
    }

    /// A message was refused because so many connections are open. Nobody says how many are too many, so half of them
    /// are kept. Returns the new limit where it is lower.
    pub fn exceeded(&mut self, open: usize, now: Duration) -> Option<usize> {
        let is_settling =
            self.changed_at > Duration::ZERO && now.saturating_sub(self.changed_at) < SETTLE;
        let allowed = (open.min(self.allowed) / 2).max(1);
        if is_settling || allowed >= self.allowed {
            return None;
        }
        Some(self.lower(allowed, now))
    }

    fn lower(&mut self, allowed: usize, now: Duration) -> usize {
        let is_again = self.changed_at > Duration::ZERO && allowed + 1 == self.allowed;
        self.raise_after = match is_again {
            true => (self.raise_after * 2).min(LONGEST_RAISE_AFTER),
            false => RAISE_AFTER,
        };
        (self.allowed, self.changed_at) = (allowed, now);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_to_what_is_let_in_and_tries_one_more_at_times() {
        let seconds = Duration::from_secs;
        let mut limit = ConnectionLimit::new(50);
        assert!(limit.may_open(49, seconds(1)));
        assert_eq!(limit.turned_away(3, seconds(2)), Some(3));
        assert_eq!(limit.turned_away(3, seconds(2)), None);
        assert!(!limit.may_open(3, seconds(61)));
        assert!(limit.may_open(3, seconds(62)));
        assert_eq!(limit.turned_away(3, seconds(63)), Some(3));
        assert!(!limit.may_open(3, seconds(182)));
        assert!(limit.may_open(3, seconds(183)));
        assert!(limit.may_open(4, seconds(303)));
    }

    #[test]
    fn halves_where_a_message_is_refused_for_the_connections() {
        let seconds = Duration::from_secs;
        let mut limit = ConnectionLimit::new(20);
        assert_eq!(limit.exceeded(20, seconds(10)), Some(10));
        // These were begun with the others.
        assert_eq!(limit.exceeded(19, seconds(11)), None);
        assert_eq!(limit.exceeded(10, seconds(13)), Some(5));
        assert_eq!(limit.exceeded(5, seconds(16)), Some(2));
        assert_eq!(limit.exceeded(2, seconds(19)), Some(1));
        assert_eq!(limit.exceeded(1, seconds(22)), None);
        assert!(limit.may_open(0, seconds(22)) && !limit.may_open(1, seconds(22)));
    }

    #[test]
    fn leaves_one_connection_at_least() {
        let mut limit = ConnectionLimit::new(0);
        assert_eq!(limit.turned_away(0, Duration::from_secs(1)), None);
        assert!(limit.may_open(0, Duration::from_secs(1)));
    }
}
