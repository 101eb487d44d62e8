//! Notices that an answer has no rows, and says which option may be the reason.
//!
//! An empty table is a complete answer, so this is not a failure and does not change the exit status. But it looks like
//! a table that was cut off, or a process without memory. The line goes to standard error, so that standard output
//! stays a valid document.

use std::io;
use std::sync::Arc;

use super::screen;
use crate::render::{Head, RowWriter, Sink};
use crate::table::{Cell, Closing, Section, TotalRow};

/// A sink that knows whether it was given rows.
pub(super) struct Noticing<'w> {
    sink: Box<dyn Sink + 'w>,
    pub(super) has_rows: bool,
}

impl<'w> Noticing<'w> {
    pub(super) fn new(sink: Box<dyn Sink + 'w>) -> Noticing<'w> {
        Noticing { sink, has_rows: false }
    }
}

impl Sink for Noticing<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.sink.begin(head)
    }

    fn section(&mut self, section: &Section) -> io::Result<()> {
        // A repeated answer may outlive the size of its terminal.
        if let (Some(_), Some(width)) = (section.time, screen::terminal_width()) {
            self.sink.resize(width);
        }
        self.sink.section(section)
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.has_rows = true;
        self.sink.row(cells)
    }

    fn end(&mut self, total: Option<&TotalRow>) -> io::Result<()> {
        self.sink.end(total)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }

    fn is_json(&self) -> bool {
        self.sink.is_json()
    }

    fn closing(&mut self, closing: Closing) {
        self.sink.closing(closing);
    }

    fn has_headings(&self) -> bool {
        self.sink.has_headings()
    }

    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        self.sink.row_writer()
    }

    fn rendered(&mut self, rows: &[u8]) -> io::Result<()> {
        self.has_rows |= !rows.is_empty();
        self.sink.rendered(rows)
    }
}
