//! The pages of a file from the kernel's own lists, for a file that must not be opened or may not be, and for what no
//! system call tells: which pages are active or mapped, on which node, and which control group is charged.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::machine_files::{group_names, node_names};
use crate::error::Result;
use crate::kernel::cached::{Counter, FilePages, PageRun};
use crate::kernel::privilege::{BPF, PERFMON, SYS_ADMIN, has_capability};
use crate::machine::Places;
use crate::machine::cached::{CachedFile, Lists};
use crate::pagecache::{FileReport, Method, Residency};
use crate::process::ProcRoot;
use crate::units::{Absent, Figure, PageRuns, Pages, Reason, Run};

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
}

/// All files with cached pages, by device and inode number.
pub struct PageLists {
    lists: Lists,
    files: Vec<CachedFile>,
    by_number: HashMap<u64, Vec<u32>>,
    places: Places,
    is_complete: bool,
}

/// How long reading all lists, or one file, may take.
const BUDGET: Duration = Duration::from_secs(2);

const NOT_FOUND: Absent = Absent::new(Reason::Unsupported, "which of the cached files it is cannot be told");
const INCOMPLETE: Absent = Absent::new(Reason::Changed, "the kernel's lists changed while they were read");
const CHANGED: Absent = Absent::new(Reason::Changed, "its pages changed while they were read");
const NO_RECENT: Absent = Absent::new(Reason::Unsupported, "only cachestat tells how recently pages were reclaimed");
const MAPPED_UNKNOWN: Absent =
    Absent::new(Reason::Unsupported, "this kernel does not tell how much of large folios is mapped");

impl PageLists {
    /// Whether this user may read the lists, as far as that can be told without trying.
    pub fn may_be_read() -> bool {
        let has = |number| has_capability(number) == Some(true);
        cfg!(feature = "bpf") && (has(SYS_ADMIN) || has(BPF) && has(PERFMON))
    }

    /// Reads the lists.
    ///
    /// # Errors
    /// They cannot be read here: not permitted, or the kernel has none that fit.
    pub fn read() -> Result<PageLists> {
        let (root, until) = (ProcRoot::live(), Instant::now() + BUDGET);
        let mut lists = Lists::load(true)?;
        let listed = lists.list(&root, until)?;
        let mut by_number: HashMap<u64, Vec<u32>> = HashMap::new();
        for (place, file) in (0..).zip(&listed.files) {
            by_number.entry(file.number).or_default().push(place);
        }
        let is_complete = listed.proof.is_complete();
        Ok(PageLists { lists, files: listed.files, by_number, places: Places::read(&root)?, is_complete })
    }

    /// Looks at the pages of a file that was measured, and if `replaces` measures it: its residency, and its page map
    /// if it has one.
    pub fn look(&mut self, report: &mut FileReport, replaces: bool) -> Figure<PageStates> {
        let file = self.find(report)?;
        let mut seen = Seen::new(report.asked);
        let pages = match &file {
            Some(file) => {
                let each = &mut |run| seen.add(&run);
                self.lists.read_runs(file, Instant::now() + BUDGET, each).map_err(|_| CHANGED)?
            }
            // Every file with cached pages is listed.
            None if self.is_complete => FilePages::default(),
            None => return Err(INCOMPLETE),
        };
        if replaces {
            report.residency = Ok(seen.residency());
            if report.runs.is_some() {
                report.runs = Some(Ok(std::mem::take(&mut seen.up_to_date)));
                report.stale = std::mem::take(&mut seen.stale);
            }
        }
        let groups = self.lists.groups();
        Ok(PageStates {
            active: Pages(seen.active),
            mapped: seen.mapped(),
            nodes: node_names(&pages.parts),
            groups: group_names(&pages.parts, &groups),
        })
    }

    /// The file in the lists; `None` if it has no cached pages.
    fn find(&mut self, report: &FileReport) -> Figure<Option<CachedFile>> {
        let (st_device, inode) = report.identity;
        let device = (nix::libc::major(st_device), nix::libc::minor(st_device));
        let with_number = |number: u64| self.by_number.get(&number).map_or(&[][..], Vec::as_slice);
        let get = |place: &u32| self.files.get(*place as usize);
        let of_device = |device: (u32, u32)| {
            with_number(inode).iter().filter_map(get).filter(move |file| file.file_system.device == device)
        };
        let mut same = of_device(device);
        if let (Some(only), None, false) = (same.next(), same.next(), self.places.repeats_inodes(device)) {
            return Ok(Some(only.clone()));
        }
        // On btrfs each subvolume has a device number of its own, and an overlay has no pages: the path decides.
        let path = report.path.canonicalize().map_err(|_| NOT_FOUND)?;
        let (super_block, within) = self.locate(&path)?;
        if super_block == device && !self.places.repeats_inodes(device) {
            return Ok(None);
        }
        let layers = self.places.in_layers(super_block, &within);
        let mut wanted: Vec<((u32, u32), Vec<u8>)> =
            layers.into_iter().map(|layer| (layer.device, layer.path)).collect();
        let is_overlay = !wanted.is_empty();
        if !is_overlay {
            wanted.push((super_block, within));
        }
        for (device, path) in wanted {
            let candidates: Vec<CachedFile> = match is_overlay {
                true => self.files.iter().filter(|file| file.file_system.device == device).cloned().collect(),
                false => of_device(device).cloned().collect(),
            };
            if let Some(found) = named(&mut self.lists, &candidates, &path) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn locate(&self, path: &Path) -> Figure<((u32, u32), Vec<u8>)> {
        self.places.locate(path.as_os_str().as_encoded_bytes()).ok_or(NOT_FOUND)
    }
}

/// The one of these files that has this path.
fn named(lists: &mut Lists, candidates: &[CachedFile], path: &[u8]) -> Option<CachedFile> {
    let targets: Vec<&CachedFile> = candidates.iter().collect();
    let names = lists.read_names(&targets, Instant::now() + BUDGET, &mut Default::default()).ok()?;
    let is_it = |name: &Option<crate::kernel::cached::Name>| name.as_ref().is_some_and(|name| name.path == path);
    candidates.iter().zip(&names).find(|(_, name)| is_it(name)).map(|(file, _)| file.clone())
}

/// What was seen of the pages that were asked about.
struct Seen {
    asked: Run,
    up_to_date: PageRuns,
    stale: PageRuns,
    cached: u64,
    dirty: u64,
    writeback: u64,
    active: u64,
    mapped: u64,
    mapped_unknown: u64,
    evicted: u64,
}

impl Seen {
    fn new(asked: Run) -> Seen {
        Seen {
            asked,
            up_to_date: PageRuns::new(),
            stale: PageRuns::new(),
            cached: 0,
            dirty: 0,
            writeback: 0,
            active: 0,
            mapped: 0,
            mapped_unknown: 0,
            evicted: 0,
        }
    }

    fn add(&mut self, run: &PageRun) {
        let whole = Run { first: run.index, count: run.pages };
        let part = whole.overlap(self.asked);
        if part.is_empty() {
            return;
        }
        if run.is_evicted() {
            self.evicted = self.evicted.saturating_add(part.count);
            return;
        }
        self.cached = self.cached.saturating_add(part.count);
        if run.is(Counter::UpToDate) {
            self.up_to_date.append(part)
        } else {
            self.stale.append(part)
        }
        for (counter, sum) in [
            (Counter::Dirty, &mut self.dirty),
            (Counter::Writeback, &mut self.writeback),
            (Counter::Active, &mut self.active),
            (Counter::MappedUnknown, &mut self.mapped_unknown),
        ] {
            *sum = sum.saturating_add(if run.is(counter) { part.count } else { 0 });
        }
        match run.mapped {
            0 => {}
            all if all == run.pages => self.mapped = self.mapped.saturating_add(part.count),
            some if part == whole => self.mapped = self.mapped.saturating_add(some),
            // Which pages of a large folio are mapped is not known.
            _ => self.mapped_unknown = self.mapped_unknown.saturating_add(1),
        }
    }

    fn residency(&self) -> Residency {
        let up_to_date = self.up_to_date.cached();
        Residency {
            cached: up_to_date,
            not_up_to_date: Ok(Pages(self.cached).saturating_sub(up_to_date)),
            dirty: Ok(Pages(self.dirty)),
            writeback: Ok(Pages(self.writeback)),
            evicted: Ok(Pages(self.evicted)),
            recently_evicted: Err(NO_RECENT),
            method: Method::Pages,
        }
    }

    fn mapped(&self) -> Figure<Pages> {
        if self.mapped_unknown > 0 { Err(MAPPED_UNKNOWN) } else { Ok(Pages(self.mapped)) }
    }
}
