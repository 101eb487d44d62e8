//! Cached files: the same ones by device, inode and path, or after another boot by path.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::change::{Change, ChangedFigure, ChangedKind};
use super::comparison::{Comparison, Hear, left_out};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::Message;
use crate::join::machine_files::{
    Captured, CapturedFiles, Facts, FoundChoice, FoundFile, MachineFiles, Method, held_files, measure_files,
};
use crate::process::{ProcRoot, run_as_root};
use crate::units::{Bytes, Figure, TOO_LARGE};

/// What tells a file from others: its device and inode numbers, unless only paths can be compared; and its path.
type Key = (Option<Number>, Vec<u8>);
type Number = ((u32, u32), u64);

/// The generation of the inode, which would tell the two apart, is not in a capture.
const RENAMED: &str =
    "a file with this inode number has another path on the other side: renamed, or another file by now";

const INSTEAD: &str = "the files that processes hold are compared";

/// How much of each file is cached.
type Sums = BTreeMap<Key, Figure<Bytes>>;

/// The files of one side.
struct Side {
    files: Files,
    method: Method,
    /// Whether a file that is not among these has no cached pages.
    has_all: bool,
}

enum Files {
    Live(Vec<FoundFile>),
    Captured(CapturedFiles),
}

fn about() -> Subject {
    Subject::Words("cached files".to_owned())
}

pub(super) fn compare(comparison: &Comparison, hear: &mut dyn Hear) {
    let read = |root: &ProcRoot, hear: &mut dyn Hear| match root.is_live() {
        true => read_live(comparison, hear),
        false => read_captured(root, hear),
    };
    // That of a capture first: nothing is read of the running machine if it has none.
    let after_first = comparison.before.is_live();
    let first = if after_first { &comparison.after } else { &comparison.before };
    let second = if after_first { &comparison.before } else { &comparison.after };
    let Some(first) = read(first, hear) else { return };
    let Some(second) = read(second, hear) else { return };
    let (before, after) = if after_first { (second, first) } else { (first, second) };
    // Inode numbers of a walk and of processes are those of stat, which may differ from those of the kernel's lists.
    let has_numbers = comparison.is_same_boot() && before.method == after.method;
    // The captures themselves, while they are read.
    let sides = [&comparison.before, &comparison.after];
    let unpacked: Vec<&[u8]> = sides.into_iter().filter_map(ProcRoot::unpacked_at).collect();
    let archives: Vec<&[u8]> = sides.into_iter().filter_map(ProcRoot::archive).collect();
    let is_own = |path: &[u8]| archives.contains(&path) || unpacked.iter().any(|directory| path.starts_with(directory));
    let sums = |files| sums(files, has_numbers, is_own);
    let (before_has_all, after_has_all) = (before.has_all, after.has_all);
    // Long lists take long to parse.
    let (earlier, later) = std::thread::scope(|scope| {
        let earlier = scope.spawn(|| sums(before.files));
        let later = sums(after.files);
        (earlier.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), later)
    });
    let (earlier, mut later) = match (earlier, later) {
        (Ok(earlier), Ok(later)) => (earlier, later),
        (Err(error), _) | (_, Err(error)) => return hear.failure(error),
    };
    let mut unmatched = [0_u64; 2];
    let mut tell = |key: Key, before, after, note| {
        let (number, path) = key;
        let identity = format!("{number:?}").into_bytes();
        let change = Change::of(ChangedKind::File, ChangedFigure::Cached, before, after);
        comparison.tell(change.map(|change| Change { name: path, identity, note, ..change }), hear);
    };
    let mut gone = Sums::new();
    for (key, cached) in earlier {
        match later.remove(&key) {
            None if !after_has_all => unmatched[0] += 1,
            None => drop(gone.insert(key, cached)),
            now => tell(key, Some(cached), now, None),
        }
    }
    if !before_has_all {
        unmatched[1] = later.len() as u64;
        later.clear();
    }
    let renamed = |key: &Key, others: &HashSet<Number>| key.0.filter(|number| others.contains(number)).map(|_| RENAMED);
    let numbers = |files: &Sums| files.keys().filter_map(|(number, _)| *number).collect();
    let (before, after) = (numbers(&gone), numbers(&later));
    gone.into_iter().for_each(|(key, cached)| {
        let note = renamed(&key, &after);
        tell(key, Some(cached), None, note);
    });
    later.into_iter().for_each(|(key, cached)| {
        let note = renamed(&key, &before);
        tell(key, None, Some(cached), note);
    });
    left_out(&about(), unmatched, hear);
}

/// How much of each file is cached, without those of rmap itself. Files that cannot be told apart are added up.
fn sums(files: Files, has_numbers: bool, is_own: impl Fn(&[u8]) -> bool) -> Result<Sums> {
    let mut sums = Sums::new();
    let mut add = |file: FoundFile| {
        if is_own(&file.path) {
            return;
        }
        let number = has_numbers.then_some((file.device, file.inode));
        let sum = sums.entry((number, file.path)).or_insert(Ok(Bytes(0)));
        *sum = added(*sum, file.cached);
    };
    match files {
        Files::Live(files) => files.into_iter().for_each(add),
        Files::Captured(files) => {
            files.read(&FoundChoice::default(), |file| {
                add(file);
                Ok::<(), Error>(())
            })?;
        }
    }
    Ok(sums)
}

fn added(one: Figure<Bytes>, other: Figure<Bytes>) -> Figure<Bytes> {
    one?.0.checked_add(other?.0).map(Bytes).ok_or(TOO_LARGE)
}

fn read_captured(root: &ProcRoot, hear: &mut dyn Hear) -> Option<Side> {
    let (found, files) = match Captured::open(root) {
        Ok(found) => found,
        Err(error) => {
            hear.failure(error);
            return None;
        }
    };
    let method = found.account.method;
    let has_all = method == Method::Lists && found.incomplete.is_empty();
    if let Some(lists) = found.lists {
        hear.failure(lists.with_advice("a capture that root takes has all cached files"));
    }
    let changed = |why| Error::new(about(), ErrorKind::Changed, why);
    found.incomplete.into_iter().for_each(|why| hear.failure(changed(why)));
    found.failures.into_iter().for_each(|error| hear.failure(error));
    Some(Side { files: Files::Captured(files), method, has_all })
}

/// The files of the running machine: from the kernel's lists, or else those that processes hold.
fn read_live(comparison: &Comparison, hear: &mut dyn Hear) -> Option<Side> {
    let facts = Facts { path: true, ..Facts::default() };
    let choice = FoundChoice::default();
    match MachineFiles::default().read_lists(&choice, facts, None, comparison.budget) {
        Ok(found) => {
            let has_all = found.incomplete.is_empty();
            let changed = |why| Error::new(about(), ErrorKind::Changed, why);
            found.incomplete.into_iter().for_each(|why| hear.failure(changed(why)));
            Some(Side { files: Files::Live(found.files), method: Method::Lists, has_all })
        }
        Err(error) => {
            let root = if error.kind() == ErrorKind::Denied { run_as_root() } else { None };
            let advice = root.map_or_else(|| INSTEAD.to_owned(), |root| format!("{root}; {INSTEAD}"));
            hear.failure(error.with_advice(advice));
            let mut files = Vec::new();
            let done = measure_files(&held_files(), &choice, facts, |message, _| {
                match message {
                    Message::Item(found) => files.extend(found),
                    Message::Failure(error) => hear.failure(error),
                    Message::Note(note) => hear.note(note),
                    Message::Nothing => {}
                }
                match hear.check() {
                    ControlFlow::Continue(()) => Ok(()),
                    ControlFlow::Break(()) => Err(Ended::Stopped),
                }
            });
            match done {
                Ok(_) => Some(Side { files: Files::Live(files), method: Method::Processes, has_all: false }),
                Err(Ended::Failed(error)) => {
                    hear.failure(error);
                    None
                }
                Err(Ended::Stopped) => None,
            }
        }
    }
}

/// Why measuring ended early.
enum Ended {
    Stopped,
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Failed(error)
    }
}
