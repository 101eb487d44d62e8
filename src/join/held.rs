//! The files that processes have open or mapped, opened again to be measured.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::pagecache::walk::Named;
use crate::pagecache::{Leases, OpenFile};
use crate::process::{Asked, FileIdentity, Held, HeldFile, HeldFiles, HeldOpen, ProcRoot, Process, ProcessChoice};

/// The processes whose files are selected. One that was named is opened once: if it ends, another process with its pid
/// is not selected. Those that match criteria are searched for again in each round.
#[derive(Debug, Clone, Default)]
pub struct ChosenProcesses {
    choice: ProcessChoice,
    named: Arc<Mutex<HashMap<u32, Process>>>,
    ended: Arc<AtomicBool>,
}

impl From<ProcessChoice> for ChosenProcesses {
    fn from(choice: ProcessChoice) -> ChosenProcesses {
        ChosenProcesses { choice, ..ChosenProcesses::default() }
    }
}

/// How the selected processes hold a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBy {
    /// Mapped, open, or both.
    pub how: Held,
    /// How many of the processes hold it.
    pub processes: u64,
}

/// How the selected processes hold the files that are visited.
pub type Marks = Arc<HashMap<FileIdentity, HeldBy>>;

impl ChosenProcesses {
    /// Whether no process is selected.
    pub fn is_empty(&self) -> bool {
        self.choice.is_empty()
    }

    /// Whether all of them have ended, and others cannot be found.
    pub(super) fn have_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Reads what each of them holds. What cannot be read is passed to `fail`.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(super) fn read_held_files(&self, fail: &mut dyn FnMut(Error)) -> Result<Vec<HeldFiles>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let (mut held, mut have_ended) = (Vec::new(), self.choice.like.is_empty());
        for asked in self.choice.find(&ProcRoot::live(), fail)? {
            match self.read_process(&asked) {
                Ok(files) => {
                    have_ended = false;
                    held.push(files);
                }
                Err(error) => {
                    have_ended &= matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported);
                    if asked.is_missed(&error) {
                        fail(error);
                    }
                }
            }
        }
        self.ended.store(have_ended, Ordering::Relaxed);
        Ok(held)
    }

    fn read_process(&self, asked: &Asked) -> Result<HeldFiles> {
        if asked.found {
            let mut files = Process::open(asked.pid)?.read_held_files()?;
            files.close();
            return Ok(files);
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match named.entry(asked.pid) {
            Entry::Occupied(known) => known.get().read_held_files(),
            Entry::Vacant(new) => new.insert(Process::open(asked.pid)?).read_held_files(),
        }
    }
}

/// How the processes hold each file.
pub(super) fn marks(held: &[HeldFiles]) -> Marks {
    let mut marks: HashMap<FileIdentity, HeldBy> = HashMap::new();
    for file in held.iter().flatten() {
        let one = HeldBy { how: file.held(), processes: 1 };
        let both = |mark: &mut HeldBy| *mark = HeldBy { how: mark.how.and(one.how), processes: mark.processes + 1 };
        marks.entry(file.identity()).and_modify(both).or_insert(one);
    }
    Arc::new(marks)
}

/// Takes a file that was opened through a link of the process. `path` is the name to report.
///
/// # Errors
/// As [`OpenFile::open`].
pub(super) fn take(path: &Path, opened: HeldOpen) -> Result<OpenFile> {
    match opened {
        HeldOpen::ToRead(quiet) => OpenFile::from_quiet(path, quiet),
        HeldOpen::ToName(name) => OpenFile::unopened(path, name),
    }
}

/// How files are opened.
pub(super) struct Opening {
    pub(super) leases: Leases,
    pub(super) opens_fuse: bool,
}

impl Opening {
    fn open(&self, held: &HeldFiles, file: &HeldFile) -> Result<OpenFile> {
        match self.leases.bar(file.identity().device(), file.identity().inode()) {
            Some(why) => held.name(file).and_then(|name| OpenFile::only_named(file.path(), name, why)),
            None => held.open(file, self.opens_fuse).and_then(|opened| take(file.path(), opened)),
        }
    }
}

/// Opens the files of all processes, one after the other and each once. An error is passed to `fail` if no process is
/// left that holds the file.
pub(super) fn open_held_files<F: FnMut(Error)>(
    held: Vec<HeldFiles>,
    marks: &Marks,
    opening: Opening,
    fail: F,
) -> Opener<F> {
    let left = marks.iter().map(|(file, by)| (*file, by.processes)).collect();
    Opener { held: held.into_iter(), current: None, left, opening, fail }
}

/// See [`open_held_files`].
pub(super) struct Opener<F> {
    held: std::vec::IntoIter<HeldFiles>,
    /// The process whose files are being opened, and the position of the next one.
    current: Option<(HeldFiles, usize)>,
    /// Through how many processes each file can still be opened. It is removed once that is settled.
    left: HashMap<FileIdentity, u64>,
    opening: Opening,
    fail: F,
}

impl<F: FnMut(Error)> Iterator for Opener<F> {
    type Item = Named;

    fn next(&mut self) -> Option<Named> {
        loop {
            let Some((held, place)) = &mut self.current else {
                self.current = Some((self.held.next()?, 0));
                continue;
            };
            let Some(file) = held.get(*place) else {
                self.current = None;
                continue;
            };
            *place += 1;
            let Some(chances) = self.left.get_mut(&file.identity()) else { continue };
            *chances = chances.saturating_sub(1);
            match self.opening.open(held, file) {
                Ok(opened) => {
                    self.left.remove(&file.identity());
                    return Some(Named::Open(opened));
                }
                // A file of /proc or the like has no cached pages, and it is normal that a process holds one.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    self.left.remove(&file.identity());
                }
                Err(error) if *chances == 0 => (self.fail)(error),
                Err(_) => {}
            }
        }
    }
}
