//! A recipient: an accepted row of the recipients file.

use super::address::Address;
use super::ids::Row;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRow {
    /// Ordinal among the accepted rows, from 0.
    pub row: Row,
    /// Physical line of the file on which it begins, from 1.
    pub line: u64,
    pub address: Address,
    /// The cells, in the order of the columns.
    pub fields: Vec<String>,
}
