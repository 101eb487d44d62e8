//! The lines of a table whose column widths are known, and the text of cells and totals.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::strip::{StripStyle, write_bars, write_strip};
use super::{CellAt, RowWriter};
use crate::table::{Cell, ColumnHead, ColumnKind, SizeUnit, StripCell, TotalCell, TotalRow};

/// The text of one row, one byte string per column. It is UTF-8, because everything else was escaped.
pub(super) type Texts = Vec<Vec<u8>>;

/// A held row: its text, and the strips below it.
pub(super) struct Held {
    pub(super) texts: Texts,
    pub(super) strips: Vec<Vec<StripCell>>,
}

/// The position of each column.
#[derive(Default, Clone)]
pub(super) struct Layout {
    /// The indexes of the columns that are on the line.
    pub(super) line: Vec<usize>,
    /// The indexes of the strips that are drawn below it.
    pub(super) below: Vec<usize>,
}

impl Layout {
    pub(super) fn new(columns: &[ColumnHead]) -> Layout {
        let is_strip =
            |place: &usize| columns.get(*place).is_some_and(|column| matches!(column.kind, ColumnKind::Strip(_)));
        let is_shown = |place: &usize| columns.get(*place).is_some_and(|column| !column.is_hidden);
        let (below, line) = (0..columns.len()).filter(is_shown).partition(is_strip);
        Layout { line, below }
    }
}

/// The layout of lines, once the widths are known.
pub(super) struct Lines {
    pub(super) columns: Vec<ColumnHead>,
    pub(super) layout: Layout,
    pub(super) widths: Vec<usize>,
    pub(super) unit: SizeUnit,
    pub(super) strips: StripStyle,
}

impl Lines {
    pub(super) fn write_line(&self, out: &mut dyn Write, texts: &Texts) -> io::Result<()> {
        let mut line = Line::default();
        let last = self.layout.line.iter().rposition(|place| texts.get(*place).is_some_and(|text| !text.is_empty()));
        for (index, place) in self.layout.line.iter().enumerate().take(last.unwrap_or(0) + 1) {
            let (Some(text), Some(column), Some(width)) =
                (texts.get(*place), self.columns.get(*place), self.widths.get(*place))
            else {
                continue;
            };
            line.add(text, *width, column.kind.is_left_aligned(), index == 0, Some(index) == last);
        }
        line.out.push(b'\n');
        out.write_all(&line.out)
    }

    pub(super) fn write_held(&self, out: &mut dyn Write, row: &Held) -> io::Result<()> {
        if !self.layout.line.is_empty() {
            self.write_line(out, &row.texts)?;
        }
        row.strips.iter().try_for_each(|strip| write_strip(out, strip, self.strips, self.indent()))
    }

    /// Strips are indented below the lines, if there are any.
    fn indent(&self) -> usize {
        if self.layout.line.is_empty() { 0 } else { STRIP_INDENT }
    }
}

/// The indentation of strips below a line.
pub(crate) const STRIP_INDENT: usize = 2;

impl RowWriter for Lines {
    fn write(&self, rows: usize, cell: &CellAt<'_, '_>, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        let last = self.layout.line.len().saturating_sub(1);
        for row in 0..rows {
            let mut line = Line { out: std::mem::take(out), overhang: 0 };
            for (index, place) in self.layout.line.iter().enumerate() {
                let (Some(column), Some(width)) = (self.columns.get(*place), self.widths.get(*place)) else { continue };
                text.clear();
                write_cell(&cell(row, *place), self.unit, &mut text);
                line.add(&text, *width, column.kind.is_left_aligned(), index == 0, index == last);
            }
            *out = line.out;
            if !self.layout.line.is_empty() {
                out.push(b'\n');
            }
            for place in &self.layout.below {
                if let Cell::Strip(cells) = cell(row, *place) {
                    // Writing to a Vec cannot fail.
                    let _ = write_strip(out, cells, self.strips, self.indent());
                }
            }
        }
    }
}

/// One line that is being written. Text that is wider than its column uses up the padding of the next columns.
#[derive(Default)]
pub(super) struct Line {
    out: Vec<u8>,
    overhang: usize,
}

impl Line {
    fn add(&mut self, text: &[u8], width: usize, left: bool, first: bool, last: bool) {
        if !first {
            self.out.push(b' ');
        }
        let length = display_width(text);
        let padding = width.saturating_sub(length).saturating_sub(self.overhang);
        self.overhang = (length + self.overhang).saturating_sub(width).min(self.overhang + text.len());
        let blanks = |out: &mut Vec<u8>| out.resize(out.len() + padding, b' ');
        if !left {
            blanks(&mut self.out);
        }
        self.out.extend_from_slice(text);
        if left && !last {
            blanks(&mut self.out);
        }
    }
}

pub(super) fn cell_text(cell: &Cell<'_>, unit: SizeUnit) -> Vec<u8> {
    let mut text = Vec::new();
    write_cell(cell, unit, &mut text);
    text
}

pub(super) fn write_cell(cell: &Cell<'_>, unit: SizeUnit, out: &mut Vec<u8>) {
    match cell {
        Cell::Strip(cells) => write_bars(cells, out),
        cell => cell.write_text(unit, out),
    }
}

/// The text of a total. A sum that lacks figures is a lower bound and is shown as such: `>=140`.
pub(super) fn total_texts(total: &TotalRow, columns: &[ColumnHead], unit: SizeUnit) -> Texts {
    let labelled = label_place(total, columns);
    let text = |(place, cell): (usize, &TotalCell)| match cell {
        TotalCell::Blank if Some(place) == labelled => unit.label().as_bytes().to_vec(),
        TotalCell::Blank => Vec::new(),
        TotalCell::Sum { cell, missing } => {
            let mut text = Vec::new();
            if *missing > 0 && !matches!(cell, Cell::Absent(_) | Cell::Percent(_)) {
                text.extend_from_slice(b">=");
            }
            cell.write_text(unit, &mut text);
            text
        }
    };
    total.cells.iter().enumerate().map(text).collect()
}

/// The column for the label of the total: the first one without a sum, preferably not a numeric column.
pub(super) fn label_place(total: &TotalRow, columns: &[ColumnHead]) -> Option<usize> {
    let is_blank =
        |(cell, column): (&TotalCell, &ColumnHead)| matches!(cell, TotalCell::Blank) && !column.may_be_left_out;
    let is_number = |column: &ColumnHead| matches!(column.kind, ColumnKind::Number | ColumnKind::Change);
    let mut cells = total.cells.iter().zip(columns);
    let words = cells.clone().position(|(cell, column)| is_blank((cell, column)) && !is_number(column));
    words.or_else(|| cells.rposition(is_blank))
}

/// `mapped: 2924K    writeable/private: 356K    shared: 28K`
pub(super) fn total_line(total: &TotalRow, labels: &[&str], unit: SizeUnit) -> String {
    let letter = if unit == SizeUnit::Kib { "K" } else { "" };
    let figure = |cell: &TotalCell| {
        let mut text = Vec::new();
        if let TotalCell::Sum { cell, .. } = cell {
            cell.write_text(unit, &mut text);
        }
        format!("{}{letter}", String::from_utf8_lossy(&text))
    };
    let figures = labels.iter().zip(&total.cells).map(|(label, cell)| format!("{label}: {}", figure(cell)));
    figures.collect::<Vec<_>>().join("    ")
}

/// The width of the text on a terminal.
pub(super) fn display_width(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    std::str::from_utf8(text).map_or(text.len(), UnicodeWidthStr::width)
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
            _ => 0,
        });
    }
}
