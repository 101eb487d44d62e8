//! Where the answer goes: standard output, and how wide it is if it is a terminal.

use std::io::{self, BufWriter, IsTerminal, Write};

use super::Stop;
use super::args::OutputArgs;
use crate::output::column::{self, Column, ColumnList};
use crate::output::{Format, Layout, LineEnd, RowKind, SizeUnit};

/// Standard output with a buffer of a size that makes one write of some hundred rows.
pub(crate) fn output() -> Box<dyn Write> {
    Box::new(BufWriter::with_capacity(1 << 16, io::stdout()))
}

/// The width of the terminal on standard output; none where it is a pipe or a file.
pub(crate) fn terminal_width() -> Option<u16> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout).map_or(80, |(width, _)| width.0.max(1)))
}

/// Whether standard output shows colours: a terminal that can, and nobody asked for none (`NO_COLOR`, `TERM=dumb`).
pub(crate) fn has_colour() -> bool {
    let stdout = io::stdout();
    stdout.is_terminal() && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
}

/// The layout that the arguments ask for, for one flat table without a total.
pub(crate) fn layout(output: &OutputArgs, default_unit: SizeUnit) -> Layout {
    Layout {
        format: output.format(),
        unit: output.unit(default_unit),
        no_header: output.no_header,
        no_heading: output.no_header,
        terminal_width: terminal_width(),
        rows_key: "rows",
        grouped: false,
        total: false,
        live: false,
        line_end: LineEnd::CrLf,
    }
}

/// The columns that `-o` asks for: over `default` in a table, over all there are in a machine format.
pub(crate) fn columns<K: RowKind>(
    output: &OutputArgs,
    table: &[Column<K>],
    default: &[&str],
) -> Result<Vec<Column<K>>, Stop> {
    let everything: Vec<&str> = table.iter().map(|column| column.id.as_ref()).collect();
    let default = if output.format() == Format::Table { default } else { &everything };
    let asked = output.columns.as_ref().map(ColumnList::resolved::<K>);
    let ids = asked.as_ref().map_or_else(|| default.to_vec(), |list| list.over(default));
    let columns = column::select(table, &ids).map_err(Stop::Usage)?;
    writable(columns, output)
}

/// The columns that the format can write: what only JSON can is left out of the others.
///
/// # Errors
/// Wrong usage where `-o` names a column that the format cannot write.
pub(crate) fn writable<K: RowKind>(columns: Vec<Column<K>>, output: &OutputArgs) -> Result<Vec<Column<K>>, Stop> {
    if matches!(output.format(), Format::Json | Format::JsonLines) {
        return Ok(columns);
    }
    let named = |column: &Column<K>| output.columns.iter().any(|list| list.ids.iter().any(|id| *id == column.id));
    match columns.iter().find(|column| column.kind.is_json_only() && named(column)) {
        Some(column) => Err(Stop::usage(&column.id, "only --json and --jsonl can write this column")),
        None => Ok(columns.into_iter().filter(|column| !column.kind.is_json_only()).collect()),
    }
}
