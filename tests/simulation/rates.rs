//! Checks that the rate is never exceeded, and that it is used.

use super::profile::Profile;
use super::world::World;
use mailq::domain::rate::Rate;
use mailq_testkit::memory::ProcessId;
use std::collections::BTreeSet;
use std::time::Duration;

/// At least this much of the rate is used while there is work and no worker starts or stops.
const USED: f64 = 0.98;

pub fn check(world: &World) -> Result<(), String> {
    check_sites(world)?;
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
        let changed = changed(world, (*at).saturating_sub(window), *at);
        if inside > count + changed {
            return Err(format!(
                "{inside} of {count} in {window:?} until {at:?}, {changed} workers changed"
            ));
        }
    }
    check_used(world, &begun, window.as_secs_f64() / count as f64)
}

/// No window holds more messages to a site than its rate.
fn check_sites(world: &World) -> Result<(), String> {
    let transactions = world.mailbox.transactions.borrow();
    for (site, limit) in &world.sites {
        let Rate::Limited { count, window } = limit.rate else {
            continue;
        };
        let to_site = transactions.iter().filter(|t| t.address.ends_with(site));
        let mut begun: Vec<Duration> = to_site.map(|t| t.begun_at).collect();
        begun.sort_unstable();
        for (first, at) in begun.iter().enumerate() {
            let inside = begun.iter().skip(first).take_while(|t| **t < *at + window);
            let inside = inside.count() as u64;
            if inside > count {
                return Err(format!(
                    "{inside} of {count} to {site} in {window:?} from {at:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Whether the rate must be used up. With work in all partitions a worker that has finished leaves its share unused
/// until the others' have grown.
fn must_be_used(profile: Profile) -> bool {
    matches!(profile, Profile::Paced | Profile::Alone)
}

/// Workers that started, stopped or changed their share of the rate: each may be one message ahead.
fn changed(world: &World, from: Duration, until: Duration) -> u64 {
    if !world.profile.is_shared() {
        return 0;
    }
    let changes = world.changes.borrow();
    let inside = changes.iter().filter(|(at, _)| from < *at && *at <= until);
    let workers: BTreeSet<ProcessId> = inside.map(|(_, worker)| *worker).collect();
    workers.len() as u64
}

fn check_used(world: &World, begun: &[Duration], interval: f64) -> Result<(), String> {
    let (Some(first), Some(last)) = (begun.first(), begun.last()) else {
        return Ok(());
    };
    // With windows of a second a slot may be 5 ms late, and a commit of the queue in memory takes up to 20 ms.
    let is_by_the_second =
        matches!(world.rate, Rate::Limited { window, .. } if window < Duration::from_secs(60));
    if !must_be_used(world.profile) || world.kills + world.rebalances > 0 || is_by_the_second {
        return Ok(());
    }
    // One slot is lost while workers that start together divide the partitions.
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
