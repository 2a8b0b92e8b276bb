//! Which relay gets the next message, by weight. Pure.
//!
//! Weights are shares of the mail. A relay that may not take mail now is left out, and one that cannot take its share
//! is not waited for: it gets what it can take, and the others share the rest. A relay counts as one of these when
//! waiting for it would cost more than half of the speed that all of them have together.

use std::time::Duration;

/// What is known of a relay when a message is given out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    pub weight: u64,
    /// Messages given to it since the shares were last evened out.
    pub given: u64,
    /// Messages that it can be given now.
    pub free: usize,
    /// Messages a second that it can take, at the most.
    pub speed: f64,
}

impl Candidate {
    /// `hold`: how long a message holds a connection, in the mean; one that is not answered counts with its age.
    pub fn speed(connections: usize, hold: Duration, per_second: Option<f64>) -> f64 {
        let hold = hold.as_secs_f64().max(1e-6);
        let speed = connections as f64 / hold;
        per_second.map_or(speed, |limit| speed.min(limit))
    }

    /// Whether `self` has had less of its share than `other`, by more than a message.
    fn is_behind(&self, other: &Candidate) -> bool {
        let (mine, theirs) = (self.weight.max(1), other.weight.max(1));
        u128::from(other.given) * u128::from(mine)
            > (u128::from(self.given) + u128::from(mine)) * u128::from(theirs)
    }
}

/// Index of the relay that gets the next message. `None` stands for relays that may not take mail; the answer is
/// `None` while one that is waited for has its hands full.
pub fn choose(relays: &[Option<Candidate>]) -> Option<usize> {
    let usable = relays
        .iter()
        .enumerate()
        .filter_map(|(index, relay)| Some((index, (*relay)?)));
    let mut awaited: Vec<(usize, Candidate)> = usable.collect();
    let mut slow = Vec::new();
    while let Some(slowest) = too_slow(&awaited) {
        slow.push(awaited.remove(slowest));
    }
    let free_slow = slow.iter().find(|(_, relay)| relay.free > 0);
    if let Some((index, _)) = free_slow {
        return Some(*index);
    }
    let free = awaited.iter().filter(|(_, relay)| relay.free > 0);
    let mut fair = free.filter(|(_, relay)| {
        let behind = awaited.iter().any(|(_, other)| other.is_behind(relay));
        !behind
    });
    let first = fair.next()?;
    let next = fair.fold(first, |best, other| {
        let (left, right) = (
            u128::from(other.1.given) * u128::from(best.1.weight.max(1)),
            u128::from(best.1.given) * u128::from(other.1.weight.max(1)),
        );
        if left < right { other } else { best }
    });
    Some(next.0)
}

/// Whether keeping to the weights would cost more than half of the speed, and because of which relay.
fn too_slow(awaited: &[(usize, Candidate)]) -> Option<usize> {
    if awaited.len() < 2 {
        return None;
    }
    let weights: u64 = awaited.iter().map(|(_, relay)| relay.weight.max(1)).sum();
    let together: f64 = awaited.iter().map(|(_, relay)| relay.speed).sum();
    let allowed = awaited.iter().map(|(_, relay)| {
        // Speed of all if this one takes exactly its share.
        relay.speed * weights as f64 / relay.weight.max(1) as f64
    });
    let (slowest, speed) = allowed
        .enumerate()
        .min_by(|left, right| left.1.total_cmp(&right.1))?;
    (speed < together / 2.0).then_some(slowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out messages as fast as the relays answer, for so many seconds. Returns what each got.
    fn shares(relays: &[(u64, usize, u64)], seconds: u64) -> Vec<u64> {
        let millis = |hold: u64| Duration::from_millis(hold);
        let mut busy: Vec<Vec<u64>> = relays.iter().map(|_| Vec::new()).collect();
        let mut given = vec![0; relays.len()];
        for now in 0..seconds * 1_000 {
            for (answers, (_, _, hold)) in busy.iter_mut().zip(relays) {
                answers.retain(|begun| begun + hold > now);
            }
            loop {
                let views: Vec<_> = relays
                    .iter()
                    .zip(&busy)
                    .zip(&given)
                    .map(|(((weight, connections, hold), busy), given)| {
                        Some(Candidate {
                            weight: *weight,
                            given: *given,
                            free: connections - busy.len(),
                            speed: Candidate::speed(*connections, millis(*hold), None),
                        })
                    })
                    .collect();
                let Some(next) = choose(&views) else { break };
                given[next] += 1;
                busy[next].push(now);
            }
        }
        given
    }

    #[test]
    fn weights_are_shares_of_the_mail() {
        for (weights, connections) in [((9, 1), 1), ((100, 1), 1), ((2, 1), 10), ((1, 1), 3)] {
            let given = shares(
                &[(weights.0, connections, 5), (weights.1, connections, 5)],
                20,
            );
            let share = given[0] as f64 / (given[0] + given[1]) as f64;
            let wanted = weights.0 as f64 / (weights.0 + weights.1) as f64;
            assert!((share - wanted).abs() < 0.01, "{weights:?}: {given:?}");
        }
    }

    #[test]
    fn a_slow_relay_takes_what_it_can_and_the_other_the_rest() {
        // 5:1, where the second needs 100 times as long.
        let given = shares(&[(5, 10, 5), (1, 10, 500)], 20);
        assert!(given[0] > 39_000, "{given:?}");
        assert!((390..=410).contains(&given[1]), "{given:?}");
    }

    #[test]
    fn a_relay_that_may_not_take_mail_is_not_waited_for() {
        let relay = Candidate {
            weight: 1,
            given: 1_000,
            free: 1,
            speed: 100.0,
        };
        let idle = Candidate {
            given: 0,
            free: 0,
            ..relay
        };
        assert_eq!(choose(&[Some(relay), None]), Some(0));
        assert_eq!(choose(&[Some(relay), Some(idle)]), None);
        // Limited to one message a second.
        let limited = Candidate { speed: 1.0, ..idle };
        assert_eq!(choose(&[Some(relay), Some(limited)]), Some(0));
        assert_eq!(choose(&[]), None);
    }
}
