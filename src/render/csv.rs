//! CSV after RFC 4180, by the `csv` package: the columns' names as header, raw figures, nothing for an absent one.

use std::io::{self, Write};

use super::{Head, Presentation, Sink};
use crate::table::{Cell, Difference, Section, SizeUnit, TotalRow, escape};

/// CSV. Sections follow one another in one table, so the rows must name their section (`pid`); totals are not rows and
/// are left out.
///
/// Names are written byte for byte, except to a terminal, where what is harmful is escaped.
pub struct CsvSink<'w> {
    out: csv::Writer<Box<dyn Write + 'w>>,
    no_header: bool,
    escapes: bool,
    field: Vec<u8>,
}

impl<'w> CsvSink<'w> {
    /// CSV that is written to `out`.
    pub fn new(presentation: Presentation, out: Box<dyn Write + 'w>) -> Self {
        let terminator = match presentation.line_feeds {
            true => csv::Terminator::Any(b'\n'),
            false => csv::Terminator::CRLF,
        };
        let out = csv::WriterBuilder::new().terminator(terminator).from_writer(out);
        let escapes = presentation.terminal_width.is_some();
        CsvSink { out, no_header: presentation.no_header, escapes, field: Vec::new() }
    }
}

impl Sink for CsvSink<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        if self.no_header {
            return Ok(());
        }
        self.out.write_record(head.columns.iter().map(|column| column.id.as_bytes())).map_err(cause)
    }

    fn section(&mut self, _section: &Section) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for cell in cells {
            self.field.clear();
            write_field(cell, self.escapes, &mut self.field);
            self.out.write_field(&self.field).map_err(cause)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(cause)
    }

    fn end(&mut self, _total: Option<&TotalRow>) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What the writer reported. The conversion in the `csv` package drops the kind, which distinguishes a broken pipe from
/// a full disk.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn write_field(cell: &Cell<'_>, escapes: bool, field: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match cell {
        Cell::Absent(_) => Ok(()),
        Cell::Percent(share) => write!(field, "{share}"),
        Cell::Change(Difference::Bytes(by) | Difference::Count(by)) => write!(field, "{by}"),
        Cell::Change(Difference::Share(by)) => write!(field, "{by}"),
        Cell::Offset(offset) => write!(field, "{offset}"),
        Cell::Flag(flag) => write!(field, "{flag}"),
        Cell::Address(address) => write!(field, "{address:x}"),
        Cell::Text(text) | Cell::Named(text, _) if !escapes => field.write_all(text),
        Cell::Named(text, _) => {
            escape::write_escaped(text, field);
            Ok(())
        }
        other => {
            other.write_text(SizeUnit::Bytes, field);
            Ok(())
        }
    };
}
