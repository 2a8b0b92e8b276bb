//! Text in columns, aligned by the width that a terminal gives each character: 0, 1 or 2 (UAX #11).

use unicode_width::UnicodeWidthStr;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

pub type Column<'a> = (&'a str, Align);

const GAP: &str = "  ";

/// Rows under a heading.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[Column<'_>]) -> Table {
        let owned = columns
            .iter()
            .map(|(name, align)| (name.to_string(), *align));
        Table {
            columns: owned.collect(),
            rows: Vec::new(),
        }
    }

    /// As many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Heading first, without spaces at line ends.
    pub fn lines(&self) -> Vec<String> {
        let widths = self.widths();
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        std::iter::once(&heading)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| name.width()).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = cell.width().max(*widest);
            }
        }
        widths
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .zip(&self.columns)
            .map(|((cell, width), (_, align))| match align {
                Align::Left => padded(cell, *width),
                Align::Right => format!("{}{cell}", space(cell, *width)),
            })
            .collect();
        cells.join(GAP).trim_end().to_string()
    }
}

/// Lines of a label and a value each, the values below each other.
pub fn fields(fields: &[(&str, String)]) -> Vec<String> {
    let width = fields.iter().map(|(label, _)| label.width()).max();
    let width = width.unwrap_or(0);
    fields
        .iter()
        .map(|(label, value)| format!("{}{GAP}{value}", padded(label, width)))
        .collect()
}

/// Text and the spaces that fill `width`. Longer text stays whole.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", space(text, width))
}

fn space(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.width()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_by_width_on_the_terminal() {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("SENT", Align::Right),
            ("WHY", Align::Left),
        ]);
        table.row(vec!["ünder".into(), "12,000".into(), String::new()]);
        table.row(vec!["春季促销".into(), "7".into(), "full".into()]);
        assert_eq!(
            table.lines(),
            [
                "NAME        SENT  WHY",
                "ünder     12,000",
                "春季促销       7  full"
            ]
        );
    }

    #[test]
    fn puts_values_of_fields_below_each_other() {
        let lines = fields(&[("id", "1".into()), ("campaign", "spring".into())]);
        assert_eq!(lines, ["id        1", "campaign  spring"]);
    }
}
