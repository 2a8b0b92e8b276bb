//! Tables for people: columns aligned, numbers to the right.

/// On which side a column's cells begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

const GAP: &str = "  ";

/// Rows under a heading.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Table {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// As many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// One line each, heading first, without spaces at line ends.
    pub fn lines(&self) -> Vec<String> {
        let widths = self.widths();
        let heading: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        std::iter::once(&heading)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| width(name)).collect();
        for row in &self.rows {
            for (known, cell) in widths.iter_mut().zip(row) {
                *known = width(cell).max(*known);
            }
        }
        widths
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .zip(&self.columns)
            .map(|((cell, known), (_, align))| {
                let space = " ".repeat(known.saturating_sub(width(cell)));
                match align {
                    Align::Left => format!("{cell}{space}"),
                    Align::Right => format!("{space}{cell}"),
                }
            })
            .collect();
        cells.join(GAP).trim_end().to_string()
    }
}

/// In characters: near enough for names and numbers.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("SENT", Align::Right),
            ("WHY", Align::Left),
        ]);
        table.row(vec!["ünder".into(), "12,000".into(), String::new()]);
        table.row(vec!["a".into(), "7".into(), "full".into()]);
        assert_eq!(
            table.lines(),
            ["NAME     SENT  WHY", "ünder  12,000", "a           7  full"]
        );
    }
}
