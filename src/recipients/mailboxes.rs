//! What a row is for the mailbox of its address: the first row, one more, or one that earlier runs have. With
//! `group = true` one mail has all rows of a mailbox, wherever they stand, and this keeps where each of them is.

use super::Known;
use super::address_set::AddressSet;
use crate::domain::ids::Row;

/// In place of the number of a recipient, for a mailbox that gets no mail because earlier runs have it.
const NOBODY: u32 = u32::MAX;

/// What a row is for a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first row: a message.
    First,
    /// One more row. It is in the mail of the first one if rows are grouped.
    Repeated,
    /// One more row, with other cells than the first one. Only if rows are not grouped.
    Differing,
    /// An earlier run has the mailbox.
    AlreadySent,
    /// The limit was reached before the mailbox's first row.
    BeyondLimit,
    /// There are more mailboxes than can be numbered.
    TooMany,
}

/// A row that may be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The number that it gets if it is the first row of its mailbox.
    pub number: Row,
    /// Digest of its cells beside the address, to compare rows of one mailbox.
    pub cells: u32,
    /// Where it is in the file.
    pub offset: u64,
    /// No more messages may be made.
    pub is_full: bool,
}

/// The mailboxes of a list so far. Memory: at most 24 bytes for each mailbox, and 12 for each row after its first one if
/// rows are grouped.
pub struct Mailboxes<'a> {
    seen: AddressSet,
    known: &'a Known,
    is_grouped: bool,
    groups: Groups,
    /// Where the last first row is, and the first number that it got. A cell may hold an address twice.
    last_first: Option<(u64, Row)>,
}

impl<'a> Mailboxes<'a> {
    pub fn new(known: &'a Known, is_grouped: bool) -> Mailboxes<'a> {
        Mailboxes {
            seen: AddressSet::new(),
            known,
            is_grouped,
            groups: Groups::default(),
            last_first: None,
        }
    }

    /// `mailbox`: a mailbox key.
    pub fn place(&mut self, mailbox: &str, row: Candidate) -> Place {
        match self.is_grouped {
            true => self.place_in_group(mailbox, row),
            false => self.place_alone(mailbox, row),
        }
    }

    fn place_alone(&mut self, mailbox: &str, row: Candidate) -> Place {
        let is_known = self.known.contains(mailbox);
        match self.seen.enter(mailbox, row.cells) {
            Some(first) if first != row.cells && !is_known => Place::Differing,
            Some(_) => Place::Repeated,
            None if is_known => Place::AlreadySent,
            None => Place::First,
        }
    }

    fn place_in_group(&mut self, mailbox: &str, row: Candidate) -> Place {
        let is_known = self.known.contains(mailbox);
        let number = match u32::try_from(row.number) {
            _ if is_known => NOBODY,
            Ok(number) if number != NOBODY => number,
            _ => return Place::TooMany,
        };
        let first = match row.is_full {
            true => self.seen.number(mailbox),
            false => self.seen.enter(mailbox, number),
        };
        match first {
            None if row.is_full => Place::BeyondLimit,
            None if is_known => Place::AlreadySent,
            None => {
                if self
                    .last_first
                    .is_none_or(|(offset, _)| offset != row.offset)
                {
                    self.last_first = Some((row.offset, row.number));
                }
                Place::First
            }
            Some(NOBODY) => Place::AlreadySent,
            Some(first) => {
                let is_of_this_row = |(offset, number): (u64, Row)| {
                    offset == row.offset && Row::from(first) >= number
                };
                if !self.last_first.is_some_and(is_of_this_row) {
                    self.groups.add(first, row.offset);
                }
                Place::Repeated
            }
        }
    }

    /// Whether a row would be [`Place::BeyondLimit`] once no more messages may be made.
    pub fn is_new(&self, mailbox: &str) -> bool {
        !self.seen.contains(mailbox)
    }

    pub fn into_groups(self) -> Groups {
        self.groups.sorted()
    }
}

/// Where the rows after the first one of each mailbox are: offsets, not rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(Vec<Member>);

/// A row after the first one of its mailbox: 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// Number of the first row.
    first: u32,
    /// Upper and lower half.
    offset: [u32; 2],
}

impl Member {
    fn offset(self) -> u64 {
        let [high, low] = self.offset;
        u64::from(high) << 32 | u64::from(low)
    }
}

impl Groups {
    fn add(&mut self, first: u32, offset: u64) {
        let member = Member {
            first,
            offset: [(offset >> 32) as u32, offset as u32],
        };
        // A cell may hold an address twice.
        if self.0.last() != Some(&member) {
            self.0.push(member);
        }
    }

    fn sorted(mut self) -> Groups {
        self.0.sort_unstable();
        self.0.shrink_to_fit();
        self
    }

    /// Where the other rows of a recipient's mailbox are, in the order of the file.
    pub fn of(&self, row: Row) -> impl Iterator<Item = u64> {
        let begin = self
            .0
            .partition_point(|member| Row::from(member.first) < row);
        let members = self.0.iter().skip(begin);
        members
            .take_while(move |member| Row::from(member.first) == row)
            .map(|member| member.offset())
    }

    /// The most rows that a mailbox has after its first one.
    pub fn longest(&self) -> usize {
        let of_one = self.0.chunk_by(|one, next| one.first == next.first);
        of_one.map(<[Member]>::len).max().unwrap_or_default()
    }

    /// Removes recipients, given by their numbers in ascending order; those behind them move up. Returns how many rows
    /// went with them.
    pub fn remove(&mut self, recipients: &[Row]) -> u64 {
        let before = self.0.len();
        let is_removed = |first: u32| recipients.binary_search(&Row::from(first)).is_ok();
        self.0.retain(|member| !is_removed(member.first));
        for member in &mut self.0 {
            let gone = recipients.partition_point(|row| *row < Row::from(member.first));
            member.first = member.first.saturating_sub(gone as u32);
        }
        (before - self.0.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: Row, offset: u64, is_full: bool) -> Candidate {
        Candidate {
            number,
            cells: 0,
            offset,
            is_full,
        }
    }

    #[test]
    fn rows_of_a_mailbox_that_differ_are_told_apart() {
        let known = Known::default();
        let mut mailboxes = Mailboxes::new(&known, false);
        let mut place = |mailbox, cells| {
            let row = candidate(0, 0, false);
            mailboxes.place(mailbox, Candidate { cells, ..row })
        };
        assert_eq!(place("a", 1), Place::First);
        assert_eq!(place("b", 2), Place::First);
        assert_eq!(place("a", 1), Place::Repeated);
        assert_eq!(place("a", 2), Place::Differing);
    }

    #[test]
    fn keeps_where_the_rows_of_a_mailbox_are() {
        let known = Known::default();
        let mut mailboxes = Mailboxes::new(&known, true);
        let far = 5 << 32 | 7;
        for (mailbox, row, place) in [
            ("a", candidate(0, 10, false), Place::First),
            ("b", candidate(1, 20, false), Place::First),
            ("a", candidate(2, 30, false), Place::Repeated),
            ("c", candidate(2, 30, false), Place::First),
            ("c", candidate(3, 30, false), Place::Repeated),
            ("a", candidate(3, 30, false), Place::Repeated),
            ("d", candidate(3, 40, true), Place::BeyondLimit),
            ("b", candidate(3, far, true), Place::Repeated),
            ("a", candidate(3, far, true), Place::Repeated),
            (
                "e",
                candidate(u64::from(u32::MAX), 50, false),
                Place::TooMany,
            ),
        ] {
            assert_eq!(mailboxes.place(mailbox, row), place, "{mailbox} {row:?}");
        }
        let mut groups = mailboxes.into_groups();
        let of = |groups: &Groups, row| groups.of(row).collect::<Vec<_>>();
        assert_eq!(of(&groups, 0), [30, far]);
        assert_eq!(of(&groups, 1), [far]);
        assert!(of(&groups, 2).is_empty());
        assert_eq!(groups.longest(), 2);
        assert_eq!(groups.remove(&[0]), 2);
        assert_eq!((of(&groups, 0), of(&groups, 1)), (vec![far], vec![]));
    }

    #[test]
    fn all_rows_of_a_mailbox_that_earlier_runs_have_are_already_sent() {
        let mut earlier = AddressSet::new();
        earlier.insert("a");
        let known = Known(Some(std::sync::Arc::new(earlier)));
        let mut mailboxes = Mailboxes::new(&known, true);
        for offset in [10, 20] {
            let place = mailboxes.place("a", candidate(0, offset, false));
            assert_eq!(place, Place::AlreadySent);
        }
        assert_eq!(mailboxes.into_groups(), Groups::default());
    }
}
