//! Which columns of a table fit the terminal, and how wide its texts may be.
//!
//! A table that is too wide gives up, in this order: columns that are empty in every row, remarks (which go on lines of
//! their own), the least important columns, the minor ones from the right, sentences (as remarks), the changes of
//! figures, a part of its names, and last the end of words of a list. Figures and columns that were requested by name
//! are never given up.
//!
//! A repeated table leaves room for changes before there are any, and for everything that was there in a round before,
//! so that its columns stay where they are.

use super::layout::{Held, Layout, Texts, display_width, shared};
use super::lines::widen_for_later_rows;
use crate::table::{ColumnHead, ColumnKind, Cut, Presence};

/// Blanks between two columns on a terminal that has room for them: the padding, and one that `comfy-table` draws in
/// place of a line between columns.
const GAP: usize = 2;

/// Before names get shorter than this, minor columns are left out.
const GOOD_TEXT: usize = 24;

/// Before names get shorter than this, changes are left out.
const SHORT_TEXT: usize = 16;

/// The part of the terminal that minor columns leave to names which tell rows apart.
const PART_OF_NAMES: usize = 2;

/// Texts are not cut below this width; on a narrower terminal the line wraps.
const SHORTEST_TEXT: usize = 8;

/// The room that is left for the change of a figure, for `+1024K`, and for the fate of a row, for `changed`.
const CHANGE: usize = 6;
const FATE: usize = 7;

/// The rows of a table that is to fit.
pub(super) struct Measured<'a> {
    columns: &'a [ColumnHead],
    /// The width of each column, with its title.
    pub(super) widths: Vec<usize>,
    /// Whether each column is empty in every row.
    empty: Vec<bool>,
    /// Whether each column is empty or 0 in every row.
    idle: Vec<bool>,
    /// Whether later rows are not known yet.
    is_live: bool,
    has_rows: bool,
}

/// What a repeated table needed so far.
#[derive(Default)]
pub(super) struct Needed {
    widths: Vec<usize>,
    filled: Vec<bool>,
}

impl<'a> Measured<'a> {
    /// Measures the rows, the total and, if they are shown, the titles.
    pub(super) fn new(columns: &'a [ColumnHead], rows: &[Held], total: Option<&Texts>, titles: bool) -> Measured<'a> {
        let mut widths: Vec<usize> =
            columns.iter().map(|column| if titles { display_width(column.title.as_bytes()) } else { 0 }).collect();
        let mut empty = vec![true; columns.len()];
        let mut idle = empty.clone();
        for texts in rows.iter().map(|row| &row.texts) {
            empty.iter_mut().zip(texts).for_each(|(empty, text)| *empty &= text.is_empty());
            idle.iter_mut().zip(texts).for_each(|(idle, text)| *idle &= text.is_empty() || text == b"0");
        }
        // The total may change because rows come and go, of which none has a change.
        for ((empty, column), text) in empty.iter_mut().zip(columns).zip(total.into_iter().flatten()) {
            *empty &= column.kind != ColumnKind::Change || text.is_empty();
        }
        for texts in rows.iter().map(|row| &row.texts).chain(total) {
            widths.iter_mut().zip(texts).for_each(|(width, text)| *width = display_width(text).max(*width));
        }
        Measured { columns, widths, empty, idle, is_live: false, has_rows: !rows.is_empty() }
    }

    /// The same for a table whose later rows are not known yet: no column counts as empty.
    pub(super) fn live(mut self, first: Option<&Held>) -> Measured<'a> {
        self.is_live = true;
        self.empty.fill(false);
        self.idle.fill(false);
        widen_for_later_rows(&mut self.widths, self.columns, first);
        self
    }

    /// The same for a table that is repeated: with room for changes, and for what it needed in earlier rounds.
    pub(super) fn repeated(mut self, needed: &mut Needed) -> Measured<'a> {
        // What is 0 now may not be in the next round.
        self.idle.fill(false);
        for place in 0..self.columns.len() {
            let room = if self.is_change_of_a_size(place) { CHANGE } else { FATE };
            if let (true, Some(width), Some(empty)) =
                (self.is_reserved(place), self.widths.get_mut(place), self.empty.get_mut(place))
            {
                *width = room.max(*width);
                *empty = false;
            }
        }
        needed.widths.resize(self.columns.len(), 0);
        needed.filled.resize(self.columns.len(), false);
        for (width, needed) in self.widths.iter_mut().zip(&mut needed.widths) {
            *needed = (*needed).max(*width);
            *width = *needed;
        }
        for (empty, filled) in self.empty.iter_mut().zip(&mut needed.filled) {
            *filled |= !*empty;
            *empty = !*filled;
        }
        self
    }

    /// Whether a repeated table keeps this column although nothing has changed yet: the fate of rows, and the changes
    /// of sizes and shares. Counts hardly ever change: a pid, an inode.
    fn is_reserved(&self, place: usize) -> bool {
        let is_fate = self.columns.get(place).is_some_and(|column| column.id == "fate");
        is_fate || self.is_change_of_a_size(place)
    }

    fn is_change_of_a_size(&self, place: usize) -> bool {
        let figure = place.checked_sub(1).and_then(|place| self.kind(place));
        self.kind(place) == Some(ColumnKind::Change) && figure != Some(ColumnKind::Number)
    }

    /// The layout without the columns that every table leaves out if they are empty. A table whose later rows are not
    /// known has its remarks on lines of its own.
    pub(super) fn without_empty(&self) -> Layout {
        let mut layout = Layout::new(self.columns);
        layout.line.retain(|place| !(self.is(*place, Presence::Optional) && self.is_empty(*place)));
        if self.is_live {
            self.move_below(&mut layout, |place| self.is_remark(place));
        }
        layout
    }

    /// Moves texts from the line to lines of their own.
    fn move_below(&self, layout: &mut Layout, moves: impl Fn(usize) -> bool) {
        let (prose, line): (Vec<usize>, Vec<usize>) = layout.line.iter().partition(|place| moves(**place));
        layout.prose.extend(prose);
        layout.line = line;
    }

    /// The layout for a terminal of this width.
    pub(super) fn layout(&self, width: usize) -> Layout {
        self.layout_with(width, false)
    }

    fn layout_with(&self, width: usize, sentences_below: bool) -> Layout {
        let mut layout = self.without_empty();
        let room = |layout: &Layout, gap| self.room_for_text(layout, width, gap);
        if sentences_below {
            self.move_below(&mut layout, |place| self.is_sentence(place));
        }
        // A table without rows shows what it would have.
        if self.has_rows && room(&layout, GAP) < usize::MAX {
            let is_such = |place| self.is_empty(place) && !self.is(place, Presence::Named);
            self.leave_out(&mut layout, is_such, |_| true);
        }
        if room(&layout, GAP) < usize::MAX {
            self.move_below(&mut layout, |place| self.is_remark(place));
        }
        let is_idle = |place: usize| self.idle.get(place) == Some(&true) && !self.is(place, Presence::Named);
        let (good, short) = match self.longest_name(&layout) {
            Some(longest) => {
                let good = longest.min(width / PART_OF_NAMES).max(GOOD_TEXT);
                (good, good)
            }
            None => (GOOD_TEXT, SHORT_TEXT),
        };
        self.leave_out(&mut layout, is_idle, |layout| room(layout, GAP) < good);
        self.leave_out(&mut layout, |place| self.is(place, Presence::Least), |layout| room(layout, 1) < good);
        self.leave_out(&mut layout, |place| self.is(place, Presence::Minor), |layout| room(layout, 1) < good);
        if room(&layout, 1) < SHORT_TEXT && layout.line.iter().any(|place| self.is_sentence(*place)) {
            return self.layout_with(width, true);
        }
        // Those that a repeated table adds, and not a change that is a figure of the row itself.
        let is_change = |place| self.kind(place) == Some(ColumnKind::Change) && self.is(place, Presence::Optional);
        self.leave_out(&mut layout, is_change, |layout| room(layout, 1) < SHORT_TEXT);
        layout.left_out = (0..self.columns.len())
            .filter(|place| is_change(*place) && !layout.line.contains(place) && !self.is_empty(*place))
            .collect();
        layout.gap = if room(&layout, GAP) < short { 1 } else { GAP };
        layout.room = room(&layout, layout.gap).max(SHORTEST_TEXT);
        layout.room_for_words = self.room_for_words(&layout, width);
        layout.width = width;
        layout
    }

    /// Leaves out such columns from the right, with their changes, while the table is too wide.
    fn leave_out(&self, layout: &mut Layout, is_such: impl Fn(usize) -> bool, is_too_wide: impl Fn(&Layout) -> bool) {
        while is_too_wide(layout) {
            let Some(place) = layout.line.iter().rposition(|place| is_such(*place)) else { break };
            let left_out = layout.line.remove(place);
            layout.line.retain(|place| !self.is_change_of(*place, left_out));
        }
    }

    /// The maximum width of a text, so that the line fits without cutting any figure.
    fn room_for_text(&self, layout: &Layout, width: usize, gap: usize) -> usize {
        let mut figures = gap * layout.line.len().saturating_sub(1);
        let mut texts: Vec<usize> = Vec::new();
        for place in &layout.line {
            let widest = self.widths.get(*place).copied().unwrap_or(0);
            let is_text = self.kind(*place).is_some_and(ColumnKind::is_left_aligned) && !self.is_whole(*place);
            if is_text { texts.push(widest) } else { figures += widest }
        }
        width.checked_sub(figures).map_or(0, |room| shared(texts, room))
    }

    /// The maximum width of words of a list, if nothing else makes the line fit: what the other texts leave to them at
    /// their shortest.
    fn room_for_words(&self, layout: &Layout, width: usize) -> usize {
        let mut others = layout.gap * layout.line.len().saturating_sub(1);
        let mut words: Vec<usize> = Vec::new();
        for place in &layout.line {
            let widest = self.widths.get(*place).copied().unwrap_or(0);
            match self.columns.get(*place).map(|column| layout.room_of(column)) {
                _ if self.is_word(*place) => words.push(widest),
                room => others += widest.min(room.unwrap_or(0)),
            }
        }
        shared(words, width.saturating_sub(others)).max(SHORTEST_TEXT)
    }

    /// A word of a list, and not a point in time.
    fn is_word(&self, place: usize) -> bool {
        self.is_whole(place) && self.kind(place) == Some(ColumnKind::Text) && !self.is_sentence(place)
    }

    fn is(&self, place: usize, presence: Presence) -> bool {
        self.columns.get(place).is_some_and(|column| column.presence == presence)
    }

    /// Whether a column is the change of another.
    fn is_change_of(&self, place: usize, figure: usize) -> bool {
        let id = |place: usize| self.columns.get(place).map_or("", |column| &column.id);
        id(place).strip_suffix("_change") == Some(id(figure))
    }

    /// The width of the names on the line that tell rows apart, if there are any.
    fn longest_name(&self, layout: &Layout) -> Option<usize> {
        let is_name = |place: &&usize| {
            self.columns.get(**place).is_some_and(|column| matches!(column.cut, Cut::Name | Cut::NameOrCommand))
        };
        layout.line.iter().filter(is_name).filter_map(|place| self.widths.get(*place)).max().copied()
    }

    /// A remark, which few rows have.
    fn is_remark(&self, place: usize) -> bool {
        self.kind(place) == Some(ColumnKind::Prose)
    }

    /// A sentence, which every row has.
    fn is_sentence(&self, place: usize) -> bool {
        self.columns.get(place).is_some_and(|column| column.cut == Cut::Never)
    }

    /// Whether the texts of a column are never cut.
    fn is_whole(&self, place: usize) -> bool {
        self.columns.get(place).is_some_and(|column| column.cut.is_whole() || column.kind == ColumnKind::Bars)
    }

    fn is_empty(&self, place: usize) -> bool {
        self.empty.get(place).copied().unwrap_or(true)
    }

    fn kind(&self, place: usize) -> Option<ColumnKind> {
        self.columns.get(place).map(|column| column.kind)
    }
}
