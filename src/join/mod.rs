//! The join: the same page seen from both sides, as part of a process's mapping and as part of a file's page cache.
//!
//! Two figures of a living machine can only be compared if they are of the same instant. The kernel gives no such pair, so
//! the page table is read before and after everything else, and the comparison says whether it held still.

mod mapping_cache;

use std::ops::Range;

pub use mapping_cache::{MappingCache, Way, measure_mappings};

use crate::error::{Error, ErrorKind, Result};
use crate::pagecache::{Engine, FileReport, OpenFile, PageRuns, Run};
use crate::process::{Fields, Mapping, ProcRoot, Wanted, read_present_pages, read_smaps};
use crate::units::{Absent, Bytes, Figure, PageSize, Pages};

/// What smaps says of one mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// `Size`: length of the mapping.
    pub size: Bytes,
    /// `Rss`: what of it is in RAM and mapped.
    pub rss: Bytes,
    /// `Pss`: the same, shared pages divided among those who map them.
    pub pss: Bytes,
    /// `Anonymous`: what of it is in no file.
    pub anonymous: Bytes,
}

/// One mapping and the file behind it, side by side.
#[derive(Debug, Clone)]
pub struct SideBySide {
    /// The process view, from `/proc/PID/smaps`.
    pub usage: Usage,
    /// The file view, from the page cache.
    pub file: FileReport,
    /// Which pages both views have; absent where one of them could not tell which.
    pub pages: Figure<Overlap>,
    /// Whether the process's page table was the same before and after. Where it was not, pages came or went meanwhile and
    /// figures may differ for that reason alone.
    pub steady: bool,
}

/// Two sets of pages of one file: those in the process's page table, and those in the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overlap {
    /// Pages in both.
    pub both: Pages,
    /// Pages that the process maps and the page cache does not have: never on a machine that holds still.
    pub only_mapped: Pages,
    /// Pages that are cached and that this process has not touched.
    pub only_cached: Pages,
}

impl SideBySide {
    /// Whether both views say the same, in bytes and page by page; absent where one of them could not be taken.
    pub fn agrees(&self) -> Figure<bool> {
        let cached = self.file.cached()?.bytes(self.file.page_size);
        let pages = self.pages?;
        Ok(self.usage.rss == cached && pages.only_mapped == Pages(0) && pages.only_cached == Pages(0))
    }

    /// Why both views differ, in words; none where they agree.
    pub fn difference(&self) -> Option<String> {
        let pages = match self.agrees() {
            Ok(true) => return None,
            Err(absent) => return Some(format!("the file view could not be taken ({absent})")),
            Ok(false) => self.pages.unwrap_or_default(),
        };
        let mut reasons = Vec::new();
        if pages.only_cached > Pages(0) {
            reasons.push(format!("{} pages are cached that this process does not map", pages.only_cached.0));
        }
        if pages.only_mapped > Pages(0) {
            reasons.push(format!("{} pages are mapped that the page cache does not show", pages.only_mapped.0));
        }
        if !self.steady || self.file.changed.is_some() {
            reasons.push("pages came or went while it was measured".to_owned());
        }
        if reasons.is_empty() {
            reasons.push("smaps and the page table were read at different instants".to_owned());
        }
        Some(reasons.join("; "))
    }
}

/// How often a comparison is taken again because the kernel moved pages meanwhile.
const TRIES: usize = 5;

/// Compares the mapping of `pid` at the addresses `mapping`, the whole of it, with `file`, which it maps from its start.
///
/// # Errors
/// What reading `/proc/PID/smaps` or `/proc/PID/pagemap` says; `NotFound` where there is no such mapping.
pub fn compare_mapping_with_file(
    root: &ProcRoot,
    engine: &Engine,
    pid: u32,
    mapping: Range<u64>,
    file: &OpenFile,
) -> Result<SideBySide> {
    let mut taken = take_both(root, engine, pid, &mapping, file)?;
    for _ in 1..TRIES {
        if taken.steady && taken.file.changed.is_none() {
            break;
        }
        taken = take_both(root, engine, pid, &mapping, file)?;
    }
    Ok(taken)
}

fn take_both(root: &ProcRoot, engine: &Engine, pid: u32, mapping: &Range<u64>, file: &OpenFile) -> Result<SideBySide> {
    let page = file.page_size();
    let before = present_pages(root, pid, mapping, page)?;
    let usage = read_usage(root, pid, mapping.start)?;
    let report = engine.map(file);
    let after = present_pages(root, pid, mapping, page)?;
    let pages = overlap(&after, &report);
    Ok(SideBySide { usage, file: report, pages, steady: before == after })
}

fn present_pages(root: &ProcRoot, pid: u32, range: &Range<u64>, page: PageSize) -> Result<PageRuns> {
    let present = read_present_pages(root, pid, range.clone(), page)?;
    Ok(present.into_iter().map(|run| Run { first: run.start, count: run.end.saturating_sub(run.start) }).collect())
}

fn overlap(mapped: &PageRuns, report: &FileReport) -> Figure<Overlap> {
    let cached = match &report.runs {
        Some(Ok(cached)) => cached,
        Some(Err(absent)) => return Err(*absent),
        None => return Err(Absent::new(crate::units::Reason::Unsupported, "no page map was taken")),
    };
    let both = mapped.common(cached);
    Ok(Overlap {
        both,
        only_mapped: mapped.cached().saturating_sub(both),
        only_cached: cached.cached().saturating_sub(both),
    })
}

fn read_usage(root: &ProcRoot, pid: u32, address: u64) -> Result<Usage> {
    let mut fields = Fields::new();
    let wanted = ["Rss", "Pss", "Anonymous"].map(str::to_owned).to_vec();
    let process = read_smaps(root, pid, &mut fields, &Wanted::Only(wanted))?;
    let mapping = process.mappings.iter().find(|mapping| mapping.start() == address);
    let mapping =
        mapping.ok_or_else(|| Error::pid(pid, ErrorKind::NotFound, format!("maps nothing at {address:x}")))?;
    let counter = |name: &str| counter(&mapping, &fields, name).ok_or_else(|| lacking(pid, name));
    Ok(Usage { size: mapping.size(), rss: counter("Rss")?, pss: counter("Pss")?, anonymous: counter("Anonymous")? })
}

fn counter(mapping: &Mapping<'_>, fields: &Fields, name: &str) -> Option<Bytes> {
    mapping.bytes(fields.find(name.as_bytes())?)
}

fn lacking(pid: u32, name: &str) -> Error {
    Error::pid(pid, ErrorKind::Unsupported, format!("this kernel's smaps has no {name}"))
}
