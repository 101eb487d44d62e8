//! The one interface of all renderers, and how rows are laid out. Which renderer writes which layout is in [`choose`](super::choose).

use std::io;

use super::cell::{Cell, SizeUnit};
use super::column::RowKind;
use super::total::Totals;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line, a row each.
    JsonLines,
    /// RFC 4180.
    Csv,
}

/// How CSV ends its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnd {
    /// CR LF, as RFC 4180 wants it.
    #[default]
    CrLf,
    /// LF, as pcstat's `--terse` has it.
    Lf,
}

/// How rows are laid out, whatever they are.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The format.
    pub format: Format,
    /// How tables write bytes.
    pub unit: SizeUnit,
    /// Whether the line with the columns' titles is left out (tables and CSV).
    pub no_header: bool,
    /// Whether the line that names a group is left out of tables.
    pub no_heading: bool,
    /// The width of the terminal that is written to; none in a pipe or a file, where nothing is cut and no box is drawn.
    pub terminal_width: Option<u16>,
    /// The key of the rows in a JSON document: of the list in each group, or of the one list where a total stands beside it.
    pub rows_key: &'static str,
    /// Whether rows come in groups, each with a heading (`rmap pid`: the processes).
    pub grouped: bool,
    /// Whether each table is closed with a total.
    pub total: bool,
    /// Whether every row is written as it comes, because the next one takes its time: a table then guesses its widths.
    pub live: bool,
    /// How CSV ends its lines.
    pub line_end: LineEnd,
}

/// What stands before the rows of a group.
#[derive(Default)]
pub struct Heading<'r> {
    /// As a table writes it: one line.
    pub line: Vec<u8>,
    /// As JSON writes it: keys and values beside the list of rows.
    pub fields: Vec<(&'static str, Cell<'r>)>,
    /// Further keys of JSON whose values are objects.
    pub objects: Vec<(&'static str, Vec<(&'static str, Cell<'r>)>)>,
}

/// Writes rows. The calls come as `begin row* end` for each group, then one `finish`.
pub trait Renderer<K: RowKind> {
    /// Opens a group, or the one table.
    ///
    /// # Errors
    /// What the writer says, here and below.
    fn begin(&mut self, heading: Option<&Heading<'_>>) -> io::Result<()>;
    /// Writes one row.
    ///
    /// # Errors
    /// What the writer says.
    fn row(&mut self, row: &K::Row<'_>) -> io::Result<()>;
    /// Closes the group, with its total.
    ///
    /// # Errors
    /// What the writer says.
    fn end(&mut self, total: Option<&Totals<K>>) -> io::Result<()>;
    /// Writes a line of words under a table that was closed; the machine formats have no place for it.
    ///
    /// # Errors
    /// What the writer says.
    fn footer(&mut self, line: &str) -> io::Result<()> {
        let _ = line;
        Ok(())
    }
    /// Closes the document.
    ///
    /// # Errors
    /// What the writer says.
    fn finish(&mut self) -> io::Result<()>;
}

/// Renders one group of rows that are all there: heading, rows, total.
///
/// # Errors
/// What the writer says.
pub fn render_group<'r, K: RowKind>(
    renderer: &mut dyn Renderer<K>,
    heading: Option<&Heading<'_>>,
    rows: impl Iterator<Item = K::Row<'r>>,
    mut totals: Option<Totals<K>>,
) -> io::Result<()> {
    renderer.begin(heading)?;
    for row in rows {
        if let Some(totals) = &mut totals {
            totals.add(&row);
        }
        renderer.row(&row)?;
    }
    renderer.end(totals.as_ref())
}
