//! Files without the kernel's lists: those that processes hold, or those below directories, measured one by one.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::account::Sums;
use super::context::{Context, HeldBy};
use super::described::{Method, memory};
use super::divide::{ChosenGroups, add_rows};
use super::parts::Parts;
use super::{Account, Facts, FoundChoice, FoundFile, NOT_READ, Split};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::{ChosenFiles, Message, Sender};
use crate::kernel::mount_table;
use crate::kernel::whereabouts::locate;
use crate::machine::cached::{CacheSize, Kind};
use crate::pagecache::walk::{Place, Visitor};
use crate::pagecache::{Engine, FileReport, FileSystemKind, OpenFile, may_have_pages};
use crate::process::usage::OF_MACHINE;
use crate::process::{Criteria, ProcRoot, ProcessChoice, Shown, hides_processes, is_of_namespace};
use crate::units::{Absent, Bytes, Figure, Pages, Reason, counted};

const NO_LISTS: Absent =
    Absent::new(Reason::Denied, "only the kernel's lists say it, which need root, or CAP_BPF and CAP_PERFMON");
const UNKNOWN_TYPE: Absent = Absent::new(Reason::Unsupported, "its device is not that of a mount of this namespace");

/// What a user misses if only the files of processes were measured.
const ONLY_HELD: &str = "files that no process holds, block devices and file-system metadata; the kernel's lists have \
                         them (root with all capabilities), and --scan walks over directories";
/// What a user misses besides after a walk below a directory.
const ONLY_BELOW: &str = "deleted files, shared memory, block devices and file-system metadata";
/// What is missing besides if `/proc` hides processes, or belongs to another pid namespace.
const ONLY_HIDDEN: &str = "what only processes hold that are hidden here";
const HIDDEN: &str = "/proc hides those of other users (hidepid), so files that only they hold are missing";
const OUTSIDE: &str = "this is another pid namespace, such as that of a container, so files that only processes \
                       outside of it hold are missing";
/// What a user misses after a walk.
const ONLY_WALKED: &str = "block devices, file-system metadata, shared memory without a name, and deleted files and \
                           files of other mount namespaces that no process holds; the kernel's lists have them (root \
                           with all capabilities, without --scan)";

/// The files that all processes map or have open.
pub(crate) fn held_files() -> ChosenFiles {
    let mut like = Criteria::new();
    // Every command line matches, an empty one too.
    let _ = like.add_pattern("");
    ChosenFiles { processes: ProcessChoice { pids: Vec::new(), like }.into(), ..ChosenFiles::named(Vec::new()) }
}

/// The files below these directories, on all file systems, and if that is the whole tree those that processes hold.
pub(crate) fn walked_files(directories: Vec<PathBuf>) -> ChosenFiles {
    let others = if is_everything(&directories) { held_files() } else { ChosenFiles::named(Vec::new()) };
    ChosenFiles { recursive: true, cross_file_systems: true, paths: directories, ..others }
}

/// Whether it only says that no other process was found, which nobody asked for, or that one has no memory and no
/// files: a zombie.
fn is_about_choice(error: &Error) -> bool {
    match error.subject() {
        Subject::Words(option) => option == "--match",
        Subject::Pid(_) | Subject::Process(..) => error.kind() == ErrorKind::Unsupported,
        Subject::Path(_) => false,
    }
}

fn is_everything(directories: &[PathBuf]) -> bool {
    directories == [Path::new("/")]
}

/// Measures files and calls `hear` with those that have cached pages, and with what could not be measured. Returns what
/// they are of all.
///
/// # Errors
/// What `hear` returns, and if `/proc` cannot be read.
pub(crate) fn measure_files<E: From<Error> + Send>(
    files: &ChosenFiles,
    choice: &FoundChoice,
    facts: Facts,
    mut hear: impl FnMut(Message<Vec<FoundFile>>, u64) -> std::result::Result<(), E>,
) -> std::result::Result<(Account, Option<String>), E> {
    let method = if files.recursive { Method::Walk } else { Method::Processes };
    let size = || -> Result<CacheSize> { CacheSize::read(&ProcRoot::live()) };
    let before = size().ok();
    let finds_held = !files.recursive || is_everything(&files.paths);
    let context = Context::read(choice, facts.needed_by(choice), None)?;
    let looked_at = AtomicU64::new(0);
    let types = types();
    let engine = files.engine();
    let (context, found, root) = (context.as_ref(), Vec::new, ProcRoot::live());
    let sums = Mutex::new(Sums::default());
    let new = |_: &_, sender| Measuring {
        sums: &sums,
        own_sums: Sums::default(),
        engine,
        method,
        finds_held,
        choice,
        chosen_groups: ChosenGroups::new(&choice.groups, &root),
        context,
        types: &types,
        other_types: HashMap::new(),
        found: found(),
        sender,
        looked_at: &looked_at,
    };
    let mut unread = Unread::default();
    files.visit(new, Measuring::finish, |message| {
        if matches!(&message, Message::Failure(error) if is_about_choice(error)) {
            return Ok(());
        }
        if let Message::Failure(error) = &message
            && is_gap(error)
        {
            unread.count(error);
        }
        hear(message, looked_at.load(Ordering::Relaxed))
    })?;
    let missed = match files.recursive {
        false => ONLY_HELD.to_owned(),
        true if is_everything(&files.paths) => ONLY_WALKED.to_owned(),
        true => format!("files outside of these directories, {ONLY_BELOW}"),
    };
    let hidden = if finds_held { hidden_processes(&root) } else { None };
    if let Some(hidden) = &hidden {
        hear(Message::Failure(hidden.clone()), looked_at.load(Ordering::Relaxed))?;
    }
    let sizes = [before, size().ok()].into_iter().flatten();
    let missed =
        [Some(missed), unread.missed(), hidden.map(|_| ONLY_HIDDEN.to_owned())].into_iter().flatten().collect();
    let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((Account::new(method, sums, sizes, missed, None), context.and_then(Context::unknown)))
}

/// Whether something that may have cached pages is not reported because of an error: also a file that is not opened
/// because opening it would change something.
fn is_gap(error: &Error) -> bool {
    let is_closed = |absent: Absent| absent.reason == Reason::Unsupported && may_have_pages(&absent);
    error.leaves_a_gap() || error.absence().is_some_and(is_closed)
}

/// The error for processes of which `/proc` does not show what they hold, or not even that they exist.
fn hidden_processes(root: &ProcRoot) -> Option<Error> {
    let why = match () {
        () if hides_processes(root) => HIDDEN,
        () if is_of_namespace(root) => OUTSIDE,
        () => return None,
    };
    Some(root.advised(Error::new(Subject::Words(OF_MACHINE.to_owned()), ErrorKind::Denied, why)))
}

/// What could not be read.
#[derive(Default)]
struct Unread {
    processes: u64,
    /// Files, and directories with whatever is below them.
    paths: u64,
}

impl Unread {
    fn count(&mut self, error: &Error) {
        match error.subject() {
            Subject::Pid(_) | Subject::Process(..) => self.processes += 1,
            Subject::Path(_) => self.paths += 1,
            Subject::Words(_) => {}
        }
    }

    /// What is missing because of it.
    fn missed(&self) -> Option<String> {
        let processes = counted(self.processes, "process", "processes");
        let paths = counted(self.paths, "file or directory", "files or directories");
        match (self.processes, self.paths) {
            (0, 0) => None,
            (_, 0) => Some(format!("what only {processes} that could not be read hold")),
            (0, _) => Some(format!("{paths} that could not be read")),
            _ => Some(format!("what only {processes} that could not be read hold, and {paths} that could not be read")),
        }
    }
}

/// How many files a thread measures before it passes them on.
const FILES_A_BATCH: usize = 64;

/// One thread's part of the measuring.
struct Measuring<'m> {
    engine: Engine,
    method: Method,
    /// Whether files that processes hold are among them. Others are at their path.
    finds_held: bool,
    choice: &'m FoundChoice,
    chosen_groups: ChosenGroups<'m>,
    context: Option<&'m Context>,
    types: &'m HashMap<(u32, u32), Arc<str>>,
    /// Those of devices that are in no list of mounts, as on btrfs.
    other_types: HashMap<(u32, u32), Option<Arc<str>>>,
    found: Vec<FoundFile>,
    sender: Sender<Vec<FoundFile>>,
    looked_at: &'m AtomicU64,
    /// What all files have cached, also those that are not chosen.
    sums: &'m Mutex<Sums>,
    /// This thread's part of it.
    own_sums: Sums,
}

impl Measuring<'_> {
    fn finish(mut self) {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).merge(&self.own_sums);
        let _ = self.sender.item(std::mem::take(&mut self.found));
    }

    /// Adds a file, or a row for each program that holds it.
    fn add_rows(&mut self, file: FoundFile, programs: Figure<Vec<HeldBy>>) {
        let needs = self.choice.keeps_parts || self.choice.split == Some(Split::Holders);
        let holders = programs.iter().flatten().filter(|_| needs).map(HeldBy::part).collect();
        let parts = Parts { holders, ..Parts::default() };
        add_rows(file, parts, self.choice, &self.chosen_groups, &mut self.found);
    }

    /// The type of the file system that a file is on, by its device, or else by the mount that it was opened on.
    fn type_of(&mut self, file: &OpenFile) -> Option<Arc<str>> {
        let (types, device) = (self.types, mount_table::parts(file.identity().device()));
        let of_mount = || {
            let (device, _) = mount_table::own().of_number(&file.handle().mount()?)?;
            types.get(&device).cloned()
        };
        let known = types.get(&device).cloned();
        known.or_else(|| self.other_types.entry(device).or_insert_with(of_mount).clone())
    }
}

impl Visitor for Measuring<'_> {
    fn file(&mut self, file: OpenFile, place: Place<'_>) -> ControlFlow<()> {
        self.looked_at.fetch_add(1, Ordering::Relaxed);
        let (links, is_in_memory) = (file.links(), file.file_system().kind == FileSystemKind::Memory);
        // What has no name was reached through a descriptor of a process.
        let is_walked = (place.directory.is_some() || !self.finds_held) && links > 0;
        let name = if links == 0 && !self.finds_held { file.handle().link() } else { None };
        let shown = if is_walked || self.context.is_none() { None } else { Shown::of(file.handle()) };
        let (file_system, generation) = (self.type_of(&file), file.identity().generation());
        let mut report = self.engine.measure_opened(file, crate::units::ByteRange::ALL);
        report.path = name.unwrap_or(report.path);
        let mut row = measured(&report, self.method, is_in_memory, links);
        row.file_system = file_system.map_or(row.file_system, Ok);
        self.own_sums.add(row.kind.ok(), row.cached.unwrap_or_default());
        let programs = match self.context {
            Some(context) if is_walked => context.add_to_walked(&mut row),
            Some(context) => context.add_to_held(self.choice, &mut row, shown, generation),
            None => Err(NOT_READ),
        };
        match row.cached {
            Ok(Bytes(0)) => return ControlFlow::Continue(()),
            Ok(_) if self.choice.has(&row.path) || self.context.is_some_and(|context| context.has_removed(&row)) => {
                self.add_rows(row, programs)
            }
            Ok(_) => return ControlFlow::Continue(()),
            Err(absent) => self.sender.failure(Error::absent(Subject::Path(report.path), absent)),
        }
        if self.found.len() < FILES_A_BATCH {
            return ControlFlow::Continue(());
        }
        self.sender.item(std::mem::take(&mut self.found))
    }

    fn failure(&mut self, error: Error) {
        self.sender.failure(error);
    }
}

/// The types of the file systems that are mounted in this namespace, by their devices.
fn types() -> HashMap<(u32, u32), Arc<str>> {
    let table = mount_table::own();
    let of = |mount: &mount_table::Mount| {
        // Behind a dot is what the server of FUSE calls itself.
        let name = String::from_utf8_lossy(mount.kind.split(|byte| *byte == b'.').next()?).into_owned();
        Some((mount.device, name.into()))
    };
    table.mounts().iter().filter_map(of).collect()
}

/// The row of a file whose cached pages are not known; `None` if it is not a regular file, or if only a server tells.
pub(super) fn unread_file(path: &Path, method: Method, why: Absent) -> Option<FoundFile> {
    let Ok(None) = locate(path) else { return None };
    let found = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some(FoundFile {
        id: found.ino().rotate_left(20) ^ found.dev(),
        part: Vec::new(),
        path: path.as_os_str().as_bytes().to_vec(),
        is_deleted: false,
        kind: Err(why),
        file_system: Err(why),
        device: (nix::libc::major(found.dev()), nix::libc::minor(found.dev())),
        inode: found.ino(),
        links: Ok(found.nlink()),
        size: Ok(Bytes(found.len())),
        cached: Err(why),
        counts: Err(why),
        dirty: Err(why),
        writeback: Err(why),
        evicted: Err(why),
        nodes: Err(why),
        groups: Err(why),
        container: Err(why),
        holders: Err(why),
        holder_count: Err(why),
        method,
        note: Some(why.why),
        page_size: crate::kernel::page_size(),
        parts: None,
    })
}

/// A row for a file that was measured. Its figures are those of `cachestat(2)` or `mincore(2)`.
fn measured(report: &FileReport, method: Method, is_in_memory: bool, links: u64) -> FoundFile {
    let bytes = |pages: Figure<Pages>| pages.map(|pages| pages.bytes(report.page_size));
    let more = report.not_up_to_date().map_or(0, |pages| pages.0);
    let cached = report.cached().map(|pages| Pages(pages.0.saturating_add(more)));
    let file_system: Option<Arc<str>> = is_in_memory.then(|| "tmpfs".into());
    let (device, inode) = report.identity;
    let (major, minor) = (nix::libc::major(device), nix::libc::minor(device));
    // The kernel adds words to a removed name.
    let path = report.path.as_os_str().as_bytes();
    let path = path.strip_suffix(b" (deleted)").filter(|_| links == 0).unwrap_or(path);
    let nameless = ProcRoot::live().nameless_mount();
    let kind = match () {
        () if nameless.is_some_and(|mount| mount.device == (major, minor)) => Kind::of_nameless(path),
        () if is_in_memory => Kind::Tmpfs,
        () if links == 0 => Kind::Deleted,
        () => Kind::File,
    };
    let is_nameless = matches!(kind, Kind::Memfd | Kind::SharedMemory);
    FoundFile {
        id: inode.rotate_left(20) ^ device,
        part: Vec::new(),
        path: if is_nameless { memory(kind, path) } else { path.to_vec() },
        is_deleted: links == 0 && !is_nameless,
        kind: Ok(kind),
        file_system: file_system.ok_or(UNKNOWN_TYPE),
        device: (major, minor),
        inode,
        links: Ok(links),
        size: Ok(report.size),
        cached: bytes(cached),
        counts: Err(NO_LISTS),
        dirty: bytes(report.dirty()),
        writeback: bytes(report.writeback()),
        evicted: bytes(report.evicted()),
        nodes: Err(NO_LISTS),
        groups: Err(NO_LISTS),
        container: Err(NOT_READ),
        holders: Err(NOT_READ),
        holder_count: Err(NOT_READ),
        method,
        note: report.residency.as_ref().err().map(|absent| absent.why),
        page_size: report.page_size,
        parts: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_just_become_a_zombie_is_no_failure() {
        assert!(is_about_choice(&Error::pid(7, ErrorKind::Unsupported, "a zombie")));
        assert!(!is_about_choice(&Error::pid(7, ErrorKind::Denied, "not yours")));
        assert!(!is_about_choice(&Error::path(Path::new("/x"), ErrorKind::Unsupported, "is a directory")));
    }
}
