//! The suppression topic in memory. Keys only, 16 bytes each: a worker asks whether an address is suppressed, not why.

use super::entry::SuppressionKey;
use std::collections::HashSet;

/// Built from the topic's records, in order, from the first one on.
#[derive(Debug, Clone, Default)]
pub struct SuppressionSet {
    keys: HashSet<SuppressionKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a suppression record has no key")]
    NoKey,
    #[error("{0}")]
    BadKey(String),
}

impl SuppressionSet {
    /// Applies a record. The payload is not parsed: an address with a damaged entry is still suppressed.
    pub fn apply(&mut self, key: Option<&str>, payload: Option<&[u8]>) -> Result<(), RecordError> {
        let key = key.ok_or(RecordError::NoKey)?;
        let key: SuppressionKey = key.parse().map_err(RecordError::BadKey)?;
        match payload {
            Some(_) => self.keys.insert(key),
            None => self.keys.remove(&key),
        };
        Ok(())
    }

    pub fn contains(&self, key: SuppressionKey) -> bool {
        self.keys.contains(&key)
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_a_key_counts() {
        let mut set = SuppressionSet::default();
        let (one, two) = (SuppressionKey(1), SuppressionKey(u128::MAX));
        set.apply(Some(&one.to_string()), Some(b"not json"))
            .unwrap();
        set.apply(Some(&one.to_string()), Some(b"{}")).unwrap();
        set.apply(Some(&two.to_string()), Some(b"{}")).unwrap();
        assert!(set.contains(one) && set.contains(two));
        set.apply(Some(&one.to_string()), None).unwrap();
        set.apply(Some(&one.to_string()), None).unwrap();
        assert!(!set.contains(one));
        assert_eq!((set.len(), set.is_empty()), (1, false));
    }

    #[test]
    fn refuses_a_record_with_another_kind_of_key() {
        let mut set = SuppressionSet::default();
        assert_eq!(set.apply(None, Some(b"{}")), Err(RecordError::NoKey));
        let bad = set.apply(Some("anna@example.org"), Some(b"{}"));
        assert_eq!(
            bad.unwrap_err().to_string(),
            "`anna@example.org` is not a suppression key of 32 hexadecimal digits"
        );
        assert!(set.is_empty());
    }
}
