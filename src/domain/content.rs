//! The bytes of one message, as runs of a text that it shares with others of its campaign and bytes of its own.
//! Messages of one template differ in a few words, so a worker holds the shared text once, however many it has read.

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A message is `copies` from the shared text and bytes of its own, in turn.
#[derive(Clone, Default)]
pub struct MessageContent {
    shared: Bytes,
    own: Bytes,
    parts: Arc<[Part]>,
    bytes: usize,
}

/// `copied` bytes of the shared text from `from` on, then the next `own` bytes of the message's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    pub from: u32,
    pub copied: u32,
    pub own: u32,
}

impl MessageContent {
    /// Shares nothing.
    pub fn whole(bytes: impl Into<Bytes>) -> MessageContent {
        let own = bytes.into();
        MessageContent {
            bytes: own.len(),
            own,
            ..MessageContent::default()
        }
    }

    /// `None`: a part lies outside the shared text, or the parts do not use exactly the own bytes.
    pub fn of_parts(shared: Bytes, own: Bytes, parts: Vec<Part>) -> Option<MessageContent> {
        let (mut bytes, mut used) = (0usize, 0usize);
        for part in &parts {
            shared.get(part.range())?;
            bytes = bytes.checked_add(part.copied as usize)?;
            used = used.checked_add(part.own as usize)?;
        }
        if used != own.len() {
            return None;
        }
        if parts.is_empty() {
            return Some(MessageContent::whole(own));
        }
        Some(MessageContent {
            bytes: bytes + used,
            shared,
            own,
            parts: parts.into(),
        })
    }

    /// Length of the message in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The text that others share, empty where nothing is shared.
    pub fn shared(&self) -> &Bytes {
        &self.shared
    }

    /// What no other message has.
    pub fn own(&self) -> &Bytes {
        &self.own
    }

    /// Empty where nothing is shared: the message is its own bytes.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The message piece by piece, in order, without copying it.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut own: &[u8] = &self.own;
        // Without parts everything is in `own`, and this is the only piece.
        let whole = self.parts.is_empty().then_some(own);
        let parts = self.parts.iter().flat_map(move |part| {
            let copied = self.shared.get(part.range()).unwrap_or_default();
            let (next, rest) = own.split_at(own.len().min(part.own as usize));
            own = rest;
            [copied, next]
        });
        whole
            .into_iter()
            .chain(parts)
            .filter(|piece| !piece.is_empty())
    }

    /// A copy of the whole message.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.bytes);
        self.pieces()
            .for_each(|piece| whole.extend_from_slice(piece));
        whole
    }

    /// The last bytes, at most `count` of them.
    pub fn tail(&self, count: usize) -> Vec<u8> {
        let mut tail = Vec::new();
        for piece in self.pieces() {
            let kept = piece.get(piece.len().saturating_sub(count)..);
            tail.extend_from_slice(kept.unwrap_or_default());
            tail.drain(..tail.len().saturating_sub(count));
        }
        tail
    }
}

impl Part {
    fn range(&self) -> std::ops::Range<usize> {
        let from = self.from as usize;
        from..from.saturating_add(self.copied as usize)
    }
}

impl From<Bytes> for MessageContent {
    fn from(bytes: Bytes) -> MessageContent {
        MessageContent::whole(bytes)
    }
}

impl From<Vec<u8>> for MessageContent {
    fn from(bytes: Vec<u8>) -> MessageContent {
        MessageContent::whole(bytes)
    }
}

/// Two contents are equal when the messages are, however they are cut.
impl PartialEq for MessageContent {
    fn eq(&self, other: &MessageContent) -> bool {
        self.bytes == other.bytes && self.to_vec() == other.to_vec()
    }
}

impl Eq for MessageContent {}

impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.to_vec()).into_owned();
        f.debug_tuple("MessageContent").field(&text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: u32, copied: u32, own: u32) -> Part {
        Part { from, copied, own }
    }

    #[test]
    fn parts_and_own_bytes_make_the_message() {
        let shared = Bytes::from_static(b"Hello NAME, bye.\r\n");
        let parts = vec![part(0, 6, 4), part(10, 8, 0)];
        let content = MessageContent::of_parts(shared, Bytes::from_static(b"Anna"), parts).unwrap();
        assert_eq!(content.to_vec(), b"Hello Anna, bye.\r\n");
        assert_eq!(content.len(), 18);
        assert_eq!(content, MessageContent::whole(&b"Hello Anna, bye.\r\n"[..]));
        assert_eq!(content.tail(2), b"\r\n");
        assert_eq!(content.tail(99), content.to_vec());
    }

    #[test]
    fn refuses_parts_outside_of_what_is_there() {
        let cases = [
            (vec![part(0, 5, 0)], &b""[..]),
            (vec![part(4, 1, 0)], b""),
            (vec![part(u32::MAX, u32::MAX, 0)], b""),
            (vec![part(0, 4, 1)], b""),
            (vec![part(0, 4, 1)], b"ab"),
        ];
        for (parts, own) in cases {
            let own = Bytes::copy_from_slice(own);
            let content = MessageContent::of_parts(Bytes::from_static(b"four"), own, parts.clone());
            assert!(content.is_none(), "{parts:?}");
        }
    }

    #[test]
    fn a_whole_message_is_one_piece() {
        let content = MessageContent::whole(&b"abc"[..]);
        assert_eq!(content.pieces().collect::<Vec<_>>(), [b"abc"]);
        assert!(MessageContent::default().pieces().next().is_none());
        assert!(MessageContent::default().is_empty());
    }
}
