//! A dead letter as a record of the dlq topic: a chunk of one message, with what is known of its end in the header
//! `letter`; and back. The sum covers that header too.

use crate::domain::chunk::{Chunk, ChunkHead, MessageLine};
use crate::domain::content::MessageContent;
use crate::domain::ids::{Offset, Row};
use crate::domain::records::Letter;
use crate::domain::topic::TopicPartition;
use crate::queue::chunk::{self, ChunkError, Origin};
use crate::queue::{Record, Stored};

const HEADER: &str = "letter";

/// A record of the dlq topic that is no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("letter {offset} of {at} (key `{key}`) cannot be read: {what}")]
pub struct LetterError {
    pub at: TopicPartition,
    pub offset: Offset,
    pub key: String,
    pub what: String,
}

/// The key of a message's letter: a replay adds one to the round, so it never takes the place of an earlier one.
pub fn key(id: &str, round: u32) -> String {
    format!("{id}/{round}")
}

/// The reverse of [`key`]: message id and round.
pub fn place(key: &str) -> Option<(&str, u32)> {
    let (id, round) = key.rsplit_once('/')?;
    Some((id, round.parse().ok()?))
}

/// The record of one letter. `head` is that of the chunk that the message was in; its rows and count are taken from
/// the message. The same letter always makes the same payload.
pub fn record(
    letter: &Letter,
    head: &ChunkHead,
    message: (&MessageLine, &MessageContent),
    origin: Origin<'_>,
) -> Result<Record, ChunkError> {
    let (line, content) = message;
    let head = ChunkHead {
        moved_from: Some((letter.from.0, letter.number)),
        ..head.clone()
    };
    let chunk = chunk::encode(&head, origin, &[(line.clone(), content.clone())])?;
    let json = serde_json::to_string(letter).map_err(|error| ChunkError::BadMessage {
        position: 0,
        what: error.to_string(),
    })?;
    let mut record = chunk::with_header(chunk, HEADER, json);
    record.key = Some(key(&line.id, line.round));
    Ok(record)
}

/// What a letter's record says without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterHead {
    /// The message's.
    pub id: String,
    pub round: u32,
    pub row: Row,
    pub letter: Letter,
}

/// Reads the headers and the key. Errors: a tombstone, or no letter.
pub fn head(at: TopicPartition, stored: &Stored) -> Result<LetterHead, LetterError> {
    let key = stored.record.key.as_deref().unwrap_or_default();
    let place = place(key).ok_or_else(|| wrong(at, stored, "its key has no round".to_string()));
    let (id, round) = place?;
    let head = chunk::head(&stored.record);
    let head = head.map_err(|error| wrong(at, stored, error.to_string()))?;
    Ok(LetterHead {
        id: id.to_string(),
        round,
        row: head.first_row,
        letter: letter(at, stored)?,
    })
}

fn letter(at: TopicPartition, stored: &Stored) -> Result<Letter, LetterError> {
    let header = stored.record.header(HEADER);
    let header = header.ok_or_else(|| wrong(at, stored, format!("no header `{HEADER}`")))?;
    serde_json::from_str(header).map_err(|error| wrong(at, stored, error.to_string()))
}

/// A letter with its message, after every check. Errors: a tombstone, or no letter.
pub fn read(at: TopicPartition, stored: &Stored) -> Result<(Letter, Chunk), LetterError> {
    let letter = letter(at, stored)?;
    let chunk =
        chunk::decode(&stored.record).map_err(|error| wrong(at, stored, error.to_string()))?;
    let [message] = chunk.messages.as_slice() else {
        return Err(wrong(at, stored, "not a chunk of one message".to_string()));
    };
    if stored.record.key.as_deref() != Some(key(&message.line.id, message.line.round).as_str()) {
        return Err(wrong(
            at,
            stored,
            "its key is another message's".to_string(),
        ));
    }
    Ok((letter, chunk))
}

fn wrong(at: TopicPartition, stored: &Stored, what: String) -> LetterError {
    let key = stored.record.key.as_deref().unwrap_or_default();
    LetterError {
        at,
        offset: stored.offset,
        key: key.chars().take(80).collect(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;
    use crate::domain::records::TopicPartitionText;
    use crate::domain::topic::Topic;
    use std::time::SystemTime;

    fn sample() -> (Letter, ChunkHead, MessageLine) {
        let id = RunId::new("spring", "1");
        let from = TopicPartition::new(Topic::Send, 3);
        let letter = Letter {
            key: id.key(),
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            event: None,
            in_doubt: true,
            attempts: 4,
            from: TopicPartitionText(from),
            number: 17,
        };
        let head = ChunkHead {
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            key: id.key(),
            fingerprint: "f".into(),
            first_row: 0,
            last_row: 499,
            count: 500,
            moved_from: None,
            trace_id: "t".into(),
        };
        let line = MessageLine {
            row: 41,
            line: 43,
            address: "anna@example.org".into(),
            id: "a/b@example.org".into(),
            return_path: "b@example.org".into(),
            tries: 3,
            hop: 4,
            round: 2,
            suppressed: None,
            bytes: 5,
        };
        (letter, head, line)
    }

    const DLQ: TopicPartition = TopicPartition::new(Topic::Dlq, 3);

    fn stored(record: Record) -> Stored {
        Stored {
            offset: 9,
            appended_at: SystemTime::UNIX_EPOCH,
            record,
        }
    }

    const ORIGIN: Origin = Origin {
        timestamp: "2026-11-21T08:00:00Z",
        source: "test/send",
    };

    #[test]
    fn a_letter_comes_back_as_it_was() {
        let (letter, head, line) = sample();
        let record = record(
            &letter,
            &head,
            (&line, &MessageContent::whole(&b"hello"[..])),
            ORIGIN,
        )
        .unwrap();
        assert_eq!(record.key.as_deref(), Some("a/b@example.org/2"));
        assert_eq!(place("a/b@example.org/2"), Some(("a/b@example.org", 2)));
        let (read, chunk) = read(DLQ, &stored(record)).unwrap();
        assert_eq!(read, letter);
        assert_eq!(chunk.head.count, 1);
        assert_eq!(chunk.head.moved_from, Some((letter.from.0, 17)));
        let message = &chunk.messages[0];
        assert_eq!(
            (&message.line, message.content.to_vec()),
            (&line, b"hello".to_vec())
        );
    }

    #[test]
    fn damage_is_an_error() {
        let (letter, head, line) = sample();
        let good = record(
            &letter,
            &head,
            (&line, &MessageContent::whole(&b"hello"[..])),
            ORIGIN,
        )
        .unwrap();
        let mut other_key = good.clone();
        other_key.key = Some("x/2".into());
        let mut other_letter = good.clone();
        for (name, value) in &mut other_letter.headers {
            if name == "letter" {
                *value = value.replace("\"attempts\":4", "\"attempts\":5");
            }
        }
        let mut none = good.clone();
        none.headers.retain(|(name, _)| name != "letter");
        let tombstone = Record {
            key: good.key.clone(),
            ..Record::default()
        };
        for wrong in [other_key, other_letter, none, tombstone] {
            assert!(read(DLQ, &stored(wrong)).is_err());
        }
    }
}
