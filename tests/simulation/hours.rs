//! No message begins outside the send windows.

use super::world::World;
use mailq_testkit::memory::VirtualClock;

pub fn check(world: &World) -> Result<(), String> {
    let windows = world.profile.windows();
    for transaction in world.mailbox.transactions.borrow().iter() {
        if !windows.is_open(VirtualClock::wall(transaction.begun_at)) {
            return Err(format!(
                "{} began outside the send windows, at {:?}",
                transaction.id, transaction.begun_at
            ));
        }
    }
    Ok(())
}
