//! The set of addresses seen so far, for the duplicate check, with a number for each. It stores 12 bytes of hash and the
//! number for each address. Its tables grow by a quarter, so an address takes at most 24 bytes (see the test). There are
//! many small tables, because a table is in memory twice while it grows.

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

/// The lowest bits of a slot are the number of its address.
const NUMBER_BITS: u32 = 32;

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
        self.enter(key, 0).is_none()
    }

    /// Adds an address with a number, if it is new. Otherwise returns the number that it was added with.
    pub fn enter(&mut self, key: &str, number: u32) -> Option<u32> {
        let (shard, digest) = self.place(key);
        let shard = self.shards.get_mut(shard)?;
        shard.enter(digest | u128::from(number))
    }

    /// Whether an address was added, by its mailbox key.
    pub fn contains(&self, key: &str) -> bool {
        self.number(key).is_some()
    }

    /// The number that an address was added with.
    pub fn number(&self, key: &str) -> Option<u32> {
        let (shard, digest) = self.place(key);
        self.shards.get(shard)?.find(digest)
    }

    /// The shard, and the digest above the bits of the number.
    fn place(&self, key: &str) -> (usize, u128) {
        let [high, low] = self.keys.each_ref().map(|state| state.hash_one(key));
        let digest = (u128::from(high) << 64 | u128::from(low)) >> NUMBER_BITS;
        (low as usize % SHARDS, digest.max(1) << NUMBER_BITS)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|s| s.slots.capacity() * 16).sum()
    }
}

impl Shard {
    fn enter(&mut self, slot: u128) -> Option<u32> {
        if (self.used + 1) * 100 > self.slots.len() * FULL_PERCENT {
            self.grow();
        }
        let found = insert(&mut self.slots, slot);
        self.used += usize::from(found.is_none());
        found
    }

    fn find(&self, digest: u128) -> Option<u32> {
        let (before, after) = self.slots.split_at(home(&self.slots, digest));
        let mut slots = after.iter().chain(before).take_while(|slot| **slot != 0);
        let found = slots.find(|slot| is_same(**slot, digest));
        found.map(|slot| *slot as u32)
    }

    fn grow(&mut self) {
        let count = (self.slots.len() + self.slots.len() / 4).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; count]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            insert(&mut self.slots, slot);
        }
    }
}

fn home(slots: &[u128], digest: u128) -> usize {
    (((digest >> 64) * slots.len() as u128) >> 64) as usize
}

fn is_same(slot: u128, digest: u128) -> bool {
    slot >> NUMBER_BITS == digest >> NUMBER_BITS
}

/// Puts a digest with its number into the first free slot at or after its home slot. If it is in the table already,
/// returns the number there. The table must have a free slot.
fn insert(slots: &mut [u128], new: u128) -> Option<u32> {
    let home = home(slots, new);
    let (before, after) = slots.split_at_mut(home);
    for slot in after.iter_mut().chain(before) {
        if *slot == 0 {
            *slot = new;
            return None;
        }
        if is_same(*slot, new) {
            return Some(*slot as u32);
        }
    }
    None
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
        for number in [0, 7, u32::MAX] {
            let key = format!("numbered{number}@example.org");
            assert_eq!(set.enter(&key, number), None);
            assert_eq!(set.enter(&key, 3), Some(number));
            assert_eq!(set.number(&key), Some(number));
        }
        for row in 0..200_000 {
            assert!(set.contains(&format!("user{row}@example.org")));
            assert!(!set.insert(&format!("user{row}@example.org")));
        }
    }
}
