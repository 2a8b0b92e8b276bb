//! Partitions as ranges of one table: append, fetch, bounds, compaction and dropping. All of it runs in the caller's
//! transaction.

use super::failure::{Failure, unsigned};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Bounds, Committed, QueueError, Record, Stored};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The lower bits of a position are the offset, enough for 10^12 records in a partition; the others are `partition.id`.
const OFFSET_BITS: u32 = 40;
const MAX_OFFSET: i64 = (1 << OFFSET_BITS) - 1;
/// The most records and bytes that one step of dropping deletes.
const DROP_RECORDS: i64 = 500;
const DROP_BYTES: i64 = 4 * 1024 * 1024;
/// Free pages are given back when there are more than this, and more than a quarter of the file, until few are left.
const VACUUM_ABOVE_PAGES: i64 = 2_048;
const VACUUM_TO_PAGES: i64 = 512;
const VACUUM_STEP_PAGES: i64 = 256;

/// A row of `partition`.
struct PartitionRow {
    id: i64,
    low_watermark: i64,
    next: i64,
}

impl PartitionRow {
    fn start(&self) -> i64 {
        self.id << OFFSET_BITS
    }

    /// The position of an offset. An offset above the highest possible one gets the position of that.
    fn position(&self, offset: Offset) -> i64 {
        self.start() | i64::try_from(offset).unwrap_or(MAX_OFFSET).min(MAX_OFFSET)
    }
}

/// An offset in a row, or the one after the last. Errors: it would be a position of another partition.
fn offset_of(row: &Row<'_>, index: usize) -> rusqlite::Result<i64> {
    let number: i64 = row.get(index)?;
    match (0..=MAX_OFFSET).contains(&number) {
        true => Ok(number),
        false => Err(rusqlite::Error::IntegralValueOutOfRange(index, number)),
    }
}

/// The offset in a position.
fn offset(n: i64) -> Offset {
    n.unsigned_abs() & MAX_OFFSET.unsigned_abs()
}

fn partition_row(connection: &Connection, at: TopicPartition) -> Result<PartitionRow, Failure> {
    connection
        .prepare_cached("SELECT id, low, next FROM partition WHERE topic = ?1 AND number = ?2")?
        .query_row(params![at.topic.to_string(), at.partition], |row| {
            Ok(PartitionRow {
                id: row.get(0)?,
                low_watermark: offset_of(row, 1)?,
                next: offset_of(row, 2)?,
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

/// The topics of this file. A name that this version does not know belongs to another version and is left out.
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
    let partition = partition_row(connection, at)?;
    let appended_at = microseconds(SystemTime::now());
    let mut insert = connection.prepare_cached(
        "INSERT INTO record (position, appended_at, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut next = partition.next;
    let mut offsets = Vec::with_capacity(records.len());
    for record in records {
        let position = partition.start() | next;
        let headers = serde_json::to_string(&record.headers).map_err(not_json)?;
        insert.execute(params![
            position,
            appended_at,
            record.key,
            headers,
            record.payload.as_deref()
        ])?;
        if let Some(key) = record.key.as_deref().filter(|_| at.topic.is_compacted()) {
            compact(connection, &partition, key, position)?;
        }
        offsets.push(offset(next));
        next += 1;
    }
    connection
        .prepare_cached("UPDATE partition SET next = ?2 WHERE id = ?1")?
        .execute([partition.id, next])?;
    Ok(offsets)
}

fn not_json(error: serde_json::Error) -> Failure {
    Failure::Queue(QueueError::Unknown(error.to_string()))
}

/// Deletes the older record of a key, a tombstone too. The newest record stays, also if it is a tombstone: readers that
/// follow the log must see it.
fn compact(
    connection: &Connection,
    partition: &PartitionRow,
    key: &str,
    position: i64,
) -> Result<(), Failure> {
    let older: Option<i64> = connection
        .prepare_cached("SELECT position FROM latest WHERE partition = ?1 AND key = ?2")?
        .query_row(params![partition.id, key], |row| row.get(0))
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
        .execute(params![partition.id, key, position])?;
    Ok(())
}

pub(super) fn fetch(
    connection: &Connection,
    at: TopicPartition,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<Stored>, Failure> {
    let partition = partition_row(connection, at)?;
    if from < offset(partition.low_watermark) && !at.topic.is_compacted() {
        return Err(Failure::Queue(QueueError::BelowLowWatermark {
            at,
            offset: from,
            low_watermark: offset(partition.low_watermark),
        }));
    }
    let mut select = connection.prepare_cached(
        "SELECT position, appended_at, key, headers, payload FROM record
         WHERE position >= ?1 AND position < ?2 ORDER BY position",
    )?;
    let mut rows = select.query([partition.position(from), partition.start() | partition.next])?;
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
    let appended_at = Duration::from_micros(unsigned(row, 1)?);
    Ok(Stored {
        offset,
        appended_at: UNIX_EPOCH + appended_at,
        record: Record {
            key: row.get(2)?,
            headers,
            payload: row.get::<_, Option<Vec<u8>>>(4)?.map(Bytes::from),
        },
    })
}

/// The size of a record, roughly. A tombstone has a size too, so that a transaction does not take any number of them.
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
    let partition = partition_row(connection, at)?;
    Ok(Bounds {
        low_watermark: offset(partition.low_watermark),
        end: offset(partition.next),
    })
}

pub(super) fn committed(
    connection: &Connection,
    at: TopicPartition,
) -> Result<Option<Committed>, Failure> {
    let partition = partition_row(connection, at)?;
    Ok(connection
        .prepare_cached("SELECT offset, text FROM progress WHERE partition = ?1")?
        .query_row([partition.id], |row| {
            Ok(Committed {
                offset: unsigned(row, 0)?,
                text: row.get(1)?,
            })
        })
        .optional()?)
}

/// Whether `drop_step` has anything to do. A drop that was interrupted has raised the low watermark and left records.
pub(super) fn is_droppable(
    connection: &Connection,
    at: TopicPartition,
    below: Offset,
) -> Result<bool, Failure> {
    let partition = partition_row(connection, at)?;
    let below = partition
        .position(below)
        .min(partition.start() | partition.next);
    if below > (partition.start() | partition.low_watermark) {
        return Ok(true);
    }
    Ok(connection
        .prepare_cached("SELECT 1 FROM record WHERE position >= ?1 AND position < ?2")?
        .exists([partition.start(), below])?)
}

/// Raises the low watermark, then deletes some of the records below it. True: there are more.
pub(super) fn drop_step(
    connection: &Connection,
    at: TopicPartition,
    below: Offset,
) -> Result<bool, Failure> {
    let partition = partition_row(connection, at)?;
    let below = partition
        .position(below)
        .min(partition.start() | partition.next);
    connection
        .prepare_cached("UPDATE partition SET low = max(low, ?2) WHERE id = ?1")?
        .execute([partition.id, below - partition.start()])?;
    let batch = records_below(connection, partition.start(), below)?;
    if at.topic.is_compacted() {
        for (position, key) in &batch.keys {
            connection
                .prepare_cached(
                    "DELETE FROM latest WHERE partition = ?1 AND key = ?2 AND position = ?3",
                )?
                .execute(params![partition.id, key, position])?;
        }
    }
    if let Some(last) = batch.last {
        connection
            .prepare_cached("DELETE FROM record WHERE position >= ?1 AND position <= ?2")?
            .execute([partition.start(), last])?;
    }
    Ok(batch.more)
}

/// The records that one step deletes.
#[derive(Default)]
struct Batch {
    last: Option<i64>,
    keys: Vec<(i64, String)>,
    more: bool,
}

fn records_below(connection: &Connection, start: i64, below: i64) -> Result<Batch, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT position, coalesce(length(payload), 0), key FROM record
         WHERE position >= ?1 AND position < ?2 ORDER BY position LIMIT ?3",
    )?;
    let mut rows = select.query([start, below, DROP_RECORDS])?;
    let mut batch = Batch::default();
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        batch.last = Some(position);
        if let Some(key) = row.get(2)? {
            batch.keys.push((position, key));
        }
        count += 1;
        bytes += row.get::<_, i64>(1)?;
        batch.more = count == DROP_RECORDS || bytes >= DROP_BYTES;
        if batch.more {
            break;
        }
    }
    Ok(batch)
}

/// Whether enough pages are free to give them back.
pub(super) fn is_worth_vacuuming(connection: &Connection) -> Result<bool, Failure> {
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

fn microseconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
