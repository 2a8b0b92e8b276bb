//! The suppression list as people keep it: read to its end, added to, taken from. Workers and enqueue read the same
//! topic themselves, for the keys only.

mod by_address;

pub use by_address::each_by_address;

use super::read_model::scan::scan;
use crate::domain::address::Address;
use crate::domain::project_key::ProjectKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, QueueError, Record};
use crate::suppression::{Entry, SuppressionKey, SuppressionSet, fold};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

const AT: TopicPartition = TopicPartition::new(Topic::Suppression, 0);
/// Of one append, which is a transaction.
const RECORDS: usize = 20_000;

/// What is on the list of some addresses. An entry that cannot be read is an address not to mail all the same: `None`.
#[derive(Debug, Default)]
pub struct SuppressionList {
    asked: BTreeSet<SuppressionKey>,
    entries: BTreeMap<SuppressionKey, Option<Entry>>,
}

impl SuppressionList {
    /// Reads the topic to its end as it is now; a queue without the topic has an empty list.
    pub async fn read(
        queue: &dyn Queue,
        asked: impl IntoIterator<Item = SuppressionKey>,
    ) -> Result<SuppressionList, QueueError> {
        let mut list = SuppressionList {
            asked: asked.into_iter().collect(),
            entries: BTreeMap::new(),
        };
        let end = match queue.bounds(AT).await {
            Err(QueueError::NoTopic(_)) => return Ok(list),
            bounds => bounds?.end,
        };
        scan(queue, AT, 0, end, &mut |stored| {
            list.take(stored.offset, &stored.record);
            ControlFlow::Continue(())
        })
        .await?;
        Ok(list)
    }

    fn take(&mut self, offset: u64, record: &Record) {
        let token = record.key.as_deref().map(str::parse::<SuppressionKey>);
        let Some(Ok(token)) = token else {
            tracing::warn!(
                offset,
                "suppression record without a key of its own ignored"
            );
            return;
        };
        if !self.asked.contains(&token) {
            return;
        }
        match &record.payload {
            Some(payload) => self.entries.insert(token, Entry::from_bytes(payload).ok()),
            None => self.entries.remove(&token),
        };
    }

    pub fn contains(&self, token: SuppressionKey) -> bool {
        self.entries.contains_key(&token)
    }

    /// What is known of an address that is on the list.
    pub fn entry(&self, token: SuppressionKey) -> Option<&Entry> {
        self.entries.get(&token)?.as_ref()
    }
}

/// The keys of all suppressed addresses, 16 bytes each.
pub async fn keys(queue: &dyn Queue) -> Result<SuppressionSet, QueueError> {
    let mut set = SuppressionSet::default();
    let end = match queue.bounds(AT).await {
        Err(QueueError::NoTopic(_)) => return Ok(set),
        bounds => bounds?.end,
    };
    scan(queue, AT, 0, end, &mut |stored| {
        let record = &stored.record;
        if let Err(error) = set.apply(record.key.as_deref(), record.payload.as_deref()) {
            tracing::warn!(offset = stored.offset, %error, "a suppression record was ignored");
        }
        ControlFlow::Continue(())
    })
    .await?;
    Ok(set)
}

/// The form in which an address is suppressed: as mail to it is addressed, its domain in A-labels, in lower case.
/// What cannot be mailed can be suppressed.
pub fn canonical(address: &str) -> String {
    match Address::parse(address.trim()) {
        Ok(address) => fold(address.as_str()),
        Err(_) => fold(address),
    }
}

/// Adds entries, durable when it resolves. The addresses must be [`canonical`].
pub async fn add(queue: &dyn Queue, key: &ProjectKey, entries: &[Entry]) -> Result<(), QueueError> {
    let keyed = entries.iter().map(|entry| (entry.key(key), entry));
    let mut keyed: Vec<(SuppressionKey, &Entry)> = keyed.collect();
    // SQLite has an index of the keys, which are random. In their order each of its pages is read and written once.
    keyed.sort_by_key(|(token, _)| *token);
    for entries in keyed.chunks(RECORDS) {
        let records: Result<Vec<Record>, QueueError> = entries
            .iter()
            .map(|(token, entry)| Ok(record(*token, Some(bytes(entry)?))))
            .collect();
        queue.append(AT, records?).await?;
    }
    Ok(())
}

/// Takes addresses off the list, durable when it resolves.
pub async fn remove(queue: &dyn Queue, tokens: &[SuppressionKey]) -> Result<(), QueueError> {
    for tokens in tokens.chunks(RECORDS) {
        let records = tokens.iter().map(|token| record(*token, None));
        queue.append(AT, records.collect()).await?;
    }
    Ok(())
}

fn record(token: SuppressionKey, payload: Option<Bytes>) -> Record {
    Record {
        key: Some(token.to_string()),
        headers: Vec::new(),
        payload,
    }
}

fn bytes(entry: &Entry) -> Result<Bytes, QueueError> {
    let bytes = entry.to_bytes().map_err(|error| QueueError::BadRecord {
        at: AT,
        offset: 0,
        what: error.to_string(),
    })?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Reason;

    fn entry(address: &str) -> Entry {
        Entry {
            address: canonical(address),
            reason: Reason::Manual,
            source: "test".into(),
            since: "2026-05-01T00:00:00Z".into(),
            campaign: None,
        }
    }

    #[test]
    fn the_last_record_of_an_address_counts() {
        let key = ProjectKey::new(&[7; ProjectKey::BYTES]);
        let token = SuppressionKey::of(&key, "anna@example.org");
        let mut list = SuppressionList {
            asked: [token].into(),
            ..SuppressionList::default()
        };
        let anna = entry(" Anna@Example.org ");
        list.take(0, &record(anna.key(&key), Some(bytes(&anna).unwrap())));
        assert_eq!(list.entry(token), Some(&anna));
        list.take(1, &record(token, Some(Bytes::from_static(b"{}"))));
        assert!(list.contains(token) && list.entry(token).is_none());
        list.take(2, &record(token, None));
        assert!(!list.contains(token));
        list.take(3, &Record::default());
        let other = entry("other@example.org");
        list.take(4, &record(other.key(&key), Some(bytes(&other).unwrap())));
        assert!(list.entries.is_empty(), "only what was asked for is held");
    }

    #[test]
    fn an_address_is_suppressed_as_it_is_mailed() {
        for (given, wanted) in [
            ("Anna@B\u{fc}cher.example", "anna@xn--bcher-kva.example"),
            ("  x@y ", "x@y"),
        ] {
            assert_eq!(canonical(given), wanted);
        }
    }
}
