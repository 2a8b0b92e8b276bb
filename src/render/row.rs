//! A row as variables of a template: each column by its name, the whole row as `row["any name"]`, and, where one mail has
//! all rows of a mailbox, these as `rows`. The one place where a cell becomes a value of the template engine.

use super::cell_type::CellType;
use super::list_columns::ListColumns;
use crate::domain::recipient::{RecipientRow, RowFault};
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The variable for the whole row. Columns whose name is not an identifier need it: `{{ row["First name"] }}`.
pub const ROW: &str = "row";
/// The variable for all rows of a mailbox, where one mail has them all.
pub const ROWS: &str = "rows";

/// The columns of a list, to look cells up by name.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
    index: HashMap<String, usize>,
    /// Columns whose cells are not text, by number.
    types: BTreeMap<usize, CellType>,
    /// One mail has all rows of a mailbox.
    is_grouped: bool,
}

impl Columns {
    pub fn new(list: ListColumns<'_>) -> Columns {
        let ListColumns {
            names,
            types,
            is_grouped,
        } = list;
        let index: HashMap<String, usize> = names.iter().cloned().zip(0..).collect();
        let types = types
            .iter()
            .filter_map(|(name, cell_type)| Some((*index.get(name)?, *cell_type)));
        Columns {
            names: names.to_vec(),
            types: types.collect(),
            is_grouped,
            index,
        }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    pub fn has_types(&self) -> bool {
        !self.types.is_empty()
    }

    /// Checks the cells of columns that have a type.
    pub fn check(&self, cells: &[String]) -> Result<(), RowFault> {
        for (index, cell_type) in &self.types {
            let cell = cells.get(*index).map_or("", String::as_str);
            cell_type.read(cell).map_err(|what| RowFault {
                column: Some(*index),
                what,
            })?;
        }
        Ok(())
    }

    /// The value of a cell. The first pass has refused cells that are not of their type.
    fn value(&self, index: usize, cell: &str) -> Value {
        let typed = self.types.get(&index);
        let typed = typed.and_then(|cell_type| cell_type.read(cell).ok());
        typed.unwrap_or_else(|| Value::from(cell))
    }
}

/// The cells of a row as variables.
#[derive(Debug)]
pub(super) struct RowValues {
    columns: Arc<Columns>,
    cells: Vec<Value>,
    /// All rows of the mailbox, for its first one.
    rows: Option<Value>,
}

/// The variables of a recipient's message.
pub fn values(columns: &Arc<Columns>, row: &RecipientRow) -> Value {
    let rows = columns.is_grouped.then(|| {
        let others = row.others.iter();
        let all = std::iter::once(&row.fields).chain(others);
        all.map(|cells| of_cells(columns, cells, None)).collect()
    });
    of_cells(columns, &row.fields, rows)
}

fn of_cells(columns: &Arc<Columns>, cells: &[String], rows: Option<Value>) -> Value {
    let cells = cells.iter().enumerate();
    Value::from_object(RowValues {
        columns: Arc::clone(columns),
        cells: cells
            .map(|(index, cell)| columns.value(index, cell))
            .collect(),
        rows,
    })
}

impl Object for RowValues {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.columns.index.get(key) {
            Some(index) => self.cells.get(*index).cloned(),
            None if key == ROW => Some(Value::from_dyn_object(Arc::clone(self))),
            None if key == ROWS => self.rows.clone(),
            None => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.columns.names.iter();
        Enumerator::Values(names.map(|name| Value::from(name.as_str())).collect())
    }
}
