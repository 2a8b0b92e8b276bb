//! Types that a campaign gives to columns: how a cell of each type is read, and the value that templates get.

use super::date::DateCell;
use minijinja::Value;

/// The type of a column. Columns without one are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    Integer,
    Decimal,
    Boolean,
    Date,
}

const TRUE: [&str; 5] = ["true", "yes", "y", "1", "x"];
const FALSE: [&str; 5] = ["false", "no", "n", "0", ""];

impl CellType {
    pub const NAMES: [(&'static str, CellType); 4] = [
        ("integer", CellType::Integer),
        ("decimal", CellType::Decimal),
        ("boolean", CellType::Boolean),
        ("date", CellType::Date),
    ];

    pub fn named(name: &str) -> Option<CellType> {
        let found = CellType::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, cell_type)| *cell_type)
    }

    pub fn name(self) -> &'static str {
        let found = CellType::NAMES.iter().find(|(_, known)| *known == self);
        found.map_or("text", |(name, _)| name)
    }

    /// The value of a cell. Errors: what the cell is not.
    pub fn read(self, cell: &str) -> Result<Value, String> {
        let cell = cell.trim();
        match self {
            CellType::Integer => {
                let number: Result<i64, _> = cell.parse();
                number
                    .map(Value::from)
                    .map_err(|_| "not a whole number like `12`".to_string())
            }
            CellType::Decimal => decimal(cell)
                .map(Value::from)
                .ok_or_else(|| "not a number like `9.50`".to_string()),
            CellType::Boolean => boolean(cell)
                .map(Value::from)
                .ok_or_else(|| "not `true`, `false`, `yes`, `no`, `1`, `0` or empty".to_string()),
            CellType::Date => DateCell::parse(cell).map(Value::from_object),
        }
    }
}

/// `9.50`, `-3`, `9,50`. A comma before three digits could separate thousands, so it is refused.
pub fn decimal(text: &str) -> Option<f64> {
    let text = match text.split_once(',') {
        Some((_, fraction)) if text.contains('.') || fraction.len() == 3 => return None,
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => text.to_string(),
    };
    let is_plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
    // `parse` alone accepts `nan`, `inf` and `1e9` too.
    let number: f64 = text.bytes().all(is_plain).then(|| text.parse().ok())??;
    Some(number)
}

fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    let is_one_of = |words: &[&str]| words.contains(&lower.as_str());
    match (is_one_of(&TRUE), is_one_of(&FALSE)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cells_of_each_type() {
        for (cell_type, cell, value) in [
            (CellType::Integer, "12", Some("12")),
            (CellType::Integer, " -3 ", Some("-3")),
            (CellType::Integer, "1.5", None),
            (CellType::Integer, "", None),
            (CellType::Integer, "99999999999999999999", None),
            (CellType::Decimal, "9.50", Some("9.5")),
            (CellType::Decimal, "9,5", Some("9.5")),
            (CellType::Decimal, "1,234", None),
            (CellType::Decimal, "1,234.50", None),
            (CellType::Decimal, "nan", None),
            (CellType::Decimal, "", None),
            (CellType::Boolean, "TRUE", Some("True")),
            (CellType::Boolean, "no", Some("False")),
            (CellType::Boolean, "", Some("False")),
            (CellType::Boolean, "maybe", None),
            (CellType::Date, "2026-12-01", Some("2026-12-01")),
            (CellType::Date, "12/01/2026", None),
        ] {
            let found = cell_type.read(cell).ok().map(|value| value.to_string());
            assert_eq!(found.as_deref(), value, "{cell_type:?} {cell:?}");
        }
    }
}
