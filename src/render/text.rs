//! Tables: aligned text that streams, and a table with rules for terminals.
//!
//! Both write the same text in the same order. Tables for terminals are drawn by `comfy-table`, which needs all rows
//! before it prints the first one; if there are too many rows, the streaming form is used instead.

use std::io::{self, Write};
use std::sync::Arc;

use super::drawing::Drawing;
use super::lines::{
    Held, Layout, Lines, Texts, cell_text, display_width, total_line, total_texts, widen_for_later_rows,
};
use super::strip::{StripStyle, legend};
use super::{Head, Presentation, RowWriter, Sink, TotalStyle, cell_of};
use crate::table::{Cell, ColumnHead, ColumnKind, Section, SizeUnit, TotalRow, escape};

/// How many rows are held to determine the column widths, and the maximum number that is drawn for a terminal.
const ROWS_HELD: usize = 1024;

/// Clears the terminal and goes to its first line.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// Writes tables. Holds at most `ROWS_HELD` rows: these determine the column widths, and a later row that is wider
/// shifts only its own line.
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

    /// Leaves out columns that are empty in every held row.
    fn leave_out_empty_columns(&mut self) {
        let is_empty = |place: usize| self.held.iter().all(|row| row.texts.get(place).is_none_or(Vec::is_empty));
        let columns = self.columns();
        let stays =
            |place: &usize| columns.get(*place).is_some_and(|column| !column.may_be_left_out || !is_empty(*place));
        self.layout.line = Layout::new(columns).line.into_iter().filter(stays).collect();
    }

    /// Determines the widths, and writes the header and the held rows.
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

    /// Explains the strips: at the end, or below each round of a repeated query, which replaces the one before it.
    fn write_legend(&mut self) -> io::Result<()> {
        let marks = |column: &ColumnHead| match column.kind {
            ColumnKind::Strip(marks) => Some(marks),
            _ => None,
        };
        match self.columns().iter().find_map(marks).filter(|_| self.sections > 0 && !self.presentation.no_header) {
            Some(marks) => writeln!(self.out, "{}", legend(marks, self.strips)),
            None => Ok(()),
        }
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
                let _ = write!(line, "   every {} s, Ctrl-C to stop", every.as_secs_f64());
            }
        }
        if !line.is_empty() {
            line.push(b'\n');
        }
        self.out.write_all(&line)
    }

    /// Figures that stand in for the rows of a process that cannot be read.
    fn write_figures(&mut self, section: &Section) -> io::Result<()> {
        let mut line = Vec::new();
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
        if !self.presentation.no_heading {
            self.write_heading(section)?;
        }
        self.write_figures(section)
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
        // A repeated query may have rows of processes that are gone.
        if self.is_closed && self.held.is_empty() {
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
        if self.holds_all() {
            self.write_legend()?;
        }
        // A terminal, or the reader of a pipe, sees a finished table at once, even while a later one is being
        // collected.
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.holds_all() {
            self.write_legend()?;
        }
        self.out.flush()
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
