//! Tables: aligned text that streams, and a table with rules for terminals.
//!
//! Both write the same text in the same order. Tables for terminals are drawn by `comfy-table`, which needs all rows
//! before it prints the first one; if there are too many rows, the streaming form is used instead.

use std::io::{self, Write};
use std::sync::Arc;

use super::drawing::{Drawing, is_rule};
use super::fit::{Measured, Needed};
use super::layout::{Held, Layout, Texts, cut, display_width, item, parts_fitted, paths_fitted, wrapped};
use super::lines::{Lines, cell_text, label_place, total_figures, total_texts};
use super::local_time::write_local_time;
use super::marks::LineKind;
use super::paint::painted;
use super::strip::{StripStyle, legend};
use super::{Head, Presentation, RowWriter, Sink, TotalStyle, cell_of};
use crate::table::{Cell, Closing, ColumnHead, ColumnKind, OwnedCell, Section, SizeUnit, TotalCell, TotalRow, escape};

/// The room that a heading has at least: a pid and the beginning of a command.
const SHORTEST_HEADING: usize = 12;

/// How many rows are held to determine the column widths, and the maximum number that is drawn for a terminal.
const ROWS_HELD: usize = 1024;

/// Writes tables. Holds at most `ROWS_HELD` rows: these determine the column widths, and a later row that is wider
/// shifts only its own line.
pub struct TextSink<'w> {
    out: Box<dyn Write + 'w>,
    presentation: Presentation,
    strips: StripStyle,
    head: Option<Head>,
    layout: Layout,
    /// The width of each column.
    widths: Vec<usize>,
    /// What a repeated table needed so far.
    needed: Needed,
    /// What is said after the rows of this section.
    closing: Vec<String>,
    sections: u64,
    /// Whether a strip was written.
    has_strips: bool,
    is_closed: bool,
    /// Whether there was any other section.
    has_answer: bool,
    held: Vec<Held>,
    settled: Option<Arc<Lines>>,
    scratch: Vec<u8>,
}

impl<'w> TextSink<'w> {
    /// A table that is written to `out`.
    pub fn new(presentation: Presentation, out: Box<dyn Write + 'w>) -> Self {
        let strips = StripStyle {
            shades: presentation.has_blocks(),
            colour: presentation.colour,
            offsets: !presentation.no_header,
        };
        TextSink {
            out,
            presentation,
            strips,
            head: None,
            layout: Layout::default(),
            widths: Vec::new(),
            needed: Needed::default(),
            closing: Vec::new(),
            sections: 0,
            has_strips: false,
            is_closed: false,
            has_answer: false,
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
        let text = |(cell, column): (&Cell<'_>, &ColumnHead)| cell_text(cell, column, &self.presentation);
        let strip = |place: &usize| match cells.get(*place) {
            Some(Cell::Strip(cells)) => cells.to_vec(),
            _ => Vec::new(),
        };
        Held {
            texts: cells.iter().zip(self.columns()).map(text).collect(),
            strips: self.layout.below.iter().map(strip).collect(),
        }
    }

    /// Chooses the columns: those that fit the terminal, if there is one.
    fn choose_columns(&mut self, total: Option<&TotalRow>) {
        // Where the label of the total is depends on the columns, and these on its width: it has room wherever it was.
        let mut labels = Vec::new();
        loop {
            labels.extend(self.label_of(total));
            self.lay_out(total, &labels);
            if self.label_of(total).is_none_or(|place| labels.contains(&place)) {
                break;
            }
        }
    }

    /// The column for the label of the total.
    fn label_of(&self, total: Option<&TotalRow>) -> Option<usize> {
        label_place(total?, self.columns(), &self.layout)
    }

    fn lay_out(&mut self, total: Option<&TotalRow>, labels: &[usize]) {
        let (is_live, is_repeated) = (self.is_live(), self.holds_all());
        let head = self.head.as_ref().map_or(&[][..], |head| &head.columns);
        let total = total.map(|total| total_texts(total, head, &self.layout, labels, &self.presentation));
        let mut measured = Measured::new(head, &self.held, total.as_ref(), !self.presentation.no_header);
        if is_live {
            measured = measured.live(self.held.first());
        }
        self.layout = match self.presentation.terminal_width {
            Some(width) => {
                if is_repeated {
                    measured = measured.repeated(&mut self.needed);
                }
                measured.layout(width.into())
            }
            None => measured.without_empty(),
        };
        if self.presentation.whole_names {
            self.layout.room = usize::MAX;
        }
        self.widths = measured.widths;
        for (width, column) in self.widths.iter_mut().zip(head) {
            *width = (*width).min(self.layout.room_of(column));
        }
    }

    /// The texts of a row of totals.
    fn texts(&self, total: Option<&TotalRow>) -> Option<Texts> {
        let labels = self.label_of(total);
        total.map(|total| total_texts(total, self.columns(), &self.layout, labels.as_slice(), &self.presentation))
    }

    /// Writes the header and the held rows.
    fn settle(&mut self) -> io::Result<()> {
        let columns: Vec<ColumnHead> = self.columns().to_vec();
        let titles: Texts = columns.iter().map(|column| column.title.as_bytes().to_vec()).collect();
        let lines = Arc::new(Lines {
            columns,
            layout: self.layout.clone(),
            widths: self.widths.clone(),
            presentation: self.presentation,
            strips: self.strips,
        });
        if !self.presentation.no_header && !self.layout.line.is_empty() {
            lines.write_line(&mut self.out, &titles)?;
        }
        for row in std::mem::take(&mut self.held) {
            let mut text = Vec::new();
            lines.write_held(&mut text, &row)?;
            self.write_marked(self.kind_of(&row), &text)?;
        }
        self.settled = Some(lines);
        Ok(())
    }

    /// What a row is: one of a repeated table may have changed.
    fn kind_of(&self, row: &Held) -> LineKind {
        let fate = self.columns().iter().position(|column| column.id == "fate");
        let has_changed = fate.and_then(|place| row.texts.get(place)).is_some_and(|text| !text.is_empty());
        if has_changed { LineKind::ChangedRow } else { LineKind::Row }
    }

    /// Writes whole lines, with marks if the screen needs them.
    fn write_marked(&mut self, kind: LineKind, lines: &[u8]) -> io::Result<()> {
        match self.presentation.is_marked {
            true => self.out.write_all(&kind.marked(lines)),
            false => self.out.write_all(lines),
        }
    }

    fn write_marked_lines(&mut self, kind: LineKind, lines: &[String]) -> io::Result<()> {
        lines.iter().try_for_each(|line| self.write_marked(kind, format!("{line}\n").as_bytes()))
    }

    /// Draws all rows for a terminal.
    fn draw(&mut self, total: Option<&Texts>) -> io::Result<()> {
        let (columns, unicode) = (self.columns().to_vec(), self.presentation.unicode);
        let held = std::mem::take(&mut self.held);
        let drawing =
            Drawing { layout: &self.layout, columns: &columns, rows: &held, total, widths: &self.widths, unicode };
        let table = drawing.table(!self.presentation.no_header);
        let mut rows = held.iter();
        let (mut rule, mut is_header) = (None, !self.presentation.no_header);
        for line in table.lines() {
            if is_header {
                is_header = !is_rule(&line);
                rule = Some(line.clone()).filter(|line| is_rule(line));
                if is_header || !self.presentation.is_dense {
                    writeln!(self.out, "{}", line.trim_end())?;
                }
                continue;
            }
            let row = rows.next();
            // The rule under the header is repeated above the total.
            let mut text = Vec::new();
            if let Some(rule) = rule.as_ref().filter(|_| row.is_none() && !self.presentation.is_dense) {
                writeln!(text, "{rule}")?;
            }
            writeln!(text, "{}", painted(&line).trim_end())?;
            let prose = |place: usize| row.and_then(|row| row.texts.get(place)).cloned().unwrap_or_default();
            self.layout.write_prose(&mut text, &columns, prose)?;
            self.write_marked(row.map_or(LineKind::Total, |row| self.kind_of(row)), &text)?;
        }
        Ok(())
    }

    /// Explains the strips: at the end, or below each round of a repeated query, which replaces the one before it.
    fn write_legend(&mut self) -> io::Result<()> {
        let marks = |column: &ColumnHead| match column.kind {
            ColumnKind::Strip(marks) => Some(marks),
            _ => None,
        };
        match self.columns().iter().find_map(marks).filter(|_| self.has_strips && !self.presentation.no_header) {
            Some(marks) => {
                let width = self.presentation.terminal_width.map_or(usize::MAX, usize::from);
                self.write_marked_lines(LineKind::Below, &wrapped(&legend(marks, self.strips), width))
            }
            None => Ok(()),
        }
    }

    fn write_closing(&mut self) -> io::Result<()> {
        let width = self.presentation.terminal_width.map_or(usize::MAX, usize::from);
        for text in std::mem::take(&mut self.closing) {
            let lines = match text.starts_with("- ") {
                true => item(&text, width, self.presentation.unicode),
                // What fits stays as it is: blanks may be part of a name.
                false if display_width(text.as_bytes()) <= width => vec![text],
                false => wrapped(&paths_fitted(&text, width, self.presentation.unicode), width),
            };
            self.write_marked_lines(LineKind::Below, &lines)?;
        }
        Ok(())
    }

    fn write_heading(&mut self, section: &Section) -> io::Result<()> {
        let (mut line, mut time) = (Vec::new(), Vec::new());
        escape::write_escaped(&section.line, &mut line);
        if let Some(now) = section.time {
            time.extend_from_slice(if line.is_empty() { b"" } else { b"   " });
            match self.presentation.is_brief {
                true => write_local_time(now, &mut time),
                false => Cell::Time(now).write_text(SizeUnit::Bytes, &mut time),
            }
            if let (Some(_), Some(every)) =
                (self.presentation.terminal_width, self.head.as_ref().and_then(|head| head.every))
            {
                let end = if self.presentation.has_keys { "q" } else { "Ctrl-C" };
                let _ = write!(time, "   every {} s, {end} to stop", every.as_secs_f64());
            }
        }
        if let Some(width) = self.presentation.terminal_width {
            let room = usize::from(width).saturating_sub(display_width(&time));
            // The pid comes first and stays: rather the time is cut by the terminal.
            let room = room.max(SHORTEST_HEADING);
            line = cut(&String::from_utf8_lossy(&line), room, self.presentation.unicode).into_bytes();
        }
        line.extend_from_slice(&time);
        if !line.is_empty() {
            line.push(b'\n');
        }
        self.out.write_all(&line)
    }

    /// Figures that stand in for the rows of a process that cannot be read.
    fn write_figures(&mut self, section: &Section) -> io::Result<()> {
        let figure = |(key, cell): &(&str, OwnedCell)| {
            let mut text = format!("  {key} ").into_bytes();
            cell.cell().write_text(self.presentation.unit, &mut text);
            // No other line names the unit.
            if self.presentation.unit == SizeUnit::Kib && matches!(cell.cell(), Cell::Bytes(_)) {
                text.push(b'K');
            }
            String::from_utf8_lossy(&text).into_owned()
        };
        let width = self.presentation.terminal_width.map_or(usize::MAX, usize::from);
        let lines = section.objects.iter().map(|(_, figures)| figures.iter().map(figure).collect::<Vec<_>>());
        lines.flat_map(|figures| parts_fitted(figures, width)).try_for_each(|line| writeln!(self.out, "{line}"))
    }
}

impl Sink for TextSink<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.layout = Layout::new(&head.columns);
        self.head = Some(head.clone());
        Ok(())
    }

    fn section(&mut self, section: &Section) -> io::Result<()> {
        if self.sections > 0 {
            self.out.write_all(b"\n")?;
        }
        self.sections += 1;
        self.is_closed = section.is_closed;
        if !self.presentation.no_heading {
            self.write_heading(section)?;
        }
        self.write_figures(section)
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.has_strips |= self.layout.below.iter().any(|place| matches!(cells.get(*place), Some(Cell::Strip(_))));
        if let Some(lines) = &self.settled {
            self.scratch.clear();
            lines.write(1, &|_, place| cell_of(cells, place), &mut self.scratch);
            self.out.write_all(&self.scratch)?;
        } else {
            let row = self.hold(cells);
            self.held.push(row);
            if self.is_live() || (self.held.len() >= ROWS_HELD && !self.holds_all()) {
                self.choose_columns(None);
                self.settle()?;
            }
        }
        if self.is_live() { self.out.flush() } else { Ok(()) }
    }

    fn closing(&mut self, closing: Closing) {
        // A table among others says nothing about all of its rows.
        if !self.presentation.is_dense {
            self.closing = closing.lines;
        }
    }

    fn end(&mut self, total: Option<&TotalRow>) -> io::Result<()> {
        // A repeated query may have rows of processes that are gone.
        if self.is_closed && self.held.is_empty() {
            return self.out.flush();
        }
        self.has_answer = true;
        let style = self.head.as_ref().map_or(TotalStyle::None, |head| head.total);
        // A label alone says nothing.
        let has_sums = |total: &&TotalRow| total.cells.iter().any(|cell| matches!(cell, TotalCell::Sum { .. }));
        let row = total.filter(|_| style == TotalStyle::Row).filter(has_sums);
        if self.settled.is_none() {
            self.choose_columns(row);
        }
        let texts = self.texts(row);
        let is_drawn = self.presentation.terminal_width.is_some()
            && self.layout.below.is_empty()
            && self.held.len() < ROWS_HELD
            && !self.is_live();
        if self.settled.is_none() && is_drawn {
            self.draw(texts.as_ref())?;
        } else {
            if self.settled.is_none() {
                self.settle()?;
            }
            if let (Some(lines), Some(texts)) = (&self.settled, &texts) {
                let mut text = Vec::new();
                lines.write_line(&mut text, texts)?;
                self.write_marked(LineKind::Total, &text)?;
            }
        }
        if let (Some(total), TotalStyle::Line(labels)) = (total, style) {
            let width = self.presentation.terminal_width.map_or(usize::MAX, usize::from);
            let lines = parts_fitted(total_figures(total, labels, self.presentation.unit), width);
            self.write_marked_lines(LineKind::Total, &lines)?;
        }
        self.settled = None;
        if self.holds_all() {
            self.write_legend()?;
        }
        self.write_closing()?;
        // A terminal, or the reader of a pipe, sees a finished table at once, even while a later one is being
        // collected.
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.holds_all() {
            self.write_legend()?;
        }
        // A table among others says nothing about all of its rows, and one without titles is for a program.
        let says_when = self.has_answer && !(self.presentation.is_dense || self.presentation.no_header);
        if let Some(line) = self.presentation.captured_line().filter(|_| says_when) {
            self.write_marked_lines(LineKind::Below, &[line])?;
        }
        self.out.flush()
    }

    fn resize(&mut self, width: u16) {
        // A table without a width is not for a terminal.
        self.presentation.terminal_width = self.presentation.terminal_width.map(|_| width);
    }

    fn has_headings(&self) -> bool {
        true
    }

    fn row_writer(&self) -> Option<Arc<dyn RowWriter>> {
        let lines = self.settled.clone()?;
        Some(lines)
    }

    fn rendered(&mut self, rows: &[u8]) -> io::Result<()> {
        self.out.write_all(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_a_list_below_a_table_fit_the_terminal() {
        let mut out = Vec::new();
        let presentation = Presentation { terminal_width: Some(30), unicode: true, ..Presentation::default() };
        let mut sink = TextSink::new(presentation, Box::new(&mut out));
        let head = Head {
            columns: Vec::new(),
            rows: "files",
            sectioned: false,
            total: TotalStyle::None,
            every: None,
            live: false,
        };
        sink.begin(&head).unwrap();
        let lines = ["The largest first:", "- 3M /srv/data/a-long-name-of-a-file.db", "- 4K /short"];
        sink.closing(Closing { lines: lines.map(str::to_owned).into(), ..Closing::default() });
        sink.end(None).unwrap();
        drop(sink);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.trim_start(), "The largest first:\n- 3M /srv/dat…ame-of-a-file.db\n- 4K /short\n");
    }

    #[test]
    fn a_repeated_table_says_what_ends_it() {
        let heading = |has_keys| {
            let mut out = Vec::new();
            let presentation = Presentation { terminal_width: Some(80), has_keys, ..Presentation::default() };
            let mut sink = TextSink::new(presentation, Box::new(&mut out));
            let every = Some(std::time::Duration::from_secs(2));
            let total = TotalStyle::None;
            sink.begin(&Head { columns: Vec::new(), rows: "files", sectioned: true, total, every, live: false })
                .unwrap();
            sink.section(&Section { time: Some(std::time::SystemTime::UNIX_EPOCH), ..Section::default() }).unwrap();
            drop(sink);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(heading(true), "1970-01-01T00:00:00Z   every 2 s, q to stop\n");
        assert_eq!(heading(false), "1970-01-01T00:00:00Z   every 2 s, Ctrl-C to stop\n");
    }
}
