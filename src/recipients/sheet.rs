//! One sheet of a workbook, read into memory as text. Only cells with content take memory.

use super::csv_file::Step;
use super::error::{RecipientsError, RowProblem};
use super::fetched::Fetched;
use super::record::Record;
use super::sheet_cells::{Cells, SheetError, broken};
use super::source::{Source, Stamp};
use super::{MAX_CELL_BYTES, Options};
use calamine::{Ods, Reader, Sheet, SheetType, SheetVisible, Xlsx, open_workbook_from_rs};
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
            while let Some(cell) = reader.next_cell().map_err(broken)? {
                cells.add(cell.get_position(), cell.get_value().clone().into())?;
            }
            Ok((name, cells))
        })
    }

    pub fn open_ods(path: &Path, options: &Options) -> Result<SheetReader, RecipientsError> {
        SheetReader::open(path, options, |file| {
            let mut book: Ods<_> = open_workbook_from_rs(BufReader::new(file)).map_err(broken)?;
            let name = choose(book.sheets_metadata(), options)?;
            let range = book.worksheet_range(&name).map_err(broken)?;
            let (first_row, first_column) = range.start().unwrap_or_default();
            let mut cells = Cells::default();
            for (row, column, value) in range.used_cells() {
                let place = (row as u32 + first_row, column as u32 + first_column);
                cells.add(place, value.clone())?;
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
        let (sheet, cells) = match read(source.share()?) {
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
        SheetError::NoSheet(sheets) => RecipientsError::NoSheet {
            path,
            wanted: options.sheet.clone().unwrap_or_default(),
            sheets,
        },
    }
}
