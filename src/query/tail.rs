//! The stages after the filter: sort, top, change, total, sink; the same for rows and for groups.

use std::time::SystemTime;

use super::parallel::write_in_parallel;
use super::plan::Shown;
use super::{Query, Total};
use crate::render::Sink;
use crate::table::{
    Cell, Closing, ColumnHead, ColumnKind, Compared, Fate, Filter, Look, Ranking, RowKind, Section, Stop, TotalCell,
    TotalRow, Totals, compare, difference, difference_of_totals,
};

/// Takes the rows to be shown. Writes them as they arrive if possible, otherwise holds them.
pub(super) struct Tail<'a, K: RowKind> {
    shown: &'a Shown<K>,
    sink: &'a mut dyn Sink,
    /// Why the head of the answer could not be written, until the first section reports it.
    failed: Option<std::io::Error>,
    /// Whether each section is written on its own.
    sectioned: bool,
    total: Total,
    watched: bool,
    /// The section that is open, and what was seen of it.
    open: Option<Open<K>>,
    /// The number of sections since the last round.
    sections: usize,
    /// How many rows are missing from a list that has not begun.
    lost: u64,
    before: Option<Look<K::Row>>,
    /// The total of the last round.
    total_before: Option<TotalRow>,
    /// The section of the last round, without what was true only then.
    last: Option<Section>,
    /// Whether sections without rows are not shown.
    hides_empty: bool,
    /// The first section, if it has no rows: it is shown if no other one follows.
    empty: Option<Open<K>>,
}

/// What the rows of a source are like.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    /// Whether each row is written as soon as it arrives.
    pub(super) is_live: bool,
    /// Whether reading them does work that was requested.
    pub(super) is_work: bool,
}

struct Open<K: RowKind> {
    section: Section,
    held: Vec<K::Row>,
    /// Rows that exist but are not shown, for the next round.
    hidden: Vec<K::Row>,
    totals: Totals<K>,
    written: usize,
    is_begun: bool,
}

impl<'a, K: RowKind> Tail<'a, K> {
    pub(super) fn new(
        query: &Query,
        shown: &'a Shown<K>,
        sink: &'a mut dyn Sink,
        sectioned: bool,
        traits: Traits,
    ) -> Result<Tail<'a, K>, Stop> {
        let watched = query.every.is_some();
        let mut head = shown.head(query, sectioned || watched, traits.is_live);
        if watched {
            head.columns = watched_heads(&head.columns);
        }
        let failed = match sink.begin(&head) {
            // Work that was requested is done even if nobody can read about it.
            Err(error) if traits.is_work => Some(error),
            begun => begun.map(|()| None)?,
        };
        Ok(Tail {
            shown,
            sink,
            failed,
            sectioned,
            total: query.total,
            watched,
            open: None,
            sections: 0,
            lost: 0,
            before: None,
            total_before: None,
            last: None,
            hides_empty: sectioned && !watched && (query.filter.is_some() || query.narrows),
            empty: None,
        })
    }

    /// Whether all sections are one.
    pub(super) fn merges(&self) -> bool {
        !self.sectioned
    }

    /// Rows are written as they come.
    fn streams(&self) -> bool {
        self.shown.order.is_none() && !self.watched
    }

    pub(super) fn section(&mut self, section: Section) -> Result<(), Stop> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        self.sections += 1;
        if self.open.is_some() && (self.watched || !self.sectioned) {
            // A round, or a merged answer, is one list; it has a heading only if it has one section.
            if let Some(open) = &mut self.open {
                let is_closed = open.section.is_closed && section.is_closed;
                open.section = Section { is_closed, ..Section::default() };
            }
            return self.begin_streaming();
        }
        self.close()?;
        let section =
            if self.sectioned { section } else { Section { is_closed: section.is_closed, ..Section::default() } };
        let columns = if self.shown.line.is_empty() { &self.shown.columns } else { &self.shown.line };
        let mut totals = Totals::new(if self.total == Total::None { &[] } else { columns });
        (0..std::mem::take(&mut self.lost)).for_each(|_| totals.lose());
        self.open = Some(Open { section, held: Vec::new(), hidden: Vec::new(), totals, written: 0, is_begun: false });
        self.begin_streaming()
    }

    /// Passes the section to the sink if rows may follow, which are then written as they come.
    fn begin_streaming(&mut self) -> Result<(), Stop> {
        let may_have_rows = self.open.as_ref().is_some_and(|open| !open.section.is_closed) && !self.hides_empty;
        if may_have_rows && self.streams() { self.begin() } else { Ok(()) }
    }

    /// Passes the section to the sink.
    fn begin(&mut self) -> Result<(), Stop> {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_begun) else { return Ok(()) };
        open.is_begun = true;
        Ok(self.sink.section(&open.section)?)
    }

    pub(super) fn row(&mut self, row: K::Row) -> Result<(), Stop> {
        let streams = self.streams();
        let Some(open) = &mut self.open else { return Ok(()) };
        if !streams {
            open.held.push(row);
            let is_too_many = |top: &usize| open.held.len() >= top.saturating_mul(2).max(ROWS_HELD);
            if let Some(top) = self.shown.top.filter(is_too_many).filter(|_| !self.watched) {
                // Drops the rows that cannot be among the first.
                let held = std::mem::take(&mut open.held);
                open.held = ranked(self.shown, held, Some(top));
            }
            return Ok(());
        }
        if self.shown.top.is_some_and(|top| open.written >= top) {
            return if self.sectioned { Ok(()) } else { Err(Stop::Enough) };
        }
        self.begin()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        open.written += 1;
        open.totals.add(&row);
        let cells: Vec<Cell<'_>> = self.shown.columns.iter().map(|column| column.cell(&row)).collect();
        Ok(self.sink.row(&cells)?)
    }

    /// Many rows, rendered on several threads if the format allows it.
    pub(super) fn rows(&mut self, rows: Vec<K::Row>, filter: Option<&Filter<K>>) -> Result<(), Stop> {
        let matches = |row: &K::Row| filter.is_none_or(|filter| filter.matches(row));
        if !self.streams() || self.shown.top.is_some() {
            return rows.into_iter().filter(matches).try_for_each(|row| self.row(row));
        }
        let mut rest = rows.into_iter();
        for row in rest.by_ref().take(ROWS_HELD).filter(|row| matches(row)) {
            self.row(row)?;
        }
        let rest = rest.as_slice();
        let is_begun = self.open.as_ref().is_some_and(|open| open.is_begun);
        if self.hides_empty && !is_begun && !rest.iter().any(matches) {
            return Ok(());
        }
        self.begin()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let written = write_in_parallel(rest, &self.shown.columns, filter, &mut open.totals, self.sink)?;
        if let Some(written) = written {
            open.written += written;
            return Ok(());
        }
        for row in rest.iter().filter(|row| matches(row)) {
            open.written += 1;
            open.totals.add(row);
            let cells: Vec<Cell<'_>> = self.shown.columns.iter().map(|column| column.cell(row)).collect();
            self.sink.row(&cells)?;
        }
        Ok(())
    }

    pub(super) fn hidden(&mut self, row: K::Row) {
        if let Some(open) = self.open.as_mut().filter(|_| self.watched) {
            open.hidden.push(row);
        }
    }

    /// A row is missing from the total. Sections have totals of their own, which lack nothing of another one.
    pub(super) fn lost(&mut self) {
        match &mut self.open {
            _ if self.sectioned && !self.watched => {}
            Some(open) => open.totals.lose(),
            None => self.lost += 1,
        }
    }

    /// Writes the section that is open, to its end.
    fn close(&mut self) -> Result<(), Stop> {
        if self.watched {
            return Ok(());
        }
        let is_empty = |open: &Open<K>| open.held.is_empty() && open.written == 0 && !open.section.is_closed;
        if self.hides_empty && self.open.as_ref().is_some_and(is_empty) {
            self.empty = self.open.take().filter(|_| self.sections == 1);
            return Ok(());
        }
        self.write_open()
    }

    fn write_open(&mut self) -> Result<(), Stop> {
        let Some(held) = self.open.as_mut().map(|open| std::mem::take(&mut open.held)) else { return Ok(()) };
        self.begin()?;
        let rows = ranked(self.shown, held, self.shown.top);
        let Some(mut open) = self.open.take() else { return Ok(()) };
        for row in &rows {
            open.totals.add(row);
            let cells: Vec<Cell<'_>> = self.shown.columns.iter().map(|column| column.cell(row)).collect();
            self.sink.row(&cells)?;
        }
        let total = (self.total != Total::None && !open.section.is_closed).then(|| open.totals.row());
        Ok(self.sink.end(total.as_ref())?)
    }

    /// Takes what is said about the whole answer.
    pub(super) fn closing(&mut self, closing: Closing) {
        self.sink.closing(closing);
    }

    /// Ends one round, or the only one; returns whether there was any section.
    pub(super) fn end(&mut self, time: Option<SystemTime>) -> Result<bool, Stop> {
        let came = self.sections;
        match time {
            None => {
                if self.open.is_none() && !self.sectioned {
                    self.open_empty()?;
                }
                self.close()?;
                if came == 1 && self.empty.is_some() {
                    self.open = self.empty.take();
                    self.write_open()?;
                }
            }
            Some(time) => self.write_look(time)?,
        }
        self.sections = 0;
        Ok(came > 0)
    }

    /// Opens a list without rows, because no process was found: a total would be zeros.
    fn open_empty(&mut self) -> Result<(), Stop> {
        self.section(Section { is_closed: true, ..Section::default() })?;
        self.sections = 0;
        Ok(())
    }

    fn write_look(&mut self, time: SystemTime) -> Result<(), Stop> {
        if self.open.is_none() {
            match self.last.take() {
                // Everything that was there is gone: a round like those before, with sums of nothing.
                Some(last) => {
                    self.section(last)?;
                    self.sections = 0;
                }
                None => self.open_empty()?,
            }
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        self.last = Some(Section { objects: Vec::new(), denied: None, incomplete: None, ..open.section.clone() });
        let is_closed = open.section.is_closed;
        let mut all = ranked(self.shown, open.held, None);
        let shown = (0..all.len().min(self.shown.top.unwrap_or(usize::MAX))).collect();
        all.extend(open.hidden);
        let now = Look { all, shown };
        let rows = compare(&self.shown.columns, self.before.as_ref(), &now);
        self.sink.section(&Section { time: Some(time), ..open.section })?;
        let mut totals = open.totals;
        for row in &rows {
            if row.fate != Fate::Gone {
                totals.add(row.row);
            }
            self.sink.row(&watched_cells(self.shown, row, time))?;
        }
        let total = (self.total != Total::None && !is_closed).then(|| totals.row());
        self.sink.end(total.as_ref().map(|total| self.watched_total(total)).as_ref())?;
        self.before = Some(now);
        self.total_before = total;
        Ok(())
    }

    /// The total under the columns of a repeated query: nothing under the time and the fate, and how much each sum
    /// changed.
    fn watched_total(&self, total: &TotalRow) -> TotalRow {
        if !self.shown.line.is_empty() {
            return total.clone();
        }
        let mut cells = vec![TotalCell::Blank, TotalCell::Blank];
        for (place, (column, cell)) in self.shown.columns.iter().zip(&total.cells).enumerate() {
            cells.push(*cell);
            if column.head.has_change() {
                let before = self.total_before.as_ref().and_then(|total| total.cells.get(place));
                cells.push(difference_of_totals(column, before, cell));
            }
        }
        TotalRow { rows: total.rows, cells }
    }

    pub(super) fn finish(&mut self) -> Result<(), Stop> {
        Ok(self.sink.finish()?)
    }
}

/// The rows in the order that is shown; only the first `top` of them, if there is an order.
fn ranked<K: RowKind>(shown: &Shown<K>, rows: Vec<K::Row>, top: Option<usize>) -> Vec<K::Row> {
    let Some(order) = &shown.order else { return rows };
    let compare = |one: &K::Row, other: &K::Row| order.compare(one, other).then_with(|| K::tie(one, other));
    let mut ranking = Ranking::new(top, compare);
    rows.into_iter().for_each(|row| ranking.push(row));
    ranking.finish()
}

/// How many rows are held before those that cannot be among the first are dropped.
const ROWS_HELD: usize = 1024;

/// The columns of a repeated query: the time and the fate, then the shown columns, each figure followed by its change.
fn watched_heads(columns: &[ColumnHead]) -> Vec<ColumnHead> {
    let mut heads = vec![
        ColumnHead { is_hidden: true, ..ColumnHead::added("time", "Time", ColumnKind::Time) },
        ColumnHead::added("fate", "", ColumnKind::Text),
    ];
    for column in columns {
        heads.push(column.clone());
        if column.has_change() {
            heads.push(ColumnHead::added(format!("{}_change", column.id), "+/-", ColumnKind::Change));
        }
    }
    heads
}

fn watched_cells<'r, K: RowKind>(shown: &Shown<K>, row: &Compared<'r, K::Row>, time: SystemTime) -> Vec<Cell<'r>> {
    let mut cells = vec![Cell::Time(time), Cell::Remark(row.fate.word())];
    for column in &shown.columns {
        cells.push(column.cell(row.row));
        if column.head.has_change() {
            cells.push(difference(column, row));
        }
    }
    cells
}
