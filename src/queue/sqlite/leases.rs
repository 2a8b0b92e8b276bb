//! Members, leases and commits as rows. Everything here that writes runs in a write transaction, so no process sees half
//! of another's step. A commit is accepted in the transaction that writes it, by the token of the lease (fencing).

use super::failure::{Failure, unsigned};
use super::rebalance::MemberId;
use crate::clock::{Clock, SystemClock};
use crate::domain::ids::Partition;
use crate::domain::topic::TopicPartition;
use crate::queue::{Commit, CommitOutcome, MAX_COMMIT_TEXT, Member, Token};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Nanoseconds of the boot-time clock, which all processes of the machine share.
pub(super) fn now() -> i64 {
    nanos(SystemClock.since_boot())
}

pub(super) fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// The member of this process.
#[derive(Debug, Clone)]
pub(super) struct ThisMember {
    pub id: MemberId,
    pub name: String,
    pub lease: Duration,
    pub partitions: Partition,
}

/// Adds a member. An older one of the same name is dead, because this process holds its lock file.
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
pub(super) struct Lease {
    /// `partition.id`
    pub partition: i64,
    pub at: TopicPartition,
    pub member: MemberId,
    pub token: Token,
}

/// All leases. Topics that this version does not know are another version's, which owns them.
pub(super) fn all(connection: &Connection) -> Result<Vec<Lease>, Failure> {
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
                token: unsigned(row, 4)?,
            });
        }
    }
    Ok(leases)
}

/// Prolongs a lease; it never shortens one that a commit has prolonged.
pub(super) fn renew(connection: &Connection, partition: i64, until: i64) -> Result<(), Failure> {
    connection
        .prepare_cached("UPDATE lease SET expires = max(expires, ?2) WHERE partition = ?1")?
        .execute([partition, until])?;
    Ok(())
}

/// Members whose last heartbeat has not expired, in order of their ids.
pub(super) fn alive(connection: &Connection, now: i64) -> Result<Vec<(MemberId, String)>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT id, name FROM member WHERE expires > ?1 ORDER BY id")?;
    let members = select.query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(members.collect::<Result<_, _>>()?)
}

/// Members that are alive, and what they own.
pub(super) fn members(connection: &Connection) -> Result<Vec<Member>, Failure> {
    let leases = all(connection)?;
    let members = alive(connection, now())?.into_iter().map(|(id, name)| {
        let mine = leases.iter().filter(|lease| lease.member == id);
        let mut owned: Vec<TopicPartition> = mine.map(|lease| lease.at).collect();
        owned.sort_unstable();
        Member { name, owned }
    });
    Ok(members.collect())
}

/// Writes commits, each if its token is still that of the lease. A commit proves that the owner lives, so it renews the
/// lease; claims count as valid for two thirds of the lease from then on.
pub(super) fn commit(
    connection: &Connection,
    me: &ThisMember,
    commits: &[Commit],
) -> Result<Vec<CommitOutcome>, Failure> {
    commits
        .iter()
        .map(|commit| commit_one(connection, me, commit))
        .collect()
}

fn commit_one(
    connection: &Connection,
    me: &ThisMember,
    commit: &Commit,
) -> Result<CommitOutcome, Failure> {
    if commit.text.len() > MAX_COMMIT_TEXT || !commit.text.is_ascii() {
        let what = format!(
            "a commit of {} bytes (ASCII, at most {MAX_COMMIT_TEXT})",
            commit.text.len()
        );
        return Ok(CommitOutcome::Unknown(what));
    }
    let (Ok(token), Ok(offset)) = (i64::try_from(commit.token), i64::try_from(commit.offset))
    else {
        // No lease has such a token, and no log such an offset.
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
