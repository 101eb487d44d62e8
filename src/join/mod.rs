//! The join: the same page seen from both sides, as part of a mapping of a process and as part of a cached file.
//!
//! Two figures of a running machine can only be compared if they are from the same moment. The kernel cannot report
//! both at once, so the page table is read before and after everything else, and the comparison says whether it has
//! changed.

pub mod changes;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/checks/join.rs"]
pub mod checks;
mod chosen;
mod crowd;
mod file_numbers;
mod group_files;
mod held;
mod holders;
pub mod machine_files;
mod mapping_cache;
mod names;
mod page_states;
mod spot;
mod text;
pub mod who;

use std::ops::Range;

pub use crate::process::Way;
pub use chosen::{Choice, ChosenFiles, Message, Sender};
pub use file_numbers::FileNumbers;
pub use group_files::{GroupFiles, OthersFile, read_group_files};
pub use held::{ChosenProcesses, HeldBy, Marks};
pub use holders::{HeldPath, Holder, Holders};
pub use mapping_cache::{MappingCache, SharedFiles, measure_mappings, open_behind};
pub use page_states::{HeldPlace, PageLists, PageStates};
pub use text::open_text;

use crate::error::{Error, ErrorKind, Result};
use crate::pagecache::{Engine, FileReport, OpenFile};
use crate::process::{Fields, Process, Wanted};
use crate::units::{Absent, Bytes, Figure, PageRuns, PageSize, Pages, Reason, Run, counted};

/// The figures of one mapping in smaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// `Size`: its length.
    pub size: Bytes,
    /// `Rss`: how much of it is in RAM and mapped.
    pub rss: Bytes,
    /// `Pss`: the same, with shared pages divided among the processes that map them.
    pub pss: Bytes,
    /// `Anonymous`: how much of it does not belong to a file.
    pub anonymous: Bytes,
}

/// One mapping and the file behind it, side by side.
#[derive(Debug, Clone)]
pub struct SideBySide {
    /// The process view, from `/proc/PID/smaps`.
    pub usage: Usage,
    /// The file view, from the page cache.
    pub file: FileReport,
    /// Which pages are in both views; absent if one of them has no page map.
    pub pages: Figure<Overlap>,
    /// Whether the page table of the process was the same before and after. If it was not, pages were added or removed
    /// in between, and figures may differ for that reason alone.
    pub steady: bool,
}

/// Two sets of pages of one file: those in the process's page table, and those in the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overlap {
    /// Pages in both.
    pub both: Pages,
    /// Pages that the process maps but that are not cached: none, unless something changed in between.
    pub only_mapped: Pages,
    /// Pages that are cached and that the process has not touched.
    pub only_cached: Pages,
}

impl SideBySide {
    /// Whether both views agree, in bytes and page by page; absent if one of them is missing.
    pub fn agrees(&self) -> Figure<bool> {
        let cached = self.file.cached()?.bytes(self.file.page_size);
        let pages = self.pages?;
        Ok(self.usage.rss == cached && pages.only_mapped == Pages(0) && pages.only_cached == Pages(0))
    }

    /// Why the views differ, as text; `None` if they agree.
    pub fn difference(&self) -> Option<String> {
        let pages = match self.agrees() {
            Ok(true) => return None,
            Err(absent) => return Some(format!("the file view is not available ({absent})")),
            Ok(false) => self.pages.unwrap_or_default(),
        };
        let mut reasons = Vec::new();
        if pages.only_cached > Pages(0) {
            let cached = counted(pages.only_cached.0, "page is", "pages are");
            reasons.push(format!("{cached} cached but not mapped by this process"));
        }
        if pages.only_mapped > Pages(0) {
            let mapped = counted(pages.only_mapped.0, "page is", "pages are");
            reasons.push(format!("{mapped} mapped but not in the page cache"));
        }
        if !self.steady || self.file.changed.is_some() {
            reasons.push("pages were added or removed during the measurement".to_owned());
        }
        if reasons.is_empty() {
            reasons.push("smaps and the page table were read at different times".to_owned());
        }
        Some(reasons.join("; "))
    }
}

/// How often a comparison is repeated if pages have changed in between.
const TRIES: usize = 5;

/// Compares the mapping of `process` at the addresses `mapping`, all of it, with `file`, which it maps from the start.
///
/// # Errors
/// `/proc/PID/smaps` or `/proc/PID/pagemap` cannot be read; [`ErrorKind::NotFound`]: nothing is mapped there.
pub fn compare_mapping_with_file(
    process: &Process,
    engine: &Engine,
    mapping: Range<u64>,
    file: &OpenFile,
) -> Result<SideBySide> {
    let mut taken = take_both(process, engine, &mapping, file)?;
    for _ in 1..TRIES {
        if taken.steady && taken.file.changed.is_none() {
            break;
        }
        taken = take_both(process, engine, &mapping, file)?;
    }
    Ok(taken)
}

fn take_both(process: &Process, engine: &Engine, mapping: &Range<u64>, file: &OpenFile) -> Result<SideBySide> {
    let page = file.page_size();
    let before = present_pages(process, mapping, page)?;
    let usage = read_usage(process, mapping.start)?;
    let report = engine.map(file);
    let after = present_pages(process, mapping, page)?;
    let pages = overlap(&after, &report);
    Ok(SideBySide { usage, file: report, pages, steady: before == after })
}

fn present_pages(process: &Process, range: &Range<u64>, page: PageSize) -> Result<PageRuns> {
    let present = process.read_present_pages(range.clone(), page)?;
    Ok(present.into_iter().map(|run| Run { first: run.start, count: run.end.saturating_sub(run.start) }).collect())
}

fn overlap(mapped: &PageRuns, report: &FileReport) -> Figure<Overlap> {
    let cached = match &report.runs {
        Some(Ok(cached)) => cached,
        Some(Err(absent)) => return Err(*absent),
        None => return Err(Absent::new(Reason::Unsupported, "no page map was taken")),
    };
    let both = mapped.common(cached);
    Ok(Overlap {
        both,
        only_mapped: mapped.cached().saturating_sub(both),
        only_cached: cached.cached().saturating_sub(both),
    })
}

fn read_usage(process: &Process, address: u64) -> Result<Usage> {
    let wanted = Wanted::Only(["Rss", "Pss", "Anonymous"].map(str::to_owned).to_vec());
    let read = process.read_smaps(&mut Fields::new(), &wanted)?;
    let about = |kind, why: String| Error::pid(process.pid(), kind, why);
    let mapping = read.mappings.iter().find(|mapping| mapping.start() == address);
    let mapping = mapping.ok_or_else(|| about(ErrorKind::NotFound, format!("nothing is mapped at {address:x}")))?;
    let counter = |name: &str| {
        mapping.figure(name).map_err(|absent| about(ErrorKind::Unsupported, format!("{name} in smaps: {}", absent.why)))
    };
    Ok(Usage { size: mapping.size(), rss: counter("Rss")?, pss: counter("Pss")?, anonymous: counter("Anonymous")? })
}
