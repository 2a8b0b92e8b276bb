//! Names that get counters of their own: the largest. A list may have a million sites, and a time series each would be
//! too many for a monitoring system.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// Stands for all names without counters of their own.
pub const OTHER: &str = "other";
/// Names that are remembered with their counts, so that one can become large. Further ones count as [`OTHER`].
const MOST_REMEMBERED: usize = 10_000;

/// A name gets a place among the shown ones at once while there is room. Later a larger one takes the place of a smaller
/// one. What was counted for a name before stays in [`OTHER`], so that no counter ever falls.
#[derive(Debug)]
pub struct Largest {
    most: usize,
    names: HashMap<Rc<str>, Entry>,
    /// The name that has each place.
    places: Vec<Rc<str>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    count: u64,
    place: Option<usize>,
}

impl Largest {
    pub fn new(most: usize) -> Largest {
        Largest {
            most,
            names: HashMap::new(),
            places: Vec::new(),
        }
    }

    /// Counts one more of this name. Returns its place; `None`: it has none.
    pub fn count(&mut self, name: &str) -> Option<usize> {
        if let Some(entry) = self.names.get_mut(name) {
            entry.count += 1;
            return entry.place;
        }
        if self.names.len() >= MOST_REMEMBERED {
            return None;
        }
        let name: Rc<str> = Rc::from(name);
        let place = (self.places.len() < self.most).then_some(self.places.len());
        if place.is_some() {
            self.places.push(name.clone());
        }
        self.names.insert(name, Entry { count: 1, place });
        place
    }

    pub fn name(&self, place: Option<usize>) -> String {
        let name = place.and_then(|place| self.places.get(place));
        name.map_or(OTHER, |name| name).to_string()
    }

    pub fn is_shown(&self, name: &str) -> bool {
        self.names
            .get(name)
            .is_some_and(|entry| entry.place.is_some())
    }

    /// Gives places to the largest names. Returns those that another name has now: their counters start anew.
    pub fn review(&mut self) -> BTreeSet<usize> {
        let mut sorted: Vec<(Rc<str>, Entry)> = self
            .names
            .iter()
            .map(|(name, entry)| (name.clone(), *entry))
            .collect();
        // Of equal ones those with a place come first, so that places do not change without a reason.
        sorted.sort_by(|(left, a), (right, b)| {
            let key = |entry: &Entry| (entry.count, entry.place.is_some());
            key(b).cmp(&key(a)).then_with(|| left.cmp(right))
        });
        let (shown, hidden) = sorted.split_at(self.most.min(sorted.len()));
        let freed: Vec<usize> = hidden.iter().filter_map(|(_, entry)| entry.place).collect();
        let arrived = shown.iter().filter(|(_, entry)| entry.place.is_none());
        for ((name, _), place) in arrived.zip(&freed) {
            if let Some(old) = self.places.get_mut(*place) {
                let old = std::mem::replace(old, name.clone());
                self.set_place(&old, None);
            }
            self.set_place(name, Some(*place));
        }
        if sorted.len() >= MOST_REMEMBERED {
            let kept = sorted.iter().take(MOST_REMEMBERED / 2);
            let kept: BTreeSet<Rc<str>> = kept.map(|(name, _)| name.clone()).collect();
            self.names.retain(|name, _| kept.contains(name));
        }
        freed.into_iter().collect()
    }

    fn set_place(&mut self, name: &str, place: Option<usize>) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.place = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_name_takes_the_place_of_a_smaller_one() {
        let mut names = Largest::new(2);
        assert_eq!(names.count("a.example"), Some(0));
        assert_eq!(names.count("b.example"), Some(1));
        assert_eq!(names.count("c.example"), None);
        // Equal ones keep their places.
        assert_eq!(names.review(), BTreeSet::new());
        names.count("c.example");
        names.count("a.example");
        assert_eq!(names.review(), BTreeSet::from([1]));
        assert_eq!(names.count("c.example"), Some(1));
        assert_eq!(names.count("b.example"), None);
        assert_eq!(names.name(Some(1)), "c.example");
        assert_eq!(names.name(None), OTHER);
        assert!(names.is_shown("a.example") && !names.is_shown("b.example"));
    }

    #[test]
    fn remembers_no_more_names_than_its_bound() {
        let mut names = Largest::new(2);
        for number in 0..2 * MOST_REMEMBERED {
            names.count(&format!("{number}.example"));
        }
        assert_eq!(names.names.len(), MOST_REMEMBERED);
        names.review();
        assert!(names.names.len() < MOST_REMEMBERED);
        assert!(names.is_shown("0.example") && names.is_shown("1.example"));
        // A name that came too late to be remembered becomes large after the next review.
        names.count("late.example");
        names.count("late.example");
        names.review();
        assert!(names.is_shown("late.example"));
    }
}
