//! The cells of a sheet as text, as a person sees them: whole numbers without a fraction, dates and times in ISO 8601.

use super::record::Record;
use super::sheet_formula::{Uncomputed, link_text};
use calamine::{Data, ExcelDateTime};

/// All cells may take this much memory as text. One text of a workbook can stand in many cells.
const MAX_TEXT_BYTES: usize = 512 << 20;
/// Whole numbers up to this one are exact.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;
const SECONDS_OF_DAY: f64 = 86_400.0;

/// Why there is no sheet to read.
pub enum SheetError {
    /// What calamine says.
    Broken(String),
    TooLarge,
    /// The workbook has these sheets.
    NoSheet(Vec<String>),
    /// A column of the list has formulas without a result. `cell`: the first one, of `count`.
    Uncomputed {
        sheet: String,
        cell: String,
        count: u64,
    },
}

pub fn broken(error: impl std::fmt::Display) -> SheetError {
    SheetError::Broken(error.to_string())
}

/// Cells with content, row by row.
#[derive(Default)]
pub struct Cells {
    text: Vec<u8>,
    /// Of each cell: its column, and where its text ends.
    cells: Vec<(u32, usize)>,
    /// Of each row: its number from 0, its first cell, and where its text begins.
    rows: Vec<(u32, usize, usize)>,
    pub uncomputed: Uncomputed,
}

impl Cells {
    /// Adds a cell. Cells come row by row; one that does not is an error, because rows would be mixed up.
    pub fn add(&mut self, (row, column): (u32, u32), value: Data) -> Result<(), SheetError> {
        let text = text(&value);
        if text.is_empty() {
            return Ok(());
        }
        match self.rows.last() {
            Some((last, ..)) if *last == row => {
                if self.cells.last().is_some_and(|(last, _)| *last >= column) {
                    return Err(SheetError::Broken("its cells are not in order".to_string()));
                }
            }
            Some((last, ..)) if *last > row => {
                return Err(SheetError::Broken("its rows are not in order".to_string()));
            }
            _ => self.rows.push((row, self.cells.len(), self.text.len())),
        }
        if self.text.len() + text.len() > MAX_TEXT_BYTES {
            return Err(SheetError::TooLarge);
        }
        self.text.extend_from_slice(text.as_bytes());
        self.cells.push((column, self.text.len()));
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds a cell with a formula. `value`: what it came to, if the workbook holds that.
    pub fn add_formula(
        &mut self,
        place: (u32, u32),
        formula: &str,
        value: Data,
    ) -> Result<(), SheetError> {
        let value = match link_text(formula) {
            Some(text) => Data::String(text),
            None => value,
        };
        if value == Data::Empty && self.has_column(place) {
            self.uncomputed.add(place);
        }
        self.add(place, value)
    }

    /// Whether a cell belongs to the list: it is in the first row, or below a cell of it.
    fn has_column(&self, (row, column): (u32, u32)) -> bool {
        let Some((header, ..)) = self.rows.first().filter(|(header, ..)| *header != row) else {
            return true;
        };
        let end = self.rows.get(1).map_or(self.cells.len(), |next| next.1);
        let names = self.cells.get(..end).unwrap_or_default();
        row > *header && names.iter().any(|(named, _)| *named == column)
    }

    /// Fills the record with the `index`th row that has content, with at least `width` cells. Returns the row's number in
    /// the sheet, from 1. `None` after the last.
    pub fn fill(&self, index: usize, width: usize, record: &mut Record) -> Option<u64> {
        let (number, first, mut start) = *self.rows.get(index)?;
        let end = self
            .rows
            .get(index + 1)
            .map_or(self.cells.len(), |next| next.1);
        record.clear();
        for (column, text_end) in self.cells.get(first..end)? {
            while record.len() < *column as usize {
                record.end_cell();
            }
            record.push(self.text.get(start..*text_end)?);
            record.end_cell();
            start = *text_end;
        }
        while record.len() < width {
            record.end_cell();
        }
        Some(u64::from(number) + 1)
    }
}

fn text(value: &Data) -> String {
    match value {
        Data::Int(number) => number.to_string(),
        Data::Float(number) => decimal(*number),
        Data::String(text) => text.clone(),
        Data::Bool(true) => "TRUE".to_string(),
        Data::Bool(false) => "FALSE".to_string(),
        Data::DateTime(time) => date(time),
        Data::DateTimeIso(text) => text.trim_end_matches("T00:00:00").to_string(),
        Data::DurationIso(text) => duration(text),
        Data::Error(error) => error.to_string(),
        Data::Empty => String::new(),
    }
}

/// With 15 digits, as spreadsheet programs show a number: the 16th is an error of rounding.
fn decimal(number: f64) -> String {
    let rounded = format!("{number:.14e}").parse().unwrap_or(number);
    match rounded == f64::trunc(rounded) && rounded.abs() < MAX_WHOLE {
        true => format!("{rounded:.0}").replace("-0", if rounded == 0.0 { "0" } else { "-0" }),
        false => rounded.to_string(),
    }
}

/// `2026-12-01`, `2026-12-01T09:30:00`, `09:30:00` for a time without a date and for a duration.
fn date(time: &ExcelDateTime) -> String {
    let days = time.as_f64();
    if time.is_duration() || (0.0..1.0).contains(&days) {
        let seconds = (days * SECONDS_OF_DAY).round();
        let sign = if seconds < 0.0 { "-" } else { "" };
        return format!("{sign}{}", clock(seconds.abs() as u64));
    }
    // Half a millisecond more, because 9:30 is not exact as a fraction of a day.
    let (year, month, day, hour, minute, second, millisecond) = time.to_ymd_hms_milli();
    let second = u64::from(second) + u64::from(millisecond >= 500);
    let seconds = u64::from(hour) * 3600 + u64::from(minute) * 60 + second;
    let date = format!("{year:04}-{month:02}-{day:02}");
    match seconds {
        0 => date,
        seconds => format!("{date}T{}", clock(seconds)),
    }
}

fn clock(seconds: u64) -> String {
    let (minutes, second) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{second:02}", minutes / 60, minutes % 60)
}

/// `PT09H30M00S` as `09:30:00`; other durations as they are.
fn duration(text: &str) -> String {
    let parts = text.strip_prefix("PT").and_then(|rest| {
        let (hours, rest) = rest.split_once('H')?;
        let (minutes, rest) = rest.split_once('M')?;
        let seconds = rest.strip_suffix('S')?;
        let whole = seconds
            .split_once(['.', ','])
            .map_or(seconds, |(whole, _)| whole);
        Some(format!("{hours:0>2}:{minutes:0>2}:{whole:0>2}"))
    });
    parts.unwrap_or_else(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType;

    #[test]
    fn shows_cells_as_a_person_sees_them() {
        let time = |days, kind| Data::DateTime(ExcelDateTime::new(days, kind, false));
        let date = |days| time(days, ExcelDateTimeType::DateTime);
        for (value, shown) in [
            (Data::Float(3.0), "3"),
            (Data::Float(-0.0), "0"),
            (Data::Float(-3.0), "-3"),
            (Data::Float(0.1 + 0.2), "0.3"),
            (Data::Float(19.9), "19.9"),
            (Data::Float(41_440_000_001.0), "41440000001"),
            (Data::Float(1e300), &format!("{}", 1e300)),
            (Data::Int(-7), "-7"),
            (Data::Bool(true), "TRUE"),
            (date(46_357.0), "2026-12-01"),
            (date(46_357.395_833_333_33), "2026-12-01T09:30:00"),
            (date(0.395_833_333_33), "09:30:00"),
            (time(1.5, ExcelDateTimeType::TimeDelta), "36:00:00"),
            (
                Data::DateTimeIso("2026-12-01T00:00:00".into()),
                "2026-12-01",
            ),
            (Data::DateTimeIso("2026-12-01".into()), "2026-12-01"),
            (Data::DurationIso("PT9H30M00S".into()), "09:30:00"),
        ] {
            assert_eq!(text(&value), shown, "{value:?}");
        }
    }

    #[test]
    fn rows_have_all_their_cells_and_their_number() {
        let mut cells = Cells::default();
        for (place, value) in [((1, 0), "a"), ((1, 2), "c"), ((4, 1), "é")] {
            cells.add(place, Data::String(value.into())).ok().unwrap();
        }
        assert!(cells.add((4, 0), Data::Int(1)).is_err());
        let mut record = Record::default();
        for (index, line, wanted) in [(0, 2, ["a", "", "c"]), (1, 5, ["", "é", ""])] {
            assert_eq!(cells.fill(index, 3, &mut record), Some(line));
            let found: Vec<&[u8]> = record.cells().collect();
            assert_eq!(found, wanted.map(str::as_bytes));
        }
        assert_eq!(cells.fill(2, 3, &mut record), None);
    }
}
