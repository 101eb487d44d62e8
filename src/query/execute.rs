//! Executes a query: reads the source and sends its rows through the stages.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use super::Query;
use super::gathered::Gathered;
use super::host::Host;
use super::plan::{Least, Plan, Shape, named};
use super::tail::{Tail, Traits};
use crate::error::{Error, ErrorKind, Subject};
use crate::render::Sink;
use crate::table::{Closing, Counted, Filter, Grouping, Groups, Progress, RowKind, Rows, Section, Source, Stop};

/// Answers `query` from `source`, into `sink`.
///
/// # Errors
/// See [`Stop`]. A failure that costs only some rows goes to `host`, and the others are written.
pub fn execute<S: Source>(query: &Query, source: &mut S, sink: &mut dyn Sink, host: &mut dyn Host) -> Result<(), Stop> {
    let table = source.columns(&named(query));
    let plan: Plan<S::Kind> = Plan::new(query, &table, sink)?;
    source.show_at_most(plan.largest());
    let sectioned = source.is_sectioned() && !query.merge;
    let (is_live, is_work) = (source.is_live(), source.is_work());
    match &plan.shape {
        Shape::Rows(shown) => {
            let tail = Tail::new(query, shown, sink, sectioned, Traits { is_live, is_work })?;
            run(query, source, &plan, host, Direct { tail })
        }
        Shape::Groups(common, summed, shown, least) => {
            let tail = Tail::new(query, shown, sink, sectioned, Traits { is_live: false, is_work })?;
            let open = Grouping::new(summed, common, query.merge);
            run(query, source, &plan, host, Folding { tail, open, least: least.as_deref() })
        }
    }
}

/// Whether `query` fits rows of kind `K` and the format of `sink`, for what must not begin before that is known.
///
/// # Errors
/// [`Stop::Usage`], [`Stop::Filter`].
#[cfg(feature = "cli")]
pub(crate) fn check<K: RowKind>(query: &Query, sink: &dyn Sink) -> Result<(), Stop> {
    Plan::<K>::new(query, &K::columns(), sink).map(drop)
}

/// The same for the columns of this source.
///
/// # Errors
/// [`Stop::Usage`], [`Stop::Filter`].
#[cfg(feature = "cli")]
pub(crate) fn check_over<S: Source>(query: &Query, source: &mut S, sink: &dyn Sink) -> Result<(), Stop> {
    Plan::<S::Kind>::new(query, &source.columns(&named(query)), sink).map(drop)
}

/// Takes the rows that the filter accepts.
trait Stage<K: RowKind> {
    fn section(&mut self, section: Section) -> Result<(), Stop>;
    fn row(&mut self, row: K::Row) -> Result<(), Stop>;
    /// Many rows, which are filtered while they are written.
    fn rows(&mut self, rows: Vec<K::Row>, filter: Option<&Filter<K>>) -> Result<(), Stop> {
        let mut rows = rows.into_iter().filter(|row| filter.is_none_or(|filter| filter.matches(row)));
        rows.try_for_each(|row| self.row(row))
    }
    /// A row that the filter rejects: it exists, but is not shown.
    fn hidden(&mut self, row: K::Row);
    /// A row that the filter accepts, about memory that was shown as that of another process.
    fn repeated(&mut self, row: K::Row);
    /// A row is missing, because what it would be about could not be read; or more than one, if that is no file.
    fn lost(&mut self, is_of_one_row: bool);
    /// Takes what is said about the whole answer.
    fn closing(&mut self, closing: Closing);
    /// Ends one round; returns whether there were any rows.
    fn end(&mut self, time: Option<SystemTime>) -> Result<bool, Stop>;
    fn finish(&mut self) -> Result<(), Stop>;
}

fn run<S: Source>(
    query: &Query,
    source: &mut S,
    plan: &Plan<S::Kind>,
    host: &mut dyn Host,
    mut stage: impl Stage<S::Kind>,
) -> Result<(), Stop> {
    let Some(every) = query.every else {
        let done = read(query, source, plan, host, &mut stage, &mut Told::default());
        // What was begun is ended, so that a document is whole even if its rows are not.
        if matches!(done, Ok(()) | Err(Stop::Signal(_) | Stop::Failed(_))) {
            stage.end(None)?;
            stage.finish()?;
        }
        return done;
    };
    let mut due = Instant::now();
    let mut told = Told { awaited: source.named().iter().cloned().collect(), ..Told::default() };
    let mut may_be_in_vain = !told.awaited.is_empty();
    let watched = loop {
        if let Err(stop) = read(query, source, plan, host, &mut stage, &mut told) {
            break Err(stop);
        }
        // Before the round is written, as other messages.
        if query.filter.is_some() && !std::mem::replace(&mut told.has_matched, true) {
            host.nothing_matches();
        }
        let is_in_vain = std::mem::take(&mut may_be_in_vain) && told.awaited.is_empty();
        match stage.end(Some(SystemTime::now())) {
            Ok(_) if source.is_over() || is_in_vain => break Ok(()),
            Ok(true) => {}
            // Nothing is left to measure.
            Ok(false) if source.is_sectioned() => break Ok(()),
            Ok(false) => {}
            Err(stop) => break Err(stop),
        }
        // If a round takes longer than the interval, the next one starts at once; missed rounds are skipped.
        due = due.checked_add(every).unwrap_or(due).max(Instant::now());
        if let Err(stop) = host.wait_until(due) {
            break Err(stop);
        }
    };
    match watched {
        // The regular end.
        Ok(()) | Err(Stop::Signal(_) | Stop::Enough) => stage.finish(),
        Err(Stop::Failed(error)) => {
            stage.finish()?;
            Err(Stop::Failed(error))
        }
        other => other,
    }
}

/// Reads all rows once.
fn read<S: Source>(
    query: &Query,
    source: &mut S,
    plan: &Plan<S::Kind>,
    host: &mut dyn Host,
    stage: &mut impl Stage<S::Kind>,
    told: &mut Told,
) -> Result<(), Stop> {
    let mut front = Front {
        plan,
        host,
        stage,
        told,
        watched: query.every.is_some(),
        is_work: source.is_work(),
        output: None,
        gathered: source.finds_many().then(Gathered::default),
        is_begun: source.is_sectioned(),
        shown: query.once.then(Counted::default),
    };
    let done = source.read(&plan.needs, &mut front);
    front.report_gathered();
    if plan.filter.as_ref().is_some_and(Filter::has_left_out_unread) {
        front.host.left_out_unread();
    }
    match &done {
        // It may be an answer without rows.
        Ok(()) => front.begin()?,
        Err(Stop::Failed(_)) => front.stage.lost(false),
        Err(_) => {}
    }
    front.stage.closing(source.closing());
    match (front.output, done) {
        (Some(error), Ok(())) => Err(Stop::Output(error)),
        (None, Err(Stop::Enough)) => Ok(()),
        (_, done) => done,
    }
}

/// The failures of all rounds.
#[derive(Default)]
struct Told {
    /// Those that were already reported; they are not repeated in later rounds.
    lines: HashSet<String>,
    /// The named paths, without those of which a failure said that they do not exist.
    awaited: HashSet<PathBuf>,
    /// Whether a row has matched the filter, or a line has said that none does.
    has_matched: bool,
}

/// Takes the rows of the source, filters them and passes them on.
struct Front<'a, K: RowKind, G: Stage<K>> {
    plan: &'a Plan<K>,
    host: &'a mut dyn Host,
    stage: &'a mut G,
    told: &'a mut Told,
    watched: bool,
    is_work: bool,
    /// Why the output can no longer be written, while work continues.
    output: Option<std::io::Error>,
    /// Failures that are reported together at the end.
    gathered: Option<Gathered>,
    /// Whether a section was begun. Rows that are not divided into sections are in one, which begins with the first of
    /// them: until then it is not known whether there is any answer.
    is_begun: bool,
    /// The memory that is shown already, if none is shown as that of two processes.
    shown: Option<Counted>,
}

impl<K: RowKind, G: Stage<K>> Front<'_, K, G> {
    /// Whether the filter accepts a row.
    fn matches(&self, row: &K::Row) -> bool {
        self.plan.filter.as_ref().is_none_or(|filter| filter.matches(row))
    }

    /// Whether memory is shown once and that of this row is shown already, as that of another process. Otherwise it is
    /// from now on.
    fn is_repeated(&mut self, row: &K::Row) -> bool {
        let Some((shown, spot)) = self.shown.as_mut().zip(K::spot(row)) else { return false };
        // Only a filter can accept other rows of another process.
        let spot = if self.plan.filter.is_none() { spot.whole() } else { spot };
        shown.enter(&spot, 0).is_some()
    }

    /// Reports the failures that were gathered.
    fn report_gathered(&mut self) {
        for (key, error) in self.gathered.take().into_iter().flat_map(Gathered::end) {
            self.report(key, error);
        }
    }

    /// Reports a failure, in a repeated query once; `key` tells whether it is the same one again.
    fn report(&mut self, key: String, error: Error) {
        let is_new = !self.watched || self.told.lines.insert(key);
        if is_new || error.kind() == ErrorKind::Changed {
            self.host.failure(&error);
        }
    }

    /// Begins the only section of rows that are not divided into sections.
    fn begin(&mut self) -> Result<(), Stop> {
        if self.is_begun { Ok(()) } else { self.begin_section(Section::default()) }
    }

    fn begin_section(&mut self, section: Section) -> Result<(), Stop> {
        self.is_begun = true;
        let done = self.stage.section(section);
        self.unless_work(done)
    }

    /// A broken pipe ends a report, never work that was requested.
    fn unless_work(&mut self, done: Result<(), Stop>) -> Result<(), Stop> {
        match done {
            Err(Stop::Output(error)) if self.is_work => {
                self.output.get_or_insert(error);
                Ok(())
            }
            Err(Stop::Enough) if self.is_work => Ok(()),
            other => other,
        }
    }
}

impl<K: RowKind, G: Stage<K>> Rows<K> for Front<'_, K, G> {
    fn section(&mut self, section: Section) -> Result<(), Stop> {
        if !section.is_closed {
            self.host.was_read();
        }
        self.begin_section(section)
    }

    fn row(&mut self, row: K::Row) -> Result<(), Stop> {
        if K::was_read(&row) {
            self.host.was_read();
        }
        // Completed work is reported even if a signal ends the rest.
        if !self.is_work {
            self.check()?;
        }
        self.begin()?;
        if self.output.is_some() {
            return Ok(());
        }
        if !self.matches(&row) {
            self.stage.hidden(row);
            return Ok(());
        }
        self.told.has_matched = true;
        if self.is_repeated(&row) {
            self.stage.repeated(row);
            return Ok(());
        }
        let done = self.stage.row(row);
        self.unless_work(done)
    }

    fn rows(&mut self, rows: Vec<K::Row>) -> Result<(), Stop> {
        if self.watched || self.is_work {
            return rows.into_iter().try_for_each(|row| self.row(row));
        }
        if !rows.is_empty() {
            self.host.was_read();
        }
        self.check()?;
        self.begin()?;
        if self.shown.is_none() {
            return self.stage.rows(rows, self.plan.filter.as_ref());
        }
        let mut fresh = Vec::with_capacity(rows.len());
        for row in rows {
            match (self.matches(&row), &row) {
                (false, _) => self.stage.hidden(row),
                (true, repeated) if self.is_repeated(repeated) => self.stage.repeated(row),
                (true, _) => fresh.push(row),
            }
        }
        self.stage.rows(fresh, None)
    }

    fn failure(&mut self, error: Error) {
        if let (ErrorKind::NotFound, Subject::Path(path)) = (error.kind(), error.subject()) {
            self.told.awaited.remove(path);
        }
        self.host.incomplete();
        let rest = match &mut self.gathered {
            Some(gathered) => gathered.take(error),
            None => Some(error),
        };
        if let Some(error) = rest {
            self.report(error.to_string(), error);
        }
    }

    fn lost(&mut self, error: Error) {
        if error.leaves_a_gap() {
            self.stage.lost(matches!(error.subject(), Subject::Path(_)));
        }
        self.failure(error);
    }

    fn note(&mut self, note: Error) {
        if !self.watched || self.told.lines.insert(note.to_string()) {
            self.host.note(&note);
        }
    }

    fn incomplete(&mut self) {
        self.host.incomplete();
    }

    fn progress(&mut self, progress: Progress) {
        self.host.progress(progress);
    }

    fn check(&mut self) -> Result<(), Stop> {
        self.host.check()
    }
}

/// Shows the rows themselves.
struct Direct<'a, K: RowKind> {
    tail: Tail<'a, K>,
}

impl<K: RowKind> Stage<K> for Direct<'_, K> {
    fn section(&mut self, section: Section) -> Result<(), Stop> {
        self.tail.section(section)
    }

    fn row(&mut self, row: K::Row) -> Result<(), Stop> {
        self.tail.row(row)
    }

    fn rows(&mut self, rows: Vec<K::Row>, filter: Option<&Filter<K>>) -> Result<(), Stop> {
        self.tail.rows(rows, filter)
    }

    fn hidden(&mut self, row: K::Row) {
        self.tail.hidden(row);
    }

    fn repeated(&mut self, row: K::Row) {
        self.tail.hidden(row);
    }

    fn lost(&mut self, _is_of_one_row: bool) {
        self.tail.lost();
    }

    fn closing(&mut self, closing: Closing) {
        self.tail.closing(closing);
    }

    fn end(&mut self, time: Option<SystemTime>) -> Result<bool, Stop> {
        self.tail.end(time)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.tail.finish()
    }
}

/// Collects the rows into groups.
struct Folding<'a, K: RowKind> {
    tail: Tail<'a, Groups>,
    open: Grouping<K>,
    least: Option<&'a Least>,
}

impl<K: RowKind> Folding<'_, K> {
    /// Passes on the groups so far.
    fn close(&mut self) -> Result<(), Stop> {
        let empty = self.open.emptied();
        let groups = std::mem::replace(&mut self.open, empty).finish();
        let mut large = groups.into_iter().filter(|group| self.least.is_none_or(|least| least.admits(group)));
        match large.try_for_each(|group| self.tail.row(group)) {
            // The source has been read: the answer is still closed.
            Err(Stop::Enough) => Ok(()),
            other => other,
        }
    }
}

impl<K: RowKind> Stage<K> for Folding<'_, K> {
    fn section(&mut self, section: Section) -> Result<(), Stop> {
        if !self.tail.merges() {
            self.close()?;
        }
        self.tail.section(section)
    }

    fn row(&mut self, row: K::Row) -> Result<(), Stop> {
        self.open.add(&row);
        Ok(())
    }

    fn hidden(&mut self, _row: K::Row) {}

    fn repeated(&mut self, row: K::Row) {
        self.open.add_process(&row);
    }

    fn lost(&mut self, is_of_one_row: bool) {
        if K::MAY_BE_OF_ANY_GROUP && !is_of_one_row {
            self.open.lose();
        }
        self.tail.lost();
    }

    fn closing(&mut self, closing: Closing) {
        self.tail.closing(closing);
    }

    fn end(&mut self, time: Option<SystemTime>) -> Result<bool, Stop> {
        self.close()?;
        self.tail.end(time)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.tail.finish()
    }
}
