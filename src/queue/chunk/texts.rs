//! Shared texts that were read, each once: the chunks of a run have the same ones, and a worker has many chunks open.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Texts of more runs and kinds than this are read again, the oldest first.
const MAX_TEXTS: usize = 32;

#[derive(Debug, Default)]
pub struct Texts {
    known: Mutex<VecDeque<Bytes>>,
}

impl Texts {
    /// The buffer of these bytes: one that is known, or a new one.
    pub fn keep(&self, text: &[u8]) -> Bytes {
        // A poisoned list is whole: nothing between its steps can fail.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.iter().find(|same| same == &text) {
            return same.clone();
        }
        let new = Bytes::copy_from_slice(text);
        known.push_front(new.clone());
        known.truncate(MAX_TEXTS);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_one_buffer_of_a_text() {
        let texts = Texts::default();
        let first = texts.keep(b"one");
        assert_eq!(texts.keep(b"one").as_ptr(), first.as_ptr());
        for number in 0..100u8 {
            texts.keep(&[number]);
        }
        assert_ne!(texts.keep(b"one").as_ptr(), first.as_ptr());
    }
}
