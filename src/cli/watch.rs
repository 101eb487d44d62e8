//! `-w SECS`: an answer again and again, with what changed since the look before, over any column table.
//!
//! A subcommand says how it collects, what its rows are, and by what a row is known again. Tables come as one block a look: on a
//! terminal in place of the one before, in a pipe below it. Machine formats are one document.

use std::io::{self, Write};
use std::time::{Instant, SystemTime};

use super::args::Interval;
use super::signals::Signals;
use super::{Done, Stop, screen};
use crate::output::change::{self, Fate, Leading, Look, Watched, WatchedRow};
use crate::output::choose::renderer;
use crate::output::{Cell, Column, Format, Heading, Layout, Renderer, RowKind, Totals};

/// Clears the terminal and goes to its first line.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";

/// What is watched: how it is collected and what its rows are.
pub(crate) trait Subject<K: RowKind> {
    /// What one look collects.
    type Look;
    /// Takes a look; ends with [`Stop::Signal`] on the way when a signal has come.
    fn collect(&mut self, signals: &Signals) -> Result<Self::Look, Stop>;
    /// The rows of a look that are shown, in their order.
    fn rows<'l>(&self, look: &'l Self::Look) -> Vec<K::Row<'l>>;
    /// Every row of a look and those that are shown. What selects rows says here which others there are, so that a row that is
    /// not shown any more is not called gone.
    fn rows_and_shown<'l>(&self, look: &'l Self::Look) -> Look<K::Row<'l>> {
        Look::whole(self.rows(look))
    }
    /// What names the subject of a look, where it is one: beside the time, above the rows.
    fn heading<'l>(&self, look: &'l Self::Look) -> Option<Heading<'l>> {
        let _ = look;
        None
    }
    /// Writes what a table cannot hold below it; for people.
    ///
    /// # Errors
    /// What the writer says.
    fn write_below(&self, look: &Self::Look) -> Done {
        let _ = look;
        Ok(())
    }
    /// Whether there is nothing left to look at.
    fn is_over(&self, look: &Self::Look) -> bool {
        let _ = look;
        false
    }
    /// By what a row is known again in the next look.
    fn identity(row: &K::Row<'_>) -> Vec<u8>;
}

/// Looks until a signal comes; that is then the wished-for end.
pub(crate) fn watch<K: RowKind, S: Subject<K>>(
    mut subject: S,
    columns: &[Column<K>],
    layout: Layout,
    every: Interval,
) -> Done {
    let signals = Signals::watch()?;
    let mut writer = Writer::new(columns, layout, every);
    match look_on(&mut subject, &mut writer, &signals) {
        Ok(()) | Err(Stop::Signal(_)) => writer.finish(),
        other => other,
    }
}

/// Takes the first look, then one after another, until a signal, a failure, or nothing is left to look at.
fn look_on<K: RowKind, S: Subject<K>>(subject: &mut S, writer: &mut Writer<'_, K>, signals: &Signals) -> Done {
    let (columns, every) = (writer.columns, writer.every);
    let mut due = Instant::now();
    let mut before = subject.collect(signals)?;
    let time = SystemTime::now();
    writer.write(time, subject.heading(&before), &change::first(columns, time, subject.rows(&before).into_iter()))?;
    subject.write_below(&before)?;
    while !subject.is_over(&before) {
        // A look that takes longer than the interval is followed by the next one at once, and never by two.
        due = due.checked_add(every.0).unwrap_or(due).max(Instant::now());
        signals.wait_until(due)?;
        let now = subject.collect(signals)?;
        let time = SystemTime::now();
        let (left, right) = (subject.rows_and_shown(&before), subject.rows_and_shown(&now));
        writer.write(time, subject.heading(&now), &change::since(columns, time, S::identity, left, right))?;
        subject.write_below(&now)?;
        before = now;
    }
    Ok(())
}

/// Writes looks.
struct Writer<'c, K: RowKind> {
    columns: &'c [Column<K>],
    layout: Layout,
    every: Interval,
    looks: u64,
    /// The one document of a machine format.
    document: Option<Box<dyn Renderer<Watched<K>>>>,
    /// Its columns.
    in_document: Vec<Column<Watched<K>>>,
}

/// Writes one look; its total is over the rows that are there, without those that went.
fn write_look<K: RowKind>(
    renderer: &mut dyn Renderer<Watched<K>>,
    heading: &Heading<'_>,
    rows: &[WatchedRow<'_, K>],
    mut total: Option<Totals<Watched<K>>>,
) -> io::Result<()> {
    renderer.begin(Some(heading))?;
    for row in rows {
        if let Some(total) = total.as_mut().filter(|_| row.fate != Fate::Gone) {
            total.add(row);
        }
        renderer.row(row)?;
    }
    renderer.end(total.as_ref())
}

impl<'c, K: RowKind> Writer<'c, K> {
    fn new(columns: &'c [Column<K>], layout: Layout, every: Interval) -> Writer<'c, K> {
        let layout = Layout { grouped: true, ..layout };
        let figures: Vec<usize> =
            (0..columns.len()).filter(|place| columns.get(*place).is_some_and(change::has_figures)).collect();
        let in_document = change::columns(columns, &figures, &[Leading::Time, Leading::Fate]);
        let document =
            (layout.format != Format::Table).then(|| renderer(layout, in_document.clone(), screen::output()));
        Writer { columns, layout, every, looks: 0, document, in_document }
    }

    fn write(&mut self, time: SystemTime, of: Option<Heading<'_>>, rows: &[WatchedRow<'_, K>]) -> io::Result<()> {
        self.looks += 1;
        let mut heading = of.unwrap_or_default();
        heading.fields.insert(0, ("time", Cell::Time(time)));
        let total = self.layout.total;
        if let Some(document) = &mut self.document {
            return write_look(document.as_mut(), &heading, rows, total.then(|| Totals::new(&self.in_document)));
        }
        heading.line.extend_from_slice(&self.headline(time));
        self.part_from_the_look_before()?;
        // A table shows the changes of the columns in which something changed, and no empty ones.
        let any_fate = rows.iter().any(|row| row.fate.word().is_some());
        let leading = if any_fate { &[Leading::Fate][..] } else { &[] };
        let columns = change::columns(self.columns, &change::changed_columns(self.columns, rows), leading);
        let mut table = renderer(self.layout, columns.clone(), screen::output());
        write_look(table.as_mut(), &heading, rows, total.then(|| Totals::new(&columns)))?;
        table.finish()
    }

    fn headline(&self, time: SystemTime) -> Vec<u8> {
        let mut line = Vec::new();
        Cell::Time(time).write_words(self.layout.unit, &mut line);
        if self.layout.terminal_width.is_some() {
            line.extend_from_slice(format!("   every {} s, Ctrl-C ends", self.every.0.as_secs_f64()).as_bytes());
        }
        line
    }

    /// Clears a terminal; leaves a line empty in a pipe.
    fn part_from_the_look_before(&self) -> io::Result<()> {
        let mut out = io::stdout();
        match screen::terminal_width() {
            Some(_) => out.write_all(CLEAR)?,
            None if self.looks > 1 => out.write_all(b"\n")?,
            None => {}
        }
        out.flush()
    }

    fn finish(mut self) -> Done {
        Ok(self.document.as_mut().map_or(Ok(()), |document| document.finish())?)
    }
}
