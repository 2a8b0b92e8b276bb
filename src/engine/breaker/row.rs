//! How many bad answers in a row are no chance any more. Pure.

/// A row is no chance when one as long, at the share of bad answers seen before, comes once in a thousand million
/// answers.
const CHANCE: f64 = 1e-9;
/// Answers over which the share is counted.
const SHARE_WINDOW: u32 = 400;

/// A row of bad answers, and what came before it.
#[derive(Debug, Clone)]
pub struct Row {
    /// So many are needed where nothing was good before.
    first: u32,
    /// So many are needed at least.
    fewest: u32,
    in_a_row: u32,
    /// Answers before this row, and the bad ones among them.
    answers: u32,
    bad: u32,
}

impl Row {
    pub fn new(first: u32, fewest: u32) -> Row {
        Row {
            first,
            fewest,
            in_a_row: 0,
            answers: 0,
            bad: 0,
        }
    }

    /// Forgets all answers.
    pub fn clear(&mut self) {
        *self = Row::new(self.first, self.fewest);
    }

    /// A good answer ends the row.
    pub fn good(&mut self) {
        self.bad += self.in_a_row;
        self.answers += self.in_a_row + 1;
        self.in_a_row = 0;
        if self.answers > SHARE_WINDOW {
            self.answers /= 2;
            self.bad /= 2;
        }
    }

    pub fn bad(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    pub fn is_no_chance(&self) -> bool {
        if self.answers == 0 {
            return self.in_a_row >= self.first;
        }
        let share = f64::from(self.bad + 1) / f64::from(self.answers + 2);
        let chance = share.powf(f64::from(self.in_a_row));
        self.in_a_row >= self.fewest && chance <= CHANCE
    }
}
