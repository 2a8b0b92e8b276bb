//! Which partitions a member should take and release. Every member computes this from the same rows; no I/O.

use crate::domain::ids::Partition;
use std::collections::{BTreeMap, BTreeSet};

/// `member.id`. A worker that joins again gets a new one, also under the same name.
pub(super) type MemberId = i64;

/// Members and owners, read in one transaction.
pub(super) struct View<'a> {
    pub partitions: Partition,
    /// In ascending order.
    pub alive: &'a [MemberId],
    pub owners: &'a BTreeMap<Partition, MemberId>,
}

/// Indexes of partitions; the partitions of all topics with this index go together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rebalance {
    pub acquire: Vec<Partition>,
    pub release: Vec<Partition>,
}

/// Free partitions that this member should take, and owned ones that it should release beside those it is `releasing`.
/// Of n members each owns partitions/n, rounded down; as many as there are partitions left own one more. A member that
/// owns one more keeps it, so that no partition moves without need.
pub(super) fn rebalance(
    view: &View<'_>,
    me: MemberId,
    releasing: &BTreeSet<Partition>,
) -> Rebalance {
    let members = view.alive.len().max(1);
    let partitions = usize::try_from(view.partitions).unwrap_or(usize::MAX);
    let (part, extras) = (partitions / members, partitions % members);
    let count = |member| view.owners.values().filter(|o| **o == member).count();
    let mine = count(me);
    let larger = |member: &&MemberId| count(**member) > part;
    let others_larger = view
        .alive
        .iter()
        .filter(|m| **m != me)
        .filter(larger)
        .count();
    let before_me = view
        .alive
        .iter()
        .filter(|m| **m < me)
        .filter(larger)
        .count();

    let keep = part + usize::from(before_me < extras);
    let held = view
        .owners
        .iter()
        .filter(|(_, owner)| **owner == me)
        .map(|(p, _)| *p);
    let excess = mine.saturating_sub(keep).saturating_sub(releasing.len());
    let release = held
        .rev()
        .filter(|partition| !releasing.contains(partition))
        .take(excess)
        .collect();

    let limit = part + usize::from(others_larger < extras);
    let acquire = (0..view.partitions)
        .filter(|partition| !view.owners.contains_key(partition))
        .take(limit.saturating_sub(mine))
        .collect();
    Rebalance { acquire, release }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lets members act in turn until nothing changes. Each releases at once what it should.
    fn settle(
        partitions: Partition,
        alive: &[MemberId],
        owners: &mut BTreeMap<Partition, MemberId>,
    ) -> usize {
        owners.retain(|_, owner| alive.contains(owner));
        let mut moved = 0;
        for round in 0.. {
            assert!(round < 20, "never settles: {owners:?}");
            let mut quiet = true;
            for me in alive {
                let view = View {
                    partitions,
                    alive,
                    owners,
                };
                let changes = rebalance(&view, *me, &BTreeSet::new());
                quiet &= changes == Rebalance::default();
                for partition in changes.release {
                    assert_eq!(owners.remove(&partition), Some(*me));
                    moved += 1;
                }
                for partition in changes.acquire {
                    assert_eq!(owners.insert(partition, *me), None);
                }
            }
            if quiet {
                break;
            }
        }
        moved
    }

    #[test]
    fn members_that_come_and_go_move_few_partitions() {
        let mut owners = BTreeMap::new();
        assert_eq!(settle(8, &[1], &mut owners), 0);
        assert_eq!(settle(8, &[1, 2], &mut owners), 4);
        assert_eq!(settle(8, &[1, 2, 3], &mut owners), 2);
        assert_eq!(settle(8, &[1, 3], &mut owners), 0);
        assert_eq!(settle(8, &[3], &mut owners), 0);
        assert!(owners.values().all(|owner| *owner == 3) && owners.len() == 8);
    }

    #[test]
    fn partitions_being_released_are_not_asked_for_again() {
        let owners = (0..8).map(|partition| (partition, 1)).collect();
        let view = View {
            partitions: 8,
            alive: &[1, 2],
            owners: &owners,
        };
        let releasing = BTreeSet::from([7, 6]);
        assert_eq!(rebalance(&view, 1, &releasing).release, [5, 4]);
        assert_eq!(rebalance(&view, 2, &BTreeSet::new()), Rebalance::default());
    }

    proptest! {
        #[test]
        fn every_member_gets_a_fair_share(
            partitions in 1u32..20,
            sets in proptest::collection::vec(proptest::collection::btree_set(1i64..12, 1..11), 1..6),
        ) {
            let mut owners = BTreeMap::new();
            for alive in sets {
                let alive: Vec<MemberId> = alive.into_iter().collect();
                settle(partitions, &alive, &mut owners);
                prop_assert_eq!(owners.len(), partitions as usize);
                let (all, members) = (partitions as usize, alive.len());
                let part = all / members;
                for member in &alive {
                    let count = owners.values().filter(|owner| *owner == member).count();
                    prop_assert!(count == part || (count == part + 1 && !all.is_multiple_of(members)));
                }
            }
        }
    }
}
