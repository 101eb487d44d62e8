//! Finds the processes that keep pages of a file in memory, through `/proc/PID/maps` and the page tables.

use crate::error::ErrorKind;
use crate::pagecache::{FileSystemKind, OpenFile};
use crate::process::{Fields, FileMapping, Identity, ProcRoot, Process, Wanted, hides_processes, read_pids};
use crate::units::{PageRuns, Pages, Run};

/// A process that has pages of a file in its page tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub process: Identity,
    /// How many of the pages in question it has.
    pub pages: Pages,
    /// How many of these are in mappings that it has locked.
    pub locked: Pages,
    /// How many of these no process has locked.
    pub unlocked: Pages,
}

/// The processes that hold any of some pages of a file, as far as this user may see them.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// The processes, ordered by pid.
    pub list: Vec<Holder>,
    /// The pages in locked mappings.
    pub locked: PageRuns,
    /// The pages in any page table, locked or not.
    pub mapped: PageRuns,
    /// Processes that map a file with the same inode number through overlayfs, or the other way round. It may be the
    /// same file, which cannot be proven.
    pub perhaps: Vec<Holder>,
    /// How many processes could not be inspected.
    pub unseen: u64,
    /// Why there may be other processes, of which nothing is known.
    pub blind: Option<&'static str>,
}

impl Holders {
    /// Finds the processes that map any of `pages` of `file`.
    pub fn find(root: &ProcRoot, file: &OpenFile, pages: &PageRuns) -> Holders {
        let pids = read_pids(root);
        let blind = match &pids {
            Err(_) => Some("/proc is not mounted, so no process could be inspected"),
            Ok(_) if hides_processes(root) => Some("/proc hides the processes of other users (hidepid): run as root"),
            Ok(_) => None,
        };
        let mut found = Holders { blind, ..Holders::default() };
        let mut pids = pids.unwrap_or_default();
        pids.sort_unstable();
        let mut mapped = Vec::new();
        for pid in pids {
            let read = |process: &Process| process.read_mappings_of_inode(file.inode());
            match Process::open_in(root, pid).and_then(|process| read(&process).map(|mappings| (process, mappings))) {
                Ok((_, mappings)) if mappings.is_empty() => {}
                Ok((process, mappings)) => mapped.extend(found.add_process(&process, file, pages, &mappings)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => found.unseen += 1,
            }
        }
        for (holder, mapped) in found.list.iter_mut().zip(mapped) {
            holder.unlocked = mapped.subtract(&found.locked).cached();
        }
        found
    }

    /// Adds a process; returns the pages that it has, if it is one of the list.
    fn add_process(
        &mut self,
        process: &Process,
        file: &OpenFile,
        pages: &PageRuns,
        all: &[FileMapping],
    ) -> Option<PageRuns> {
        let (mut mapped, mut locked, mut perhaps) = (PageRuns::new(), PageRuns::new(), PageRuns::new());
        let locked_starts = locked_starts(process);
        for mapping in all {
            let found = match mapping.open(process) {
                Ok(found) => found,
                Err(_) if mapping.is_still_there(process) => return self.not_seen(),
                Err(_) => continue,
            };
            // A file of an overlay that was copied up may be mapped with the pages that it had before.
            let is_same = found.identity() == file.identity() && mapping.prove_layer(process, &found).is_ok();
            if !is_same && !is_stacked(file) && !found.is_stacked() {
                continue;
            }
            let Ok(present) = mapping.read_present_pages(process, file.page_size()) else { return self.not_seen() };
            let present = runs(&present).intersect(pages);
            if !is_same {
                perhaps = union(&perhaps, &present);
                continue;
            }
            if locked_starts.contains(&mapping.addresses.start) {
                locked = union(&locked, &present);
            }
            mapped = union(&mapped, &present);
        }
        let process = process.identity().ok()?;
        let holder = |pages: &PageRuns| Holder {
            process,
            pages: pages.cached(),
            locked: locked.cached(),
            unlocked: Pages::default(),
        };
        if mapped.is_empty() {
            self.perhaps.extend((!perhaps.is_empty()).then(|| holder(&perhaps)));
            return None;
        }
        self.list.push(holder(&mapped));
        self.mapped = union(&self.mapped, &mapped);
        self.locked = union(&self.locked, &locked);
        Some(mapped)
    }

    fn not_seen(&mut self) -> Option<PageRuns> {
        self.unseen += 1;
        None
    }
}

fn is_stacked(file: &OpenFile) -> bool {
    matches!(file.file_system().kind, FileSystemKind::Stacked(_))
}

/// The start addresses of the locked mappings: `lo` in `VmFlags` of smaps. The counter `Locked` would miss a page that
/// is shared so widely that its part of Pss is less than 1 KiB. Empty if smaps cannot be read.
fn locked_starts(process: &Process) -> Vec<u64> {
    let mut fields = Fields::new();
    let Ok(process) = process.read_smaps(&mut fields, &Wanted::Only(vec!["VmFlags".to_owned()])) else {
        return Vec::new();
    };
    let Some(flags) = fields.find(b"VmFlags") else { return Vec::new() };
    let is_locked =
        |text: Option<&[u8]>| text.is_some_and(|text| text.split(|byte| *byte == b' ').any(|flag| flag == b"lo"));
    process.mappings.iter().filter(|mapping| is_locked(mapping.text(flags))).map(|mapping| mapping.start()).collect()
}

fn runs(present: &[std::ops::Range<u64>]) -> PageRuns {
    present.iter().map(|run| Run { first: run.start, count: run.end.saturating_sub(run.start) }).collect()
}

/// The pages in either.
fn union(left: &PageRuns, right: &PageRuns) -> PageRuns {
    left.iter().chain(right.iter()).copied().collect()
}

/// Names the first holders of some pages, for one line: `pid 4690 (cat)`, or with how many of them each has:
/// `pid 4690 (cat: 7), pid 4691 (less: 3) and 3 more`.
pub(super) fn in_words(holders: &[Holder], pages_of: fn(&Holder) -> Pages) -> String {
    const NAMED: usize = 3;
    let of_kind: Vec<&Holder> = holders.iter().filter(|holder| pages_of(holder) > Pages(0)).collect();
    let names = of_kind.iter().take(NAMED).map(|holder| {
        let command = String::from_utf8_lossy(&holder.process.command);
        let program = command.split(' ').next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or(program);
        let pages = if of_kind.len() > 1 { format!(": {}", pages_of(holder).0) } else { String::new() };
        format!("pid {} ({program}{pages})", holder.process.pid)
    });
    let named = names.collect::<Vec<_>>().join(", ");
    match of_kind.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
