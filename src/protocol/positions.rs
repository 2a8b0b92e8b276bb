//! A set of positions within one chunk, at most [`MAX_ROWS`] of them: 84 characters of a commit at the most, and few
//! where messages are done in order.

use crate::domain::chunk::MAX_ROWS;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const WORDS: usize = MAX_ROWS.div_ceil(64);

/// Positions from 0. Adding one at or above [`MAX_ROWS`] does nothing: no chunk has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Positions {
    words: [u64; WORDS],
}

impl Positions {
    pub const NONE: Positions = Positions { words: [0; WORDS] };

    /// 0, 1, … `count - 1`.
    pub fn first(count: usize) -> Positions {
        let mut words = [0; WORDS];
        let count = count.min(MAX_ROWS);
        for (index, word) in words.iter_mut().enumerate() {
            let bits = count.saturating_sub(index * 64).min(64) as u32;
            *word = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        }
        Positions { words }
    }

    pub fn add(&mut self, position: usize) {
        if position < MAX_ROWS
            && let Some(word) = self.words.get_mut(position / 64)
        {
            *word |= 1 << (position % 64);
        }
    }

    pub fn remove(&mut self, position: usize) {
        if let Some(word) = self.words.get_mut(position / 64) {
            *word &= !(1 << (position % 64));
        }
    }

    pub fn has(&self, position: usize) -> bool {
        self.words
            .get(position / 64)
            .is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    pub fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// What is here and not there.
    pub fn without(&self, other: &Positions) -> Positions {
        let mut left = self.clone();
        for (mine, theirs) in left.words.iter_mut().zip(other.words) {
            *mine &= !theirs;
        }
        left
    }

    /// What is here and there.
    pub fn and(&self, other: &Positions) -> Positions {
        let mut both = self.clone();
        for (mine, theirs) in both.words.iter_mut().zip(other.words) {
            *mine &= theirs;
        }
        both
    }

    /// What is here or there.
    pub fn with(&self, other: &Positions) -> Positions {
        let mut both = self.clone();
        for (mine, theirs) in both.words.iter_mut().zip(other.words) {
            *mine |= theirs;
        }
        both
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    index * 64 + bit
                })
            })
        })
    }

    /// The shorter of two forms. `:0-122.130` are ranges and single positions; anything else is Base64 (URL alphabet)
    /// of the bits, lowest first, without trailing zero bytes. Empty for the empty set.
    pub fn text(&self) -> String {
        let bits = self.bits();
        let mut ranges = String::new();
        for (first, last) in self.ranges() {
            let separator = if ranges.is_empty() { ':' } else { '.' };
            ranges.push(separator);
            ranges.push_str(&first.to_string());
            if last > first {
                ranges.push('-');
                ranges.push_str(&last.to_string());
            }
            if ranges.len() >= bits.len() {
                return bits;
            }
        }
        ranges
    }

    /// Runs of positions, each from its first to its last.
    fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut rest = self.iter().peekable();
        std::iter::from_fn(move || {
            let first = rest.next()?;
            let mut last = first;
            while rest.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            Some((first, last))
        })
    }

    fn bits(&self) -> String {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes());
        let mut bytes: Vec<u8> = bytes.collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The reverse of [`Positions::text`]; `None` for anything that it does not write.
    pub fn parse(text: &str) -> Option<Positions> {
        match text.strip_prefix(':') {
            Some(ranges) => Positions::parse_ranges(ranges),
            None => Positions::parse_bits(text),
        }
    }

    fn parse_ranges(text: &str) -> Option<Positions> {
        let mut set = Positions::default();
        for range in text.split('.') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            if last < first || last >= MAX_ROWS {
                return None;
            }
            (first..=last).for_each(|position| set.add(position));
        }
        Some(set)
    }

    fn parse_bits(text: &str) -> Option<Positions> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut set = Positions::default();
        for (index, byte) in bytes.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                let position = index * 8 + bit;
                if position >= MAX_ROWS {
                    return None;
                }
                set.add(position);
            }
        }
        Some(set)
    }
}

impl FromIterator<usize> for Positions {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Positions {
        let mut set = Positions::default();
        positions.into_iter().for_each(|position| set.add(position));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(set in proptest::collection::btree_set(0usize..MAX_ROWS, 0..80)) {
            let positions: Positions = set.iter().copied().collect();
            prop_assert_eq!(positions.iter().collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(Positions::parse(&positions.text()), Some(positions));
        }

        #[test]
        fn any_text_is_refused_or_understood(text in "(:[0-9.-]{0,12}|[A-Za-z0-9_-]{0,100})") {
            if let Some(set) = Positions::parse(&text) {
                prop_assert!(set.iter().all(|position| position < MAX_ROWS));
            }
        }
    }

    #[test]
    fn full_set_fits() {
        let full = Positions::first(MAX_ROWS);
        assert_eq!(full.count(), MAX_ROWS);
        assert!(full.text().len() <= 84);
        assert_eq!(Positions::default().text(), "");
        assert_eq!(full.text(), ":0-499");
    }

    #[test]
    fn messages_done_in_order_take_few_characters() {
        let mut set = Positions::first(123);
        set.add(130);
        assert_eq!(set.text(), ":0-122.130");
        set.remove(0);
        assert_eq!(Positions::parse(&set.text()), Some(set));
        for wrong in [":", ":4-2", ":500", ":1..2", ":1-", ":x"] {
            assert_eq!(Positions::parse(wrong), None, "{wrong}");
        }
    }
}
