//! The pages of a file from the kernel's own lists, for a file that must not be opened or may not be, and for what no
//! system call tells: which pages are active or mapped, on which node, and which control group is charged.

mod seen;
mod which;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::machine_files::{group_names, node_names};
use crate::error::{Error, Result};
use crate::kernel::cached::PageRun;
use crate::kernel::privilege::{BPF, PERFMON, SYS_ADMIN, has_capability, is_of_whole_machine};
use crate::machine::Places;
use crate::machine::cached::Lists;
use crate::pagecache::{FileReport, may_have_pages};
use crate::process::ProcRoot;
use crate::units::{Absent, Figure, PageRuns, Pages, Reason};
use seen::Seen;
pub use which::HeldPlace;
use which::Which;

/// What only the kernel's lists say about a file.
#[derive(Debug, Clone)]
pub struct PageStates {
    /// Pages on the active list.
    pub active: Pages,
    /// Pages that anybody maps.
    pub mapped: Figure<Pages>,
    /// The nodes that its pages are on, most pages first.
    pub nodes: Figure<Vec<u8>>,
    /// The control groups that are charged for its pages, most pages first.
    pub groups: Figure<Vec<u8>>,
    /// Which pages must be written to disk, if the file was measured by the lists and has a page map.
    pub dirty: PageRuns,
    /// Which pages are being written, likewise.
    pub writeback: PageRuns,
}

/// The lists, read when the first file needs them, for all threads that measure files.
#[derive(Debug, Clone, Default)]
pub struct PageLists(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    /// `None`: nothing needed them yet. An error is the reason why no file has figures of them.
    read: Option<Figure<Read>>,
    /// Why they could not be read, until somebody was told.
    failure: Option<Error>,
}

/// All files with cached pages.
#[derive(Debug)]
struct Read {
    lists: Lists,
    which: Which,
    is_complete: bool,
}

/// How long reading all lists, or one file, may take.
const BUDGET: Duration = Duration::from_secs(2);

const UNREADABLE: Absent =
    Absent::new(Reason::Denied, "only the kernel's lists say it, which need root, or CAP_BPF and CAP_PERFMON");
const INCOMPLETE: Absent = Absent::new(Reason::Changed, "the kernel's lists changed while they were read");
const CHANGED: Absent = Absent::new(Reason::Changed, "its pages changed while they were read");
const NOT_LISTED: Absent =
    Absent::new(Reason::Changed, "its cached pages were not found in the kernel's lists when these were read");
const NO_PAGES: Absent = Absent::new(Reason::NotApplicable, "it has no cached pages");

impl PageLists {
    /// Whether this user may read the lists, as far as that can be told without trying.
    pub fn may_be_read() -> bool {
        let has = |number| has_capability(number) == Some(true);
        cfg!(feature = "bpf") && (has(SYS_ADMIN) || has(BPF) && has(PERFMON)) && is_of_whole_machine()
    }

    /// Whether the figures of a file are absent for a reason that does not matter to the lists: it was not opened.
    pub fn may_complete(report: &FileReport) -> bool {
        report.residency.as_ref().is_err_and(|absent| {
            let is_reason = matches!(absent.reason, Reason::Denied | Reason::Unsupported);
            is_reason && *absent != Absent::SILENT && may_have_pages(absent)
        })
    }

    /// Looks at the pages of a file that was measured, and if `replaces` measures it: its residency, and its page map
    /// if it has one. If a process holds it, its path need not lead to it.
    pub fn look(&self, report: &mut FileReport, held: Option<&HeldPlace>, replaces: bool) -> Figure<PageStates> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { read, failure } = &mut *shared;
        let read = read.get_or_insert_with(|| {
            Read::new().map_err(|error| {
                *failure = Some(error);
                UNREADABLE
            })
        });
        read.as_mut().map_err(|absent| *absent)?.look(report, held, replaces)
    }

    /// Why the lists could not be read, once.
    pub fn take_failure(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }
}

impl Read {
    fn new() -> Result<Read> {
        let (root, until) = (ProcRoot::live(), Instant::now() + BUDGET);
        let mut lists = Lists::load(true)?;
        let listed = lists.list(&root, until)?;
        let is_complete = listed.proof.is_complete();
        Ok(Read { lists, which: Which::new(listed.files, Places::read(&root)?), is_complete })
    }

    fn look(&mut self, report: &mut FileReport, held: Option<&HeldPlace>, replaces: bool) -> Figure<PageStates> {
        let until = Instant::now() + BUDGET;
        let mut seen = Seen::new(report.asked, report.page_size.pages(report.size));
        match self.which.find(&mut self.lists, report, held, until)? {
            Some(file) => {
                let each = &mut |run: PageRun| seen.add(&run);
                self.lists.read_runs(&file, until, each).map_err(|_| CHANGED)?;
            }
            // Every file with cached pages is listed.
            None if self.is_complete => {}
            None => return Err(INCOMPLETE),
        }
        // The pages came or went between the two measurements, or are in another file.
        if seen.cached == 0 && report.cached().is_ok_and(|cached| cached > Pages(0)) {
            return Err(NOT_LISTED);
        }
        let (mut dirty, mut writeback) = (PageRuns::new(), PageRuns::new());
        if replaces {
            report.residency = Ok(seen.residency());
            if report.runs.is_some() {
                report.runs = Some(Ok(std::mem::take(&mut seen.up_to_date)));
                report.stale = std::mem::take(&mut seen.stale);
                dirty = std::mem::take(&mut seen.dirty);
                writeback = std::mem::take(&mut seen.writeback);
            }
        }
        let (has_pages, groups) = (!seen.parts.is_empty(), self.lists.groups());
        Ok(PageStates {
            active: Pages(seen.active),
            mapped: seen.mapped(),
            nodes: if has_pages { node_names(&seen.parts) } else { Err(NO_PAGES) },
            groups: if has_pages { group_names(&seen.parts, &groups) } else { Err(NO_PAGES) },
            dirty,
            writeback,
        })
    }
}
