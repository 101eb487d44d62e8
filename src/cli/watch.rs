//! `-w SECS`: an answer again and again, with what changed since the look before, over any column table.
//!
//! A subcommand says how it collects, what its rows are, and by what a row is known again. Tables come as one block a look: on a
//! terminal in place of the one before, in a pipe below it. Machine formats are one document.

use std::io::{self, Write};
use std::time::{Instant, SystemTime};

use super::args::Interval;
use super::signals::Signals;
use super::{Done, Stop, screen};
use crate::output::change::{self, Leading, Look, Watched, WatchedRow};
use crate::output::choose::renderer;
use crate::output::render::render_group;
use crate::output::{Cell, Column, Format, Heading, Layout, Renderer, RowKind};

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
        Err(Stop::Signal(_)) => writer.finish(),
        other => other,
    }
}

/// Takes the first look, then one after another. It ends with a signal or a failure, never well.
fn look_on<K: RowKind, S: Subject<K>>(subject: &mut S, writer: &mut Writer<'_, K>, signals: &Signals) -> Done {
    let (columns, every) = (writer.columns, writer.every);
    let mut due = Instant::now();
    let mut before = subject.collect(signals)?;
    let time = SystemTime::now();
    writer.write(time, &change::first(columns, time, subject.rows(&before).into_iter()))?;
    loop {
        // A look that takes longer than the interval is followed by the next one at once, and never by two.
        due = due.checked_add(every.0).unwrap_or(due).max(Instant::now());
        signals.wait_until(due)?;
        let now = subject.collect(signals)?;
        let time = SystemTime::now();
        let (left, right) = (subject.rows_and_shown(&before), subject.rows_and_shown(&now));
        writer.write(time, &change::since(columns, time, S::identity, left, right))?;
        before = now;
    }
}

/// Writes looks.
struct Writer<'c, K: RowKind> {
    columns: &'c [Column<K>],
    layout: Layout,
    every: Interval,
    looks: u64,
    /// The one document of a machine format.
    document: Option<Box<dyn Renderer<Watched<K>>>>,
}

impl<'c, K: RowKind> Writer<'c, K> {
    fn new(columns: &'c [Column<K>], layout: Layout, every: Interval) -> Writer<'c, K> {
        let layout = Layout { grouped: true, total: false, ..layout };
        let figures: Vec<usize> =
            (0..columns.len()).filter(|place| columns.get(*place).is_some_and(change::has_figures)).collect();
        let document = (layout.format != Format::Table).then(|| {
            let columns = change::columns(columns, &figures, &[Leading::Time, Leading::Fate]);
            renderer(layout, columns, screen::output())
        });
        Writer { columns, layout, every, looks: 0, document }
    }

    fn write(&mut self, time: SystemTime, rows: &[WatchedRow<'_, K>]) -> io::Result<()> {
        self.looks += 1;
        let heading = Heading { line: self.headline(time), fields: vec![("time", Cell::Time(time))] };
        if let Some(document) = &mut self.document {
            return render_group(document.as_mut(), Some(&heading), rows.iter().copied(), None);
        }
        self.part_from_the_look_before()?;
        // A table shows the changes of the columns in which something changed, and no empty ones.
        let any_fate = rows.iter().any(|row| row.fate.word().is_some());
        let leading = if any_fate { &[Leading::Fate][..] } else { &[] };
        let columns = change::columns(self.columns, &change::changed_columns(self.columns, rows), leading);
        let mut table = renderer(self.layout, columns, screen::output());
        render_group(table.as_mut(), Some(&heading), rows.iter().copied(), None)?;
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
