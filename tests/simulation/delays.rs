//! Checks times: schedules, expiry, tiers, the suppression list, tries.

use super::claims::{Claims, valid};
use super::profile::Profile;
use super::world::{LEASE, World, schedule};
use mailq::clock::Clock;
use mailq::domain::topic::Topic;
use mailq::protocol::Ledger;
use mailq::queue::chunk;
use std::collections::BTreeMap;
use std::time::Duration;

/// Control, and so the suppression list, takes effect within this.
const EFFECT: Duration = Duration::from_secs(2);

pub fn check(world: &World, ledger: &Ledger, claims: &Claims) -> Result<(), String> {
    check_tiers(world, claims)?;
    check_schedules(world, ledger)?;
    check_suppressed(world)?;
    check_tries(world)
}

/// No retry begins before its tier's delay less the jitter.
fn check_tiers(world: &World, claims: &Claims) -> Result<(), String> {
    let clock = world.log.clock();
    let origin = clock.now() - clock.since_boot();
    let mut due = BTreeMap::new();
    let delays = claims
        .values()
        .flatten()
        .filter_map(|claim| match claim.at.topic {
            Topic::Retry(delay) => Some(delay),
            _ => None,
        });
    for delay in delays.collect::<std::collections::BTreeSet<_>>() {
        for (partition, stored) in world.log.all_appended(Topic::Retry(delay)) {
            let spread = delay.mul_f64(schedule().jitter);
            let from = stored
                .appended_at
                .duration_since(origin)
                .unwrap_or_default()
                + delay
                - spread;
            due.insert((Topic::Retry(delay), partition, stored.offset), from);
        }
    }
    let transactions = world.mailbox.transactions.borrow();
    for transaction in transactions.iter() {
        let may = valid(transaction, claims).into_iter().any(|claim| {
            let place = (claim.at.topic, claim.at.partition, claim.reference.offset);
            due.get(&place)
                .is_none_or(|from| *from <= transaction.begun_at)
        });
        if !may {
            return Err(format!("sent before it was due: {transaction:?}"));
        }
    }
    Ok(())
}

fn check_schedules(world: &World, ledger: &Ledger) -> Result<(), String> {
    let clock = world.log.clock();
    let origin = clock.now() - clock.since_boot();
    let since_boot = |at: std::time::SystemTime| at.duration_since(origin).unwrap_or_default();
    for plan in &world.plans {
        let ids: std::collections::BTreeSet<String> = (0..plan.rows)
            .map(|row| super::campaign::message_id(&plan.id, row))
            .collect();
        let start = plan.not_before.map(since_boot);
        let end = ledger.expires_at(plan.id.key()).map(since_boot);
        let transactions = world.mailbox.transactions.borrow();
        for transaction in transactions
            .iter()
            .filter(|transaction| ids.contains(&transaction.id))
        {
            if start.is_some_and(|start| transaction.begun_at < start) {
                return Err(format!("sent before --at: {transaction:?}"));
            }
            // A message that was claimed in time may be sent as long as its claim is valid.
            if end.is_some_and(|end| transaction.begun_at >= end + LEASE * 2 / 3) {
                return Err(format!("sent after it had expired: {transaction:?}"));
            }
        }
    }
    Ok(())
}

fn check_suppressed(world: &World) -> Result<(), String> {
    if world.profile != Profile::Clean {
        return Ok(());
    }
    let list = world.suppressed.borrow();
    for transaction in world.mailbox.transactions.borrow().iter() {
        let late = list.iter().find(|(address, since)| {
            *address == transaction.address && transaction.begun_at > *since + EFFECT
        });
        if let Some((_, since)) = late {
            return Err(format!(
                "sent though suppressed since {since:?}: {transaction:?}"
            ));
        }
    }
    Ok(())
}

/// A moved message has used at most as many tries as there were replies that use one.
fn check_tries(world: &World) -> Result<(), String> {
    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    for transaction in world
        .mailbox
        .transactions
        .borrow()
        .iter()
        .filter(|t| t.uses_try)
    {
        *used.entry(transaction.id.clone()).or_default() += 1;
    }
    for delay in [1, 2, 4].map(Duration::from_secs) {
        for (_, stored) in world.log.all_appended(Topic::Retry(delay)) {
            for message in chunk::decode(&stored.record)
                .map_err(|error| error.to_string())?
                .messages
            {
                let most = used
                    .get(&message.line.id)
                    .copied()
                    .unwrap_or(0)
                    .min(schedule().tries);
                if message.line.tries > most {
                    return Err(format!(
                        "{} tries of {most}: {:?}",
                        message.line.tries, message.line
                    ));
                }
            }
        }
    }
    Ok(())
}
