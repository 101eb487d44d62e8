//! Measures the files that were chosen, on several threads, and brings what came out to the one thread that writes.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::Builder;

use super::args::SelectionArgs;
use super::progress::Count;
use super::{Done, Report, Stop, select};
use crate::error::{Error, ErrorKind, Subject};
use crate::pagecache::walk::{self, Named, Place, Visitor};
use crate::pagecache::{Engine, FileReport, OpenFile};
use crate::process::Held;
use crate::units::{Absent, ByteRange, Reason};

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
    let engine = select::engine(args);
    let range = args.range();
    // Rows that come on the terminal tell of themselves how far it is.
    let count = Count::new("looked at", "files", args.recursive && !std::io::stdout().is_terminal());
    let new = |held: &Marks, sender: &SyncSender<Message>| Measurer {
        engine,
        wanted,
        range,
        held: held.clone(),
        found: Vec::new(),
        sender: sender.clone(),
        count: count.clone(),
    };
    let hear = |messages: Receiver<Message>, report: &mut Report| {
        for message in messages {
            match message {
                Message::Files(files) => files.into_iter().try_for_each(&mut each)?,
                Message::Failure(error) => count.aside(|| report.failure(&advised(error))),
            }
        }
        Ok(())
    };
    let done = visit(args, report, new, Measurer::finish, hear).map(|_| ());
    count.clear();
    done
}

/// The failure of a file that was opened and whose figures are absent.
pub(crate) fn unmeasured(path: &Path, absent: Absent) -> Error {
    Error::path(path, kind_of(absent), absent.to_string())
}

/// The kind of failure that an absent figure is.
pub(super) fn kind_of(absent: Absent) -> ErrorKind {
    match absent.reason {
        Reason::Denied => ErrorKind::Denied,
        Reason::Changed => ErrorKind::Changed,
        Reason::Vanished => ErrorKind::NotFound,
        _ => ErrorKind::Unsupported,
    }
}

/// The failure of a file with what the user can do about it, where it does not say so itself.
pub(crate) fn advised(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Denied if error.advice().is_none() => error.with_advice("run as root, or as the user who owns it"),
        _ => error,
    }
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
        let walk = move || {
            let visitors = walk::walk(named, options, || new(&marks, &sender));
            visitors.into_iter().map(finish).collect()
        };
        if is_short(args) {
            let finished = walk();
            return hear(messages, report).map(|()| finished);
        }
        std::thread::scope(|scope| {
            let walk = Builder::new().spawn_scoped(scope, walk).map_err(no_thread)?;
            hear(messages, report)?;
            walk.join().map_err(|panic| std::panic::resume_unwind(panic))
        })
    })?
}

/// Whether everything there is to say has room in the channel, so that nobody need listen meanwhile: a thread would
/// take longer than to look at a few files. Each file has a failure at most, and all of them are one batch.
fn is_short(args: &SelectionArgs) -> bool {
    let none_unknown = !args.recursive && args.files_from.is_none() && args.pid.is_none();
    none_unknown && args.paths.len() < MESSAGES.min(FILES_A_BATCH)
}

fn no_thread(error: std::io::Error) -> Stop {
    Stop::Failed(Error::io(Subject::Words("cannot start a thread".to_owned()), &error))
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
    count: Count,
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
        self.count.one();
        let held = self.held.get(&(file.device(), file.inode())).copied();
        let report = match self.wanted.map {
            true => self.engine.map_range(&file, self.range),
            false => self.engine.measure_opened(file, self.range),
        };
        if let Err(absent) = &report.residency {
            self.failure(unmeasured(&report.path, *absent));
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
