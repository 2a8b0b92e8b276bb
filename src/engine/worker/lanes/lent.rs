//! How many connections each relay may have. The connections of a relay that carries no mail are lent to the
//! others. Pure.

/// The connections of one relay.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Its part of all connections, by weight.
    pub own: usize,
    /// It never has more than this.
    pub most: usize,
    /// It carries no mail now.
    pub is_away: bool,
}

/// How many connections the relay at this index may have. One that is away keeps a connection for its probes. Several
/// others may have the same lent connections, so whoever opens one also asks whether the sum of all allows it.
pub fn allowed(relays: &[Share], index: usize) -> usize {
    let Some(relay) = relays.get(index) else {
        return 0;
    };
    match (relays.len(), relay.is_away) {
        // Nobody can use what a single relay leaves.
        (1, _) => relay.own,
        (_, true) => 1,
        (_, false) => {
            let away = relays.iter().filter(|other| other.is_away);
            let lent: usize = away.map(|other| other.own.saturating_sub(1)).sum();
            (relay.own + lent).min(relay.most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(own: usize, is_away: bool) -> Share {
        Share {
            own,
            most: 15,
            is_away,
        }
    }

    #[test]
    fn others_get_the_connections_of_a_paused_relay() {
        let all = |relays: &[Share]| -> Vec<usize> {
            (0..relays.len())
                .map(|index| allowed(relays, index))
                .collect()
        };
        assert_eq!(all(&[relay(20, true)]), [20]);
        assert_eq!(all(&[relay(10, false), relay(10, false)]), [10, 10]);
        assert_eq!(all(&[relay(4, false), relay(10, true)]), [13, 1]);
        assert_eq!(all(&[relay(10, false), relay(10, true)]), [15, 1]);
        assert_eq!(all(&[relay(10, true), relay(10, true)]), [1, 1]);
        assert_eq!(
            all(&[relay(5, false), relay(5, true), relay(5, false)]),
            [9, 1, 9]
        );
    }
}
