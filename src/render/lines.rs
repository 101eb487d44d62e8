//! The lines of a table whose column widths are known, and the text of cells and totals.

use std::borrow::Cow;
use std::io::{self, Write};

use super::layout::{Held, Layout, STRIP_INDENT, Texts, display_width, fitted};
use super::local_time::write_local_time;
use super::paint::{enclosed, painted};
use super::strip::{StripStyle, write_bars, write_strip};
use super::{CellAt, Presentation, RowWriter};
use crate::table::{
    Cell, Colour, ColumnHead, ColumnKind, Difference, LOWER_BOUND, Presence, SizeUnit, TotalCell, TotalRow,
    write_brief_share, write_change_of_share,
};
use crate::units::{Bytes, Exact, HumanPages, Pages, Reason};

/// The layout of lines, once the widths are known.
pub(super) struct Lines {
    pub(super) columns: Vec<ColumnHead>,
    pub(super) layout: Layout,
    pub(super) widths: Vec<usize>,
    pub(super) presentation: Presentation,
    pub(super) strips: StripStyle,
}

impl Lines {
    pub(super) fn write_line(&self, out: &mut dyn Write, texts: &Texts) -> io::Result<()> {
        let mut line = Line::default();
        for (index, place) in self.layout.line.iter().enumerate() {
            if let Some(text) = texts.get(*place) {
                self.add(&mut line, *place, text, index == 0);
            }
        }
        line.out.push(b'\n');
        out.write_all(&self.painted(&line.out))
    }

    pub(super) fn write_held(&self, out: &mut dyn Write, row: &Held) -> io::Result<()> {
        if !self.layout.line.is_empty() {
            self.write_line(out, &row.texts)?;
        }
        self.layout.write_prose(out, &self.columns, |place| row.texts.get(place).cloned().unwrap_or_default())?;
        row.strips.iter().try_for_each(|strip| write_strip(out, strip, self.strips, self.indent()))
    }

    /// Adds the text of a column to a line.
    fn add(&self, line: &mut Line, place: usize, text: &[u8], first: bool) {
        let (Some(column), Some(width)) = (self.columns.get(place), self.widths.get(place)) else { return };
        let is_left = column.kind.is_left_aligned();
        let room = self.layout.room_of(column);
        if room < usize::MAX {
            let text = String::from_utf8_lossy(text);
            let text = fitted(&text, column, room, self.presentation.unicode);
            return line.add(text.as_bytes(), *width, is_left, first);
        }
        line.add(text, *width, is_left, first);
    }

    /// A finished line with its colours.
    fn painted<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        match self.presentation.colour {
            true => painted(&String::from_utf8_lossy(line)).into_bytes().into(),
            false => line.into(),
        }
    }

    /// Strips are indented below the lines, if there are any.
    fn indent(&self) -> usize {
        if self.layout.line.is_empty() { 0 } else { STRIP_INDENT }
    }
}

impl RowWriter for Lines {
    fn write(&self, rows: usize, cell: &CellAt<'_, '_>, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        let presentation = &self.presentation;
        for row in 0..rows {
            let begin = out.len();
            let mut line = Line { out: std::mem::take(out), ..Line::default() };
            for (index, place) in self.layout.line.iter().enumerate() {
                let Some(column) = self.columns.get(*place) else { continue };
                text.clear();
                write_cell(&cell(row, *place), column, presentation, &mut text);
                self.add(&mut line, *place, &text, index == 0);
            }
            *out = line.out;
            if !self.layout.line.is_empty() {
                out.push(b'\n');
            }
            if presentation.colour {
                let line = out.split_off(begin);
                out.extend_from_slice(&self.painted(&line));
            }
            let prose = |place: usize| {
                self.columns
                    .get(place)
                    .map_or_else(Vec::new, |column| cell_text(&cell(row, place), column, presentation))
            };
            // Writing to a Vec cannot fail, here and below.
            let _ = self.layout.write_prose(out, &self.columns, prose);
            for place in &self.layout.below {
                if let Cell::Strip(cells) = cell(row, *place) {
                    let _ = write_strip(out, cells, self.strips, self.indent());
                }
            }
        }
    }
}

/// One line that is being written. Text that is wider than its column uses up the padding of the next columns, and the
/// last text of a line is not padded.
#[derive(Default)]
pub(super) struct Line {
    out: Vec<u8>,
    overhang: usize,
    /// How many blanks are before the next text.
    blanks: usize,
}

impl Line {
    fn add(&mut self, text: &[u8], width: usize, left: bool, first: bool) {
        let length = display_width(text);
        let padding = width.saturating_sub(length).saturating_sub(self.overhang);
        self.overhang = (length + self.overhang).saturating_sub(width).min(self.overhang + text.len());
        self.blanks += usize::from(!first) + if left { 0 } else { padding };
        if !text.is_empty() {
            self.out.resize(self.out.len() + self.blanks, b' ');
            self.out.extend_from_slice(text);
            self.blanks = 0;
        }
        self.blanks += if left { padding } else { 0 };
    }
}

pub(super) fn cell_text(cell: &Cell<'_>, column: &ColumnHead, presentation: &Presentation) -> Vec<u8> {
    let mut text = Vec::new();
    write_cell(cell, column, presentation, &mut text);
    text
}

fn write_cell(cell: &Cell<'_>, column: &ColumnHead, presentation: &Presentation, out: &mut Vec<u8>) {
    match colour(cell, column).filter(|_| presentation.colour) {
        Some(colour) => enclosed(colour, out, |out| write_plain_cell(cell, column, presentation, out)),
        None => write_plain_cell(cell, column, presentation, out),
    }
}

/// The colour of a cell that a reader should notice: a figure that was denied, and one that its column marks.
fn colour(cell: &Cell<'_>, column: &ColumnHead) -> Option<Colour> {
    match cell {
        Cell::Absent(absent) if absent.reason == Reason::Denied => Some(Colour::Red),
        Cell::Bytes(0) | Cell::Count(0) | Cell::Bar(0) | Cell::Absent(_) | Cell::Without(_) | Cell::Remark(None) => {
            None
        }
        _ => column.colour,
    }
}

fn write_plain_cell(cell: &Cell<'_>, column: &ColumnHead, presentation: &Presentation, out: &mut Vec<u8>) {
    match (cell, column.kind, presentation.page.filter(|_| presentation.unit == SizeUnit::Human)) {
        (Cell::Bar(eighths), ..) if presentation.has_blocks() => {
            (0..*eighths).for_each(|_| out.extend_from_slice("█".as_bytes()));
        }
        (Cell::Strip(cells), ..) => write_bars(cells, presentation.unicode, out),
        (Cell::AtLeast(amount, _) | Cell::Known(amount), ..) => {
            out.extend_from_slice(LOWER_BOUND);
            write_plain_cell(&amount.cell(), column, presentation, out);
        }
        (Cell::Bytes(bytes), ..) if column.is_exact && presentation.unit == SizeUnit::Human => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{}", Exact(Bytes(*bytes)));
        }
        (Cell::Count(count), ColumnKind::Pages, Some(page)) => {
            let _ = write!(out, "{}", HumanPages(Pages(*count), page));
        }
        (Cell::Change(Difference::Pages(by)), _, Some(page)) => {
            let by = by.saturating_mul(i64::try_from(page.bytes()).unwrap_or(i64::MAX));
            Cell::Change(Difference::Bytes(by)).write_text(SizeUnit::Human, out);
        }
        (Cell::Change(Difference::Share(by)), ..) if presentation.is_brief => {
            write_change_of_share(*by, write_brief_share, out);
        }
        (Cell::Percent(share), ..) if presentation.is_brief => write_brief_share(*share, out),
        (Cell::Time(time), ..) if presentation.is_brief => write_local_time(*time, out),
        (cell, ..) => cell.write_text(presentation.unit, out),
    }
}

/// The text of a total, with its label in these columns. A sum that lacks figures is a lower bound and is shown as
/// such: `>=140`.
pub(super) fn total_texts(
    total: &TotalRow,
    columns: &[ColumnHead],
    layout: &Layout,
    labels: &[usize],
    presentation: &Presentation,
) -> Texts {
    let has_bytes = |place: &usize| {
        columns.get(*place).is_some_and(|column| column.kind == ColumnKind::Bytes)
            && matches!(total.cells.get(*place), Some(TotalCell::Sum { .. }))
    };
    // The unit is that of sizes: a table without any has no unit.
    let unit = if layout.line.iter().any(has_bytes) { presentation.unit } else { SizeUnit::Human };
    let text = |((place, cell), column): ((usize, &TotalCell), &ColumnHead)| match cell {
        TotalCell::Blank if labels.contains(&place) => unit.label().as_bytes().to_vec(),
        TotalCell::Blank => Vec::new(),
        TotalCell::Sum { cell, missing } => {
            let mut text = Vec::new();
            if *missing > 0 && !matches!(cell, Cell::Absent(_) | Cell::Percent(_)) {
                text.extend_from_slice(LOWER_BOUND);
            }
            write_plain_cell(cell, column, presentation, &mut text);
            text
        }
    };
    total.cells.iter().enumerate().zip(columns).map(text).collect()
}

/// The column for the label of the total: the first one on the line without a sum, preferably not a numeric column.
pub(super) fn label_place(total: &TotalRow, columns: &[ColumnHead], layout: &Layout) -> Option<usize> {
    let is_blank = |place: &&usize| {
        matches!(total.cells.get(**place), Some(TotalCell::Blank))
            && columns.get(**place).is_some_and(|column| column.presence != Presence::Optional)
    };
    let is_number = |place: &&usize| {
        columns.get(**place).is_some_and(|column| matches!(column.kind, ColumnKind::Number | ColumnKind::Change))
    };
    let words = layout.line.iter().filter(is_blank).find(|place| !is_number(place));
    words.or_else(|| layout.line.iter().rev().find(is_blank)).copied()
}

/// The parts of `mapped: 2924K    writeable/private: 356K    shared: 28K`.
pub(super) fn total_figures(total: &TotalRow, labels: &[&str], unit: SizeUnit) -> Vec<String> {
    let letter = if unit == SizeUnit::Kib { "K" } else { "" };
    let figure = |cell: &TotalCell| {
        let mut text = Vec::new();
        if let TotalCell::Sum { cell, .. } = cell {
            cell.write_text(unit, &mut text);
        }
        format!("{}{letter}", String::from_utf8_lossy(&text))
    };
    let gaps = std::iter::once("").chain(std::iter::repeat("    "));
    let figures = labels.iter().zip(&total.cells).zip(gaps);
    figures.map(|((label, cell), gap)| format!("{gap}{label}: {}", figure(cell))).collect()
}

/// Sets the width of figures in a table whose rows arrive one by one to what later rows are likely to need: that of the
/// largest size in the first row, but at least seven, for `1023.9M`.
pub(super) fn widen_for_later_rows(widths: &mut [usize], columns: &[ColumnHead], first: Option<&Held>) {
    let sizes = columns.iter().zip(first.iter().flat_map(|row| &row.texts));
    let sizes = sizes.filter(|(column, _)| column.kind == ColumnKind::Bytes);
    let largest = sizes.map(|(_, text)| display_width(text)).max().unwrap_or(0);
    for (width, column) in widths.iter_mut().zip(columns) {
        *width = (*width).max(match column.kind {
            ColumnKind::Bytes | ColumnKind::Pages => largest.max(7),
            ColumnKind::Percent => 7,
            ColumnKind::Text => 8,
            _ => 0,
        });
    }
}
