//! Tables for people: aligned text that streams, and a boxed table for terminals.
//!
//! Both write the same words in the same order. The boxed one is drawn by `comfy-table`, which lays out all rows before
//! it prints one; so it is used on a terminal only, and gives way to the streaming one when the rows are very many.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

use super::cell::{Cell, SizeUnit};
use super::column::{Column, Kind, RowKind};
use super::render::{Heading, Layout, Renderer};
use super::total::{TotalCell, Totals};

/// How many rows the streaming table looks at before it settles the widths of its columns, and how many the boxed one
/// draws at most.
const ROWS_HELD: usize = 1024;

/// The words of one line, one string of bytes a column. They are UTF-8: everything else was escaped.
type Words = Vec<Vec<u8>>;

/// Aligned text. Holds at most `ROWS_HELD` rows: the widths are those of the first ones, and a later row that needs more
/// shifts its own line.
pub struct TextTable<'w, K: RowKind> {
    columns: Vec<Column<K>>,
    out: Box<dyn Write + 'w>,
    unit: SizeUnit,
    no_header: bool,
    no_heading: bool,
    grouped: bool,
    live: bool,
    groups: u64,
    held: Vec<Words>,
    widths: Option<Vec<usize>>,
    scratch: Vec<u8>,
}

impl<'w, K: RowKind> TextTable<'w, K> {
    /// A table that writes to `out`.
    pub fn new(layout: Layout, columns: Vec<Column<K>>, out: Box<dyn Write + 'w>) -> Self {
        TextTable {
            columns,
            out,
            unit: layout.unit,
            no_header: layout.no_header,
            no_heading: layout.no_heading,
            grouped: layout.grouped,
            live: layout.live,
            groups: 0,
            held: Vec::new(),
            widths: None,
            scratch: Vec::new(),
        }
    }

    /// Settles the widths, writes the header and the rows that were held.
    fn settle(&mut self, more: &[&Words]) -> io::Result<()> {
        let titles: Words = self.columns.iter().map(|column| column.title.as_bytes().to_vec()).collect();
        let mut widths = vec![0; self.columns.len()];
        let titles_shown = if self.no_header { &[][..] } else { std::slice::from_ref(&titles) };
        for words in titles_shown.iter().chain(&self.held).chain(more.iter().copied()) {
            for (width, word) in widths.iter_mut().zip(words) {
                *width = (*width).max(display_width(word));
            }
        }
        if self.live {
            let first = self.columns.iter().zip(self.held.first().into_iter().flatten());
            let sizes = first.filter(|(column, _)| column.kind == Kind::Bytes);
            let largest = sizes.map(|(_, word)| display_width(word)).max().unwrap_or(0);
            for (width, column) in widths.iter_mut().zip(&self.columns) {
                *width = (*width).max(live_width(column.kind, largest));
            }
        }
        self.widths = Some(widths);
        if !self.no_header {
            self.write_line(&titles)?;
        }
        for words in std::mem::take(&mut self.held) {
            self.write_line(&words)?;
        }
        Ok(())
    }

    fn write_line(&mut self, words: &Words) -> io::Result<()> {
        let widths = self.widths.as_deref().unwrap_or_default();
        let last = words.iter().rposition(|word| !word.is_empty()).unwrap_or(0);
        let mut line = Line { out: &mut self.out, overhang: 0 };
        for (place, ((word, column), width)) in words.iter().zip(&self.columns).zip(widths).take(last + 1).enumerate() {
            line.word(word, *width, column.kind.is_left_aligned(), place == 0, place == last)?;
        }
        self.out.write_all(b"\n")
    }

    /// Writes a row whose widths are settled, without holding its words.
    fn write_row(&mut self, row: &K::Row<'_>) -> io::Result<()> {
        let widths = self.widths.as_deref().unwrap_or_default();
        let mut line = Line { out: &mut self.out, overhang: 0 };
        let last = self.columns.len().saturating_sub(1);
        for (place, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            self.scratch.clear();
            column.cell(row).write_words(self.unit, &mut self.scratch);
            line.word(&self.scratch, *width, column.kind.is_left_aligned(), place == 0, place == last)?;
        }
        self.out.write_all(b"\n")
    }
}

/// One line that is being written. A word that is wider than its column eats the padding of the next ones.
struct Line<'a, 'w> {
    out: &'a mut Box<dyn Write + 'w>,
    overhang: usize,
}

/// Enough blanks for any padding, to be written in slices.
const BLANKS: &[u8] = &[b' '; 128];

impl Line<'_, '_> {
    fn word(&mut self, word: &[u8], width: usize, left: bool, first: bool, last: bool) -> io::Result<()> {
        if !first {
            self.blanks(1)?;
        }
        let wanted = width.saturating_sub(display_width(word));
        let padding = wanted.saturating_sub(self.overhang);
        self.overhang = (display_width(word) + self.overhang).saturating_sub(width).min(self.overhang + word.len());
        if left {
            self.out.write_all(word)?;
            if last { Ok(()) } else { self.blanks(padding) }
        } else {
            self.blanks(padding)?;
            self.out.write_all(word)
        }
    }

    fn blanks(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            let some = BLANKS.get(..count.min(BLANKS.len())).unwrap_or(BLANKS);
            self.out.write_all(some)?;
            count -= some.len();
        }
        Ok(())
    }
}

impl<K: RowKind> Renderer<K> for TextTable<'_, K> {
    fn begin(&mut self, heading: Option<&Heading<'_>>) -> io::Result<()> {
        if self.grouped && self.groups > 0 {
            self.out.write_all(b"\n")?;
        }
        self.groups += 1;
        write_heading(&mut self.out, heading, self.no_heading)
    }

    fn row(&mut self, row: &K::Row<'_>) -> io::Result<()> {
        if self.widths.is_some() {
            self.write_row(row)?;
            return if self.live { self.out.flush() } else { Ok(()) };
        }
        self.held.push(row_words(&self.columns, row, self.unit));
        if self.live {
            self.settle(&[])?;
            return self.out.flush();
        }
        if self.held.len() >= ROWS_HELD { self.settle(&[]) } else { Ok(()) }
    }

    fn end(&mut self, total: Option<&Totals<K>>) -> io::Result<()> {
        let total = total.map(|total| total_words(total, self.unit));
        if self.widths.is_none() {
            self.settle(total.as_ref().as_slice())?;
        }
        if let Some(words) = total {
            self.write_line(&words)?;
        }
        self.widths = None;
        // A terminal or a pipe's reader sees a finished table at once, also while a later one is being collected.
        self.out.flush()
    }

    fn footer(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A boxed table for a terminal.
pub struct BoxedTable<'w, K: RowKind> {
    text: TextTable<'w, K>,
    width: u16,
    rows: Vec<Words>,
    overflowed: bool,
}

impl<'w, K: RowKind> BoxedTable<'w, K> {
    /// A table that writes to `out`, a terminal of `width` columns.
    pub fn new(layout: Layout, columns: Vec<Column<K>>, out: Box<dyn Write + 'w>, width: u16) -> Self {
        BoxedTable { text: TextTable::new(layout, columns, out), width, rows: Vec::new(), overflowed: false }
    }

    fn draw(&self, total: Option<Words>) -> Table {
        let mut table = Table::new();
        table.load_style(RULE_UNDER_HEADER);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let columns = &self.text.columns;
        let gap = if self.room_for_text(total.as_ref(), GAP) < SHORTEST_TEXT { 1 } else { GAP };
        let room = self.room_for_text(total.as_ref(), gap).max(SHORTEST_TEXT);
        let line = |words: &Words| -> Vec<comfy_table::Cell> {
            let cut = |(word, column): (&Vec<u8>, &Column<K>)| {
                let word = String::from_utf8_lossy(word);
                if column.kind.is_left_aligned() { shortened(&word, room) } else { word.into_owned() }
            };
            words.iter().zip(columns).map(cut).map(comfy_table::Cell::new).collect()
        };
        if !self.text.no_header {
            table.set_header(line(&columns.iter().map(|column| column.title.as_bytes().to_vec()).collect()));
        }
        table.add_rows(self.rows.iter().map(line));
        if let Some(total) = &total {
            table.add_row(line(total));
        }
        for (column, drawn) in columns.iter().zip(table.column_iter_mut()) {
            let side = if column.kind.is_left_aligned() { CellAlignment::Left } else { CellAlignment::Right };
            drawn.set_cell_alignment(side);
            drawn.set_padding((0, gap as u16 - 1));
        }
        table
    }

    /// How wide a text may be, so that the line fits the terminal with all its figures whole.
    fn room_for_text(&self, total: Option<&Words>, gap: usize) -> usize {
        let mut figures = 0;
        let mut texts: Vec<usize> = Vec::new();
        for (place, column) in self.text.columns.iter().enumerate() {
            let words = self.rows.iter().chain(total).filter_map(|words| words.get(place));
            let widest = words.map(|word| display_width(word)).chain([column.title.width()]).max().unwrap_or(0);
            figures += gap;
            if column.kind.is_left_aligned() { texts.push(widest) } else { figures += widest }
        }
        let mut room = usize::from(self.width).saturating_sub(figures);
        // Short texts (a method, permissions) keep their width; what they leave is shared by the long ones.
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

/// Blanks between two columns of a boxed table, where the terminal has room for them: its padding, and one that `comfy-table` draws where a line between columns would be.
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

impl<K: RowKind> Renderer<K> for BoxedTable<'_, K> {
    fn begin(&mut self, heading: Option<&Heading<'_>>) -> io::Result<()> {
        self.text.begin(heading)
    }

    fn row(&mut self, row: &K::Row<'_>) -> io::Result<()> {
        if self.overflowed {
            return self.text.row(row);
        }
        self.rows.push(row_words(&self.text.columns, row, self.text.unit));
        if self.rows.len() >= ROWS_HELD {
            self.overflowed = true;
            self.text.held = std::mem::take(&mut self.rows);
            return self.text.settle(&[]);
        }
        Ok(())
    }

    fn end(&mut self, total: Option<&Totals<K>>) -> io::Result<()> {
        if std::mem::take(&mut self.overflowed) {
            return self.text.end(total);
        }
        let table = self.draw(total.map(|total| total_words(total, self.text.unit)));
        self.rows.clear();
        let lines: Vec<String> = table.lines().collect();
        // The rule that stands under the header stands above the total too.
        let rule = lines.iter().find(|line| line.starts_with('─')).filter(|_| total.is_some());
        for (place, line) in lines.iter().enumerate() {
            if let Some(rule) = rule.filter(|_| place + 1 == lines.len()) {
                writeln!(self.text.out, "{rule}")?;
            }
            writeln!(self.text.out, "{}", line.trim_end())?;
        }
        self.text.out.flush()
    }

    fn footer(&mut self, line: &str) -> io::Result<()> {
        self.text.footer(line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.text.finish()
    }
}

fn row_words<K: RowKind>(columns: &[Column<K>], row: &K::Row<'_>, unit: SizeUnit) -> Words {
    columns.iter().map(|column| cell_words(&column.cell(row), unit)).collect()
}

fn cell_words(cell: &Cell<'_>, unit: SizeUnit) -> Vec<u8> {
    let mut words = Vec::new();
    cell.write_words(unit, &mut words);
    words
}

/// The words of a total row. A sum that lacks figures is a lower bound and says so: `>=140`.
fn total_words<K: RowKind>(totals: &Totals<K>, unit: SizeUnit) -> Words {
    let labelled = label_place(totals);
    let words = |(place, cell): (usize, TotalCell)| match cell {
        TotalCell::Blank if Some(place) == labelled => unit.label().as_bytes().to_vec(),
        TotalCell::Blank => Vec::new(),
        TotalCell::Sum { cell, missing: 0 } => cell_words(&cell, unit),
        TotalCell::Sum { cell: cell @ (Cell::Absent(_) | Cell::Percent(_)), .. } => cell_words(&cell, unit),
        TotalCell::Sum { cell, .. } => [b">=".as_slice(), &cell_words(&cell, unit)].concat(),
    };
    totals.cells().map(|(_, cell)| cell).enumerate().map(words).collect()
}

/// The column that the label of the total stands in: the first that has no sum, and rather not one of numbers.
fn label_place<K: RowKind>(totals: &Totals<K>) -> Option<usize> {
    let blank = |with_numbers: bool| {
        totals.cells().position(|(column, cell)| {
            matches!(cell, TotalCell::Blank) && (with_numbers || column.kind != Kind::Number)
        })
    };
    blank(false).or_else(|| blank(true))
}

fn write_heading(out: &mut dyn Write, heading: Option<&Heading<'_>>, no_heading: bool) -> io::Result<()> {
    match heading {
        Some(heading) if !no_heading => {
            let mut line = Vec::new();
            super::escape::write_escaped(&heading.line, &mut line);
            line.push(b'\n');
            out.write_all(&line)
        }
        _ => Ok(()),
    }
}

/// How many columns of a terminal the words take.
fn display_width(words: &[u8]) -> usize {
    if words.is_ascii() {
        return words.len();
    }
    std::str::from_utf8(words).map_or(words.len(), UnicodeWidthStr::width)
}

/// The width that figures of a live table are likely to reach: sizes and counts that of the largest size in its first row, and
/// seven at least, for `1023.9M`.
fn live_width(kind: Kind, largest: usize) -> usize {
    match kind {
        Kind::Bytes | Kind::Pages => largest.max(7),
        Kind::Percent => 7,
        _ => 0,
    }
}
