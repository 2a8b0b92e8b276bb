//! What the history of each recipient adds up to, and what in it does not hold. Pure.

use crate::domain::counters::Final;
use crate::domain::ids::shown_row;
use crate::engine::read_model::facts::Subject;
use crate::engine::read_model::findings::Findings;
use crate::engine::read_model::history::{History, RecipientState, ends_as};
use crate::engine::read_model::places::PlaceKind;

/// What a run's recipients add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub finals: [u64; 7],
    pub retrying: u64,
}

impl Sums {
    /// Counts one recipient. Of a cancelled run the cancel itself is the event of what nobody opened.
    pub fn add(&mut self, subject: &Subject, history: &History, findings: &mut Findings) {
        let mut find = |what: &str| {
            let (row, name) = (shown_row(history.key.row()), &subject.name);
            findings.add(format!("row {row} of {name} {what}"));
        };
        look(history, &mut find);
        match history.state() {
            RecipientState::Queued(PlaceKind::Retrying) => self.retrying += 1,
            RecipientState::Queued(PlaceKind::Pending) => {}
            RecipientState::Ended(end) => {
                if let Some(count) = self.finals.get_mut(end as usize) {
                    *count += 1;
                }
            }
            RecipientState::Replayed if !subject.is_cancelled => find(
                "was sent again from the dlq, and has neither a final event of it nor a place in the queue",
            ),
            RecipientState::Unknown if !subject.is_cancelled => {
                find("has neither a final event nor a place in the queue");
            }
            RecipientState::Replayed | RecipientState::Unknown => {}
        }
    }
}

/// What does not hold, whatever the recipient counts as.
fn look(history: &History, find: &mut dyn FnMut(&str)) {
    if history.is_queued_twice() {
        find("is queued twice");
    }
    if history.ended_before_it_was_read() {
        find("has a final event, and will be sent: nobody has opened its chunk");
    }
    if let Some(what) = history.contradiction() {
        find(what);
    }
    for letter in history.stray_letters() {
        let (round, end) = (letter.round, name(ends_as(letter.in_doubt)));
        find(&format!("has a letter of round {round} and is not {end}"));
    }
    if let (RecipientState::Ended(end), Some((rank, _))) = (history.state(), history.end())
        && matches!(end, Final::Dead | Final::InDoubt)
        && !history.has_letter(rank, end)
    {
        find(&format!("is {} and has no letter in the dlq", name(end)));
    }
}

fn name(end: Final) -> String {
    end.name().replace('_', " ")
}
