//! The heartbeat of a member: one write transaction in which it renews what it owns and gains and loses partitions.

use super::failure::{Failure, unsigned};
use super::leases::{self, Lease, ThisMember};
use super::rebalance::{MemberId, Rebalance, View, rebalance};
use crate::domain::ids::Partition;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::Token;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// A partition that this process owned when it last looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub token: Token,
    /// The engine was asked to release it.
    pub is_releasing: bool,
}

pub(super) type Held = BTreeMap<TopicPartition, Holding>;

/// What a heartbeat has changed, and what the next one needs.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    pub lost: Vec<(TopicPartition, Token)>,
    pub gained: Vec<(TopicPartition, Token)>,
    /// Indexes of partitions that others should have.
    pub release: Vec<Partition>,
    /// Other members that are alive.
    pub others: Vec<(MemberId, String)>,
    /// Expired leases of other members. The next heartbeat ends those that are not renewed by then.
    pub expired: Expired,
}

/// Expired leases: `partition.id` and token.
pub(super) type Expired = BTreeSet<(i64, i64)>;

/// What this process knows of the others before a heartbeat.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Members whose lock files are free.
    pub dead: Vec<MemberId>,
    /// `expired` of the heartbeat before, if that succeeded.
    pub expired: Expired,
}

/// Ends dead members and leases that stay expired, renews this member's leases, takes free partitions up to its share,
/// and finds partitions beyond it.
pub(super) fn heartbeat(
    connection: &Connection,
    me: &ThisMember,
    held: &Held,
    observed: &Observed,
) -> Result<Heartbeat, Failure> {
    let now = leases::now();
    let until = now.saturating_add(leases::nanos(me.lease));
    let expired = end_expired(connection, me, (held, observed), now)?;
    connection.execute(
        "INSERT INTO member (id, name, expires) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET expires = excluded.expires",
        params![me.id, me.name, until],
    )?;
    let leases = leases::all(connection)?;
    let mut result = Heartbeat {
        expired,
        ..Heartbeat::default()
    };
    let is_held = |lease: &&Lease| held.get(&lease.at).is_some_and(|h| h.token == lease.token);
    let (kept, released): (Vec<&Lease>, Vec<&Lease>) = leases
        .iter()
        .filter(|lease| lease.member == me.id)
        .partition(is_held);
    for lease in &kept {
        leases::renew(connection, lease.partition, until)?;
    }
    for (at, holding) in held {
        if !kept.iter().any(|lease| lease.at == *at) {
            result.lost.push((*at, holding.token));
        }
    }
    // A lease that this process has released already is about to be deleted from the file: it counts as being released,
    // like those that the engine was asked to release.
    let asked = held.iter().filter(|(_, holding)| holding.is_releasing);
    let releasing: BTreeSet<Partition> = asked
        .map(|(at, _)| at.partition)
        .chain(released.iter().map(|lease| lease.at.partition))
        .collect();
    let alive = leases::alive(connection, now)?;
    let ids: Vec<MemberId> = alive.iter().map(|(id, _)| *id).collect();
    let owners = leases.iter().map(|l| (l.at.partition, l.member)).collect();
    let view = View {
        partitions: me.partitions,
        alive: &ids,
        owners: &owners,
    };
    let Rebalance { acquire, release } = rebalance(&view, me.id, &releasing);
    let staying = kept
        .iter()
        .map(|lease| lease.at.partition)
        .filter(|index| !releasing.contains(index) && !release.contains(index));
    for index in staying.chain(acquire).collect::<BTreeSet<_>>() {
        result.gained.extend(gain(connection, me.id, index, until)?);
    }
    result.release = release;
    result.others = alive.into_iter().filter(|(id, _)| *id != me.id).collect();
    Ok(result)
}

/// Ends memberships whose lock files are free, and leases that were expired at the heartbeat before and were not renewed
/// since. A disk that stands still stops all heartbeats alike, so an owner gets the time of one heartbeat to renew a
/// lease. Until another member ends it, an expired lease is its owner's. Returns the leases that have newly expired.
///
/// This member may have leases that it does not hold: it has released them and the file does not say so yet, or it did
/// not learn that a heartbeat of unknown result has gained them. Nobody renews those, so they end like those of others.
fn end_expired(
    connection: &Connection,
    me: &ThisMember,
    (held, observed): (&Held, &Observed),
    now: i64,
) -> Result<Expired, Failure> {
    for member in observed.dead.iter().filter(|member| **member != me.id) {
        leases::remove(connection, *member)?;
    }
    let held: BTreeSet<Token> = held.values().map(|holding| holding.token).collect();
    let mut select = connection
        .prepare_cached("SELECT partition, token, member FROM lease WHERE expires <= ?1")?;
    let mut rows = select.query([now])?;
    let mut expired = Expired::new();
    while let Some(row) = rows.next()? {
        let is_held = row.get::<_, MemberId>(2)? == me.id && held.contains(&unsigned(row, 1)?);
        if !is_held {
            expired.insert((row.get(0)?, row.get(1)?));
        }
    }
    for lease in observed.expired.intersection(&expired) {
        connection
            .prepare_cached("DELETE FROM lease WHERE partition = ?1 AND token = ?2")?
            .execute([lease.0, lease.1])?;
    }
    expired.retain(|lease| !observed.expired.contains(lease));
    Ok(expired)
}

/// Takes leases on the free partitions of this index, of all topics that are owned, each with a new token.
fn gain(
    connection: &Connection,
    me: MemberId,
    index: Partition,
    until: i64,
) -> Result<Vec<(TopicPartition, Token)>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT id, topic FROM partition WHERE number = ?1
         AND id NOT IN (SELECT partition FROM lease) ORDER BY id",
    )?;
    let free: Vec<(i64, String)> = select
        .query_map([index], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut gained = Vec::new();
    for (id, topic) in free {
        // A topic that this version does not know is left to the version that does.
        let topic = topic.parse().ok().filter(Topic::is_owned);
        let Some(at) = topic.map(|topic| TopicPartition::new(topic, index)) else {
            continue;
        };
        let token = connection
            .prepare_cached(
                "UPDATE meta SET value = value + 1 WHERE name = 'token' RETURNING value",
            )?
            .query_row([], |row| unsigned(row, 0))?;
        connection
            .prepare_cached(
                "INSERT INTO lease (partition, member, token, expires)
                 SELECT ?1, ?2, value, ?3 FROM meta WHERE name = 'token'",
            )?
            .execute([id, me, until])?;
        gained.push((at, token));
    }
    Ok(gained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::sqlite::log::create_topics;
    use crate::queue::{Commit, CommitOutcome};
    use std::time::Duration;

    const LEASE: Duration = Duration::from_secs(600);

    fn file() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("schema.sql"))
            .unwrap();
        connection
            .execute_batch("INSERT INTO meta VALUES ('token', 0)")
            .unwrap();
        connection
    }

    fn member(connection: &Connection, name: &str) -> ThisMember {
        ThisMember {
            id: leases::join(connection, name, LEASE).unwrap(),
            name: name.to_string(),
            lease: LEASE,
            partitions: 8,
        }
    }

    fn held(result: &Heartbeat) -> Held {
        let is_releasing = false;
        let gained = result.gained.iter();
        gained
            .map(|(at, token)| {
                let token = *token;
                (
                    *at,
                    Holding {
                        token,
                        is_releasing,
                    },
                )
            })
            .collect()
    }

    /// The process has released the partitions, and the file does not say so yet when the heartbeat runs.
    #[test]
    fn a_release_in_flight_is_neither_undone_nor_asked_for_again() {
        let connection = file();
        let tier = Topic::Retry(Duration::from_secs(60));
        create_topics(&connection, &[(Topic::Send, 8), (tier, 8)]).unwrap();
        let a = member(&connection, "a");
        let first = heartbeat(&connection, &a, &Held::new(), &Observed::default()).unwrap();
        assert_eq!(first.gained.len(), 16);
        let mut holds = held(&first);
        let b = member(&connection, "b");
        let second = heartbeat(&connection, &a, &holds, &Observed::default()).unwrap();
        assert_eq!(second.release, [7, 6, 5, 4]);
        for (at, holding) in &mut holds {
            holding.is_releasing = second.release.contains(&at.partition);
        }
        let send = TopicPartition::new(Topic::Send, 7);
        let token = holds.remove(&send).unwrap().token;
        leases::release(&connection, a.id, send, token).unwrap();
        holds.remove(&TopicPartition::new(tier, 7));
        let third = heartbeat(&connection, &a, &holds, &Observed::default()).unwrap();
        assert!(third.gained.is_empty() && third.release.is_empty() && third.lost.is_empty());
        let other = heartbeat(&connection, &b, &Held::new(), &Observed::default()).unwrap();
        assert!(other.gained.is_empty(), "the tier of 7 is not released");
    }

    #[test]
    fn partitions_that_another_member_took_are_lost() {
        let connection = file();
        create_topics(&connection, &[(Topic::Send, 8)]).unwrap();
        let a = member(&connection, "a");
        let holds = held(&heartbeat(&connection, &a, &Held::new(), &Observed::default()).unwrap());
        let b = member(&connection, "b");
        // Its lock file is free, so it is dead, though its leases have not expired.
        let dead = Observed {
            dead: vec![a.id],
            ..Observed::default()
        };
        let taken = heartbeat(&connection, &b, &Held::new(), &dead).unwrap();
        assert_eq!(taken.gained.len(), 8);
        let woken = heartbeat(&connection, &a, &holds, &Observed::default()).unwrap();
        assert_eq!(woken.lost.len(), 8);
        assert!(woken.gained.is_empty());
        let counts: i64 = connection
            .query_row(
                "SELECT count(*) FROM lease WHERE member = ?1",
                [b.id],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(counts, 8);
    }

    #[test]
    fn heartbeats_and_commits_renew_leases() {
        let connection = file();
        create_topics(&connection, &[(Topic::Send, 2)]).unwrap();
        let a = member(&connection, "a");
        let holds = held(&heartbeat(&connection, &a, &Held::new(), &Observed::default()).unwrap());
        let at = TopicPartition::new(Topic::Send, 0);
        let write = || {
            let commit = Commit {
                at,
                token: holds[&at].token,
                offset: 0,
                text: String::new(),
            };
            leases::commit(&connection, &a, &[commit]).unwrap()
        };
        let set = |expires: i64| {
            connection
                .execute("UPDATE lease SET expires = ?1", [expires])
                .unwrap();
        };
        let kept = || -> Vec<bool> {
            let mut select = connection
                .prepare("SELECT expires > ?1 FROM lease ORDER BY partition")
                .unwrap();
            let half = leases::now() + leases::nanos(LEASE / 2);
            let rows = select.query_map([half], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        set(leases::now() + leases::nanos(LEASE / 9));
        assert_eq!(write(), [CommitOutcome::Done]);
        assert_eq!(kept(), [true, false]);
        heartbeat(&connection, &a, &holds, &Observed::default()).unwrap();
        assert_eq!(kept(), [true, true]);
        set(leases::now());
        assert_eq!(write(), [CommitOutcome::Done]);
        assert_eq!(kept(), [true, false]);
    }

    #[test]
    fn a_lease_that_its_member_does_not_know_is_gained_after_it_has_expired() {
        let connection = file();
        create_topics(&connection, &[(Topic::Send, 2)]).unwrap();
        let a = member(&connection, "a");
        // Committed, and the answer was lost.
        heartbeat(&connection, &a, &Held::new(), &Observed::default()).unwrap();
        let again = |expired: Expired| {
            let observed = Observed {
                expired,
                ..Observed::default()
            };
            heartbeat(&connection, &a, &Held::new(), &observed).unwrap()
        };
        assert!(again(Expired::new()).gained.is_empty());
        connection
            .execute_batch("UPDATE lease SET expires = 1")
            .unwrap();
        let first = again(Expired::new());
        assert_eq!((first.expired.len(), first.gained.len()), (2, 0));
        assert_eq!(again(first.expired).gained.len(), 2);
    }

    #[test]
    fn an_expired_lease_is_ended_by_the_second_heartbeat_that_finds_it() {
        let connection = file();
        create_topics(&connection, &[(Topic::Send, 2)]).unwrap();
        let a = member(&connection, "a");
        let holds = held(&heartbeat(&connection, &a, &Held::new(), &Observed::default()).unwrap());
        let b = member(&connection, "b");
        let expire = || {
            connection
                .execute_batch("UPDATE lease SET expires = 1")
                .unwrap()
        };
        let b_heartbeat = |expired: &Expired| {
            let observed = Observed {
                expired: expired.clone(),
                ..Observed::default()
            };
            heartbeat(&connection, &b, &Held::new(), &observed).unwrap()
        };
        expire();
        let first = b_heartbeat(&Expired::new());
        assert_eq!((first.expired.len(), first.gained.len()), (2, 0));
        // The owner's heartbeat comes in time, so nothing is lost and the earlier finding has no effect.
        let woken = heartbeat(&connection, &a, &holds, &Observed::default()).unwrap();
        assert!(woken.lost.is_empty());
        assert!(b_heartbeat(&first.expired).gained.is_empty());
        expire();
        let found = b_heartbeat(&Expired::new()).expired;
        assert_eq!(found.len(), 2);
        assert!(!b_heartbeat(&found).gained.is_empty());
        let gone = heartbeat(&connection, &a, &holds, &Observed::default()).unwrap();
        assert_eq!(gone.lost.len(), 2);
    }
}
