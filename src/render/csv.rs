//! CSV as in RFC 4180, written with the `csv` crate: a header with the column ids, raw figures, and empty fields for
//! absent ones.

use std::io::{self, Write};
use std::sync::Arc;

use super::{CellAt, Head, Presentation, RowWriter, Sink, cell_of};
use crate::table::{Cell, Difference, Section, SizeUnit, TotalRow, escape, push_hex};

/// CSV. Sections follow one another in one table, so the rows must name their section (`pid`); totals are not rows and
/// are left out.
///
/// Names are written byte for byte, except on a terminal, where harmful characters are escaped.
pub struct CsvSink<'w> {
    out: Box<dyn Write + 'w>,
    no_header: bool,
    live: bool,
    rows: Arc<CsvRows>,
    scratch: Vec<u8>,
}

/// Writes rows as records.
#[derive(Clone, Copy)]
struct CsvRows {
    line_feeds: bool,
    escapes: bool,
    columns: usize,
}

impl<'w> CsvSink<'w> {
    /// CSV that is written to `out`.
    pub fn new(presentation: Presentation, out: Box<dyn Write + 'w>) -> Self {
        let escapes = presentation.terminal_width.is_some();
        let rows = CsvRows { line_feeds: presentation.line_feeds, escapes, columns: 0 };
        CsvSink { out, no_header: presentation.no_header, live: false, rows: Arc::new(rows), scratch: Vec::new() }
    }
}

/// The buffer of the `csv` package, for each batch of rows.
const BUFFER: usize = 1024;

impl Sink for CsvSink<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.rows = Arc::new(CsvRows { columns: head.columns.len(), ..*self.rows });
        self.live = head.live;
        let names: Vec<Cell<'_>> = head.columns.iter().map(|column| Cell::Word(&column.id)).collect();
        if self.no_header { Ok(()) } else { self.row(&names) }
    }

    fn section(&mut self, _section: &Section) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.scratch.clear();
        self.rows.write(1, &|_, place| cell_of(cells, place), &mut self.scratch);
        self.out.write_all(&self.scratch)?;
        if self.live { self.out.flush() } else { Ok(()) }
    }

    fn end(&mut self, _total: Option<&TotalRow>) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        Some(self.rows.clone())
    }

    fn rendered(&mut self, rows: &[u8]) -> io::Result<()> {
        self.out.write_all(rows)
    }
}

impl RowWriter for CsvRows {
    fn write(&self, rows: usize, cell: &CellAt<'_, '_>, out: &mut Vec<u8>) {
        let terminator = if self.line_feeds { csv::Terminator::Any(b'\n') } else { csv::Terminator::CRLF };
        let mut out = csv::WriterBuilder::new().terminator(terminator).buffer_capacity(BUFFER).from_writer(out);
        let mut field = Vec::new();
        for row in 0..rows {
            for place in 0..self.columns {
                field.clear();
                write_field(&cell(row, place), self.escapes, &mut field);
                // Writing to a Vec cannot fail, here and below.
                let _ = out.write_field(&field);
            }
            let _ = out.write_record(None::<&[u8]>);
        }
        let _ = out.flush();
    }
}

fn write_field(cell: &Cell<'_>, escapes: bool, field: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match cell {
        Cell::Absent(_) | Cell::Without(_) | Cell::AtLeast(..) => Ok(()),
        Cell::Known(amount) => write!(field, "{}", amount.number()),
        Cell::Percent(share) => write!(field, "{share}"),
        Cell::Change(Difference::Bytes(by) | Difference::Count(by) | Difference::Pages(by)) => write!(field, "{by}"),
        Cell::Change(Difference::Share(by)) => write!(field, "{by}"),
        Cell::Offset(offset) => write!(field, "{offset}"),
        Cell::Flag(flag) => write!(field, "{flag}"),
        Cell::Address(address) => {
            push_hex(*address, 1, field);
            Ok(())
        }
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
