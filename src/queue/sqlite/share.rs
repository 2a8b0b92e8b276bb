//! Who should hold which partitions: pure arithmetic over what everybody can see in the file.

use crate::domain::ids::Partition;
use std::collections::{BTreeMap, BTreeSet};

/// A member's number; a name that comes back has another.
pub(super) type MemberId = i64;

/// What all members see in one transaction.
pub(super) struct View<'a> {
    pub partitions: Partition,
    /// In order of their numbers.
    pub living: &'a [MemberId],
    pub owners: &'a BTreeMap<Partition, MemberId>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    pub take: Vec<Partition>,
    pub give: Vec<Partition>,
}

/// What this member should take of what is free, and give up beyond what it is `giving` already: with n living each
/// holds the whole part of partitions/n, and as few as needed one more; who has one more keeps it.
pub(super) fn decide(view: &View<'_>, me: MemberId, giving: &BTreeSet<Partition>) -> Shares {
    let members = view.living.len().max(1);
    let partitions = usize::try_from(view.partitions).unwrap_or(usize::MAX);
    let (part, extras) = (partitions / members, partitions % members);
    let count = |member| view.owners.values().filter(|o| **o == member).count();
    let mine = count(me);
    let larger = |member: &&MemberId| count(**member) > part;
    let others_larger = view
        .living
        .iter()
        .filter(|m| **m != me)
        .filter(larger)
        .count();
    let before_me = view
        .living
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
    let excess = mine.saturating_sub(keep).saturating_sub(giving.len());
    let give = held
        .rev()
        .filter(|partition| !giving.contains(partition))
        .take(excess)
        .collect();

    let limit = part + usize::from(others_larger < extras);
    let take = (0..view.partitions)
        .filter(|partition| !view.owners.contains_key(partition))
        .take(limit.saturating_sub(mine))
        .collect();
    Shares { take, give }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Members act one after another until nothing changes: what is given is released at once.
    fn settle(
        partitions: Partition,
        living: &[MemberId],
        owners: &mut BTreeMap<Partition, MemberId>,
    ) -> usize {
        owners.retain(|_, owner| living.contains(owner));
        let mut moved = 0;
        for round in 0.. {
            assert!(round < 20, "never settles: {owners:?}");
            let mut quiet = true;
            for me in living {
                let view = View {
                    partitions,
                    living,
                    owners,
                };
                let shares = decide(&view, *me, &BTreeSet::new());
                quiet &= shares == Shares::default();
                for partition in shares.give {
                    assert_eq!(owners.remove(&partition), Some(*me));
                    moved += 1;
                }
                for partition in shares.take {
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
    fn one_two_three_and_back() {
        let mut owners = BTreeMap::new();
        assert_eq!(settle(8, &[1], &mut owners), 0);
        assert_eq!(settle(8, &[1, 2], &mut owners), 4);
        assert_eq!(settle(8, &[1, 2, 3], &mut owners), 2);
        assert_eq!(settle(8, &[1, 3], &mut owners), 0);
        assert_eq!(settle(8, &[3], &mut owners), 0);
        assert!(owners.values().all(|owner| *owner == 3) && owners.len() == 8);
    }

    #[test]
    fn what_is_being_given_is_not_told_twice() {
        let owners = (0..8).map(|partition| (partition, 1)).collect();
        let view = View {
            partitions: 8,
            living: &[1, 2],
            owners: &owners,
        };
        let giving = BTreeSet::from([7, 6]);
        assert_eq!(decide(&view, 1, &giving).give, [5, 4]);
        assert_eq!(decide(&view, 2, &BTreeSet::new()), Shares::default());
    }

    proptest! {
        #[test]
        fn everybody_gets_a_fair_share(
            partitions in 1u32..20,
            sets in proptest::collection::vec(proptest::collection::btree_set(1i64..12, 1..11), 1..6),
        ) {
            let mut owners = BTreeMap::new();
            for living in sets {
                let living: Vec<MemberId> = living.into_iter().collect();
                settle(partitions, &living, &mut owners);
                prop_assert_eq!(owners.len(), partitions as usize);
                let (all, members) = (partitions as usize, living.len());
                let part = all / members;
                for member in &living {
                    let count = owners.values().filter(|owner| *owner == member).count();
                    prop_assert!(count == part || (count == part + 1 && !all.is_multiple_of(members)));
                }
            }
        }
    }
}
