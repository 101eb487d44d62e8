//! The selected files: named, listed in a file, held by processes, or found below directories; and one way to visit
//! them on several threads while one thread receives the results.

use std::io;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use super::held::{self, ChosenProcesses, Marks, Opening, open_held_files};
use super::names::NameList;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::pagecache::walk::{self, Named, Options, Visitor};
use crate::pagecache::{Engine, Leases, OpenFile};
use crate::process::HeldFiles;
use crate::units::{ByteRange, counted};

/// Selects by name: see [`walk::Choose`].
pub type Choice = Arc<dyn Fn(&Path, usize, bool) -> bool + Send + Sync>;

/// The selected files.
#[derive(Clone)]
pub struct ChosenFiles {
    /// Files, and directories if it is recursive.
    pub paths: Vec<PathBuf>,
    /// A file that lists more of them, one per line; `-` is standard input.
    pub list: Option<PathBuf>,
    /// Whether its names end in NUL.
    pub null: bool,
    /// Processes whose files are also selected.
    pub processes: ChosenProcesses,
    /// Whether the files in and below directories are selected.
    pub recursive: bool,
    /// The number of threads that walk directories; by default the number of processors.
    pub jobs: Option<NonZeroUsize>,
    /// Whether the walk enters other file systems.
    pub cross_file_systems: bool,
    /// Whether symbolic links that are found are followed.
    pub follow: bool,
    /// Whether symbolic links that are named are followed.
    pub follow_named: bool,
    /// The selected sizes, in bytes.
    pub sizes: RangeInclusive<u64>,
    /// Whether files on FUSE are opened, even if that drops their cached pages.
    pub opens_fuse: bool,
    /// Selects by name.
    pub choice: Option<Choice>,
    /// The selected part of each file.
    pub range: ByteRange,
    /// Whether leases of other processes may be broken. Looking for leases takes about ten milliseconds.
    pub breaks_leases: bool,
    /// Whether files that this user may not open are visited all the same, by name.
    pub names_denied: bool,
    /// Whether the range exists in any of them.
    pub reach: Reach,
}

/// Whether a range was beyond the end of every file that was visited.
#[derive(Clone, Default)]
pub struct Reach {
    visited: Arc<AtomicBool>,
    reached: Arc<AtomicBool>,
}

impl Reach {
    fn see(&self, is_reached: bool) {
        let flag = if is_reached { &self.reached } else { &self.visited };
        // Several threads would fight over the cache line if each file stored it.
        if !flag.load(Ordering::Relaxed) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether any file was visited.
    pub fn has_visited(&self) -> bool {
        self.visited.load(Ordering::Relaxed) || self.reached.load(Ordering::Relaxed)
    }

    /// Whether files were visited and all of them end before the range.
    pub fn is_beyond_all(&self) -> bool {
        self.visited.load(Ordering::Relaxed) && !self.reached.load(Ordering::Relaxed)
    }
}

/// A visitor that also sees whether files reach into the range, and what is on other file systems.
struct Reaching<'c, V> {
    visitor: V,
    chosen: &'c ChosenFiles,
    /// How much is left out because it is on another file system.
    elsewhere: &'c AtomicU64,
}

impl<V: Visitor> Visitor for Reaching<'_, V> {
    fn file(&mut self, file: OpenFile, place: walk::Place<'_>) -> ControlFlow<()> {
        let offset = self.chosen.range.offset;
        self.chosen.reach.see(offset == 0 || offset < file.size().0);
        self.visitor.file(file, place)
    }

    fn directory(&mut self, place: walk::Place<'_>) {
        self.visitor.directory(place);
    }

    fn failure(&mut self, error: Error) {
        self.visitor.failure(error);
    }

    fn unread(&mut self, what: walk::Unread, place: walk::Place<'_>) {
        self.visitor.unread(what, place);
    }

    fn skipped(&mut self, why: walk::Skipped, place: walk::Place<'_>) {
        if why == walk::Skipped::OtherFileSystem {
            self.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
        self.visitor.skipped(why, place);
    }
}

/// A message to the receiving thread.
pub enum Message<T> {
    /// An item that a visitor sent.
    Item(T),
    /// Something that cannot be visited.
    Failure(Error),
    /// Something that is left out on purpose and that a user may miss.
    Note(Error),
    /// Nothing has arrived for a while.
    Nothing,
}

/// The sending end of a visitor.
pub struct Sender<T>(SyncSender<Message<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Sends an item. Breaks if the receiver is gone.
    pub fn item(&self, item: T) -> ControlFlow<()> {
        self.0.send(Message::Item(item)).map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }

    /// Sends a failure.
    pub fn failure(&self, error: Error) {
        // If the receiver is gone, the next item ends the walk.
        let _ = self.0.send(Message::Failure(error));
    }
}

/// The maximum number of waiting messages: a slow terminal slows the walk down, and memory stays bounded.
const MESSAGES: usize = 32;

/// How long the receiver waits before it is called without a message.
const SILENCE: Duration = Duration::from_millis(50);

impl ChosenFiles {
    /// These files, with no other restrictions.
    pub fn named(paths: Vec<PathBuf>) -> ChosenFiles {
        ChosenFiles {
            paths,
            list: None,
            null: false,
            processes: ChosenProcesses::default(),
            recursive: false,
            jobs: None,
            cross_file_systems: false,
            follow: false,
            follow_named: true,
            sizes: 0..=u64::MAX,
            opens_fuse: false,
            choice: None,
            range: ByteRange::ALL,
            breaks_leases: false,
            names_denied: false,
            reach: Reach::default(),
        }
    }

    /// Whether nothing is left to measure again: only the files of processes are selected, and they have ended.
    pub fn is_over(&self) -> bool {
        self.processes.have_ended() && self.paths.is_empty() && self.list.is_none()
    }

    /// Whether files are found, and not only named.
    pub fn finds_many(&self) -> bool {
        self.recursive || !self.processes.is_empty()
    }

    /// The named paths, if nothing else is selected.
    pub fn only_named(&self) -> &[PathBuf] {
        if self.processes.is_empty() && self.list.is_none() { &self.paths } else { &[] }
    }

    /// An engine for them: if several threads walk a tree, each measures its files on its own.
    pub fn engine(&self) -> Engine {
        let engine = Engine::detect();
        if self.recursive { engine.with_threads(NonZeroUsize::MIN) } else { engine }
    }

    /// The leases that must not be broken.
    fn leases(&self) -> Leases {
        let leases = if self.breaks_leases { Leases::default() } else { Leases::read() };
        leases.naming_denied(self.names_denied)
    }

    /// Whether there are so few results that all of them fit into a channel of this size: each file has at most one
    /// failure, and all of them are one item. Starting a thread would take longer than measuring a few files.
    fn fit_into(&self, messages: usize) -> bool {
        !self.recursive && (1..messages).contains(&self.only_named().len())
    }

    /// Visits the files with one visitor per thread. `new` creates it from a sender and from the files that the
    /// processes hold. This thread receives the results. Each visitor ends with `finish`, which must drop its sender.
    ///
    /// # Errors
    /// What `hear` returns; it ends the walk.
    pub fn visit<T: Send, V: Visitor, R: Send, E: From<Error> + Send>(
        &self,
        new: impl Fn(&Marks, Sender<T>) -> V + Send,
        finish: impl Fn(V) -> R + Send,
        hear: impl FnMut(Message<T>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Vec<R>, E> {
        self.visit_with(MESSAGES, new, finish, hear)
    }

    /// The same with at most `waiting` messages that were sent and not received yet.
    fn visit_with<T: Send, V: Visitor, R: Send, E: From<Error> + Send>(
        &self,
        waiting: usize,
        new: impl Fn(&Marks, Sender<T>) -> V + Send,
        finish: impl Fn(V) -> R + Send,
        mut hear: impl FnMut(Message<T>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Vec<R>, E> {
        let mut failures = Vec::new();
        let held = self.processes.read_held_files(&mut |error| failures.push(error))?;
        for failure in held.iter().flat_map(HeldFiles::failures) {
            // Several processes may map it.
            if !failures.contains(failure) {
                failures.push(failure.clone());
            }
        }
        for failure in failures {
            hear(Message::Failure(failure))?;
        }
        let marks = held::marks(&held);
        let (sender, messages) = sync_channel(waiting);
        let sender = Sender(sender);
        let fail = sender.clone();
        let fail = move |error| fail.failure(error);
        let leases = self.leases();
        let named = self.names(fail.clone())?.map(Named::from);
        let opening = Opening { leases: leases.clone(), opens_fuse: self.opens_fuse };
        let named = named.chain(open_held_files(held, &marks, opening, fail));
        let walk = move || -> Vec<R> {
            let (subvolumes, elsewhere) = (AtomicU64::new(0), AtomicU64::new(0));
            // Counting the usable processors reads several files, so it is done only if it matters.
            let processors = || if self.recursive { std::thread::available_parallelism().ok() } else { None };
            let choose = |path: &Path, depth: usize, is_directory: bool| {
                self.choice.as_ref().is_none_or(|choice| choice(path, depth, is_directory))
            };
            let options = Options {
                recursive: self.recursive,
                jobs: self.jobs.or_else(processors).unwrap_or(NonZeroUsize::MIN),
                cross_file_systems: self.cross_file_systems,
                follow: self.follow,
                follow_named: self.follow_named,
                sizes: self.sizes.clone(),
                opens_fuse: self.opens_fuse,
                choose: self.choice.is_some().then_some(&choose),
                leases,
                subvolumes: Some(&subvolumes),
            };
            let visitor = || Reaching { visitor: new(&marks, sender.clone()), chosen: self, elsewhere: &elsewhere };
            let visitors = walk::walk(named, &options, visitor);
            if let Some(note) = left_out(elsewhere.load(Ordering::Relaxed), subvolumes.load(Ordering::Relaxed)) {
                // If the receiver is gone, nobody misses them.
                let _ = sender.0.send(Message::Note(note));
            }
            drop(sender);
            visitors.into_iter().map(|reaching| finish(reaching.visitor)).collect()
        };
        if self.fit_into(waiting) {
            let finished = walk();
            return listen(messages, &mut hear).map(|()| finished);
        }
        std::thread::scope(|scope| {
            let walk = Builder::new().spawn_scoped(scope, walk).map_err(|error| no_thread(&error))?;
            // The receiver is dropped when this returns, which ends the walk.
            listen(messages, &mut hear)?;
            walk.join().map_err(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Calls `take` on this thread with each opened file. By default one thread walks, so that the order is that of the
    /// directories; `jobs` changes this.
    ///
    /// # Errors
    /// What `hear` returns; it ends the walk.
    pub fn each_open<E: From<Error> + Send>(
        &self,
        hear: impl FnMut(Message<OpenFile>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let one_thread = ChosenFiles { jobs: self.jobs.or(Some(NonZeroUsize::MIN)), ..self.clone() };
        // Each message is an open file.
        let waiting = usize::try_from(walk::free_descriptors() / 8).unwrap_or(MESSAGES).min(MESSAGES);
        one_thread.visit_with(waiting, |_, sender| Opener(sender), drop, hear).map(drop)
    }

    /// The named files and directories, then those of the list, which is read as needed. A read error is passed to
    /// `fail`.
    fn names<'a>(&'a self, mut fail: impl FnMut(Error) + 'a) -> Result<impl Iterator<Item = PathBuf> + 'a> {
        let listed = self.list.as_deref().map(|path| NameList::open(path, self.null)).transpose()?;
        let listed = listed.into_iter().flat_map(|list| list.into_names());
        let listed = listed.filter_map(move |name| name.map_err(&mut fail).ok());
        Ok(self.paths.iter().cloned().chain(listed))
    }
}

fn listen<T, E>(
    messages: Receiver<Message<T>>,
    hear: &mut impl FnMut(Message<T>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    loop {
        match messages.recv_timeout(SILENCE) {
            Ok(message) => hear(message)?,
            Err(RecvTimeoutError::Timeout) => hear(Message::Nothing)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// The note about the entries of directories that are on other file systems and were left out: mount points, and what
/// links lead to. Some may be subvolumes, which a user may not take for file systems of their own.
fn left_out(elsewhere: u64, subvolumes: u64) -> Option<Error> {
    let others = elsewhere.saturating_sub(subvolumes);
    let what = [
        (subvolumes, "subvolume", "subvolumes"),
        (others, "entry on another file system", "entries on other file systems"),
    ];
    let what = what.iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| counted(*count, one, many));
    let what: Vec<String> = what.collect();
    if what.is_empty() {
        return None;
    }
    let were = if elsewhere == 1 { "was" } else { "were" };
    let why = format!("{} {were} not entered", what.join(" and "));
    let note = Error::new(Subject::Words("-R".to_owned()), ErrorKind::Refused, why);
    Some(note.with_advice("use --cross-file-systems to include what has cached files (never /proc and the like)"))
}

fn no_thread(error: &io::Error) -> Error {
    Error::io(Subject::Words("cannot start a thread".to_owned()), error)
}

/// Sends each file to the receiving thread.
struct Opener(Sender<OpenFile>);

impl Visitor for Opener {
    fn file(&mut self, file: OpenFile, _: walk::Place<'_>) -> ControlFlow<()> {
        self.0.item(file)
    }

    fn failure(&mut self, error: Error) {
        self.0.failure(error);
    }
}
