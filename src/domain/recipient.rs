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
}

/// What the templates of a campaign demand of a list, tested in its first pass.
pub trait RowTests: Send + Sync {
    fn begin(&self) -> Box<dyn RowTest + '_>;
}

/// The tests of one pass over a list.
pub trait RowTest {
    /// Tests a row with a valid address.
    fn row(&mut self, row: &RecipientRow) -> Result<(), RowFault>;

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
