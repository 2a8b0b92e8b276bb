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
    /// The cells, in the order of the columns.
    pub fields: Vec<String>,
}
