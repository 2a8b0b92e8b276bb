//! The token buckets that all processes share, in a small file beside the queue.

use super::failure::{Failure, unsigned};
use super::leases::{nanos, now};
use crate::queue::slots::{Bucket, gcra};
use crate::queue::{SlotRequest, Slots};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Takes slots of a bucket, in the caller's transaction. A bucket of another boot starts again from nothing,
/// because the boot-time clock does.
pub(super) fn take(
    connection: &Connection,
    boot: &str,
    request: &SlotRequest,
) -> Result<Slots, Failure> {
    let bucket = connection
        .prepare_cached("SELECT due, gap FROM bucket WHERE name = ?1 AND boot = ?2")?
        .query_row([&request.bucket, boot], |row| {
            Ok(Bucket {
                due: Duration::from_nanos(unsigned(row, 0)?),
                interval: Duration::from_nanos(unsigned(row, 1)?),
            })
        })
        .optional()?;
    let (slots, bucket) = gcra(bucket, Duration::from_nanos(now().unsigned_abs()), request);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO bucket (name, boot, due, gap) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            request.bucket,
            boot,
            nanos(bucket.due),
            nanos(bucket.interval)
        ])?;
    Ok(slots)
}
