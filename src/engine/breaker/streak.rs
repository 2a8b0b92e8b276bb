//! How many bad answers in a row cannot be chance. Pure.

/// A streak cannot be chance when one as long, at the share of bad answers seen before, comes once in a thousand million
/// answers.
const CHANCE: f64 = 1e-9;
/// Answers over which the share is counted.
const SHARE_WINDOW: u32 = 400;

/// Bad answers in a row, and what came before them.
#[derive(Debug, Clone)]
pub struct Streak {
    /// So many are needed where nothing was good before.
    while_none_was_good: u32,
    at_least: u32,
    in_a_row: u32,
    /// Answers before this streak, and the bad ones among them.
    answers: u32,
    bad: u32,
}

impl Streak {
    pub fn new(while_none_was_good: u32, at_least: u32) -> Streak {
        Streak {
            while_none_was_good,
            at_least,
            in_a_row: 0,
            answers: 0,
            bad: 0,
        }
    }

    /// Forgets all answers.
    pub fn clear(&mut self) {
        *self = Streak::new(self.while_none_was_good, self.at_least);
    }

    /// A good answer ends the streak.
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

    pub fn cannot_be_chance(&self) -> bool {
        if self.answers == 0 {
            return self.in_a_row >= self.while_none_was_good;
        }
        let share = f64::from(self.bad + 1) / f64::from(self.answers + 2);
        let chance = share.powf(f64::from(self.in_a_row));
        self.in_a_row >= self.at_least && chance <= CHANCE
    }
}
