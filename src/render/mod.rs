//! Sinks: the formats in which rows are written.
//!
//! A [`Sink`] takes cells and knows neither rows nor memory: the same one writes mappings, files and groups. A new format is
//! one sink, and one entry in [`FORMATS`].

mod csv;
mod json;
#[cfg(feature = "cli")]
mod strip;
#[cfg(feature = "cli")]
mod text;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

pub use csv::CsvSink;
pub use json::{JsonLinesSink, JsonSink};
#[cfg(feature = "cli")]
pub use strip::StripStyle;
#[cfg(feature = "cli")]
pub use text::TextSink;

use crate::table::{Cell, ColumnHead, Section, SizeUnit, TotalRow};

/// What a sink is told before the first row.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The columns of every row.
    pub columns: Vec<ColumnHead>,
    /// What the rows are called: their key in a JSON document.
    pub rows: &'static str,
    /// Whether rows come in sections that are named, such as one for each process.
    pub sectioned: bool,
    /// How each section is closed.
    pub total: TotalStyle,
    /// The time between two looks, if the answer is repeated; each look is then a section.
    pub every: Option<Duration>,
    /// Whether each row is to be written as it comes, because the next one takes its time.
    pub live: bool,
}

/// How a section is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotalStyle {
    /// With its last row.
    None,
    /// With a row of totals, one for each column.
    Row,
    /// With one line of totals that have these labels, whatever the columns are.
    Line(&'static [&'static str]),
}

/// Writes an answer. The calls come as `begin (section row* end)* finish`; an answer that is not sectioned has one section.
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
    /// Something that renders further rows of this section, on any thread; none if rows depend on each other.
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

/// How an answer is presented, as far as a format can choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Presentation {
    /// How tables write bytes.
    pub unit: SizeUnit,
    /// Whether the line with the titles of the columns is left out (tables and CSV).
    pub no_header: bool,
    /// Whether the lines that name a section are left out of tables.
    pub no_heading: bool,
    /// The width of the terminal; none for a pipe or a file, where nothing is cut and no line is drawn.
    pub terminal_width: Option<u16>,
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether CSV lines end in LF only, as pcstat's `--terse` has it, and not in CR LF.
    pub line_feeds: bool,
}

/// One format, by its name on the command line.
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// What it is, for `--help`.
    pub help: &'static str,
    /// Whether it is for programs: raw figures, all columns by default.
    pub is_machine: bool,
    /// Whether it can write columns that only JSON can.
    pub is_json: bool,
    /// Whether what a section is called stands above its rows, so that the rows need not name it.
    pub has_headings: bool,
    /// Makes its sink.
    pub sink: for<'w> fn(Presentation, Box<dyn Write + 'w>) -> Box<dyn Sink + 'w>,
}

/// Every format. The first is the default.
pub const FORMATS: &[Format] = &[
    #[cfg(feature = "cli")]
    Format {
        name: "table",
        help: "for people",
        is_machine: false,
        is_json: false,
        has_headings: true,
        sink: |presentation, out| Box::new(TextSink::new(presentation, out)),
    },
    Format {
        name: "json",
        help: "one JSON document",
        is_machine: true,
        is_json: true,
        has_headings: false,
        sink: |_, out| Box::new(JsonSink::new(out)),
    },
    Format {
        name: "jsonl",
        help: "one JSON object per line and row",
        is_machine: true,
        is_json: true,
        has_headings: false,
        sink: |_, out| Box::new(JsonLinesSink::new(out)),
    },
    Format {
        name: "csv",
        help: "RFC 4180",
        is_machine: true,
        is_json: false,
        has_headings: false,
        sink: |presentation, out| Box::new(CsvSink::new(presentation, out)),
    },
];
