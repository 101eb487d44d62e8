//! A table for a terminal, drawn by `comfy-table` once all of its rows are there.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

use super::layout::{Held, Layout, Texts, fitted};
use crate::table::ColumnHead;

/// All rows of a table for a terminal.
pub(super) struct Drawing<'a> {
    pub(super) layout: &'a Layout,
    pub(super) columns: &'a [ColumnHead],
    pub(super) rows: &'a [Held],
    pub(super) total: Option<&'a Texts>,
    /// The least width of each column.
    pub(super) widths: &'a [usize],
    pub(super) unicode: bool,
}

impl Drawing<'_> {
    pub(super) fn table(&self, header: bool) -> Table {
        let mut table = Table::new();
        table.load_style(if self.unicode { RULE_UNDER_HEADER } else { ASCII_RULE_UNDER_HEADER });
        table.set_content_arrangement(ContentArrangement::Disabled);
        let is_left = |place: &usize| self.columns.get(*place).is_some_and(|column| column.kind.is_left_aligned());
        let line = |texts: &Texts| -> Vec<comfy_table::Cell> {
            let cell = |place: &usize| {
                let text = texts.get(*place).map(|text| String::from_utf8_lossy(text)).unwrap_or_default();
                let column = self.columns.get(*place);
                comfy_table::Cell::new(match column {
                    Some(column) => fitted(&text, column, self.layout.room_of(column), self.unicode),
                    None => text.as_ref().into(),
                })
            };
            self.layout.line.iter().map(cell).collect()
        };
        if header {
            table.set_header(line(&self.columns.iter().map(|column| column.title.as_bytes().to_vec()).collect()));
        }
        table.add_rows(self.rows.iter().map(|row| line(&row.texts)));
        if let Some(total) = self.total {
            table.add_row(line(total));
        }
        let last = self.layout.line.last();
        for (place, drawn) in self.layout.line.iter().zip(table.column_iter_mut()) {
            drawn.set_cell_alignment(if is_left(place) { CellAlignment::Left } else { CellAlignment::Right });
            let padding = if Some(place) == last { 0 } else { self.layout.gap.saturating_sub(1) };
            drawn.set_padding((0, padding as u16));
            let width = self.widths.get(*place).copied().unwrap_or(0) + padding;
            drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(width).unwrap_or(0))));
        }
        table
    }
}

/// A rule below the header, and nothing between the columns.
const RULE_UNDER_HEADER: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The same for a terminal that may not have that character.
const ASCII_RULE_UNDER_HEADER: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-'));

/// Whether a drawn line is the rule.
pub(super) fn is_rule(line: &str) -> bool {
    !line.is_empty() && line.chars().all(|letter| letter == '─' || letter == '-')
}
