//! The rate is the rate, and it is used.

use super::profile::Profile;
use super::world::World;
use mailq::domain::rate::Rate;
use std::time::Duration;

/// While there is work and nobody comes or goes at least this much of the rate is used.
const USED: f64 = 0.98;

pub fn check(world: &World) -> Result<(), String> {
    let Rate::Limited { count, window } = world.rate else {
        return Ok(());
    };
    let transactions = world.mailbox.transactions.borrow();
    let mut begun: Vec<Duration> = transactions
        .iter()
        .map(|transaction| transaction.begun_at)
        .collect();
    begun.sort_unstable();
    let mut first = 0;
    for (index, at) in begun.iter().enumerate() {
        while *at >= begun[first] + window {
            first += 1;
        }
        let inside = (index - first + 1) as u64;
        if inside > count {
            return Err(format!("{inside} of {count} in {window:?} until {at:?}"));
        }
    }
    check_used(world, &begun, window.as_secs_f64() / count as f64)
}

fn check_used(world: &World, begun: &[Duration], interval: f64) -> Result<(), String> {
    let (Some(first), Some(last)) = (begun.first(), begun.last()) else {
        return Ok(());
    };
    // By the second a slot may be 5 ms late, and a commit of the queue in memory takes up to 20 ms.
    let is_by_the_second =
        matches!(world.rate, Rate::Limited { window, .. } if window < Duration::from_secs(60));
    if world.profile != Profile::Paced || world.kills + world.rebalances > 0 || is_by_the_second {
        return Ok(());
    }
    // One slot is lost where the workers that start together share the partitions out.
    let span = (*last - *first).as_secs_f64() - interval;
    let used = (begun.len() - 1) as f64 * interval / span.max(interval);
    if used < USED {
        return Err(format!(
            "{used:.3} of {:?} used by {} messages",
            world.rate,
            begun.len()
        ));
    }
    Ok(())
}
