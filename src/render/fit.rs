//! Which columns of a table fit the terminal, and how wide its texts may be.
//!
//! A table that is too wide gives up, in this order: columns that are empty in every row, prose (which goes on lines of
//! its own), minor columns from the right, the middle of its names. Figures and columns that were requested by name are
//! never given up.

use super::layout::{Held, Layout, Texts, display_width};
use crate::table::{ColumnHead, ColumnKind, Presence};

/// Blanks between two columns on a terminal that has room for them: the padding, and one that `comfy-table` draws in
/// place of a line between columns.
const GAP: usize = 2;

/// Before names get shorter than this, minor columns are left out.
const GOOD_TEXT: usize = 24;

/// Texts are not cut below this width; on a narrower terminal the line wraps.
const SHORTEST_TEXT: usize = 16;

/// The rows of a table that is to fit.
pub(super) struct Measured<'a> {
    columns: &'a [ColumnHead],
    /// The width of each column, with its title.
    widths: Vec<usize>,
    /// Whether each column is empty in every row.
    empty: Vec<bool>,
    /// Whether later rows are not known yet.
    is_live: bool,
}

impl<'a> Measured<'a> {
    /// Measures the rows, the total and, if they are shown, the titles.
    pub(super) fn new(columns: &'a [ColumnHead], rows: &[Held], total: Option<&Texts>, titles: bool) -> Measured<'a> {
        let mut widths: Vec<usize> =
            columns.iter().map(|column| if titles { display_width(column.title.as_bytes()) } else { 0 }).collect();
        let mut empty = vec![true; columns.len()];
        for texts in rows.iter().map(|row| &row.texts) {
            empty.iter_mut().zip(texts).for_each(|(empty, text)| *empty &= text.is_empty());
        }
        for texts in rows.iter().map(|row| &row.texts).chain(total) {
            widths.iter_mut().zip(texts).for_each(|(width, text)| *width = display_width(text).max(*width));
        }
        Measured { columns, widths, empty, is_live: false }
    }

    /// The same for a table whose later rows are not known yet: no column counts as empty.
    pub(super) fn live(mut self) -> Measured<'a> {
        self.is_live = true;
        self.empty.fill(false);
        self
    }

    /// The layout without the columns that every table leaves out if they are empty. A table whose later rows are not
    /// known has its prose on lines of its own.
    pub(super) fn without_empty(&self) -> Layout {
        let mut layout = Layout::new(self.columns);
        layout.line.retain(|place| !(self.is(*place, Presence::Optional) && self.is_empty(*place)));
        if self.is_live {
            self.separate_prose(&mut layout);
        }
        layout
    }

    fn separate_prose(&self, layout: &mut Layout) {
        let is_prose = |place: &usize| self.kind(*place) == Some(ColumnKind::Prose);
        let (prose, line): (Vec<usize>, Vec<usize>) = layout.line.iter().partition(|place| is_prose(place));
        layout.prose.extend(prose);
        layout.line = line;
    }

    /// The layout for a terminal of this width.
    pub(super) fn layout(&self, width: usize) -> Layout {
        let mut layout = self.without_empty();
        let room = |layout: &Layout, gap| self.room_for_text(layout, width, gap);
        if room(&layout, GAP) < usize::MAX {
            layout.line.retain(|place| self.is(*place, Presence::Named) || !self.is_empty(*place));
        }
        if room(&layout, GAP) < usize::MAX {
            self.separate_prose(&mut layout);
        }
        while room(&layout, 1) < GOOD_TEXT {
            let Some(minor) = layout.line.iter().rposition(|place| self.is(*place, Presence::Minor)) else { break };
            let left_out = layout.line.remove(minor);
            layout.line.retain(|place| !self.is_change_of(*place, left_out));
        }
        layout.gap = if room(&layout, GAP) < SHORTEST_TEXT { 1 } else { GAP };
        layout.room = room(&layout, layout.gap).max(SHORTEST_TEXT);
        layout.width = width;
        layout
    }

    /// The maximum width of a text, so that the line fits without cutting any figure.
    fn room_for_text(&self, layout: &Layout, width: usize, gap: usize) -> usize {
        let mut figures = gap * layout.line.len().saturating_sub(1);
        let mut texts: Vec<usize> = Vec::new();
        for place in &layout.line {
            let widest = self.widths.get(*place).copied().unwrap_or(0);
            let is_text = self.kind(*place).is_some_and(ColumnKind::is_left_aligned);
            if is_text { texts.push(widest) } else { figures += widest }
        }
        let Some(mut room) = width.checked_sub(figures) else { return 0 };
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

    fn is(&self, place: usize, presence: Presence) -> bool {
        self.columns.get(place).is_some_and(|column| column.presence == presence)
    }

    /// Whether a column is the change of another.
    fn is_change_of(&self, place: usize, figure: usize) -> bool {
        let id = |place: usize| self.columns.get(place).map_or("", |column| &column.id);
        id(place).strip_suffix("_change") == Some(id(figure))
    }

    fn is_empty(&self, place: usize) -> bool {
        self.empty.get(place).copied().unwrap_or(true)
    }

    fn kind(&self, place: usize) -> Option<ColumnKind> {
        self.columns.get(place).map(|column| column.kind)
    }
}
