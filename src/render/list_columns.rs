//! What templates know of a list before its first row is read.

use super::cell_type::CellType;
use std::collections::BTreeMap;

/// The columns of a list, and the types that the campaign gives to some of them.
#[derive(Debug, Clone, Copy)]
pub struct ListColumns<'a> {
    pub names: &'a [String],
    pub types: &'a BTreeMap<String, CellType>,
    /// All rows of a mailbox are in the variable `rows`.
    pub is_grouped: bool,
}
