//! Tables for people: aligned text that streams, and a table with a rule for terminals.
//!
//! Both write the same words in the same order. The one for terminals is drawn by `comfy-table`, which lays out all rows
//! before it prints one; it gives way to the streaming one if there are very many rows.

use std::io::{self, Write};
use std::sync::Arc;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

use super::strip::{StripStyle, legend, write_bars, write_strip};
use super::{CellAt, Head, Presentation, RowWriter, Sink, TotalStyle, cell_of};
use crate::table::{Cell, ColumnHead, ColumnKind, Section, SizeUnit, StripCell, TotalCell, TotalRow, escape};

/// How many rows are held before the widths of the columns are settled, and how many are drawn for a terminal at most.
const ROWS_HELD: usize = 1024;

/// Clears the terminal and goes to its first line.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// The text of one row, one string of bytes for each column. It is UTF-8: everything else was escaped.
type Texts = Vec<Vec<u8>>;

/// A row that is held: its text, and the strips below it.
struct Held {
    texts: Texts,
    strips: Vec<Vec<StripCell>>,
}

/// Writes tables. Holds at most `ROWS_HELD` rows: the widths are those of the first ones, and a later row that needs more
/// shifts its own line.
pub struct TextSink<'w> {
    out: Box<dyn Write + 'w>,
    presentation: Presentation,
    strips: StripStyle,
    head: Option<Head>,
    layout: Layout,
    sections: u64,
    is_closed: bool,
    held: Vec<Held>,
    settled: Option<Arc<Lines>>,
    scratch: Vec<u8>,
}

/// Which columns are written where.
#[derive(Default, Clone)]
struct Layout {
    /// The places of the columns that are on the line.
    line: Vec<usize>,
    /// The places of the strips that are drawn below it.
    below: Vec<usize>,
}

impl Layout {
    fn new(columns: &[ColumnHead]) -> Layout {
        let is_strip =
            |place: &usize| columns.get(*place).is_some_and(|column| matches!(column.kind, ColumnKind::Strip(_)));
        let is_shown = |place: &usize| columns.get(*place).is_some_and(|column| !column.is_hidden);
        let (below, line) = (0..columns.len()).filter(is_shown).partition(is_strip);
        Layout { line, below }
    }
}

impl<'w> TextSink<'w> {
    /// A table that is written to `out`.
    pub fn new(presentation: Presentation, out: Box<dyn Write + 'w>) -> Self {
        let strips = StripStyle { shades: presentation.terminal_width.is_some(), colour: presentation.colour };
        TextSink {
            out,
            presentation,
            strips,
            head: None,
            layout: Layout::default(),
            sections: 0,
            is_closed: false,
            held: Vec::new(),
            settled: None,
            scratch: Vec::new(),
        }
    }

    fn columns(&self) -> &[ColumnHead] {
        self.head.as_ref().map_or(&[], |head| &head.columns)
    }

    fn is_live(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.live)
    }

    /// Whether every row of a section is held, because its columns depend on all of them.
    fn holds_all(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.every.is_some())
    }

    fn hold(&self, cells: &[Cell<'_>]) -> Held {
        let text = |cell: &Cell<'_>| cell_text(cell, self.presentation.unit);
        let strip = |place: &usize| match cells.get(*place) {
            Some(Cell::Strip(cells)) => cells.to_vec(),
            _ => Vec::new(),
        };
        Held { texts: cells.iter().map(text).collect(), strips: self.layout.below.iter().map(strip).collect() }
    }

    /// Leaves out what is empty in every row that is held.
    fn leave_out_empty_columns(&mut self) {
        let is_empty = |place: usize| self.held.iter().all(|row| row.texts.get(place).is_none_or(Vec::is_empty));
        let columns = self.columns();
        let stays =
            |place: &usize| columns.get(*place).is_some_and(|column| !column.may_be_left_out || !is_empty(*place));
        self.layout.line = Layout::new(columns).line.into_iter().filter(stays).collect();
    }

    /// Settles the widths, writes the header and the rows that were held.
    fn settle(&mut self, total: Option<&Texts>) -> io::Result<()> {
        let columns: Vec<ColumnHead> = self.columns().to_vec();
        let titles: Texts = columns.iter().map(|column| column.title.as_bytes().to_vec()).collect();
        let shown = (!self.presentation.no_header).then_some(&titles);
        let rows = shown.into_iter().chain(self.held.iter().map(|row| &row.texts)).chain(total);
        let mut widths = vec![0; columns.len()];
        for (width, text) in rows.flat_map(|texts| (0..).zip(texts)) {
            if let Some(width) = widths.get_mut(width) {
                *width = display_width(text).max(*width);
            }
        }
        if self.is_live() {
            widen_for_later_rows(&mut widths, &columns, self.held.first());
        }
        let lines = Arc::new(Lines {
            columns,
            layout: self.layout.clone(),
            widths,
            unit: self.presentation.unit,
            strips: self.strips,
        });
        if !self.presentation.no_header && !self.layout.line.is_empty() {
            lines.write_line(&mut self.out, &titles)?;
        }
        for row in std::mem::take(&mut self.held) {
            lines.write_held(&mut self.out, &row)?;
        }
        self.settled = Some(lines);
        Ok(())
    }

    /// Draws all rows for a terminal.
    fn draw(&mut self, width: u16, total: Option<&Texts>) -> io::Result<()> {
        let drawing = Drawing { layout: &self.layout, columns: self.columns(), rows: &self.held, total };
        let table = drawing.table(width, !self.presentation.no_header);
        let lines: Vec<String> = table.lines().collect();
        // The rule under the header is repeated above the total.
        let rule = lines.iter().find(|line| line.starts_with('─')).filter(|_| total.is_some());
        for (place, line) in lines.iter().enumerate() {
            if let Some(rule) = rule.filter(|_| place + 1 == lines.len()) {
                writeln!(self.out, "{rule}")?;
            }
            writeln!(self.out, "{}", line.trim_end())?;
        }
        self.held.clear();
        Ok(())
    }

    fn write_heading(&mut self, section: &Section) -> io::Result<()> {
        let mut line = Vec::new();
        escape::write_escaped(&section.line, &mut line);
        if let Some(time) = section.time {
            line.extend_from_slice(if line.is_empty() { b"" } else { b"   " });
            Cell::Time(time).write_text(SizeUnit::Bytes, &mut line);
            if let (Some(_), Some(every)) =
                (self.presentation.terminal_width, self.head.as_ref().and_then(|head| head.every))
            {
                let _ = write!(line, "   every {} s, Ctrl-C ends", every.as_secs_f64());
            }
        }
        if !line.is_empty() {
            line.push(b'\n');
        }
        for (_, figures) in &section.objects {
            for (key, cell) in figures {
                let _ = write!(line, "  {key} ");
                cell.cell().write_text(self.presentation.unit, &mut line);
            }
            line.push(b'\n');
        }
        self.out.write_all(&line)
    }
}

impl Sink for TextSink<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.layout = Layout::new(&head.columns);
        self.head = Some(head.clone());
        Ok(())
    }

    fn section(&mut self, section: &Section) -> io::Result<()> {
        match (section.time, self.presentation.terminal_width) {
            (Some(_), Some(_)) => self.out.write_all(CLEAR)?,
            _ if self.sections > 0 => self.out.write_all(b"\n")?,
            _ => {}
        }
        self.sections += 1;
        self.is_closed = section.is_closed;
        if self.presentation.no_heading { Ok(()) } else { self.write_heading(section) }
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        if let Some(lines) = &self.settled {
            self.scratch.clear();
            lines.write(1, &|_, place| cell_of(cells, place), &mut self.scratch);
            self.out.write_all(&self.scratch)?;
        } else {
            let row = self.hold(cells);
            self.held.push(row);
            if self.is_live() || (self.held.len() >= ROWS_HELD && !self.holds_all()) {
                self.settle(None)?;
            }
        }
        if self.is_live() { self.out.flush() } else { Ok(()) }
    }

    fn end(&mut self, total: Option<&TotalRow>) -> io::Result<()> {
        if self.is_closed {
            return self.out.flush();
        }
        let style = self.head.as_ref().map_or(TotalStyle::None, |head| head.total);
        let row = total.filter(|_| style == TotalStyle::Row);
        let row = row.map(|total| total_texts(total, self.columns(), self.presentation.unit));
        match (&self.settled, self.presentation.terminal_width) {
            (Some(lines), _) => row.iter().try_for_each(|texts| lines.write_line(&mut self.out, texts))?,
            (None, terminal) => {
                self.leave_out_empty_columns();
                match terminal
                    .filter(|_| self.layout.below.is_empty() && self.held.len() < ROWS_HELD && !self.is_live())
                {
                    Some(width) => self.draw(width, row.as_ref())?,
                    None => {
                        self.settle(row.as_ref())?;
                        let lines = self.settled.take();
                        if let (Some(lines), Some(texts)) = (lines, &row) {
                            lines.write_line(&mut self.out, texts)?;
                        }
                    }
                }
            }
        }
        if let (Some(total), TotalStyle::Line(labels)) = (total, style) {
            writeln!(self.out, "{}", total_line(total, labels, self.presentation.unit))?;
        }
        self.settled = None;
        // A terminal, or the reader of a pipe, sees a finished table at once, also while a later one is being collected.
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.presentation.no_header {
            let marks = |column: &ColumnHead| match column.kind {
                ColumnKind::Strip(marks) => Some(marks),
                _ => None,
            };
            if let Some(marks) = self.columns().iter().find_map(marks).filter(|_| self.sections > 0) {
                let legend = legend(marks, self.strips);
                writeln!(self.out, "{legend}")?;
            }
        }
        self.out.flush()
    }

    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        let lines = self.settled.clone()?;
        Some(lines)
    }

    fn rendered(&mut self, rows: &[u8]) -> io::Result<()> {
        self.out.write_all(rows)
    }
}

/// How lines are laid out once the widths are settled.
struct Lines {
    columns: Vec<ColumnHead>,
    layout: Layout,
    widths: Vec<usize>,
    unit: SizeUnit,
    strips: StripStyle,
}

impl Lines {
    fn write_line(&self, out: &mut dyn Write, texts: &Texts) -> io::Result<()> {
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

    fn write_held(&self, out: &mut dyn Write, row: &Held) -> io::Result<()> {
        if !self.layout.line.is_empty() {
            self.write_line(out, &row.texts)?;
        }
        row.strips.iter().try_for_each(|strip| write_strip(out, strip, self.strips, self.indent()))
    }

    /// Strips are set off from the lines, if there are any.
    fn indent(&self) -> usize {
        if self.layout.line.is_empty() { 0 } else { STRIP_INDENT }
    }
}

/// How far strips are from the margin, below a line.
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

/// One line that is being written. A text that is wider than its column uses up the padding of the next ones.
#[derive(Default)]
struct Line {
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

/// All rows of a table for a terminal.
struct Drawing<'a> {
    layout: &'a Layout,
    columns: &'a [ColumnHead],
    rows: &'a [Held],
    total: Option<&'a Texts>,
}

impl Drawing<'_> {
    fn table(&self, width: u16, header: bool) -> Table {
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

    /// How wide a text may be, so that the line fits the terminal with all its figures whole.
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
        // Short texts (a method, permissions) keep their width; the long ones share the rest.
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

/// Blanks between two columns on a terminal that has room for them: the padding, and one that `comfy-table` draws in place of
/// a line between columns.
const GAP: usize = 2;

/// A rule under the header, and nothing between the columns: the eye follows figures, not boxes.
const RULE_UNDER_HEADER: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A text is not cut to fewer characters than this; on a terminal that has no room for it the line wraps.
const SHORTEST_TEXT: usize = 16;

/// Cuts a text that is too wide in its middle, because the ends of a path say most.
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

fn cell_text(cell: &Cell<'_>, unit: SizeUnit) -> Vec<u8> {
    let mut text = Vec::new();
    write_cell(cell, unit, &mut text);
    text
}

fn write_cell(cell: &Cell<'_>, unit: SizeUnit, out: &mut Vec<u8>) {
    match cell {
        Cell::Strip(cells) => write_bars(cells, out),
        cell => cell.write_text(unit, out),
    }
}

/// The text of a total. A sum that lacks figures is a lower bound and says so: `>=140`.
fn total_texts(total: &TotalRow, columns: &[ColumnHead], unit: SizeUnit) -> Texts {
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

/// The column that the label of the total stands in: the first that has no sum, and preferably not one of numbers.
fn label_place(total: &TotalRow, columns: &[ColumnHead]) -> Option<usize> {
    let blank = |with_numbers: bool| {
        total.cells.iter().zip(columns).position(|(cell, column)| {
            let is_number = matches!(column.kind, ColumnKind::Number | ColumnKind::Change);
            matches!(cell, TotalCell::Blank) && !column.may_be_left_out && (with_numbers || !is_number)
        })
    };
    blank(false).or_else(|| blank(true))
}

/// `mapped: 2924K    writeable/private: 356K    shared: 28K`
fn total_line(total: &TotalRow, labels: &[&str], unit: SizeUnit) -> String {
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

/// How many columns of a terminal the text takes.
fn display_width(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    std::str::from_utf8(text).map_or(text.len(), UnicodeWidthStr::width)
}

/// Gives the figures of a table whose rows come one by one the width that later ones are likely to need: that of the largest
/// size in the first row, and seven at least, for `1023.9M`.
fn widen_for_later_rows(widths: &mut [usize], columns: &[ColumnHead], first: Option<&Held>) {
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
