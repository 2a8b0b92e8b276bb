//! One sheet of a workbook, read into memory as text. Only cells with content take memory.

use super::csv_file::Step;
use super::error::{RecipientsError, RowProblem};
use super::fetched::Fetched;
use super::record::Record;
use super::sheet_cells::{Cells, SheetError, broken};
use super::source::{Source, Stamp};
use super::{MAX_CELL_BYTES, Options};
use calamine::{
    CellType, Data, DataType, Ods, Range, Reader, Sheet, SheetType, SheetVisible, Xlsx,
    XlsxFormulaMetadata, open_workbook_from_rs,
};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Rows below the first one that are searched for a header row.
const HEADER_ROWS: usize = 20;

pub struct SheetReader {
    source: Source,
    cells: Cells,
    record: Record,
    /// Number of the next row in `cells`.
    next: usize,
    /// Cells of the first row. Later rows are filled up to it.
    width: usize,
    line: u64,
    empty_rows: u64,
}

impl SheetReader {
    pub fn open_xlsx(path: &Path, options: &Options) -> Result<SheetReader, RecipientsError> {
        SheetReader::open(path, options, |file| {
            let mut book: Xlsx<_> = open_workbook_from_rs(BufReader::new(file)).map_err(broken)?;
            let name = choose(book.sheets_metadata(), options)?;
            // Ranges are dense, and one cell at the end of a sheet makes them huge.
            let mut reader = book.worksheet_cells_reader(&name).map_err(broken)?;
            let mut cells = Cells::default();
            while let Some(cell) = reader.next_cell_with_formula_metadata().map_err(broken)? {
                let value = cell.value.into();
                match cell.formula {
                    Some(formula) => cells.add_formula(cell.pos, formula_text(&formula), value)?,
                    None => cells.add(cell.pos, value)?,
                }
            }
            Ok((name, cells))
        })
    }

    pub fn open_ods(path: &Path, options: &Options) -> Result<SheetReader, RecipientsError> {
        SheetReader::open(path, options, |file| {
            let mut book: Ods<_> = open_workbook_from_rs(BufReader::new(file)).map_err(broken)?;
            let name = choose(book.sheets_metadata(), options)?;
            let values = book.worksheet_range(&name).map_err(broken)?;
            let formulas = book.worksheet_formula(&name).map_err(broken)?;
            let mut cells = Cells::default();
            let mut without_value = placed(&formulas)
                .filter(|(place, _)| values.get_value(*place).is_none_or(Data::is_empty))
                .peekable();
            for (place, value) in placed(&values) {
                while let Some((place, formula)) = without_value.next_if(|next| next.0 < place) {
                    cells.add_formula(place, formula, Data::Empty)?;
                }
                match formulas.get_value(place).filter(|text| !text.is_empty()) {
                    Some(formula) => cells.add_formula(place, formula, value.clone())?,
                    None => cells.add(place, value.clone())?,
                }
            }
            for (place, formula) in without_value {
                cells.add_formula(place, formula, Data::Empty)?;
            }
            Ok((name, cells))
        })
    }

    fn open(
        path: &Path,
        options: &Options,
        read: impl FnOnce(File) -> Result<(String, Cells), SheetError>,
    ) -> Result<SheetReader, RecipientsError> {
        let mut source = Source::open(path, None)?;
        let path = source.path();
        let complete = |(sheet, cells): (String, Cells)| match cells.uncomputed.found() {
            Some((cell, count)) => Err(SheetError::Uncomputed { sheet, cell, count }),
            None => Ok((sheet, cells)),
        };
        let (sheet, cells) = match read(source.share()?).and_then(complete) {
            Ok(read) => read,
            Err(error) => return Err(of_sheet_error(path, error, options)),
        };
        source.rewind()?;
        if cells.rows() == 0 {
            return Err(RecipientsError::EmptySheet { path, sheet });
        }
        Ok(SheetReader {
            source,
            cells,
            record: Record::default(),
            next: 0,
            width: 0,
            line: 0,
            empty_rows: 0,
        })
    }

    /// Reads the next row. Skips rows without content.
    pub fn step(&mut self) -> Step {
        loop {
            let Some(line) = self.cells.fill(self.next, self.width, &mut self.record) else {
                return Step::End;
            };
            if self.next == 0 {
                self.width = self.record.len();
            }
            self.next += 1;
            self.line = line;
            if self.record.is_blank() {
                self.empty_rows += 1;
                continue;
            }
            let is_long = |cell: &[u8]| cell.len() > MAX_CELL_BYTES;
            return match self.record.cells().any(is_long) {
                true => Step::Broken(RowProblem::CellTooLong),
                false => Step::Row,
            };
        }
    }

    /// Where the current row is, for [`SheetReader::fetch`].
    pub fn offset(&self) -> u64 {
        self.next.saturating_sub(1) as u64
    }

    /// Reads the row at an offset, without moving. `false`: there is no row.
    pub fn fetch(&self, offset: u64, row: &mut Fetched) -> bool {
        let index = usize::try_from(offset).ok();
        let found = index.and_then(|index| self.cells.fill(index, self.width, &mut row.record));
        found.is_some()
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Number of the row in the sheet, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    pub fn empty_rows(&self) -> u64 {
        self.empty_rows
    }

    pub fn path(&self) -> String {
        self.source.path()
    }

    pub fn stamp(&self) -> Result<Stamp, RecipientsError> {
        self.source.stamp()
    }

    /// The number of a row further down with a cell that `is_wanted`.
    pub fn header_below(&self, is_wanted: &dyn Fn(&[u8]) -> bool) -> Option<u64> {
        let mut record = Record::default();
        (self.next..self.next + HEADER_ROWS).find_map(|row| {
            let line = self.cells.fill(row, 0, &mut record)?;
            record.cells().any(is_wanted).then_some(line)
        })
    }

    /// SHA-256 of the whole file in hexadecimal.
    pub fn fingerprint(self) -> Result<String, RecipientsError> {
        self.source.fingerprint()
    }
}

/// Empty for a cell that has the formula of another one.
fn formula_text(formula: &XlsxFormulaMetadata) -> &str {
    match formula {
        XlsxFormulaMetadata::Normal { formula } | XlsxFormulaMetadata::Shared { formula, .. } => {
            formula
        }
        _ => "",
    }
}

/// The cells of a range that are not empty, with their row and column in the sheet.
fn placed<T: CellType>(range: &Range<T>) -> impl Iterator<Item = ((u32, u32), &T)> {
    let (first_row, first_column) = range.start().unwrap_or_default();
    let place = move |row, column| (row as u32 + first_row, column as u32 + first_column);
    range
        .used_cells()
        .map(move |(row, column, cell)| (place(row, column), cell))
}

/// The sheet that the campaign names, else the first visible one with cells.
fn choose(sheets: &[Sheet], options: &Options) -> Result<String, SheetError> {
    let tables = || {
        sheets
            .iter()
            .filter(|sheet| sheet.typ == SheetType::WorkSheet)
    };
    let found = match &options.sheet {
        Some(wanted) => tables().find(|sheet| sheet.name == *wanted),
        None => tables()
            .find(|sheet| sheet.visible == SheetVisible::Visible)
            .or_else(|| tables().next()),
    };
    match found {
        Some(sheet) => Ok(sheet.name.clone()),
        None => Err(SheetError::NoSheet(
            tables().map(|sheet| sheet.name.clone()).collect(),
        )),
    }
}

fn of_sheet_error(path: String, error: SheetError, options: &Options) -> RecipientsError {
    match error {
        SheetError::Broken(what) => RecipientsError::Workbook { path, what },
        SheetError::TooLarge => RecipientsError::Workbook {
            path,
            what: "its text is longer than 512 MiB".to_string(),
        },
        SheetError::Uncomputed { sheet, cell, count } => RecipientsError::Uncomputed {
            path,
            sheet,
            cell,
            count,
        },
        SheetError::NoSheet(sheets) => RecipientsError::NoSheet {
            path,
            wanted: options.sheet.clone().unwrap_or_default(),
            sheets,
        },
    }
}
