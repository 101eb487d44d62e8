//! Measures the files that were chosen, on several threads, and brings what came out to the one thread that writes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use super::args::SelectionArgs;
use super::{Done, Report, Stop, select};
use crate::error::{Error, ErrorKind};
use crate::pagecache::walk::{self, Named, Place, Visitor};
use crate::pagecache::{ByteRange, Engine, FileReport, OpenFile};
use crate::process::Held;

/// How many files a thread measures before it hands them over.
const FILES_A_BATCH: usize = 64;

/// How many messages wait for the writer at most: a slow terminal slows the walk down, and memory stays bounded.
const MESSAGES: usize = 32;

/// One file that was measured.
pub(crate) struct Measured {
    /// What came out.
    pub(crate) report: FileReport,
    /// How the process of `--pid` holds it; none where it does not, or no process was named.
    pub(crate) held: Option<Held>,
}

/// What is wanted of each file.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Which of its pages are cached, too.
    pub(crate) map: bool,
    /// Nothing, unless some of its pages are.
    pub(crate) only_cached: bool,
}

/// What a thread of the walk has to say.
pub(super) enum Message {
    /// Files that were measured.
    Files(Vec<Measured>),
    /// What could not be measured.
    Failure(Error),
}

/// Measures every file that was chosen and calls `each` with it, on this thread. What cannot be measured is one line on
/// standard error, and the others are measured all the same.
pub(crate) fn each_file(
    args: &SelectionArgs,
    wanted: Wanted,
    report: &mut Report,
    mut each: impl FnMut(Measured) -> Done,
) -> Done {
    let engine = Engine::detect();
    let range = args.range();
    let new = |held: &Marks, sender: &SyncSender<Message>| Measurer {
        engine,
        wanted,
        range,
        held: held.clone(),
        found: Vec::new(),
        sender: sender.clone(),
    };
    let hear = |messages: Receiver<Message>, report: &mut Report| {
        for message in messages {
            match message {
                Message::Files(files) => files.into_iter().try_for_each(&mut each)?,
                Message::Failure(error) => report.failure(&error),
            }
        }
        Ok(())
    };
    visit(args, report, new, Measurer::finish, hear).map(|_| ())
}

/// How the process of `--pid` holds files, by device and inode.
pub(super) type Marks = Arc<HashMap<(u64, u64), Held>>;

/// Walks what was chosen with a visitor a thread, made by `new` of what the process of `--pid` holds and of the way to
/// say something; `hear` listens to that meanwhile. Each visitor ends in `finish`, which must let go of that way.
pub(super) fn visit<V: Visitor, R: Send>(
    args: &SelectionArgs,
    report: &mut Report,
    new: impl Fn(&Marks, &SyncSender<Message>) -> V + Send,
    finish: impl Fn(V) -> R + Send,
    hear: impl FnOnce(Receiver<Message>, &mut Report) -> Done,
) -> Result<Vec<R>, Stop> {
    let globs = select::Globs::parse(args)?;
    let held = select::held_files(args, report);
    let marks = held.iter().flatten().map(|file| (file.identity(), file.held()));
    let marks: Marks = Arc::new(marks.collect());
    let (sender, messages) = mpsc::sync_channel(MESSAGES);
    let fail = fail_through(&sender);
    let named = select::names(args, fail.clone()).map_err(Stop::Failed)?.map(Named::from);
    let named = named.chain(select::open_held_files(held.as_ref(), fail));
    select::with_options(args, &globs, move |options| {
        std::thread::scope(|scope| {
            let walk = scope.spawn(move || {
                let visitors = walk::walk(named, options, || new(&marks, &sender));
                visitors.into_iter().map(finish).collect()
            });
            hear(messages, report)?;
            walk.join().map_err(|panic| std::panic::resume_unwind(panic))
        })
    })?
}

fn fail_through(sender: &SyncSender<Message>) -> impl FnMut(Error) + Clone + Send + 'static {
    let sender = sender.clone();
    move |error| {
        // Where nobody listens any more, nobody wants to know.
        let _ = sender.send(Message::Failure(error));
    }
}

/// One thread's part of the measuring.
struct Measurer {
    engine: Engine,
    wanted: Wanted,
    range: ByteRange,
    held: Marks,
    found: Vec<Measured>,
    sender: SyncSender<Message>,
}

impl Measurer {
    /// Hands over what was measured. Breaks where nobody takes it.
    fn hand_over(&mut self) -> ControlFlow<()> {
        let files = std::mem::take(&mut self.found);
        self.sender.send(Message::Files(files)).map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }

    fn finish(mut self) {
        let _ = self.hand_over();
    }
}

impl Visitor for Measurer {
    fn file(&mut self, file: OpenFile, _: Place<'_>) -> ControlFlow<()> {
        let held = self.held.get(&(file.device(), file.inode())).copied();
        let report = match self.wanted.map {
            true => self.engine.map_range(&file, self.range),
            false => self.engine.measure_opened(file, self.range),
        };
        if let Err(absent) = &report.residency {
            self.failure(Error::path(&report.path, ErrorKind::Denied, absent.to_string()));
        }
        if self.wanted.only_cached && !report.cached().is_ok_and(|cached| cached.0 > 0) {
            return ControlFlow::Continue(());
        }
        self.found.push(Measured { report, held });
        if self.found.len() < FILES_A_BATCH { ControlFlow::Continue(()) } else { self.hand_over() }
    }

    fn failure(&mut self, error: Error) {
        // Where nobody listens any more, the next batch ends the walk.
        let _ = self.sender.send(Message::Failure(error));
    }
}
