//! The set of addresses seen so far, for the duplicate check. It stores 16 bytes of hash for each address. Its tables
//! grow by a quarter, so an address takes at most 24 bytes (see the test). There are many small tables, because a table
//! is in memory twice while it grows.

use std::hash::{BuildHasher, RandomState};

const SHARDS: usize = 64;
/// A shard that is fuller than this grows by a quarter, and is at least 68 % full then.
const FULL_PERCENT: usize = 85;
const FIRST_SLOTS: usize = 16;

pub struct AddressSet {
    /// Random for each process, so that a list cannot be made whose addresses collide.
    keys: [RandomState; 2],
    shards: [Shard; SHARDS],
}

/// A hash table with open addressing and linear probing. 0 marks a free slot.
#[derive(Default)]
struct Shard {
    slots: Vec<u128>,
    used: usize,
}

impl Default for AddressSet {
    fn default() -> AddressSet {
        AddressSet::new()
    }
}

impl AddressSet {
    pub fn new() -> AddressSet {
        AddressSet {
            keys: [RandomState::new(), RandomState::new()],
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }

    /// Adds an address by its [`mailbox_key`](crate::domain::mailbox_key::mailbox_key). Returns whether it is new.
    pub fn insert(&mut self, key: &str) -> bool {
        let (shard, digest) = self.place(key);
        self.shards
            .get_mut(shard)
            .is_some_and(|shard| shard.insert(digest))
    }

    /// Whether an address was added, by its mailbox key.
    pub fn contains(&self, key: &str) -> bool {
        let (shard, digest) = self.place(key);
        self.shards
            .get(shard)
            .is_some_and(|shard| shard.contains(digest))
    }

    fn place(&self, key: &str) -> (usize, u128) {
        let [high, low] = self.keys.each_ref().map(|state| state.hash_one(key));
        let digest = (u128::from(high) << 64 | u128::from(low)).max(1);
        (high as usize % SHARDS, digest)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|s| s.slots.capacity() * 16).sum()
    }
}

impl Shard {
    fn insert(&mut self, digest: u128) -> bool {
        if (self.used + 1) * 100 > self.slots.len() * FULL_PERCENT {
            self.grow();
        }
        let is_new = insert(&mut self.slots, digest);
        self.used += usize::from(is_new);
        is_new
    }

    fn contains(&self, digest: u128) -> bool {
        let (before, after) = self.slots.split_at(home(&self.slots, digest));
        after
            .iter()
            .chain(before)
            .take_while(|slot| **slot != 0)
            .any(|slot| *slot == digest)
    }

    fn grow(&mut self) {
        let count = (self.slots.len() + self.slots.len() / 4).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; count]);
        for digest in old.into_iter().filter(|digest| *digest != 0) {
            insert(&mut self.slots, digest);
        }
    }
}

fn home(slots: &[u128], digest: u128) -> usize {
    let low = digest & u128::from(u64::MAX);
    ((low * slots.len() as u128) >> 64) as usize
}

/// Puts a digest into the first free slot at or after its home slot. `false` if it is in the table already. The table
/// must have a free slot.
fn insert(slots: &mut [u128], digest: u128) -> bool {
    let home = home(slots, digest);
    let (before, after) = slots.split_at_mut(home);
    for slot in after.iter_mut().chain(before) {
        if *slot == digest {
            return false;
        }
        if *slot == 0 {
            *slot = digest;
            return true;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_duplicate_within_24_bytes_an_address() {
        let mut set = AddressSet::new();
        for row in 0..200_000 {
            assert!(set.insert(&format!("user{row}@example.org")));
            if row % 997 == 0 && row > 10_000 {
                assert!(set.bytes() <= (row + 1) * 24, "{} at {row}", set.bytes());
            }
        }
        assert!(!set.contains("user200000@example.org"));
        for row in 0..200_000 {
            assert!(set.contains(&format!("user{row}@example.org")));
            assert!(!set.insert(&format!("user{row}@example.org")));
        }
    }
}
