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
    /// Of the lines that were taken.
    widths: Option<Vec<usize>>,
}

impl Table {
    pub fn new(columns: &[Column<'_>]) -> Table {
        let owned = columns
            .iter()
            .map(|(name, align)| (name.to_string(), *align));
        Table {
            columns: owned.collect(),
            rows: Vec::new(),
            widths: None,
        }
    }

    /// As many cells as there are columns.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Rows that were not taken yet.
    pub fn held(&self) -> usize {
        self.rows.len()
    }

    /// The lines of the rows so far, which are given up. The first time with the heading; later ones are as wide as
    /// those before at least.
    pub fn take_lines(&mut self) -> Vec<String> {
        let mut widths = self.widths();
        let before = self.widths.take();
        for (width, before) in widths.iter_mut().zip(before.iter().flatten()) {
            *width = (*width).max(*before);
        }
        let heading = before.is_none().then(|| self.heading());
        let rows = std::mem::take(&mut self.rows);
        let lines = heading.iter().chain(&rows);
        let lines = lines.map(|row| self.line(row, &widths)).collect();
        self.widths = Some(widths);
        lines
    }

    /// Heading first, without spaces at line ends.
    pub fn lines(&self) -> Vec<String> {
        let widths = self.widths();
        std::iter::once(&self.heading())
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn heading(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
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
    fn rows_that_come_later_stand_below_the_earlier_ones() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(vec!["longer".into(), "1".into()]);
        assert_eq!(table.take_lines(), ["NAME    N", "longer  1"]);
        table.row(vec!["a".into(), "2".into()]);
        assert_eq!(table.take_lines(), ["a       2"]);
        assert!(table.take_lines().is_empty() && table.held() == 0);
    }

    #[test]
    fn puts_values_of_fields_below_each_other() {
        let lines = fields(&[("id", "1".into()), ("campaign", "spring".into())]);
        assert_eq!(lines, ["id        1", "campaign  spring"]);
    }
}
