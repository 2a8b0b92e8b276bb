//! Partitions as ranges of one table: append, fetch, bounds, compaction, dropping. All inside the caller's transaction.

use super::failure::Failure;
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Bounds, Committed, QueueError, Record, Stored};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bits of a position that are the offset: 10^12 records in a partition.
const OFFSET_BITS: u32 = 40;
const MAX_OFFSET: i64 = (1 << OFFSET_BITS) - 1;
/// Most records and bytes that one step of dropping deletes.
const DROP_RECORDS: i64 = 500;
const DROP_BYTES: i64 = 4 * 1024 * 1024;
/// Free pages are given back when there are more than this, or than a quarter of the file; until few are left.
const VACUUM_ABOVE_PAGES: i64 = 2_048;
const VACUUM_TO_PAGES: i64 = 512;
const VACUUM_STEP_PAGES: i64 = 256;

/// A row of `partition`.
struct Place {
    id: i64,
    low: i64,
    next: i64,
}

impl Place {
    fn start(&self) -> i64 {
        self.id << OFFSET_BITS
    }

    /// The position of an offset; of one that no partition can have, the end.
    fn position(&self, offset: Offset) -> i64 {
        self.start() | i64::try_from(offset).unwrap_or(MAX_OFFSET).min(MAX_OFFSET)
    }
}

fn offset(n: i64) -> Offset {
    n.unsigned_abs() & MAX_OFFSET.unsigned_abs()
}

fn place(connection: &Connection, at: TopicPartition) -> Result<Place, Failure> {
    connection
        .prepare_cached("SELECT id, low, next FROM partition WHERE topic = ?1 AND number = ?2")?
        .query_row(params![at.topic.to_string(), at.partition], |row| {
            Ok(Place {
                id: row.get(0)?,
                low: row.get(1)?,
                next: row.get(2)?,
            })
        })
        .optional()?
        .ok_or(Failure::Queue(QueueError::NoTopic(at.topic)))
}

pub(super) fn create_topics(
    connection: &Connection,
    topics: &[(Topic, Partition)],
) -> Result<(), Failure> {
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO partition (topic, number) VALUES (?1, ?2)")?;
    for (topic, partitions) in topics {
        for number in 0..*partitions {
            insert.execute(params![topic.to_string(), number])?;
        }
    }
    Ok(())
}

/// Names that this mailq does not know are another version's business.
pub(super) fn topics(connection: &Connection) -> Result<Vec<Topic>, Failure> {
    let mut select = connection.prepare_cached("SELECT DISTINCT topic FROM partition")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    let mut topics = Vec::new();
    for name in names {
        topics.extend(name?.parse::<Topic>().ok());
    }
    topics.sort_unstable();
    Ok(topics)
}

pub(super) fn append(
    connection: &Connection,
    at: TopicPartition,
    records: &[Record],
) -> Result<Vec<Offset>, Failure> {
    let place = place(connection, at)?;
    let appended_at = micros(SystemTime::now());
    let mut insert = connection.prepare_cached(
        "INSERT INTO record (position, appended_at, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut next = place.next;
    let mut offsets = Vec::with_capacity(records.len());
    for record in records {
        let position = place.start() | next;
        let headers = serde_json::to_string(&record.headers).map_err(unwritable)?;
        insert.execute(params![
            position,
            appended_at,
            record.key,
            headers,
            record.payload.as_deref()
        ])?;
        if let Some(key) = record.key.as_deref().filter(|_| at.topic.is_compacted()) {
            compact(connection, &place, key, position)?;
        }
        offsets.push(offset(next));
        next += 1;
    }
    connection
        .prepare_cached("UPDATE partition SET next = ?2 WHERE id = ?1")?
        .execute([place.id, next])?;
    Ok(offsets)
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::Queue(QueueError::Unknown(error.to_string()))
}

/// The older record of the key goes, tombstones too; the newest stays, for those who follow the log.
fn compact(
    connection: &Connection,
    place: &Place,
    key: &str,
    position: i64,
) -> Result<(), Failure> {
    let older: Option<i64> = connection
        .prepare_cached("SELECT position FROM latest WHERE partition = ?1 AND key = ?2")?
        .query_row(params![place.id, key], |row| row.get(0))
        .optional()?;
    if let Some(older) = older {
        connection
            .prepare_cached("DELETE FROM record WHERE position = ?1")?
            .execute([older])?;
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO latest (partition, key, position) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![place.id, key, position])?;
    Ok(())
}

pub(super) fn fetch(
    connection: &Connection,
    at: TopicPartition,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<Stored>, Failure> {
    let place = place(connection, at)?;
    if from < offset(place.low) && !at.topic.is_compacted() {
        return Err(Failure::Queue(QueueError::BelowLowWatermark {
            at,
            offset: from,
            low_watermark: offset(place.low),
        }));
    }
    let mut select = connection.prepare_cached(
        "SELECT position, appended_at, key, headers, payload FROM record
         WHERE position >= ?1 AND position < ?2 ORDER BY position",
    )?;
    let mut rows = select.query([place.position(from), place.start() | place.next])?;
    let mut found = Vec::new();
    let mut bytes = 0usize;
    while let Some(row) = rows.next()? {
        let stored = stored(at, row)?;
        bytes = bytes.saturating_add(record_bytes(&stored.record));
        found.push(stored);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(found)
}

fn stored(at: TopicPartition, row: &Row<'_>) -> Result<Stored, Failure> {
    let offset = offset(row.get(0)?);
    let headers: String = row.get(3)?;
    let headers = serde_json::from_str(&headers).map_err(|error| QueueError::BadRecord {
        at,
        offset,
        what: format!("headers: {error}"),
    })?;
    let appended_at = Duration::from_micros(row.get::<_, i64>(1)?.unsigned_abs());
    Ok(Stored {
        offset,
        appended_at: UNIX_EPOCH.checked_add(appended_at).unwrap_or(UNIX_EPOCH),
        record: Record {
            key: row.get(2)?,
            headers,
            payload: row.get::<_, Option<Vec<u8>>>(4)?.map(Bytes::from),
        },
    })
}

/// What a record takes, roughly: so that a million tombstones are not nothing.
pub(super) fn record_bytes(record: &Record) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 6);
    let key = record.key.as_ref().map_or(0, String::len);
    let payload = record.payload.as_ref().map_or(0, Bytes::len);
    headers.sum::<usize>() + key + payload + 32
}

pub(super) fn bounds(connection: &Connection, at: TopicPartition) -> Result<Bounds, Failure> {
    let place = place(connection, at)?;
    Ok(Bounds {
        low_watermark: offset(place.low),
        end: offset(place.next),
    })
}

pub(super) fn committed(
    connection: &Connection,
    at: TopicPartition,
) -> Result<Option<Committed>, Failure> {
    let place = place(connection, at)?;
    Ok(connection
        .prepare_cached("SELECT offset, text FROM progress WHERE partition = ?1")?
        .query_row([place.id], |row| {
            Ok(Committed {
                offset: row.get::<_, i64>(0)?.unsigned_abs(),
                text: row.get(1)?,
            })
        })
        .optional()?)
}

/// Whether dropping would do anything; an interrupted drop has moved the mark and left records.
pub(super) fn is_droppable(
    connection: &Connection,
    at: TopicPartition,
    below: Offset,
) -> Result<bool, Failure> {
    let place = place(connection, at)?;
    let below = place.position(below).min(place.start() | place.next);
    if below > (place.start() | place.low) {
        return Ok(true);
    }
    Ok(connection
        .prepare_cached("SELECT 1 FROM record WHERE position >= ?1 AND position < ?2")?
        .exists([place.start(), below])?)
}

/// Raises the low watermark, then deletes some of the records below it. True: there are more.
pub(super) fn drop_step(
    connection: &Connection,
    at: TopicPartition,
    below: Offset,
) -> Result<bool, Failure> {
    let place = place(connection, at)?;
    let below = place.position(below).min(place.start() | place.next);
    connection
        .prepare_cached("UPDATE partition SET low = max(low, ?2) WHERE id = ?1")?
        .execute([place.id, below - place.start()])?;
    let piece = lowest(connection, place.start(), below)?;
    if at.topic.is_compacted() {
        for (position, key) in &piece.keys {
            connection
                .prepare_cached(
                    "DELETE FROM latest WHERE partition = ?1 AND key = ?2 AND position = ?3",
                )?
                .execute(params![place.id, key, position])?;
        }
    }
    if let Some(last) = piece.last {
        connection
            .prepare_cached("DELETE FROM record WHERE position >= ?1 AND position <= ?2")?
            .execute([place.start(), last])?;
    }
    Ok(piece.more)
}

/// What one step deletes.
#[derive(Default)]
struct Piece {
    last: Option<i64>,
    keys: Vec<(i64, String)>,
    more: bool,
}

fn lowest(connection: &Connection, start: i64, below: i64) -> Result<Piece, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT position, coalesce(length(payload), 0), key FROM record
         WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3",
    )?;
    let mut rows = select.query([start, below, DROP_RECORDS])?;
    let mut piece = Piece::default();
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        piece.last = Some(position);
        if let Some(key) = row.get(2)? {
            piece.keys.push((position, key));
        }
        count += 1;
        bytes += row.get::<_, i64>(1)?;
        piece.more = count == DROP_RECORDS || bytes >= DROP_BYTES;
        if piece.more {
            break;
        }
    }
    Ok(piece)
}

/// Whether so much of the file is free that it is worth giving back.
pub(super) fn is_loose(connection: &Connection) -> Result<bool, Failure> {
    let free = pages(connection, "freelist_count")?;
    Ok(free > VACUUM_ABOVE_PAGES.max(pages(connection, "page_count")? / 4))
}

/// Gives some free pages back to the file system. True: there are more.
pub(super) fn vacuum_step(connection: &Connection) -> Result<bool, Failure> {
    let before = pages(connection, "freelist_count")?;
    // Each step of the statement frees one page.
    let sql = format!("PRAGMA incremental_vacuum({VACUUM_STEP_PAGES})");
    let mut vacuum = connection.prepare_cached(&sql)?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    let after = pages(connection, "freelist_count")?;
    Ok(after < before && after > VACUUM_TO_PAGES)
}

fn pages(connection: &Connection, pragma: &str) -> Result<i64, Failure> {
    Ok(connection.pragma_query_value(None, pragma, |row| row.get(0))?)
}

fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
