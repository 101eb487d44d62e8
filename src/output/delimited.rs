//! CSV after RFC 4180, by the `csv` package: the columns' names as header, raw figures, nothing for an absent one.

use std::io::{self, Write};

use super::cell::{Cell, Difference, SizeUnit};
use super::column::{Column, RowKind};
use super::escape;
use super::render::{Heading, Layout, LineEnd, Renderer};
use super::total::Totals;

/// CSV. Groups follow one another in one table, so the rows must tell their group (`pid`); totals are no rows and are left out.
///
/// Names go out byte for byte, except to a terminal, where what is harmful is escaped.
pub struct CsvWriter<'w, K: RowKind> {
    columns: Vec<Column<K>>,
    out: csv::Writer<Box<dyn Write + 'w>>,
    no_header: bool,
    escapes: bool,
    field: Vec<u8>,
}

impl<'w, K: RowKind> CsvWriter<'w, K> {
    /// CSV that goes to `out`.
    pub fn new(layout: Layout, columns: Vec<Column<K>>, out: Box<dyn Write + 'w>) -> Self {
        let terminator = match layout.line_end {
            LineEnd::CrLf => csv::Terminator::CRLF,
            LineEnd::Lf => csv::Terminator::Any(b'\n'),
        };
        let out = csv::WriterBuilder::new().terminator(terminator).from_writer(out);
        let escapes = layout.terminal_width.is_some();
        CsvWriter { columns, out, no_header: layout.no_header, escapes, field: Vec::new() }
    }

    fn write_header_once(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.no_header, true) {
            self.out.write_record(self.columns.iter().map(|column| column.id.as_bytes())).map_err(cause)?;
        }
        Ok(())
    }
}

impl<K: RowKind> Renderer<K> for CsvWriter<'_, K> {
    fn begin(&mut self, _heading: Option<&Heading<'_>>) -> io::Result<()> {
        self.write_header_once()
    }

    fn row(&mut self, row: &K::Row<'_>) -> io::Result<()> {
        for column in &self.columns {
            self.field.clear();
            write_field(&column.cell(row), self.escapes, &mut self.field);
            self.out.write_field(&self.field).map_err(cause)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(cause)
    }

    fn end(&mut self, _total: Option<&Totals<K>>) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        // A table without a group has its names all the same.
        self.write_header_once()?;
        self.out.flush()
    }
}

/// What the writer said. The conversion that the `csv` package has itself forgets the kind, by which a broken pipe is told from
/// a full disk.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn write_field(cell: &Cell<'_>, escapes: bool, field: &mut Vec<u8>) {
    match cell {
        Cell::Absent(_) => {}
        Cell::Percent(share) => {
            let _ = write!(field, "{share}");
        }
        Cell::Change(Difference::Bytes(by) | Difference::Count(by)) => {
            let _ = write!(field, "{by}");
        }
        Cell::Change(Difference::Share(by)) => {
            let _ = write!(field, "{by}");
        }
        Cell::Offset(offset) => {
            let _ = write!(field, "{offset}");
        }
        Cell::Flag(flag) => field.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Cell::Address(address) => {
            let _ = write!(field, "{address:x}");
        }
        Cell::Text(text) | Cell::Named(text, _) if !escapes => field.extend_from_slice(text),
        Cell::Named(text, _) => escape::write_escaped(text, field),
        other => other.write_words(SizeUnit::Bytes, field),
    }
}
