//! No day has more messages than the relay's quota, whatever happens to the workers.

use super::world::World;
use mailq_testkit::memory::VirtualClock;
use std::collections::BTreeMap;

pub fn check(world: &World) -> Result<(), String> {
    let Some(quota) = &world.quota else {
        return Ok(());
    };
    let mut days = BTreeMap::new();
    for transaction in world.mailbox.transactions.borrow().iter() {
        let begun_at = VirtualClock::wall(transaction.begun_at);
        *days.entry(quota.day_of(begun_at)).or_insert(0_u64) += 1;
    }
    let most = days.values().copied().max().unwrap_or_default();
    match quota.limit(0) {
        Some(limit) if most > limit => Err(format!("{most} messages in a day of {limit}")),
        _ => Ok(()),
    }
}
