//! Members and leases as rows: joining, the beat that keeps them, commits judged where they are written. Everything
//! here runs inside a write transaction, so that two processes never see half of each other's step.

use super::failure::Failure;
use super::share::{MemberId, Shares, View, decide};
use crate::clock::{Clock, SystemClock};
use crate::domain::ids::Partition;
use crate::domain::topic::TopicPartition;
use crate::queue::{Commit, CommitOutcome, MAX_COMMIT_TEXT, Member, Token};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Nanoseconds of the boot-time clock.
pub(super) fn now() -> i64 {
    nanos(SystemClock.since_boot())
}

pub(super) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// What a process holds, as it believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub token: Token,
    /// Told to give it up.
    pub giving: bool,
}

pub(super) type Held = BTreeMap<TopicPartition, Holding>;

/// Who beats.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub id: MemberId,
    pub name: String,
    pub lease: Duration,
    pub partitions: Partition,
}

/// What a beat changed.
#[derive(Debug, Default)]
pub(super) struct Beat {
    pub lost: Vec<(TopicPartition, Token)>,
    pub gained: Vec<(TopicPartition, Token)>,
    pub give: Vec<Partition>,
    pub others: Vec<(MemberId, String)>,
    /// Leases of others whose time is over: the next beat ends those that still are as they were.
    pub overdue: Overdue,
}

/// Partition and token of leases whose time is over.
pub(super) type Overdue = BTreeSet<(i64, i64)>;

/// What is known of the others before a beat.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Their lock files are free.
    pub dead: Vec<MemberId>,
    /// What the beat before this one found, if it succeeded.
    pub overdue: Overdue,
}

/// A new member. An older one of the same name is dead: its lock file is ours now.
pub(super) fn join(
    connection: &Connection,
    name: &str,
    lease: Duration,
) -> Result<MemberId, Failure> {
    let older: Option<MemberId> = connection
        .query_row("SELECT id FROM member WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(older) = older {
        remove(connection, older)?;
    }
    connection.execute(
        "INSERT INTO member (name, expires) VALUES (?1, ?2)",
        params![name, now().saturating_add(nanos(lease))],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Ends a membership and its leases.
pub(super) fn remove(connection: &Connection, member: MemberId) -> Result<(), Failure> {
    connection.execute("DELETE FROM lease WHERE member = ?1", [member])?;
    connection.execute("DELETE FROM member WHERE id = ?1", [member])?;
    Ok(())
}

pub(super) fn release(
    connection: &Connection,
    me: MemberId,
    at: TopicPartition,
    token: Token,
) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "DELETE FROM lease WHERE member = ?1 AND token = ?2 AND partition =
             (SELECT id FROM partition WHERE topic = ?3 AND number = ?4)",
        )?
        .execute(params![
            me,
            i64::try_from(token).unwrap_or(-1),
            at.topic.to_string(),
            at.partition
        ])?;
    Ok(())
}

/// A lease in the file.
struct Lease {
    partition: i64,
    at: TopicPartition,
    member: MemberId,
    token: Token,
}

/// One beat: bury the dead, keep what is ours, take what is free, say what is too much.
pub(super) fn beat(
    connection: &Connection,
    me: &Me,
    held: &Held,
    known: &Known,
) -> Result<Beat, Failure> {
    let now = now();
    let until = now.saturating_add(nanos(me.lease));
    let overdue = bury(connection, me, known, now)?;
    connection.execute(
        "INSERT INTO member (id, name, expires) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET expires = excluded.expires",
        params![me.id, me.name, until],
    )?;
    let leases = leases(connection)?;
    let mut beat = Beat {
        overdue,
        ..Beat::default()
    };
    let is_held = |lease: &&Lease| held.get(&lease.at).is_some_and(|h| h.token == lease.token);
    let (kept, released): (Vec<&Lease>, Vec<&Lease>) = leases
        .iter()
        .filter(|lease| lease.member == me.id)
        .partition(is_held);
    for lease in &kept {
        renew(connection, lease.partition, until)?;
    }
    for (at, holding) in held {
        if !kept.iter().any(|lease| lease.at == *at) {
            beat.lost.push((*at, holding.token));
        }
    }
    // What was released and still stands in the file is on its way out, as what we were told to give.
    let told = held.iter().filter(|(_, holding)| holding.giving);
    let giving: BTreeSet<Partition> = told
        .map(|(at, _)| at.partition)
        .chain(released.iter().map(|lease| lease.at.partition))
        .collect();
    let living = living(connection, now)?;
    let ids: Vec<MemberId> = living.iter().map(|(id, _)| *id).collect();
    let owners = leases.iter().map(|l| (l.at.partition, l.member)).collect();
    let view = View {
        partitions: me.partitions,
        living: &ids,
        owners: &owners,
    };
    let Shares { take, give } = decide(&view, me.id, &giving);
    let staying = kept
        .iter()
        .map(|lease| lease.at.partition)
        .filter(|index| !giving.contains(index) && !give.contains(index));
    for index in staying.chain(take).collect::<BTreeSet<_>>() {
        beat.gained.extend(gain(connection, me.id, index, until)?);
    }
    beat.give = give;
    beat.others = living.into_iter().filter(|(id, _)| *id != me.id).collect();
    Ok(beat)
}

/// Ends memberships whose lock file is free, and leases of others whose time was over at the last beat already: a disk
/// that stands still stops everybody's beats alike, so an owner gets one beat's time after it to renew. Until somebody
/// ends it a lease is its owner's. Returns what is over by now.
fn bury(connection: &Connection, me: &Me, known: &Known, now: i64) -> Result<Overdue, Failure> {
    for member in known.dead.iter().filter(|member| **member != me.id) {
        remove(connection, *member)?;
    }
    let mut select = connection.prepare_cached(
        "SELECT partition, token FROM lease WHERE expires <= ?1 AND member <> ?2",
    )?;
    let rows = select.query_map([now, me.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut overdue = rows.collect::<Result<Overdue, _>>()?;
    for lease in known.overdue.intersection(&overdue) {
        connection
            .prepare_cached("DELETE FROM lease WHERE partition = ?1 AND token = ?2")?
            .execute([lease.0, lease.1])?;
    }
    overdue.retain(|lease| !known.overdue.contains(lease));
    Ok(overdue)
}

fn leases(connection: &Connection) -> Result<Vec<Lease>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT partition, topic, number, member, token FROM lease JOIN partition ON partition = id",
    )?;
    let mut rows = select.query([])?;
    let mut leases = Vec::new();
    while let Some(row) = rows.next()? {
        if let Ok(topic) = row.get::<_, String>(1)?.parse() {
            leases.push(Lease {
                partition: row.get(0)?,
                at: TopicPartition::new(topic, row.get(2)?),
                member: row.get(3)?,
                token: row.get::<_, i64>(4)?.unsigned_abs(),
            });
        }
    }
    Ok(leases)
}

fn renew(connection: &Connection, partition: i64, until: i64) -> Result<(), Failure> {
    connection
        .prepare_cached("UPDATE lease SET expires = max(expires, ?2) WHERE partition = ?1")?
        .execute([partition, until])?;
    Ok(())
}

/// Leases on every owned topic's partition of this index that has none, each with a token never given before.
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
        let at = match topic.parse() {
            Ok(topic) => TopicPartition::new(topic, index),
            Err(_) => continue,
        };
        if !at.topic.is_owned() {
            continue;
        }
        let token: i64 = connection
            .prepare_cached(
                "UPDATE meta SET value = value + 1 WHERE name = 'token' RETURNING value",
            )?
            .query_row([], |row| row.get(0))?;
        connection
            .prepare_cached(
                "INSERT INTO lease (partition, member, token, expires) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute([id, me, token, until])?;
        gained.push((at, token.unsigned_abs()));
    }
    Ok(gained)
}

fn living(connection: &Connection, now: i64) -> Result<Vec<(MemberId, String)>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT id, name FROM member WHERE expires > ?1 ORDER BY id")?;
    let members = select.query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(members.collect::<Result<_, _>>()?)
}

/// Members that beat, with what they hold.
pub(super) fn members(connection: &Connection) -> Result<Vec<Member>, Failure> {
    let leases = leases(connection)?;
    let members = living(connection, now())?.into_iter().map(|(id, name)| {
        let mine = leases.iter().filter(|lease| lease.member == id);
        let mut owned: Vec<TopicPartition> = mine.map(|lease| lease.at).collect();
        owned.sort_unstable();
        Member { name, owned }
    });
    Ok(members.collect())
}

/// Judged here, where it is written: the token must still stand. A commit is contact, so it renews the lease; claims
/// are younger than two thirds of that.
pub(super) fn commit(
    connection: &Connection,
    me: &Me,
    commits: &[Commit],
) -> Result<Vec<CommitOutcome>, Failure> {
    commits
        .iter()
        .map(|commit| commit_one(connection, me, commit))
        .collect()
}

fn commit_one(connection: &Connection, me: &Me, commit: &Commit) -> Result<CommitOutcome, Failure> {
    if commit.text.len() > MAX_COMMIT_TEXT || !commit.text.is_ascii() {
        let what = format!(
            "a commit of {} bytes (ASCII, at most {MAX_COMMIT_TEXT})",
            commit.text.len()
        );
        return Ok(CommitOutcome::Unknown(what));
    }
    let (Ok(token), Ok(offset)) = (i64::try_from(commit.token), i64::try_from(commit.offset))
    else {
        return Ok(CommitOutcome::Refused);
    };
    let partition: Option<i64> = connection
        .prepare_cached(
            "SELECT partition FROM lease JOIN partition ON partition = id
             WHERE topic = ?1 AND number = ?2 AND member = ?3 AND token = ?4",
        )?
        .query_row(
            params![
                commit.at.topic.to_string(),
                commit.at.partition,
                me.id,
                token
            ],
            |row| row.get(0),
        )
        .optional()?;
    let Some(partition) = partition else {
        return Ok(CommitOutcome::Refused);
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO progress (partition, offset, text) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![partition, offset, commit.text])?;
    renew(connection, partition, now().saturating_add(nanos(me.lease)))?;
    Ok(CommitOutcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::topic::Topic;

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

    fn member(connection: &Connection, name: &str) -> Me {
        Me {
            id: join(connection, name, LEASE).unwrap(),
            name: name.to_string(),
            lease: LEASE,
            partitions: 8,
        }
    }

    fn held(beat: &Beat) -> Held {
        let giving = false;
        let gained = beat.gained.iter();
        gained
            .map(|(at, token)| {
                let token = *token;
                (*at, Holding { token, giving })
            })
            .collect()
    }

    /// The release is known to the process and not yet to the file when the beat runs.
    #[test]
    fn a_release_under_way_is_neither_taken_back_nor_given_twice() {
        let connection = file();
        let tier = Topic::Retry(Duration::from_secs(60));
        super::super::log::create_topics(&connection, &[(Topic::Send, 8), (tier, 8)]).unwrap();
        let a = member(&connection, "a");
        let first = beat(&connection, &a, &Held::new(), &Known::default()).unwrap();
        assert_eq!(first.gained.len(), 16);
        let mut holds = held(&first);
        let b = member(&connection, "b");
        let second = beat(&connection, &a, &holds, &Known::default()).unwrap();
        assert_eq!(second.give, [7, 6, 5, 4]);
        for (at, holding) in &mut holds {
            holding.giving = second.give.contains(&at.partition);
        }
        let send = TopicPartition::new(Topic::Send, 7);
        let token = holds.remove(&send).unwrap().token;
        release(&connection, a.id, send, token).unwrap();
        holds.remove(&TopicPartition::new(tier, 7));
        let third = beat(&connection, &a, &holds, &Known::default()).unwrap();
        assert!(third.gained.is_empty() && third.give.is_empty() && third.lost.is_empty());
        let other = beat(&connection, &b, &Held::new(), &Known::default()).unwrap();
        assert!(other.gained.is_empty(), "the tier of 7 is not released");
    }

    #[test]
    fn what_somebody_else_took_is_lost_and_not_kept() {
        let connection = file();
        super::super::log::create_topics(&connection, &[(Topic::Send, 8)]).unwrap();
        let a = member(&connection, "a");
        let holds = held(&beat(&connection, &a, &Held::new(), &Known::default()).unwrap());
        let b = member(&connection, "b");
        // Its lock file is free: dead, though its leases would last.
        let dead = Known {
            dead: vec![a.id],
            ..Known::default()
        };
        let taken = beat(&connection, &b, &Held::new(), &dead).unwrap();
        assert_eq!(taken.gained.len(), 8);
        let woken = beat(&connection, &a, &holds, &Known::default()).unwrap();
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
    fn beats_and_commits_keep_what_has_not_ended() {
        let connection = file();
        super::super::log::create_topics(&connection, &[(Topic::Send, 2)]).unwrap();
        let a = member(&connection, "a");
        let holds = held(&beat(&connection, &a, &Held::new(), &Known::default()).unwrap());
        let at = TopicPartition::new(Topic::Send, 0);
        let write = || {
            let commit = Commit {
                at,
                token: holds[&at].token,
                offset: 0,
                text: String::new(),
            };
            super::commit(&connection, &a, &[commit]).unwrap()
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
            let half = now() + nanos(LEASE / 2);
            let rows = select.query_map([half], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        set(now() + nanos(LEASE / 9));
        assert_eq!(write(), [CommitOutcome::Done]);
        assert_eq!(kept(), [true, false]);
        beat(&connection, &a, &holds, &Known::default()).unwrap();
        assert_eq!(kept(), [true, true]);
        set(now());
        assert_eq!(write(), [CommitOutcome::Done]);
        assert_eq!(kept(), [true, false]);
    }

    #[test]
    fn an_overdue_lease_is_ended_by_the_second_beat_that_finds_it() {
        let connection = file();
        super::super::log::create_topics(&connection, &[(Topic::Send, 2)]).unwrap();
        let a = member(&connection, "a");
        let holds = held(&beat(&connection, &a, &Held::new(), &Known::default()).unwrap());
        let b = member(&connection, "b");
        let expire = || {
            connection
                .execute_batch("UPDATE lease SET expires = 1")
                .unwrap()
        };
        let b_beats = |overdue: &Overdue| {
            let known = Known {
                overdue: overdue.clone(),
                ..Known::default()
            };
            beat(&connection, &b, &Held::new(), &known).unwrap()
        };
        expire();
        let first = b_beats(&Overdue::new());
        assert_eq!((first.overdue.len(), first.gained.len()), (2, 0));
        // The owner beats in time, so nothing is lost, and the old finding is worth nothing.
        let woken = beat(&connection, &a, &holds, &Known::default()).unwrap();
        assert!(woken.lost.is_empty());
        assert!(b_beats(&first.overdue).gained.is_empty());
        expire();
        let found = b_beats(&Overdue::new()).overdue;
        assert_eq!(found.len(), 2);
        assert!(!b_beats(&found).gained.is_empty());
        let gone = beat(&connection, &a, &holds, &Known::default()).unwrap();
        assert_eq!(gone.lost.len(), 2);
    }
}
