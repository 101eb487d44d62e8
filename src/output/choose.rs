//! The choice among the renderers: the one place that knows all of them.

use std::io::Write;

use super::column::{Column, RowKind};
use super::delimited::CsvWriter;
use super::json::{JsonLinesWriter, JsonWriter};
use super::render::{Format, Layout, Renderer};
use super::table::{BoxedTable, TextTable};

/// The renderer for a layout, over these columns.
pub fn renderer<'w, K: RowKind>(
    layout: Layout,
    columns: Vec<Column<K>>,
    out: Box<dyn Write + 'w>,
) -> Box<dyn Renderer<K> + 'w> {
    match (layout.format, layout.terminal_width) {
        (Format::Table, Some(width)) => Box::new(BoxedTable::new(layout, columns, out, width)),
        (Format::Table, None) => Box::new(TextTable::new(layout, columns, out)),
        (Format::Json, _) => Box::new(JsonWriter::new(layout, columns, out)),
        (Format::JsonLines, _) => Box::new(JsonLinesWriter::new(columns, out)),
        (Format::Csv, _) => Box::new(CsvWriter::new(layout, columns, out)),
    }
}
