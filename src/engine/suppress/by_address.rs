//! The whole suppression list by address, sorted on disk, so that memory is the same for any list.

use super::AT;
use crate::engine::read_model::AccountError;
use crate::engine::read_model::scan::scan;
use crate::engine::read_model::sorter::Sorter;
use crate::queue::{Queue, QueueError, Stored};
use crate::suppression::{Entry, SuppressionKey};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes of an offset and of a length, behind what is sorted by.
const NUMBER: usize = 8;

/// Gives every entry that can be read, by address, until `out` breaks off. `folder`: for temporary files.
pub async fn each_by_address(
    queue: &dyn Queue,
    folder: &Path,
    out: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<(), AccountError> {
    let failed = |error| AccountError::scratch(folder, error);
    let end = match queue.bounds(AT).await {
        Err(QueueError::NoTopic(_)) => return Ok(()),
        bounds => bounds?.end,
    };
    let (mut records, mut written) = (Sorter::new(folder), Ok(()));
    scan(queue, AT, 0, end, &mut |stored| {
        written = push_record(&mut records, &stored);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .await?;
    written.map_err(failed)?;
    let entries = newest(records, Sorter::new(folder)).map_err(failed)?;
    give(entries, out).map_err(failed)
}

/// A key, the offset, and the payload: the last of a key counts. A record without a payload takes the address off.
fn push_record(records: &mut Sorter, stored: &Stored) -> io::Result<()> {
    let record = &stored.record;
    let Some(key) = record.key.as_deref() else {
        return Ok(());
    };
    let Ok(key) = key.parse::<SuppressionKey>() else {
        return Ok(());
    };
    let mut entry = key.to_string().into_bytes();
    entry.extend(stored.offset.to_be_bytes());
    entry.extend_from_slice(record.payload.as_deref().unwrap_or_default());
    records.push(&entry)
}

/// Of each key the last record, as entries by address.
fn newest(records: Sorter, mut entries: Sorter) -> io::Result<Sorter> {
    let mut records = records.finish()?;
    let key_bytes = SuppressionKey::TEXT_BYTES;
    let mut last: Vec<u8> = Vec::new();
    while let Some(record) = records.entry() {
        if record.get(..key_bytes) != last.get(..key_bytes) {
            push_entry(&mut entries, &last)?;
        }
        last.clear();
        last.extend_from_slice(record);
        records.advance()?;
    }
    push_entry(&mut entries, &last)?;
    Ok(entries)
}

/// The address, a zero, the payload and its length.
fn push_entry(entries: &mut Sorter, record: &[u8]) -> io::Result<()> {
    let payload = record.get(SuppressionKey::TEXT_BYTES + NUMBER..);
    let payload = payload.unwrap_or_default();
    let Ok(entry) = Entry::from_bytes(payload) else {
        return Ok(());
    };
    let mut bytes = entry.address.into_bytes();
    bytes.push(0);
    bytes.extend_from_slice(payload);
    bytes.extend((payload.len() as u64).to_be_bytes());
    entries.push(&bytes)
}

fn give(entries: Sorter, out: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
    let mut entries = entries.finish()?;
    while let Some(bytes) = entries.entry() {
        let entry = payload_of(bytes).and_then(|payload| Entry::from_bytes(payload).ok());
        if let Some(entry) = entry
            && out(entry).is_break()
        {
            return Ok(());
        }
        entries.advance()?;
    }
    Ok(())
}

fn payload_of(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, length) = bytes.split_last_chunk::<NUMBER>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    rest.get(rest.len().checked_sub(length)?..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Record;

    fn stored(offset: u64, key: u128, address: Option<&str>) -> Stored {
        let payload = address.map(|address| {
            let entry = Entry {
                address: address.to_string(),
                reason: crate::domain::outcome::Reason::Manual,
                source: "test".into(),
                since: String::new(),
                campaign: None,
            };
            entry.to_bytes().unwrap().into()
        });
        Stored {
            offset,
            appended_at: std::time::SystemTime::UNIX_EPOCH,
            record: Record {
                key: Some(format!("{key:032x}")),
                headers: Vec::new(),
                payload,
            },
        }
    }

    #[test]
    fn the_last_record_of_each_key_is_given_by_address() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Sorter::new(folder.path());
        for record in [
            stored(0, 9, Some("b@x.example")),
            stored(1, 3, Some("gone@x.example")),
            stored(2, 5, Some("old@x.example")),
            stored(3, 3, None),
            stored(300, 5, Some("a@x.example")),
        ] {
            push_record(&mut records, &record).unwrap();
        }
        let entries = newest(records, Sorter::new(folder.path())).unwrap();
        let mut found = Vec::new();
        give(entries, &mut |entry| {
            found.push(entry.address);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(found, ["a@x.example", "b@x.example"]);
    }
}
