//! A recipient: an accepted row of the recipients file.

use super::address::Address;
use super::ids::Row;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    /// Number among the accepted rows, from 0.
    pub row: Row,
    /// Line of the file on which the row begins, from 1.
    pub line: u64,
    pub address: Address,
    /// The name that stands beside the address in its cell.
    pub name: Option<String>,
    /// The cells, in the order of the columns.
    pub fields: Vec<String>,
    /// The cells of the other rows of the mailbox, if one mail has them all.
    pub others: Vec<Vec<String>>,
}

impl RecipientRow {
    /// Bytes of all cells.
    pub fn bytes(&self) -> usize {
        let others = self.others.iter().flatten();
        self.fields.iter().chain(others).map(String::len).sum()
    }
}

/// What the templates of a campaign demand of a list, tested in its first pass.
pub trait RowTests: Send + Sync {
    fn begin(&self) -> Box<dyn RowTest + '_>;
}

/// The tests of one pass over a list.
pub trait RowTest {
    /// Tests the cells of a row with a valid address.
    fn cells(&self, row: &RecipientRow) -> Result<(), RowFault>;

    /// Whether [`RowTest::message`] tests anything.
    fn needs_messages(&self) -> bool;

    /// Tests the message for a row whose cells are good.
    fn message(&self, row: &RecipientRow) -> Result<(), RowFault>;

    /// Takes notice of the cells of a good row.
    fn observe(&mut self, row: &RecipientRow);

    /// After the last row: what only all rows together prove wrong.
    fn finish(self: Box<Self>) -> Result<(), ListFault>;
}

/// A row that no message can be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Number of the column whose cell is wrong, from 0.
    pub column: Option<usize>,
    pub what: String,
}

/// Why the cells of a list do not fit the templates, with the place in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFault {
    pub what: String,
    /// How to fix it.
    pub hint: String,
}
