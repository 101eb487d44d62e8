//! `rmap pcstat --summary` and `--by-dir`: sums of what was chosen, without a row a file.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

use super::args::PcstatArgs;
use super::measure::{self, Marks, Message, advised, kind_of};
use super::progress::Count;
use super::{Done, Report, Stop, pcstat, screen};
use crate::error::{Error, Subject};
use crate::output::choose::renderer;
use crate::output::render::render_group;
use crate::output::{Order, Ranking};
use crate::pagecache::walk::{Place, Skipped, Visitor};
use crate::pagecache::{Engine, OpenFile, Tally};
use crate::units::{ByteRange, PageSize};
use crate::views::directory::{self, Directories, DirectoryRow};

/// Whether sums are asked for in place of rows.
pub(crate) fn is_asked_for(args: &PcstatArgs) -> bool {
    args.summary || args.by_dir.is_some()
}

pub(crate) fn run(args: &PcstatArgs, report: &mut Report) -> Done {
    let columns = screen::columns(&args.output, directory::COLUMNS, directory::DEFAULT)?;
    let order =
        args.sort.as_deref().map(|word| Order::parse(word, directory::COLUMNS)).transpose().map_err(Stop::Usage)?;
    let engine = super::select::engine(&args.selection);
    let page_size = engine.page_size();
    let sums = collect(args, engine, report)?;
    let everything = Sums::total(&sums);
    say_unknown(&everything, report);
    let rows = match args.by_dir {
        None => vec![Row::new(None, everything)],
        Some(_) => ranked(args, order.as_ref(), page_size, Sums::rows(sums)),
    };
    let mut renderer = renderer::<Directories>(pcstat::layout(args), columns, screen::output());
    render_group(renderer.as_mut(), None, rows.iter().map(|row| row.view(page_size)), None)?;
    Ok(renderer.finish()?)
}

/// Measures everything that was chosen and gives the sums of each thread.
fn collect(args: &PcstatArgs, engine: Engine, report: &mut Report) -> Result<Vec<Sums>, Stop> {
    let selection = &args.selection;
    let count = Count::new("looked at", "files", true);
    let new = |_: &Marks, sender: &SyncSender<Message>| Surveyor {
        engine,
        range: selection.range(),
        only_cached: args.only_cached,
        sums: Sums { deepest: args.by_dir, ..Sums::default() },
        sender: sender.clone(),
        count: count.clone(),
    };
    let finish = |mut surveyor: Surveyor| {
        surveyor.sums.settle();
        surveyor.sums
    };
    let hear = |messages: Receiver<Message>, report: &mut Report| {
        for message in messages {
            if let Message::Failure(error) = message {
                count.aside(|| report.failure(&advised(error)));
            }
        }
        Ok(())
    };
    let sums = measure::visit(selection, report, new, finish, hear);
    count.clear();
    sums
}

/// Says once of how many files nothing is known: a line for each would bury everything else.
fn say_unknown(tally: &Tally, report: &mut Report) {
    if let (Some(why), count) = (tally.cached.why, tally.cached.missing) {
        let subject = Subject::Words(format!("{count} of {} files", tally.files));
        report.failure(&advised(Error::new(subject, kind_of(why), why.to_string())));
    }
}

/// One row of the answer.
struct Row {
    path: Option<PathBuf>,
    tally: Tally,
    note: Option<String>,
}

impl Row {
    fn new(path: Option<PathBuf>, tally: Tally) -> Row {
        let note = directory::note(&tally);
        Row { path, tally, note }
    }

    fn view(&self, page_size: PageSize) -> DirectoryRow<'_> {
        DirectoryRow { path: self.path.as_deref(), tally: &self.tally, page_size, note: self.note.as_deref() }
    }
}

fn ranked(args: &PcstatArgs, order: Option<&Order<Directories>>, page_size: PageSize, rows: Vec<Row>) -> Vec<Row> {
    let compare = |left: &Row, right: &Row| {
        order.map_or(std::cmp::Ordering::Equal, |order| order.compare(&left.view(page_size), &right.view(page_size)))
    };
    let mut ranking = Ranking::new(args.top, compare);
    rows.into_iter().for_each(|row| ranking.push(row));
    ranking.finish()
}

/// The sums of one thread.
#[derive(Default)]
struct Sums {
    /// How deep directories have a row of their own; none where there are no rows.
    deepest: Option<usize>,
    /// What belongs to the row below; to no row where there are none.
    tally: Tally,
    /// What was named and is not visited.
    nowhere: Tally,
    /// The directory that is being read, and the one whose row it belongs to, with its depth.
    current: Option<(PathBuf, PathBuf, usize)>,
    /// What each directory has, without those that have rows below it.
    rows: HashMap<PathBuf, (usize, Tally)>,
}

impl Sums {
    /// The tally of the row that what is at `place`, or a named `file`, belongs to.
    fn of(&mut self, place: Place<'_>, file: Option<&Path>) -> &mut Tally {
        let Some(deepest) = self.deepest else { return &mut self.tally };
        let Some(directory) = place.directory.or(file) else { return &mut self.nowhere };
        if self.current.as_ref().is_none_or(|(current, ..)| current.as_os_str() != directory.as_os_str()) {
            self.settle();
            let row = directory.ancestors().nth(place.depth.saturating_sub(deepest)).unwrap_or(directory);
            self.current = Some((directory.to_owned(), row.to_owned(), place.depth.min(deepest)));
        }
        &mut self.tally
    }

    /// Adds what was summed up to its row.
    fn settle(&mut self) {
        if let Some((_, row, depth)) = self.current.take() {
            let tally = std::mem::take(&mut self.tally);
            self.rows.entry(row).or_insert_with(|| (depth, Tally::default())).1.merge(&tally);
        }
    }

    /// What all threads have found together.
    fn total(sums: &[Sums]) -> Tally {
        let mut total = Tally::default();
        sums.iter().flat_map(|sums| sums.rows.values()).for_each(|(_, tally)| total.merge(tally));
        sums.iter().flat_map(|sums| [&sums.tally, &sums.nowhere]).for_each(|tally| total.merge(tally));
        total
    }

    /// The rows of all threads, in the order of their paths; each directory with what the ones below it have.
    fn rows(sums: Vec<Sums>) -> Vec<Row> {
        let mut all: HashMap<PathBuf, (usize, Tally)> = HashMap::new();
        for (path, (depth, tally)) in sums.into_iter().flat_map(|sums| sums.rows) {
            all.entry(path).or_insert_with(|| (depth, Tally::default())).1.merge(&tally);
        }
        let mut deepest_first: Vec<(usize, PathBuf)> =
            all.iter().map(|(path, (depth, _))| (*depth, path.clone())).collect();
        deepest_first.sort_by(|left, right| right.cmp(left));
        for (depth, path) in deepest_first.iter().filter(|(depth, _)| *depth > 0) {
            let (Some(parent), Some((_, tally))) = (path.parent(), all.get(path).cloned()) else { continue };
            all.entry(parent.to_owned()).or_insert_with(|| (depth - 1, Tally::default())).1.merge(&tally);
        }
        let mut rows: Vec<Row> = all.into_iter().map(|(path, (_, tally))| Row::new(Some(path), tally)).collect();
        rows.sort_by(|left, right| left.path.cmp(&right.path));
        rows
    }
}

/// One thread's part of the survey.
struct Surveyor {
    engine: Engine,
    range: ByteRange,
    only_cached: bool,
    sums: Sums,
    sender: SyncSender<Message>,
    count: Count,
}

impl Visitor for Surveyor {
    fn file(&mut self, file: OpenFile, place: Place<'_>) -> ControlFlow<()> {
        self.count.one();
        let report = self.engine.measure_opened(file, self.range);
        // A file of which nothing is known may have cached pages: it is not left out in silence.
        if !self.only_cached || report.cached().map_or(true, |cached| cached.0 > 0) {
            self.sums.of(place, Some(&report.path)).add(&report);
        }
        ControlFlow::Continue(())
    }

    fn directory(&mut self, place: Place<'_>) {
        self.sums.of(place, None);
    }

    fn failure(&mut self, error: Error) {
        // The listener stays to the end.
        let _ = self.sender.send(Message::Failure(error));
    }

    fn skipped(&mut self, why: Skipped, place: Place<'_>) {
        self.sums.of(place, None).skip(why);
    }
}
