//! A table for a terminal, drawn by `comfy-table` once all of its rows are there.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

use super::lines::{Held, Layout, Texts, display_width};
use crate::table::ColumnHead;

/// All rows of a table for a terminal.
pub(super) struct Drawing<'a> {
    pub(super) layout: &'a Layout,
    pub(super) columns: &'a [ColumnHead],
    pub(super) rows: &'a [Held],
    pub(super) total: Option<&'a Texts>,
}

impl Drawing<'_> {
    pub(super) fn table(&self, width: u16, header: bool) -> Table {
        let mut table = Table::new();
        table.load_style(RULE_UNDER_HEADER);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let gap = if self.room_for_text(width, GAP) < SHORTEST_TEXT { 1 } else { GAP };
        let room = self.room_for_text(width, gap).max(SHORTEST_TEXT);
        let line = |texts: &Texts| -> Vec<comfy_table::Cell> {
            let cell = |place: &usize| {
                let text = texts.get(*place).map(|text| String::from_utf8_lossy(text)).unwrap_or_default();
                let is_left = self.columns.get(*place).is_some_and(|column| column.kind.is_left_aligned());
                comfy_table::Cell::new(if is_left { shortened(&text, room) } else { text.into_owned() })
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
        for (place, drawn) in self.layout.line.iter().zip(table.column_iter_mut()) {
            let is_left = self.columns.get(*place).is_some_and(|column| column.kind.is_left_aligned());
            drawn.set_cell_alignment(if is_left { CellAlignment::Left } else { CellAlignment::Right });
            drawn.set_padding((0, gap as u16 - 1));
        }
        table
    }

    /// The maximum width of a text, so that the line fits the terminal without cutting any figure.
    fn room_for_text(&self, width: u16, gap: usize) -> usize {
        let mut figures = 0;
        let mut texts: Vec<usize> = Vec::new();
        for place in &self.layout.line {
            let Some(column) = self.columns.get(*place) else { continue };
            let rows = self.rows.iter().map(|row| &row.texts).chain(self.total);
            let widths = rows.filter_map(|texts| texts.get(*place)).map(|text| display_width(text));
            let widest = widths.chain([column.title.width()]).max().unwrap_or(0);
            figures += gap;
            if column.kind.is_left_aligned() { texts.push(widest) } else { figures += widest }
        }
        let mut room = usize::from(width).saturating_sub(figures);
        // Short texts (a method, permissions) keep their width; long ones share the rest.
        texts.sort_unstable();
        let mut left = texts.len();
        for width in texts {
            let share = room / left.max(1);
            if width > share {
                return share;
            }
            room -= width;
            left -= 1;
        }
        usize::MAX
    }
}

/// Blanks between two columns on a terminal that has room for them: the padding, and one that `comfy-table` draws in
/// place of a line between columns.
const GAP: usize = 2;

/// A rule below the header, and nothing between the columns.
const RULE_UNDER_HEADER: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Texts are not cut below this width; on a narrower terminal the line wraps.
const SHORTEST_TEXT: usize = 16;

/// Cuts a text that is too wide in its middle, because both ends of a path are the most informative.
fn shortened(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let keep = room.saturating_sub(1);
    let head: String = take_width(text.chars(), keep / 3);
    let tail: String = take_width(text.chars().rev(), keep - keep / 3).chars().rev().collect();
    format!("{head}…{tail}")
}

fn take_width(letters: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    letters
        .take_while(|letter| {
            used += unicode_width::UnicodeWidthChar::width(*letter).unwrap_or(0);
            used <= room
        })
        .collect()
}
