//! Produce requests and responses on the wire, as far as the proxy must know them (API key 0, versions 9 to 12).

use std::collections::BTreeSet;

const PRODUCE: i16 = 0;
/// From this version on arrays and strings have lengths of variable size. librdkafka 2.12 sends version 10.
const FIRST_COMPACT: i16 = 9;
/// The broker has this batch already.
const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;
/// Length and correlation id.
const ANSWER_HEADER: usize = 8;

/// The unanswered produce requests of a connection, by their correlation ids.
#[derive(Default)]
pub struct Produce(BTreeSet<[u8; 4]>);

impl Produce {
    /// Takes note of a request.
    pub fn note(&mut self, frame: &[u8]) {
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        if frame.len() >= 12 && number(4) == PRODUCE {
            assert!(number(6) >= FIRST_COMPACT, "version {}", number(6));
            self.0.insert(frame[8..12].try_into().expect("four bytes"));
        }
    }

    pub fn is_answered_by(&mut self, frame: &[u8]) -> bool {
        frame.len() > ANSWER_HEADER && self.0.remove(&frame[4..8])
    }

    /// Turns a success with a base offset into the answer to a batch that the broker has already, which has none. librdkafka
    /// sends one partition in a request.
    pub fn drop_offsets(frame: &mut [u8]) {
        // No tagged fields; one topic; its name, with its length and one more in front; one partition.
        let mut at = ANSWER_HEADER;
        let mut byte = || {
            at += 1;
            frame[at - 1]
        };
        assert_eq!((byte(), byte()), (0, 2), "one topic");
        let name = usize::from(byte()) - 1;
        assert!(name < 127, "a length of one byte");
        let at = at + name + 1;
        let (error, offset) = (at + 4, at + 6);
        if frame[error..offset] == [0, 0] {
            frame[error..offset].copy_from_slice(&DUPLICATE_SEQUENCE_NUMBER.to_be_bytes());
            frame[offset..offset + 8].copy_from_slice(&(-1i64).to_be_bytes());
        }
    }
}
