//! Remembers which addresses have come already: 16 bytes for each in a table that grows by a quarter, so at most 24
//! bytes a row (see the test), and only one shard of many is there twice while it grows.

use std::hash::{BuildHasher, RandomState};

const SHARDS: usize = 64;
/// A shard grows when it is fuller than this many percent; after growing by a quarter it is at least 68 % full.
const FULL_PERCENT: usize = 85;
const FIRST_SLOTS: usize = 16;

pub struct Seen {
    /// Random for each process, so that nobody can write a list whose addresses collide.
    keys: [RandomState; 2],
    shards: Vec<Shard>,
}

/// Open addressing with linear probing; 0 is a free slot.
#[derive(Default)]
struct Shard {
    slots: Vec<u128>,
    used: usize,
}

impl Seen {
    pub fn new() -> Seen {
        Seen {
            keys: [RandomState::new(), RandomState::new()],
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// Whether it is the first of its kind.
    pub fn insert(&mut self, folded: &str) -> bool {
        let [high, low] = self.keys.each_ref().map(|key| key.hash_one(folded));
        let digest = (u128::from(high) << 64 | u128::from(low)).max(1);
        match self.shards.get_mut(high as usize % SHARDS) {
            Some(shard) => shard.insert(digest),
            None => true,
        }
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
        let is_new = place(&mut self.slots, digest);
        self.used += usize::from(is_new);
        is_new
    }

    fn grow(&mut self) {
        let count = (self.slots.len() + self.slots.len() / 4).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; count]);
        for digest in old.into_iter().filter(|digest| *digest != 0) {
            place(&mut self.slots, digest);
        }
    }
}

/// Puts a digest into the first free slot from its own on; `false` if it is there already.
fn place(slots: &mut [u128], digest: u128) -> bool {
    let low = digest & u128::from(u64::MAX);
    let home = ((low * slots.len() as u128) >> 64) as usize;
    let (before, after) = slots.split_at_mut(home.min(slots.len()));
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
    fn finds_every_second_one_within_24_bytes_each() {
        let mut seen = Seen::new();
        for row in 0..200_000 {
            assert!(seen.insert(&format!("user{row}@example.org")));
            if row % 997 == 0 && row > 10_000 {
                assert!(seen.bytes() <= (row + 1) * 24, "{} at {row}", seen.bytes());
            }
        }
        for row in 0..200_000 {
            assert!(!seen.insert(&format!("user{row}@example.org")));
        }
    }
}
