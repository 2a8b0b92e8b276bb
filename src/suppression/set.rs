//! The suppression topic in memory: the keys only, 16 bytes each, because a worker asks only whether.

use super::entry::Token;
use std::collections::HashSet;

/// Fed with the topic's records from its beginning, in order.
#[derive(Debug, Clone, Default)]
pub struct SuppressionSet {
    tokens: HashSet<u128>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a suppression record has no key")]
    NoKey,
    #[error("{0}")]
    BadKey(String),
}

impl SuppressionSet {
    /// Takes a record in. The payload is not looked at: an entry that cannot be read is still an address not to mail.
    pub fn apply(&mut self, key: Option<&str>, payload: Option<&[u8]>) -> Result<(), RecordError> {
        let key = key.ok_or(RecordError::NoKey)?;
        let token: Token = key.parse().map_err(RecordError::BadKey)?;
        match payload {
            Some(_) => self.tokens.insert(token.0),
            None => self.tokens.remove(&token.0),
        };
        Ok(())
    }

    pub fn contains(&self, token: Token) -> bool {
        self.tokens.contains(&token.0)
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_a_key_counts() {
        let mut set = SuppressionSet::default();
        let (one, two) = (Token(1), Token(u128::MAX));
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
    fn records_of_others_are_refused_and_change_nothing() {
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
