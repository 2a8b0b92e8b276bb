//! A list in the requested format. Rows are written one by one, so that a list may be larger than memory. Of a table as
//! many are held as are aligned together.

use super::stream::{Stream, Target};
use super::table::{Column, Table};
use crate::commands::Failure;
use crate::domain::csv_cell::escape_formula;
use crate::domain::shown::{in_json, on_one_line};
use crate::private_file;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// RFC 4180, with a header row.
    Csv(Cells),
    /// Cells separated by tabs, without a header row.
    Tabs,
    /// One JSON array, with one element per line.
    Json,
    /// One JSON document per line. `is_live`: each line is written at once, for a reader that follows.
    JsonLines { is_live: bool },
}

impl Format {
    /// `Json` with `--json`, else `other`.
    pub fn json_or(json: bool, other: Format) -> Format {
        if json { Format::Json } else { other }
    }
}

/// How CSV holds a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// Byte for byte.
    Exact,
    /// With a prefix that keeps spreadsheets from running it as a formula.
    Inert,
}

/// Rows of a table.
const ALIGNED_TOGETHER: usize = 10_000;

/// One cell for each column.
pub type Row<'a> = Vec<Cow<'a, str>>;

pub struct Listing {
    target: Target,
    writer: Writer,
    /// Somebody looks at it: stdout is a terminal.
    is_watched: bool,
}

enum Writer {
    Table(Table, Stream),
    Csv(Box<csv::Writer<Stream>>, Cells),
    Tabs(Stream),
    Json { stream: Stream, is_begun: bool },
    JsonLines { stream: Stream, is_live: bool },
}

impl Listing {
    /// To stdout.
    pub fn new(format: Format, columns: &[Column<'_>]) -> Result<Listing, Failure> {
        Listing::to(Target::Stdout, Stream::stdout(), format, columns)
    }

    /// To a file, which is replaced.
    pub fn to_file(
        path: &Path,
        format: Format,
        columns: &[Column<'_>],
    ) -> Result<Listing, Failure> {
        let target = Target::File(path.to_path_buf());
        let file = private_file::create(path).map_err(|error| target.failure(&error))?;
        Listing::to(target, Stream::File(BufWriter::new(file)), format, columns)
    }

    fn to(
        target: Target,
        stream: Stream,
        format: Format,
        columns: &[Column<'_>],
    ) -> Result<Listing, Failure> {
        let writer =
            Writer::new(stream, format, columns).map_err(|error| target.failure(&error))?;
        let is_watched = matches!(target, Target::Stdout) && io::stdout().is_terminal();
        Ok(Listing {
            target,
            writer,
            is_watched,
        })
    }

    /// Calls `document` for JSON and `cells` for the other formats.
    pub fn add<'a, D: Serialize>(
        &mut self,
        document: impl FnOnce() -> D,
        cells: impl FnOnce() -> Row<'a>,
    ) -> Result<(), Failure> {
        let written = match &mut self.writer {
            Writer::Table(table, stream) => {
                let shown = |cell: Cow<'_, str>| on_one_line(&cell).into_owned();
                table.row(cells().into_iter().map(shown).collect());
                match table.held() < ALIGNED_TOGETHER {
                    true => Ok(()),
                    false => lines(table, stream),
                }
            }
            Writer::Csv(csv, _) if self.is_watched => {
                record(csv, cells().iter().map(|cell| on_one_line(cell)))
            }
            Writer::Csv(csv, Cells::Exact) => record(csv, cells().iter()),
            Writer::Csv(csv, Cells::Inert) => {
                record(csv, cells().iter().map(|cell| escape_formula(cell)))
            }
            Writer::Tabs(stream) => writeln!(stream, "{}", tabbed(&cells())),
            Writer::Json { stream, is_begun } => {
                let before: &[u8] = if *is_begun { b",\n" } else { b"[" };
                *is_begun = true;
                element(stream, before, &document())
            }
            Writer::JsonLines { stream, is_live } => element(stream, b"", &document())
                .and_then(|()| stream.write_all(b"\n"))
                .and_then(|()| if *is_live { stream.flush() } else { Ok(()) }),
        };
        written.map_err(|error| self.target.failure(&error))
    }

    /// Writes what is left. Without it a list is incomplete.
    pub fn finish(self) -> Result<(), Failure> {
        let target = self.target;
        self.writer.finish().map_err(|error| target.failure(&error))
    }
}

impl Writer {
    fn new(mut stream: Stream, format: Format, columns: &[Column<'_>]) -> io::Result<Writer> {
        Ok(match format {
            Format::Table => Writer::Table(Table::new(columns), stream),
            Format::Csv(cells) => {
                header(&mut stream, columns)?;
                Writer::Csv(Box::new(csv::Writer::from_writer(stream)), cells)
            }
            Format::Tabs => Writer::Tabs(stream),
            Format::Json => Writer::Json {
                stream,
                is_begun: false,
            },
            Format::JsonLines { is_live } => Writer::JsonLines { stream, is_live },
        })
    }

    fn finish(self) -> io::Result<()> {
        let mut stream = match self {
            Writer::Table(mut table, mut stream) => {
                lines(&mut table, &mut stream)?;
                stream
            }
            Writer::Csv(csv, _) => csv.into_inner().map_err(|error| error.into_error())?,
            Writer::Json {
                mut stream,
                is_begun,
            } => {
                stream.write_all(if is_begun { b"]\n" } else { b"[]\n" })?;
                stream
            }
            Writer::Tabs(stream) | Writer::JsonLines { stream, .. } => stream,
        };
        stream.flush()
    }
}

fn lines(table: &mut Table, stream: &mut Stream) -> io::Result<()> {
    let mut lines = table.take_lines().into_iter();
    lines.try_for_each(|line| writeln!(stream, "{line}"))
}

/// Readers of CSV recognise the delimiter in the header row, so a name that contains one is quoted, and all others too.
fn header(stream: &mut Stream, columns: &[Column<'_>]) -> io::Result<()> {
    let is_unclear = columns
        .iter()
        .any(|(name, _)| name.contains([';', '\t', ',']));
    let style = match is_unclear {
        true => csv::QuoteStyle::Always,
        false => csv::QuoteStyle::Necessary,
    };
    let mut header = csv::WriterBuilder::new()
        .quote_style(style)
        .from_writer(stream);
    record(&mut header, columns.iter().map(|(name, _)| name))?;
    header.flush()
}

fn record<W: Write, C: AsRef<str>>(
    csv: &mut csv::Writer<W>,
    cells: impl Iterator<Item = C>,
) -> io::Result<()> {
    for cell in cells {
        csv.write_field(cell.as_ref()).map_err(written)?;
    }
    csv.write_record(None::<&[u8]>).map_err(written)
}

/// The error of the file or pipe itself, so that a reader that has gone is recognised.
fn written(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Hidden characters by name: a tab inside a cell would look like the end of it.
fn tabbed(cells: &[Cow<'_, str>]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| on_one_line(&cell.replace('\t', " ")).into_owned())
        .collect();
    cells.join("\t")
}

fn element(stream: &mut Stream, before: &[u8], value: &impl Serialize) -> io::Result<()> {
    stream.write_all(before)?;
    let text = serde_json::to_string(value)?;
    stream.write_all(in_json(&text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::Align;

    fn written(format: Format, columns: &[Column<'_>], rows: &[[&str; 2]]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let mut listing = Listing::to_file(&path, format, columns).unwrap();
        for row in rows {
            let cells = || row.iter().map(|cell| Cow::Borrowed(*cell)).collect();
            listing.add(|| row, cells).unwrap();
        }
        listing.finish().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn writes_the_same_rows_in_every_format() {
        let columns = [("NAME", Align::Left), ("N", Align::Right)];
        let rows = [["a", "=1"], ["b\tc", "12"]];
        for (format, expected) in [
            (Format::Table, "NAME   N\na     =1\nb\\tc  12\n"),
            (Format::Csv(Cells::Exact), "NAME,N\na,=1\nb\tc,12\n"),
            (Format::Csv(Cells::Inert), "NAME,N\na,'=1\nb\tc,12\n"),
            (Format::Tabs, "a\t=1\nb c\t12\n"),
            (Format::Json, "[[\"a\",\"=1\"],\n[\"b\\tc\",\"12\"]]\n"),
            (
                Format::JsonLines { is_live: true },
                "[\"a\",\"=1\"]\n[\"b\\tc\",\"12\"]\n",
            ),
        ] {
            assert_eq!(written(format, &columns, &rows), expected, "{format:?}");
        }
        assert_eq!(written(Format::Json, &columns, &[]), "[]\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_recognised_behind_csv() {
        let gone = csv::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(super::written(gone).kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn quotes_a_header_that_contains_a_delimiter() {
        let columns = [("last; first", Align::Left), ("e-mail", Align::Left)];
        assert_eq!(
            written(Format::Csv(Cells::Exact), &columns, &[["a", "b"]]),
            "\"last; first\",\"e-mail\"\na,b\n"
        );
    }
}
