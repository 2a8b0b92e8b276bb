//! Tests of every row in the first pass over a list: cells of columns with a type, uses of columns that only the cells
//! prove wrong, address fields that are templates, and, where bad rows are left out, whether the row's message can be made
//! at all.

use super::analysis::{CellTest, CellUse};
use super::cell_type::decimal;
use super::composer::Composer;
use super::error::{RenderError, cell_name, declared};
use crate::domain::recipient::{ListFault, RecipientRow, RowFault, RowTest, RowTests};
use std::sync::Arc;

/// Words that stand for false. Templates take a text for true unless it is empty.
const FALSE: [&str; 12] = [
    "false", "no", "n", "f", "off", "falsch", "nein", "faux", "non", "falso", "否", "0",
];
const TRUE: [&str; 13] = [
    "true", "yes", "y", "t", "on", "wahr", "ja", "vrai", "oui", "sí", "vero", "是", "1",
];

impl Composer {
    /// What the first pass tests. `render`: also make each message, so that rows that fail can be left out.
    // Enqueue makes these messages a second time. Rows are numbered without those that fail, and the manifest counts them
    // before the first chunk is written; keeping the messages until then would need room for all of them at once. For
    // 200,000 rows with HTML and text the first making costs 2.3 s of processor time, 9.4 s instead of 7.1 s in all.
    pub fn row_tests(&self, render: bool) -> Option<Arc<dyn RowTests>> {
        let is_needed = render
            || !self.cell_tests.is_empty()
            || self.columns.has_types()
            || self.has_address_templates();
        is_needed.then(|| {
            let tests = ListTests {
                composer: self.clone(),
                render,
            };
            Arc::new(tests) as Arc<dyn RowTests>
        })
    }
}

struct ListTests {
    composer: Composer,
    render: bool,
}

impl RowTests for ListTests {
    fn begin(&self) -> Box<dyn RowTest + '_> {
        let tests = self.composer.cell_tests.iter();
        let observed = tests.filter_map(|test| {
            let index = self.composer.columns.index_of(&test.column)?;
            Some(Observed::new(test, index))
        });
        Box::new(OnePass {
            tests: self,
            observed: observed.collect(),
        })
    }
}

struct OnePass<'a> {
    tests: &'a ListTests,
    observed: Vec<Observed<'a>>,
}

impl RowTest for OnePass<'_> {
    fn cells(&self, row: &RecipientRow) -> Result<(), RowFault> {
        self.tests.composer.columns.check(&row.fields)
    }

    fn needs_messages(&self) -> bool {
        self.tests.render || self.tests.composer.has_address_templates()
    }

    fn message(&self, row: &RecipientRow) -> Result<(), RowFault> {
        let composer = &self.tests.composer;
        if self.tests.render {
            let id = format!("check@{}", composer.message_id_domain());
            composer.compose(row, &id).map_err(fault)?;
        } else if composer.has_address_templates() {
            composer.check_address_fields(row).map_err(fault)?;
        }
        Ok(())
    }

    fn observe(&mut self, row: &RecipientRow) {
        for observed in &mut self.observed {
            let cell = row.fields.get(observed.index).map_or("", String::as_str);
            observed.see(cell.trim(), row.line);
        }
    }

    fn finish(self: Box<Self>) -> Result<(), ListFault> {
        let found = self.observed.iter().find_map(Observed::error);
        found.map_or(Ok(()), Err)
    }
}

fn fault(error: RenderError) -> RowFault {
    RowFault {
        column: None,
        what: error.without_line(),
    }
}

/// What the cells of a column look like so far. Empty ones say nothing.
struct Observed<'a> {
    test: &'a CellTest,
    index: usize,
    are_words: bool,
    are_numbers: bool,
    /// The first cell that the template takes for the wrong thing, and its line.
    first: Option<(String, u64)>,
}

impl<'a> Observed<'a> {
    fn new(test: &'a CellTest, index: usize) -> Observed<'a> {
        Observed {
            test,
            index,
            are_words: true,
            are_numbers: true,
            first: None,
        }
    }

    fn see(&mut self, cell: &str, line: u64) {
        if cell.is_empty() || !(self.are_words || self.are_numbers) {
            return;
        }
        let is_number = decimal(cell);
        let lower = cell.to_lowercase();
        let is_false = FALSE.contains(&lower.as_str());
        self.are_words &= is_false || TRUE.contains(&lower.as_str());
        self.are_numbers &= is_number.is_some();
        let is_wrong = match self.test.cell_use {
            CellUse::Truth => is_false || is_number == Some(0.0),
            CellUse::Order | CellUse::Sum => is_number.is_some(),
        };
        if is_wrong && self.first.is_none() {
            self.first = Some((cell.chars().take(40).collect(), line));
        }
    }

    fn error(&self) -> Option<ListFault> {
        let is_wrong = match self.test.cell_use {
            CellUse::Truth => self.are_words || self.are_numbers,
            CellUse::Order | CellUse::Sum => self.are_numbers,
        };
        let (cell, line) = self.first.clone().filter(|_| is_wrong)?;
        let CellTest {
            column,
            place,
            cell_use,
        } = self.test;
        let cell = cell.escape_debug();
        let (why, cure) = match cell_use {
            CellUse::Truth => ("every text but an empty one is true", "boolean"),
            CellUse::Order => ("texts are compared by the alphabet", "decimal"),
            CellUse::Sum => ("`+` puts one text after the other", "decimal"),
        };
        let cure = if *cell_use == CellUse::Truth && !self.are_words {
            "decimal"
        } else {
            cure
        };
        let variable = cell_name(column);
        let here = match *cell_use {
            CellUse::Truth if cure == "boolean" => format!("`{variable} != \"{cell}\"`"),
            _ => format!("`{variable} | float`"),
        };
        Some(ListFault {
            what: format!("{place}: `{column}` is text, and {why}: `{cell}` of line {line} too"),
            hint: format!(
                "give it a type in the campaign file, {}, or write {here}",
                declared(column, cure)
            ),
        })
    }
}
