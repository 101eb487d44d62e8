//! Searches all processes for some files.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::figures::{OTHER_LAYER, OTHERS, TOO_MUCH, UNPROVEN, UNREAD, first_reason};
use super::row::{Holding, How, InMemory, ProcessFacts, Summed, of_maps, sum_mappings, unread};
use super::target::{Kind, Target, needles};
use super::verdict::Verdict;
use super::wanted::WhoFacts;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::crowd::visit_all;
use crate::kernel::nameless::is_segment;
use crate::kernel::page_size;
use crate::machine::Places;
use crate::process::{
    AddressSpaces, FileIdentity, FileMapping, Needles, ProcRoot, Process, ShownFiles, UseBuffers, deleted_name,
    hides_processes, read_pids_of_holders, run_as_root, shows_whole_machine, unescape_maps,
};
use crate::units::{Absent, Figure, PageRuns, Run, counted};

/// What the search has found.
#[derive(Debug, Default)]
pub(super) struct Search {
    found: Vec<OfFile>,
    denied: u64,
    /// Why a process that holds a file has no figures.
    unread: BTreeMap<u32, Error>,
    is_blind: bool,
    is_captured: bool,
}

/// What was found of one file.
#[derive(Debug, Default)]
pub(super) struct OfFile {
    rows: Vec<Holding>,
    /// The pages that are in the page tables of its holders, in any order.
    pub(super) mapped: Vec<Run>,
    /// With so many runs, those that touch or overlap are joined.
    most_runs: usize,
    /// Why these may not be all, if some page tables were not read, or it is not known of which file they are.
    pub(super) untold: Option<Absent>,
    /// A path through which a process holds it.
    pub(super) held_at: Option<PathBuf>,
    /// The files with its numbers, if it is known by these alone.
    identities: Vec<Met>,
    /// The processes that may hold it, and why that is not known.
    unproven: BTreeMap<u32, Absent>,
}

/// A file that has the numbers that were asked about.
#[derive(Debug, PartialEq)]
enum Met {
    /// It was opened.
    File(FileIdentity),
    /// In a capture: the device of its file system, and the path there.
    Place((u32, u32), Vec<u8>),
    /// In a capture that does not tell that: its path.
    Path(Vec<u8>),
    /// In a capture: a System V segment, and the IPC namespace of the process that maps it, if that is known.
    Segment(Option<u64>),
}

/// The name of the whole work in errors.
const PROCESSES: &str = "the processes of this machine";

/// How much of mappings is looked up in page tables: 32 GiB takes about a second. If there is more, the kernel's lists
/// of the pages of the file are faster.
const MOST_WALKED: u64 = 32 << 30;

/// So many runs take 1 MiB.
const MOST_RUNS: usize = 1 << 16;

/// What every thread needs.
struct Work<'w> {
    root: &'w ProcRoot,
    targets: &'w [Target],
    places: &'w Places,
    facts: WhoFacts,
    needles: Needles,
    walked: AtomicU64,
    spaces: Mutex<AddressSpaces>,
    search: Mutex<Search>,
}

/// What one process has of one file.
struct Held {
    mappings: Vec<FileMapping>,
    descriptors: u64,
    is_writable: bool,
    /// Whether a descriptor only names the file.
    is_named: bool,
    path: Vec<u8>,
    note: Option<&'static str>,
    /// Whether the mappings may be of a file of another layer.
    may_be_other: bool,
}

impl Search {
    /// Searches all processes.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(super) fn run(root: &ProcRoot, targets: &[Target], places: &Places, facts: WhoFacts) -> Result<Search> {
        let pids = read_pids_of_holders(root)?;
        let mut search = Search::default();
        search.found.resize_with(targets.len(), OfFile::default);
        search.is_captured = !root.is_live();
        let work = Work {
            root,
            targets,
            places,
            facts,
            needles: needles(targets),
            walked: AtomicU64::new(0),
            spaces: Mutex::default(),
            search: Mutex::new(search),
        };
        visit_all(&pids, UseBuffers::default, |buffers, pid| work.visit(pid, buffers));
        let mut search = work.search.into_inner().unwrap_or_else(PoisonError::into_inner);
        search.is_blind = is_blind(root);
        Ok(search)
    }

    pub(super) fn take_rows(&mut self, file: usize) -> Vec<Holding> {
        self.found.get_mut(file).map(|found| std::mem::take(&mut found.rows)).unwrap_or_default()
    }

    pub(super) fn of_file(&self, file: usize) -> Option<&OfFile> {
        self.found.get(file)
    }

    /// Whether every process of the machine was looked at, and it is known of each whether it holds the file.
    pub(super) fn is_complete(&self, file: usize) -> bool {
        let is_proven = self.found.get(file).is_some_and(|found| found.unproven.is_empty() && found.untold.is_none());
        !self.hides_some() && is_proven
    }

    /// Whether there are processes that could not be looked at.
    pub(super) fn hides_some(&self) -> bool {
        self.denied > 0 || self.is_blind
    }

    /// What could not be found out.
    pub(super) fn failures(&self, targets: &[Target]) -> Vec<Error> {
        let mut failures = match self.is_captured {
            true => uncaptured(self.denied, self.is_blind),
            false => unseen(self.denied, self.is_blind).into_iter().collect(),
        };
        failures.extend(self.unread.values().cloned());
        for (found, target) in self.found.iter().zip(targets) {
            let about = || Subject::Path(target.label.clone());
            let mut reasons: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            found.unproven.iter().for_each(|(pid, absent)| reasons.entry(absent.why).or_default().push(*pid));
            for (why, pids) in reasons {
                let whom = match &pids[..] {
                    [pid] => format!("process {pid}"),
                    pids => format!("processes {}", listed(pids)),
                };
                let why = format!("{whom} may hold it: {why}");
                failures.push(Error::new(about(), ErrorKind::System, why));
            }
            if found.are_several() {
                let files = counted(found.identities.len() as u64, "file has", "files have");
                let why = format!("{files} this device and inode number, and the rows are about all of them");
                failures.push(Error::new(about(), ErrorKind::System, why).with_advice("name one of them by its path"));
            }
        }
        failures
    }
}

fn is_of_mapping(link: &Path) -> bool {
    link.parent().is_some_and(|folder| folder.ends_with("map_files"))
}

/// The name of a mapping. One with the text of an escape is taken to have a newline, if nothing tells.
pub(super) fn plain_name(process: &Process, mapping: &FileMapping) -> Vec<u8> {
    let (start, end) = (mapping.addresses.start, mapping.addresses.end);
    process.read_plain_name(start, end, &mapping.path).unwrap_or_else(|| unescape_maps(&mapping.path))
}

impl OfFile {
    fn add_mapped(&mut self, pages: &PageRuns) {
        self.mapped.extend(pages.iter());
        if self.mapped.len() > self.most_runs.max(MOST_RUNS) {
            let joined: PageRuns = self.mapped.drain(..).collect();
            self.mapped.extend(joined.iter());
            self.most_runs = self.mapped.len().saturating_mul(2);
        }
    }

    /// Whether several files have the numbers that were asked about.
    pub(super) fn are_several(&self) -> bool {
        self.identities.len() > 1
    }
}

impl Work<'_> {
    fn visit(&self, pid: u32, buffers: &mut UseBuffers) {
        let process = match Process::open_in(self.root, pid) {
            Ok(process) => process,
            Err(error) => return self.count_denied(&error, None),
        };
        if let Err(error) = self.search(&process, buffers) {
            self.count_denied(&error, Some(&process));
        }
    }

    fn count_denied(&self, error: &Error, process: Option<&Process>) {
        if is_denied(error, process) {
            self.lock(|search| search.denied += 1);
        }
    }

    fn lock<T>(&self, change: impl FnOnce(&mut Search) -> T) -> T {
        change(&mut self.search.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn search(&self, process: &Process, buffers: &mut UseBuffers) -> Result<()> {
        let mut held: HashMap<usize, Held> = HashMap::new();
        // The mappings of a file usually come in a row.
        let mut last: Option<(FileMapping, Vec<usize>)> = None;
        let shown = process.search_maps(&self.needles, buffers, &mut |mapping| {
            let same = |(before, _): &(FileMapping, Vec<usize>)| {
                (before.device, before.inode, &before.path) == (mapping.device, mapping.inode, &mapping.path)
                    && before.proves_upper_layer() == mapping.proves_upper_layer()
            };
            if !last.as_ref().is_some_and(same) {
                let files = self.files_of(process, &mapping, &mut held);
                last = Some((mapping.clone(), files));
            }
            for file in last.iter().flat_map(|(_, files)| files) {
                if let Some(held) = held.get_mut(file) {
                    held.mappings.push(mapping.clone());
                }
            }
        })?;
        let Some(shown) = shown else { return Ok(()) };
        let open = shown.each_descriptor(&mut |found| {
            for (file, target) in self.targets.iter().enumerate() {
                match target.is_open(&shown, &found, self.places) {
                    Verdict::Yes(note) => self.add_descriptor(&shown, &found, file, note, &mut held),
                    Verdict::Unproven(why) => self.doubt(file, process, why, false),
                    Verdict::No => {}
                }
            }
        });
        if !held.is_empty() {
            self.finish(process, held);
        }
        open
    }

    /// The files that a mapping is of.
    fn files_of(&self, process: &Process, mapping: &FileMapping, held: &mut HashMap<usize, Held>) -> Vec<usize> {
        let mut files = Vec::new();
        for (file, target) in self.targets.iter().enumerate() {
            match target.is_mapped(process, mapping, self.places) {
                Verdict::Yes(note) => {
                    let held = held.entry(file).or_insert_with(|| Held::at(plain_name(process, mapping)));
                    held.note = held.note.or(note);
                    held.may_be_other |= note.is_some();
                    files.push(file);
                    self.meet(file, target, || match process.is_live() {
                        true => mapping.open(process).ok().map(|found| Met::File(found.identity())),
                        false => Some(self.met_in_capture(process, &plain_name(process, mapping))),
                    });
                    self.point(file, target, || {
                        let (start, end) = (mapping.addresses.start, mapping.addresses.end);
                        self.root.path().join(format!("{}/map_files/{start:x}-{end:x}", process.pid()))
                    });
                }
                Verdict::Unproven(why) => self.doubt(file, process, why, true),
                Verdict::No => {}
            }
        }
        files
    }

    fn add_descriptor(
        &self,
        shown: &ShownFiles<'_>,
        found: &crate::process::Descriptor,
        file: usize,
        note: Option<&'static str>,
        held: &mut HashMap<usize, Held>,
    ) {
        // Otherwise it was closed meanwhile.
        let Some(text) = shown.describe(found) else { return };
        // This process names the file to look for it.
        if text.is_name && shown.process().is_itself() {
            return;
        }
        let captured = (!shown.process().is_live()).then(|| text.path.clone());
        let held = held.entry(file).or_insert_with(|| Held::at(text.path));
        held.is_named |= text.is_name;
        if !text.is_name {
            held.descriptors += 1;
            held.is_writable |= text.is_writable;
        }
        held.note = held.note.or(note);
        if let Some(target) = self.targets.get(file) {
            self.meet(file, target, || match &captured {
                Some(path) => Some(self.met_in_capture(shown.process(), path)),
                None => shown.compare(found).ok()?.map(|compared| Met::File(compared.identity)),
            });
            self.point(file, target, || shown.path_to(found));
        }
    }

    /// Notes which file it is that has the numbers that are asked about, where several may have them.
    fn meet(&self, file: usize, target: &Target, identity: impl FnOnce() -> Option<Met>) {
        let may_be_several = match &target.kind {
            Kind::Number { device, .. } => {
                let is_number = || self.places.numbers_files(*device) && !self.places.is_nameless(*device);
                device.0 == 0 && (self.root.is_live() || !is_number())
            }
            _ => false,
        };
        if may_be_several && let Some(identity) = identity() {
            self.lock(|search| {
                let known = search.found.get_mut(file).map(|found| &mut found.identities);
                if let Some(known) = known
                    && !known.contains(&identity)
                {
                    known.push(identity);
                }
            });
        }
    }

    /// The file with this path as a process of a capture shows it.
    fn met_in_capture(&self, process: &Process, path: &[u8]) -> Met {
        if is_segment(path) {
            return Met::Segment(process.read_ipc_namespace().ok().flatten());
        }
        let path = deleted_name(path).unwrap_or(path);
        let namespace = process.read_mount_namespace().ok().flatten();
        match namespace.and_then(|namespace| self.places.locate_in(namespace, path)) {
            Some((device, within)) => Met::Place(device, within),
            None => Met::Path(path.to_vec()),
        }
    }

    /// Notes where a file that was not named can be opened: through a descriptor if there is one, because an ordinary
    /// user may not open the links of mappings.
    fn point(&self, file: usize, target: &Target, path: impl FnOnce() -> PathBuf) {
        if matches!(target.kind, Kind::Number { .. }) {
            self.lock(|search| {
                if let Some(found) = search.found.get_mut(file)
                    && found.held_at.as_deref().is_none_or(is_of_mapping)
                {
                    found.held_at = Some(path());
                }
            });
        }
    }

    fn doubt(&self, file: usize, process: &Process, why: Absent, is_mapped: bool) {
        self.lock(|search| {
            if let Some(found) = search.found.get_mut(file) {
                found.unproven.entry(process.pid()).or_insert(why);
                if is_mapped {
                    found.untold = first_reason(found.untold, UNPROVEN);
                }
            }
        });
    }

    /// Reads what there is to say about the process, and adds a row for each file that it holds.
    fn finish(&self, process: &Process, held: HashMap<usize, Held>) {
        let mut held: Vec<(usize, Held)> = held.into_iter().collect();
        held.sort_unstable_by_key(|(file, _)| *file);
        let mappings: Vec<&[FileMapping]> = held.iter().map(|(_, held)| &held.mappings[..]).collect();
        let is_mapped = mappings.iter().any(|mappings| !mappings.is_empty());
        let summed: Vec<Summed> = match is_mapped && self.facts.memory {
            true => match sum_mappings(process, &mappings) {
                Ok(summed) => summed,
                // It has exited, and holds nothing.
                Err(error) if error.kind() == ErrorKind::NotFound && process.is_live() => return,
                Err(error) => {
                    self.lock(|search| search.unread.insert(process.pid(), error));
                    mappings.iter().map(|mappings| unread(mappings)).collect()
                }
            },
            false => mappings.iter().map(|mappings| of_maps(mappings, Err(InMemory::UNREAD))).collect(),
        };
        let Ok(name) = process.read_name().or_else(|error| if process.is_live() { Err(error) } else { Ok(Vec::new()) })
        else {
            return;
        };
        let start_time = process.read_start_time();
        let facts = self.facts.owner.then(|| ProcessFacts::read(process));
        let address_space =
            is_mapped.then(|| self.spaces.lock().unwrap_or_else(PoisonError::into_inner).enter(process).0);
        for ((file, held), summed) in held.into_iter().zip(summed) {
            let how = How {
                shared: summed.shared,
                private: summed.private,
                open: held.descriptors > 0,
                writing: held.is_writable,
                named: held.is_named,
                kernel: None,
            };
            // It has released it since.
            if !how.is_any() {
                continue;
            }
            let pages = match held.may_be_other {
                true => Err(OTHER_LAYER),
                false => self.mapped_pages(process, &held.mappings),
            };
            let memory = if summed.mappings == 0 { Err(InMemory::NONE) } else { summed.memory };
            let row = Holding {
                path: Arc::from(&b""[..]),
                file,
                pid: Some(process.pid()),
                name: name.clone(),
                start_time,
                facts: facts.clone(),
                kernel: None,
                how,
                mappings: summed.mappings,
                descriptors: held.descriptors,
                memory,
                seen_as: held.path,
                address_space: address_space.filter(|_| summed.mappings > 0),
                note: held.note.or(memory.ok().and_then(|memory| memory.note())),
            };
            self.lock(|search| {
                if let Some(found) = search.found.get_mut(file) {
                    found.rows.push(row);
                    match pages {
                        Ok(pages) => found.add_mapped(&pages),
                        Err(absent) => found.untold = first_reason(found.untold, absent),
                    }
                }
            });
        }
    }

    /// The pages of a file that the process has in its page tables.
    fn mapped_pages(&self, process: &Process, mappings: &[FileMapping]) -> Figure<PageRuns> {
        if mappings.is_empty() {
            return Ok(PageRuns::new());
        }
        let length = mappings.iter().map(|mapping| mapping.addresses.end.saturating_sub(mapping.addresses.start)).sum();
        let before = self.walked.fetch_add(length, Ordering::Relaxed);
        if !process.is_live() || before.saturating_add(length) > MOST_WALKED {
            return Err(TOO_MUCH);
        }
        let run = |pages: Range<u64>| Run { first: pages.start, count: pages.end.saturating_sub(pages.start) };
        match process.read_pages_of(mappings, page_size()) {
            Ok(present) => Ok(present.into_iter().map(run).collect()),
            // It has exited: its page tables are gone.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(PageRuns::new()),
            Err(error) if error.kind() == ErrorKind::Denied => Err(OTHERS),
            Err(_) => Err(UNREAD),
        }
    }
}

/// Whether the error is of a process that does not show what it holds. One that has exited holds nothing, and neither
/// does a kernel thread.
pub(super) fn is_denied(error: &Error, process: Option<&Process>) -> bool {
    let is_gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported);
    !is_gone && !process.is_some_and(Process::is_kernel_thread)
}

/// Whether `/proc`, or the capture, does not show all processes of its machine.
pub(super) fn is_blind(root: &ProcRoot) -> bool {
    match root.captured() {
        Some(captured) => captured.has_only_some(),
        None => hides_processes(root) || root.is_live() && !shows_whole_machine(root),
    }
}

/// More pids or names than this are not written out in a message.
const MOST_LISTED: usize = 16;

/// `1, 2 and 3`, or the first of many and how many there are besides.
pub(super) fn listed<T: ToString>(all: &[T]) -> String {
    let (first, rest) = match all {
        [one] => return one.to_string(),
        _ if all.len() > MOST_LISTED => all.split_at(MOST_LISTED),
        _ => all.split_at(all.len().saturating_sub(1)),
    };
    let first: Vec<String> = first.iter().map(T::to_string).collect();
    let last = match rest {
        [last] => last.to_string(),
        rest => format!("{} others", rest.len()),
    };
    format!("{} and {last}", first.join(", "))
}

/// The lines about processes of which a capture does not tell what they hold.
fn uncaptured(count: u64, has_only_some: bool) -> Vec<Error> {
    let about = |why: String| Error::new(Subject::Words("the capture".to_owned()), ErrorKind::System, why);
    let processes = counted(count, "process did not show what it holds", "processes did not show what they hold");
    let denied = format!("{processes} when it was taken, and may hold the file too");
    let others = "it has only some of the processes of its machine, and others may hold the file too";
    let lines = [(count > 0).then_some(denied), has_only_some.then(|| others.to_owned())];
    lines.into_iter().flatten().map(about).collect()
}

/// The line about processes that could not be looked at.
fn unseen(count: u64, is_hidden: bool) -> Option<Error> {
    let about = || Subject::Words(PROCESSES.to_owned());
    if count > 0 {
        let why = format!("{} could not be looked at, and may hold it too", counted(count, "process", "processes"));
        let error = Error::new(about(), ErrorKind::Denied, why);
        return Some(match run_as_root() {
            Some(root) => error.with_advice(root),
            None => error,
        });
    }
    let why = "/proc does not show all of them, and others may hold it too";
    is_hidden.then(|| Error::new(about(), ErrorKind::Denied, why).with_advice("run as root, outside of the container"))
}

impl Held {
    fn at(path: Vec<u8>) -> Held {
        Held {
            mappings: Vec::new(),
            descriptors: 0,
            is_writable: false,
            is_named: false,
            path,
            note: None,
            may_be_other: false,
        }
    }
}
