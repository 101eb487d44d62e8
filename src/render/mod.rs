//! Sinks: the formats in which rows are written.
//!
//! A [`Sink`] takes cells and does not depend on the kind of row: the same sink writes mappings, files and groups. A
//! new format is one sink and one entry in [`FORMATS`].

mod csv;
#[cfg(feature = "cli")]
mod drawing;
#[cfg(feature = "cli")]
mod fit;
mod json;
#[cfg(feature = "cli")]
mod layout;
#[cfg(feature = "cli")]
mod lines;
#[cfg(feature = "cli")]
mod local_time;
#[cfg(feature = "cli")]
mod marks;
#[cfg(feature = "cli")]
mod paint;
#[cfg(feature = "cli")]
mod strip;
#[cfg(feature = "cli")]
mod text;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use csv::CsvSink;
pub use json::{JsonLinesSink, JsonSink};
#[cfg(feature = "cli")]
pub(crate) use layout::{wrapped, wrapped_as_it_is};
#[cfg(feature = "cli")]
pub(crate) use marks::LineKind;
#[cfg(feature = "cli")]
pub use strip::StripStyle;
#[cfg(feature = "cli")]
pub use text::TextSink;

#[cfg(feature = "cli")]
use crate::table::Rfc3339;
use crate::table::{Cell, Closing, ColumnHead, Section, SizeUnit, TotalRow};
use crate::units::PageSize;

/// What a sink receives before the first row.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The columns of every row.
    pub columns: Vec<ColumnHead>,
    /// The name of the rows: their key in a JSON document.
    pub rows: &'static str,
    /// Whether rows are divided into sections with headings, such as one per process.
    pub sectioned: bool,
    /// How each section is closed.
    pub total: TotalStyle,
    /// The time between two rounds, if the query is repeated; each round is then a section.
    pub every: Option<Duration>,
    /// Whether each row is written as it arrives, because the next one takes long.
    pub live: bool,
}

/// How a section is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotalStyle {
    /// With its last row.
    None,
    /// With a row of totals, one per column.
    Row,
    /// With one line of totals that have these labels, independent of the columns.
    Line(&'static [&'static str]),
}

/// Writes an answer. The order of calls is `begin (section row* end)* finish`; an answer without sections has one
/// section.
pub trait Sink {
    /// Opens the document.
    ///
    /// # Errors
    /// What the writer reports, here and below.
    fn begin(&mut self, head: &Head) -> io::Result<()>;
    /// Opens a section.
    ///
    /// # Errors
    /// What the writer reports.
    fn section(&mut self, section: &Section) -> io::Result<()>;
    /// Writes one row, with a cell for each column of the head.
    ///
    /// # Errors
    /// What the writer reports.
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()>;
    /// Takes what is said about the whole answer, before its last section is closed.
    fn closing(&mut self, _closing: Closing) {}
    /// Closes the section, with its total.
    ///
    /// # Errors
    /// What the writer reports.
    fn end(&mut self, total: Option<&TotalRow>) -> io::Result<()>;
    /// Closes the document.
    ///
    /// # Errors
    /// What the writer reports.
    fn finish(&mut self) -> io::Result<()>;
    /// Tells it the width of the terminal, if that may have changed since the last section.
    fn resize(&mut self, _width: u16) {}
    /// Whether it can write the columns that only JSON can: long lists and raw bytes.
    fn is_json(&self) -> bool {
        false
    }
    /// Whether it writes a heading above each section, so that the rows need not name it.
    fn has_headings(&self) -> bool {
        false
    }
    /// Renders further rows of this section on any thread; `None` if rows depend on each other.
    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        None
    }
    /// Takes rows that the [`row_writer`](Sink::row_writer) rendered.
    ///
    /// # Errors
    /// What the writer reports.
    fn rendered(&mut self, _rows: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Gives the cell of a row and a column, by their places.
pub type CellAt<'f, 'r> = dyn Fn(usize, usize) -> Cell<'r> + 'f;

/// Renders rows to bytes.
pub trait RowWriter: Send + Sync {
    /// Appends so many rows.
    fn write(&self, rows: usize, cell: &CellAt<'_, '_>, out: &mut Vec<u8>);
}

/// The cell of one row at a place, at which there is one.
fn cell_of<'r>(cells: &[Cell<'r>], place: usize) -> Cell<'r> {
    cells.get(place).copied().unwrap_or(Cell::Remark(None))
}

/// How an answer is presented, if the format has a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Presentation {
    /// How tables write bytes.
    pub unit: SizeUnit,
    /// Whether the line with the titles of the columns is left out (tables and CSV).
    pub no_header: bool,
    /// Whether the lines that name a section are left out of tables.
    pub no_heading: bool,
    /// The width of the terminal; `None` for a pipe or a file, where nothing is cut and no rules are drawn.
    pub terminal_width: Option<u16>,
    /// Whether a key can end a repeated answer.
    pub has_keys: bool,
    /// Whether names keep their full length on a terminal, too.
    pub whole_names: bool,
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether tables may use characters that are not ASCII, as rules, shades and bars.
    pub unicode: bool,
    /// The size of a page, so that human-readable tables show pages as sizes.
    pub page: Option<PageSize>,
    /// When the figures were captured, if they are not those of now: a table says so once.
    pub captured: Option<SystemTime>,
    /// Whether tables show no more digits than a person reads: percentages with one decimal, times in the local time
    /// zone and in whole seconds.
    pub is_brief: bool,
    /// Whether a table has neither rules nor lines about the whole answer, because it is one of several on a screen.
    pub is_dense: bool,
    /// Whether each line of a repeated table below its header begins with a mark that says what it is, for a screen
    /// that may have room for some of them only.
    pub is_marked: bool,
    /// Whether CSV lines end in LF, as in pcstat's `--terse`, instead of CR LF.
    pub line_feeds: bool,
}

impl Presentation {
    /// For a person: when the figures were captured; `None` if they are those of now.
    #[cfg(feature = "cli")]
    pub(crate) fn captured_line(&self) -> Option<String> {
        Some(format!("Captured {}.", Rfc3339(self.captured?).in_seconds()))
    }

    /// Whether shares are drawn in blocks and shades, instead of characters that every program can read.
    #[cfg(feature = "cli")]
    fn has_blocks(&self) -> bool {
        self.terminal_width.is_some() && self.unicode
    }
}

impl Default for Presentation {
    /// As in a file or a pipe: with titles, sizes in KiB, no colours, nothing cut.
    fn default() -> Presentation {
        Presentation {
            unit: SizeUnit::Kib,
            no_header: false,
            no_heading: false,
            terminal_width: None,
            has_keys: false,
            whole_names: false,
            colour: false,
            unicode: true,
            page: None,
            captured: None,
            is_brief: false,
            is_dense: false,
            is_marked: false,
            line_feeds: false,
        }
    }
}

/// One format, by its name on the command line.
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Its description, for `--help`.
    pub help: &'static str,
    /// Whether it is for programs: raw figures, all columns by default.
    pub is_machine: bool,
    /// Whether it is JSON, which has no header.
    pub is_json: bool,
    /// Creates its sink.
    pub sink: for<'w> fn(Presentation, Box<dyn Write + 'w>) -> Box<dyn Sink + 'w>,
}

/// A table for people.
#[cfg(feature = "cli")]
pub const TABLE: Format = Format {
    name: "table",
    help: "for people",
    is_machine: false,
    is_json: false,
    sink: |presentation, out| Box::new(TextSink::new(presentation, out)),
};

/// One JSON document.
pub const JSON: Format = Format {
    name: "json",
    help: "one JSON document",
    is_machine: true,
    is_json: true,
    sink: |_, out| Box::new(JsonSink::new(out)),
};

/// JSON lines.
pub const JSON_LINES: Format = Format {
    name: "jsonl",
    help: "one JSON object per line and row",
    is_machine: true,
    is_json: true,
    sink: |_, out| Box::new(JsonLinesSink::new(out)),
};

/// CSV.
pub const CSV: Format = Format {
    name: "csv",
    help: "RFC 4180",
    is_machine: true,
    is_json: false,
    sink: |presentation, out| Box::new(CsvSink::new(presentation, out)),
};

/// Every format, in the order of `--help`.
pub const FORMATS: &[Format] = &[
    #[cfg(feature = "cli")]
    TABLE,
    JSON,
    JSON_LINES,
    CSV,
];

/// Writes one JSON document to `out`: an array of rows, or an object with the rows and their total.
pub fn json<'w>(out: impl Write + 'w) -> JsonSink<'w> {
    JsonSink::new(Box::new(out))
}

/// Writes one JSON object per line and row to `out`.
pub fn json_lines<'w>(out: impl Write + 'w) -> JsonLinesSink<'w> {
    JsonLinesSink::new(Box::new(out))
}

/// Writes CSV with a header to `out`.
pub fn csv<'w>(out: impl Write + 'w) -> CsvSink<'w> {
    CsvSink::new(Presentation::default(), Box::new(out))
}
