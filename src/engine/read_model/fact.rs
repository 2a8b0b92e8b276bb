//! One thing that is known of one recipient, and its bytes in a sorted run. The bytes order the facts of a recipient:
//! events by rank, then places in the queue, then letters by round.

use super::places::PlaceKind;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{Row, RunKey};

/// Ranks the events of one recipient: of several final ones the highest counts, which is the one that the workers'
/// counters hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rank {
    /// Replays so far.
    pub round: u32,
    /// Moves so far in this round.
    pub hop: u32,
    /// The owner epoch of the partition under which the event was written.
    pub epoch: u64,
}

impl Rank {
    pub fn of(event: &Event) -> Rank {
        let metadata = &event.metadata;
        Rank {
            round: metadata.round,
            hop: metadata.hop,
            epoch: metadata.owner,
        }
    }
}

/// A recipient: index of its run in a [`super::facts::Facts`], and its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct RecipientKey(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<'a> {
    Event(EventFact<'a>),
    /// The message is queued.
    Queued {
        kind: PlaceKind,
        /// In a chunk of send that nobody has opened.
        is_unread: bool,
        address: &'a str,
    },
    /// A pending move takes the message from here: it may be where it goes already.
    Moving {
        kind: PlaceKind,
        round: u32,
        hop: u32,
        address: &'a str,
    },
    /// A copy in a tier shows that the message has come so far.
    Copied {
        round: u32,
        hop: u32,
    },
    /// A purge, or a sealed replay, names the letter of this round.
    Named {
        round: u32,
        in_doubt: bool,
        /// The replay that sent it again; `None`: it was purged.
        replay: Option<RunKey>,
    },
    /// The dlq has the letter of this round.
    Letter {
        round: u32,
        in_doubt: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFact<'a> {
    pub rank: Rank,
    pub kind: EventType,
    pub is_final: bool,
    /// It was there before the places in the queue were read.
    pub is_earlier: bool,
    /// Written by the next owner of a partition, of a message that the last one had claimed.
    pub is_worker_lost: bool,
    pub detail: Detail<'a>,
}

/// What is asked of events beyond their rank and outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail<'a> {
    None,
    Text {
        address: &'a str,
        reply: Option<&'a str>,
        /// RFC 3339.
        when: &'a str,
    },
    /// `topic/partition` that the message was in.
    Partition(&'a str),
}

/// Rows that a key has room for: 40 bits.
pub const MAX_ROWS: u64 = 1 << 40;
const ROW_BITS: u32 = 40;

/// By [`code`].
const KINDS: [EventType; 8] = [
    EventType::InDoubt,
    EventType::Deferred,
    EventType::Delivered,
    EventType::Bounced,
    EventType::Dead,
    EventType::Suppressed,
    EventType::Expired,
    EventType::Cancelled,
];

const EVENT: u8 = 0;
const QUEUED: u8 = 1;
const MOVING: u8 = 2;
const COPIED: u8 = 3;
const LETTERS: u8 = 4;
/// After `LETTERS` and the round: a letter that is named stands after its naming.
const NAMED: u8 = 0;
const LETTER: u8 = 1;

impl RecipientKey {
    /// `row` is below [`MAX_ROWS`].
    pub fn new(run: usize, row: Row) -> RecipientKey {
        RecipientKey(((run as u64) << ROW_BITS) | (row & (MAX_ROWS - 1)))
    }

    pub fn run(self) -> usize {
        (self.0 >> ROW_BITS) as usize
    }

    pub fn row(self) -> Row {
        self.0 & (MAX_ROWS - 1)
    }

    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The key at the beginning of an entry.
    pub fn of(entry: &[u8]) -> Option<RecipientKey> {
        let bytes = entry.first_chunk::<8>()?;
        Some(RecipientKey(u64::from_be_bytes(*bytes)))
    }
}

impl Fact<'_> {
    /// Replaces what is in `entry` by the bytes of the fact.
    pub fn encode(&self, key: RecipientKey, entry: &mut Vec<u8>) {
        entry.clear();
        entry.extend(key.bytes());
        match self {
            Fact::Event(event) => event.encode(entry),
            Fact::Queued {
                kind,
                is_unread,
                address,
            } => {
                entry.extend([QUEUED, *kind as u8, u8::from(*is_unread)]);
                put_text(entry, Some(address));
            }
            Fact::Moving {
                kind,
                round,
                hop,
                address,
            } => {
                entry.extend([MOVING, *kind as u8]);
                entry.extend(round.to_be_bytes());
                entry.extend(hop.to_be_bytes());
                put_text(entry, Some(address));
            }
            Fact::Copied { round, hop } => {
                entry.push(COPIED);
                entry.extend(round.to_be_bytes());
                entry.extend(hop.to_be_bytes());
            }
            Fact::Named {
                round,
                in_doubt,
                replay,
            } => {
                entry.push(LETTERS);
                entry.extend(round.to_be_bytes());
                entry.extend([NAMED, u8::from(*in_doubt), u8::from(replay.is_some())]);
                entry.extend(replay.map_or(0, |run| run.0).to_be_bytes());
            }
            Fact::Letter { round, in_doubt } => {
                entry.push(LETTERS);
                entry.extend(round.to_be_bytes());
                entry.extend([LETTER, u8::from(*in_doubt)]);
            }
        }
    }

    /// The reverse of [`Fact::encode`], without the key; `None` for anything that it does not write.
    pub fn decode(entry: &[u8]) -> Option<Fact<'_>> {
        let mut bytes = Bytes(entry.get(8..)?);
        let fact = match bytes.byte()? {
            EVENT => Fact::Event(EventFact::decode(&mut bytes)?),
            QUEUED => Fact::Queued {
                kind: bytes.kind()?,
                is_unread: bytes.flag()?,
                address: bytes.text()??,
            },
            MOVING => Fact::Moving {
                kind: bytes.kind()?,
                round: bytes.u32()?,
                hop: bytes.u32()?,
                address: bytes.text()??,
            },
            COPIED => Fact::Copied {
                round: bytes.u32()?,
                hop: bytes.u32()?,
            },
            LETTERS => {
                let round = bytes.u32()?;
                match bytes.byte()? {
                    NAMED => Fact::Named {
                        round,
                        in_doubt: bytes.flag()?,
                        replay: {
                            let is_replayed = bytes.flag()?;
                            let run = RunKey(bytes.u64()?);
                            is_replayed.then_some(run)
                        },
                    },
                    LETTER => Fact::Letter {
                        round,
                        in_doubt: bytes.flag()?,
                    },
                    _ => return None,
                }
            }
            _ => return None,
        };
        bytes.0.is_empty().then_some(fact)
    }
}

impl<'a> EventFact<'a> {
    fn encode(&self, entry: &mut Vec<u8>) {
        entry.push(EVENT);
        entry.extend(self.rank.round.to_be_bytes());
        entry.extend(self.rank.hop.to_be_bytes());
        entry.extend(self.rank.epoch.to_be_bytes());
        entry.push(code(self.kind));
        let flags = [self.is_final, self.is_earlier, self.is_worker_lost];
        entry.extend(flags.map(u8::from));
        match self.detail {
            Detail::None => entry.push(0),
            Detail::Text {
                address,
                reply,
                when,
            } => {
                entry.push(1);
                for text in [Some(address), reply, Some(when)] {
                    put_text(entry, text);
                }
            }
            Detail::Partition(at) => {
                entry.push(2);
                put_text(entry, Some(at));
            }
        }
    }

    fn decode(bytes: &mut Bytes<'a>) -> Option<EventFact<'a>> {
        let rank = Rank {
            round: bytes.u32()?,
            hop: bytes.u32()?,
            epoch: bytes.u64()?,
        };
        Some(EventFact {
            rank,
            kind: *KINDS.get(usize::from(bytes.byte()?))?,
            is_final: bytes.flag()?,
            is_earlier: bytes.flag()?,
            is_worker_lost: bytes.flag()?,
            detail: match bytes.byte()? {
                0 => Detail::None,
                1 => Detail::Text {
                    address: bytes.text()??,
                    reply: bytes.text()?,
                    when: bytes.text()??,
                },
                2 => Detail::Partition(bytes.text()??),
                _ => return None,
            },
        })
    }
}

/// An in-doubt event stands before the other events of its rank: it is what makes a second delivery possible.
fn code(kind: EventType) -> u8 {
    match kind {
        EventType::InDoubt => 0,
        EventType::Deferred => 1,
        EventType::Delivered => 2,
        EventType::Bounced => 3,
        EventType::Dead => 4,
        EventType::Suppressed => 5,
        EventType::Expired => 6,
        EventType::Cancelled => 7,
    }
}

/// Its length and one, or 0 for none, then the bytes.
fn put_text(entry: &mut Vec<u8>, text: Option<&str>) {
    let Some(text) = text else {
        return entry.extend(0u32.to_be_bytes());
    };
    entry.extend((text.len() as u32 + 1).to_be_bytes());
    entry.extend(text.as_bytes());
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn kind(&mut self) -> Option<PlaceKind> {
        match self.byte()? {
            0 => Some(PlaceKind::Pending),
            1 => Some(PlaceKind::Retrying),
            _ => None,
        }
    }

    /// Outer `None`: damaged.
    fn text(&mut self) -> Option<Option<&'a str>> {
        let Some(length) = self.u32()?.checked_sub(1) else {
            return Some(None);
        };
        let (text, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_detail() -> impl Strategy<Value = (u8, String, Option<String>)> {
        (0u8..3, "\\PC{0,20}", prop::option::of("\\PC{0,20}"))
    }

    fn event<'a>(
        rank: Rank,
        kind: EventType,
        flags: [bool; 3],
        (choice, text, reply): &'a (u8, String, Option<String>),
    ) -> EventFact<'a> {
        EventFact {
            rank,
            kind,
            is_final: flags[0],
            is_earlier: flags[1],
            is_worker_lost: flags[2],
            detail: match choice {
                0 => Detail::None,
                1 => Detail::Text {
                    address: text,
                    reply: reply.as_deref(),
                    when: text,
                },
                _ => Detail::Partition(text),
            },
        }
    }

    fn any_rank() -> impl Strategy<Value = Rank> {
        (any::<u32>(), any::<u32>(), any::<u64>()).prop_map(|(round, hop, epoch)| Rank {
            round,
            hop,
            epoch,
        })
    }

    proptest! {
        #[test]
        fn bytes_give_back_the_fact(
            run in 0usize..1000,
            row in 0..MAX_ROWS,
            rank in any_rank(),
            kind in prop::sample::select(KINDS.to_vec()),
            flags in any::<[bool; 3]>(),
            detail in any_detail(),
        ) {
            let key = RecipientKey::new(run, row);
            prop_assert_eq!((key.run(), key.row()), (run, row));
            let place = [PlaceKind::Pending, PlaceKind::Retrying][usize::from(flags[0])];
            let address = detail.1.as_str();
            let Rank { round, hop, .. } = rank;
            let mut entry = Vec::new();
            for fact in [
                Fact::Event(event(rank, kind, flags, &detail)),
                Fact::Queued { kind: place, is_unread: flags[1], address },
                Fact::Moving { kind: place, round, hop, address },
                Fact::Copied { round, hop },
                Fact::Named { round, in_doubt: flags[0], replay: flags[1].then_some(RunKey(7)) },
                Fact::Letter { round, in_doubt: flags[0] },
            ] {
                fact.encode(key, &mut entry);
                prop_assert_eq!(RecipientKey::of(&entry), Some(key));
                prop_assert_eq!(Fact::decode(&entry), Some(fact));
                entry.push(0);
                prop_assert_eq!(Fact::decode(&entry), None);
            }
        }

        #[test]
        fn bytes_order_recipients_and_their_events(
            keys in prop::array::uniform2((0usize..3, 0u64..3)),
            ranks in prop::array::uniform2(any_rank()),
            kinds in prop::array::uniform2(0usize..KINDS.len()),
        ) {
            let entry = |index: usize| {
                let key = RecipientKey::new(keys[index].0, keys[index].1);
                let detail = (0, String::new(), None);
                let fact = event(ranks[index], KINDS[kinds[index]], [true; 3], &detail);
                let mut bytes = Vec::new();
                Fact::Event(fact).encode(key, &mut bytes);
                bytes
            };
            let order = |index: usize| (keys[index], ranks[index], kinds[index]);
            prop_assert_eq!(entry(0).cmp(&entry(1)), order(0).cmp(&order(1)));
        }
    }
}
