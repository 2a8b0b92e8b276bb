//! A row as variables of a template: each column by its name, and the whole row as `row["any name"]`. The one place
//! where a cell becomes a value of the template engine.

use super::variables::ROW;
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns of a list, to look cells up by name.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Columns {
    pub fn new(names: &[String]) -> Columns {
        let index = names.iter().cloned().zip(0..).collect();
        Columns {
            names: names.to_vec(),
            index,
        }
    }
}

#[derive(Debug)]
struct RowValues {
    columns: Arc<Columns>,
    cells: Vec<Value>,
}

/// The variables of a row with these cells.
pub fn values(columns: &Arc<Columns>, cells: &[String]) -> Value {
    Value::from_object(RowValues {
        columns: Arc::clone(columns),
        cells: cells
            .iter()
            .map(|cell| Value::from(cell.as_str()))
            .collect(),
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
            None => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.columns.names.iter();
        Enumerator::Values(names.map(|name| Value::from(name.as_str())).collect())
    }
}
