//! Finds what the messages of a run share. The first message of a kind becomes a shared text; of each later one only
//! the bytes that differ are kept. gzip alone cannot do this for a newsletter: it looks back 32 KiB.

use crate::domain::content::{MessageContent, Part};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Kinds of messages in a run: languages, say, or a template with large optional parts.
const MAX_TEXTS: usize = 8;
/// Bytes of a line's beginning that are looked up, and the shortest run worth copying.
const ANCHOR: usize = 16;
/// A message that is no longer than this is compressed as well whole, because gzip still sees the one before it.
const SMALL_BYTES: usize = 16 * 1024;
/// A small message of shorter parts than this, on average, is kept whole: writing and joining the parts costs more
/// than compressing them.
const PART_BYTES: usize = 256;
/// Parts that the header of every message has: To, Message-ID, List-Unsubscribe.
const HEADER_PARTS: usize = 8;

type Anchor = [u8; ANCHOR];

/// The shared texts of a run, for all threads that render it.
#[derive(Default)]
pub struct Sharing {
    texts: RwLock<Vec<Arc<Text>>>,
}

/// How a message compares with a shared text.
enum Comparison {
    /// Cut where it differs.
    Cut(MessageContent),
    /// It has the text's lines, and differs in too many places.
    Fragmented,
    /// Less than half of it is in the text.
    Different,
}

struct Text {
    bytes: Bytes,
    /// Offsets of lines by how they begin, ascending.
    lines: HashMap<Anchor, Vec<u32>>,
}

impl Sharing {
    /// The same bytes, cut where they differ from a text that is shared.
    pub fn cut(&self, message: Vec<u8>) -> MessageContent {
        let texts = self.texts();
        let mut best: Option<MessageContent> = None;
        let mut is_fragmented = false;
        for text in &texts {
            match text.compare(&message) {
                Comparison::Cut(content) => {
                    let is_better = |best: &MessageContent| content.own().len() < best.own().len();
                    if best.as_ref().is_none_or(is_better) {
                        best = Some(content);
                    }
                }
                Comparison::Fragmented => is_fragmented = true,
                Comparison::Different => {}
            }
        }
        match best {
            Some(content) => content,
            None if is_fragmented || texts.len() >= MAX_TEXTS || message.len() < ANCHOR => {
                MessageContent::whole(message)
            }
            None => self.share(message),
        }
    }

    fn texts(&self) -> Vec<Arc<Text>> {
        // A poisoned list is whole: it is only ever pushed to.
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        texts.clone()
    }

    /// Makes a message the first of its kind.
    fn share(&self, message: Vec<u8>) -> MessageContent {
        let text = Arc::new(Text::new(message.into()));
        let content = match text.compare(&text.bytes) {
            Comparison::Cut(content) => content,
            Comparison::Fragmented | Comparison::Different => {
                MessageContent::whole(text.bytes.to_vec())
            }
        };
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        // Threads that meet a new kind at the same time may share it twice, which costs memory and nothing else.
        if texts.len() < MAX_TEXTS {
            texts.push(text);
        }
        content
    }
}

impl Text {
    fn new(bytes: Bytes) -> Text {
        let mut lines: HashMap<Anchor, Vec<u32>> = HashMap::new();
        for at in line_starts(&bytes, 0) {
            if let (Some(anchor), Ok(offset)) = (anchor(&bytes, at), u32::try_from(at)) {
                lines.entry(anchor).or_default().push(offset);
            }
        }
        Text { bytes, lines }
    }

    fn compare(&self, message: &[u8]) -> Comparison {
        let most_parts = match message.len() <= SMALL_BYTES {
            true => HEADER_PARTS + message.len() / PART_BYTES,
            false => usize::MAX,
        };
        let mut own = Vec::new();
        let mut parts = Vec::new();
        let mut pending = Part::default();
        let (mut at, mut from) = (0, 0);
        loop {
            let same = common_prefix(rest(message, at), rest(&self.bytes, from));
            if same > 0 {
                push(&mut parts, pending);
                pending = Part {
                    from: to_u32(from),
                    copied: to_u32(same),
                    own: 0,
                };
            }
            (at, from) = (at + same, from + same);
            if at >= message.len() {
                break;
            }
            let (next, found) = self.resume(message, at, from);
            if parts.len() >= most_parts {
                return Comparison::Fragmented;
            }
            own.extend_from_slice(message.get(at..next).unwrap_or_default());
            pending.own += to_u32(next - at);
            (at, from) = (next, found);
        }
        push(&mut parts, pending);
        if own.len() > message.len() / 2 {
            return Comparison::Different;
        }
        match MessageContent::of_parts(self.bytes.clone(), own.into(), parts) {
            Some(content) => Comparison::Cut(content),
            None => Comparison::Different,
        }
    }

    /// After a difference: the next place in the message that is in the shared text too, and where it is there.
    /// The end of the message if there is none.
    fn resume(&self, message: &[u8], at: usize, from: usize) -> (usize, usize) {
        for start in line_starts(message, at + 1) {
            let offsets = anchor(message, start).and_then(|anchor| self.lines.get(&anchor));
            let Some(offsets) = offsets else { continue };
            // Messages follow the text in order, so a line further on is likelier than one before.
            let ahead = offsets.partition_point(|offset| (*offset as usize) < from);
            if let Some(found) = offsets.get(ahead).or(offsets.last()) {
                let found = *found as usize;
                let before = message.get(at..start).unwrap_or_default();
                let back = common_suffix(before, self.bytes.get(..found).unwrap_or_default());
                return (start - back, found - back);
            }
        }
        let before = rest(message, at);
        let back = common_suffix(before, &self.bytes);
        (message.len() - back, self.bytes.len() - back)
    }
}

fn push(parts: &mut Vec<Part>, part: Part) {
    if part.copied + part.own > 0 {
        parts.push(part);
    }
}

/// Messages are at most 8 MiB.
fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn rest(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

fn anchor(bytes: &[u8], at: usize) -> Option<Anchor> {
    bytes.get(at..at + ANCHOR)?.try_into().ok()
}

/// Where lines begin, from `at` on.
fn line_starts(bytes: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let first = (at == 0).then_some(0);
    let from = at.saturating_sub(1);
    let ends = memchr::memchr_iter(b'\n', rest(bytes, from));
    first.into_iter().chain(ends.map(move |end| from + end + 1))
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    const BLOCK: usize = 64;
    let blocks = left.chunks_exact(BLOCK).zip(right.chunks_exact(BLOCK));
    let same = BLOCK * blocks.take_while(|(left, right)| left == right).count();
    let bytes = rest(left, same).iter().zip(rest(right, same));
    same + bytes.take_while(|(left, right)| left == right).count()
}

fn common_suffix(left: &[u8], right: &[u8]) -> usize {
    let bytes = left.iter().rev().zip(right.iter().rev());
    bytes.take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letter(name: &str, city: &str) -> Vec<u8> {
        let body: String = (0..40)
            .map(|line| format!("Line {line} of what everybody in the list gets.\r\n"))
            .collect();
        let html = body.replace("Line", "<p>Line");
        format!("Subject: Hello {name}\r\n\r\nDear {name},\r\n{body}\r\nIn {city} too.\r\n{html}")
            .into_bytes()
    }

    #[test]
    fn keeps_only_what_differs() {
        let sharing = Sharing::default();
        let first = sharing.cut(letter("Anna", "Bonn"));
        assert_eq!(first.own().len(), 0);
        for (name, city) in [("Bartholomew", "Rome"), ("", ""), ("Anna", "Bonn")] {
            let message = letter(name, city);
            let content = sharing.cut(message.clone());
            assert_eq!(content.to_vec(), message);
            assert!(content.own().len() < 60, "{} bytes", content.own().len());
            assert_eq!(content.shared().as_ptr(), first.shared().as_ptr());
        }
    }

    #[test]
    fn finds_the_kind_of_a_message() {
        let sharing = Sharing::default();
        let german: Vec<u8> = (0..99)
            .flat_map(|n| format!("Zeile {n}\r\n").into_bytes())
            .collect();
        let english = sharing.cut(letter("Anna", "Bonn"));
        sharing.cut(german.clone());
        assert_eq!(sharing.texts().len(), 2);
        assert_eq!(sharing.cut(german).own().len(), 0);
        let again = sharing.cut(letter("Ben", "Bonn"));
        assert_eq!(again.shared().as_ptr(), english.shared().as_ptr());
    }

    #[test]
    fn stops_learning_kinds() {
        let sharing = Sharing::default();
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let noise: Vec<u8> = (0..500).map(|_| random.u8(..)).collect();
            assert_eq!(sharing.cut(noise.clone()).to_vec(), noise);
        }
        assert_eq!(sharing.texts().len(), MAX_TEXTS);
    }

    #[test]
    fn keeps_a_small_message_of_many_parts_whole() {
        let sharing = Sharing::default();
        let letter = |city: &str| {
            let line = format!("The quick brown fox of {city} jumps over the lazy dog.\r\n");
            line.repeat(100).into_bytes()
        };
        sharing.cut(letter("Rome"));
        let message = letter("Bonn");
        let content = sharing.cut(message.clone());
        assert_eq!(content.own(), &message);
        assert_eq!(sharing.texts().len(), 1);
        let large = [
            letter("Bonn"),
            letter("Bonn"),
            letter("Bonn"),
            letter("Bonn"),
        ]
        .concat();
        assert!(sharing.cut(large.clone()).own().len() < large.len() / 10);
    }

    proptest! {
        /// Whatever two messages have in common, each comes back as it was.
        #[test]
        fn every_message_comes_back(
            messages in proptest::collection::vec(
                proptest::collection::vec("(ab\r\n|a{20}\r\n|[a-c]{0,40}\r\n|\n|b)", 0..12), 1..6)
        ) {
            let sharing = Sharing::default();
            for lines in messages {
                let message = lines.concat().into_bytes();
                prop_assert_eq!(sharing.cut(message.clone()).to_vec(), message);
            }
        }
    }
}
