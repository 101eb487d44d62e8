//! Each mapping of a process joined with the file behind it: how much of the mapped range is in the page cache.
//!
//! How much of it the process has mapped in is reported by smaps, which is not read here.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::held::take;
use super::page_states::{HeldPlace, PageLists};
use crate::error::{Error, ErrorKind, Subject};
use crate::pagecache::{Engine, FileReport, FileSystemKind, KnownFiles, Leases, Method, OpenFile};
use crate::process::{FileIdentity, FileMapping, MappedFile, Mapping, Mappings, Process, Way};
use crate::units::{Absent, ByteRange, Bytes, Counted, Figure, PageRuns, PageSize, Pages, Piece, Places, Reason, Run};

/// The file behind one mapping, in the page cache.
#[derive(Debug, Clone)]
pub struct MappingCache {
    /// The number of the file among those of the reading ([`SharedFiles`]).
    file: u64,
    /// The pages of the file that are mapped.
    pages: Run,
    page_size: PageSize,
    /// The cached pages of the file, known if it is mapped twice.
    cached_pages: Places,
    /// Its pages in the page table of this mapping, known if they are mapped twice.
    mapped_pages: Places,
    /// How much of the mapping lies before the end of the file, in whole pages.
    pub range: Bytes,
    /// How much the process has mapped in after that range: huge pages of tmpfs reach past the end of the file.
    pub behind: Figure<Bytes>,
    /// How much of that range is in the page cache.
    pub cached: Figure<Bytes>,
    /// How it was measured.
    pub method: Figure<Method>,
    /// How the file was found.
    pub way: Way,
}

const DENIED: Absent = Absent::new(Reason::Denied, "its file cannot be read by this user");
const NOT_REGULAR: Absent = Absent::new(Reason::Unsupported, "it is not a mapping of a regular file");
const GONE: Absent = Absent::new(Reason::Vanished, "its file no longer exists");
const FAILED: Absent = Absent::new(Reason::Vanished, "its file cannot be opened any more");

impl MappingCache {
    /// What this mapping adds to the sum of [`range`](Self::range).
    pub fn range_piece(&self) -> Piece {
        self.piece(self.range, Counted::All)
    }

    /// What it adds to the sum of the cached bytes.
    pub fn cached_piece(&self, cached: Bytes) -> Piece {
        self.piece(cached, Counted::Only(self.cached_pages.clone()))
    }

    /// What it adds to the sum of the mapped bytes.
    pub fn mapped_piece(&self, mapped: Bytes) -> Piece {
        self.piece(mapped, Counted::Only(self.mapped_pages.clone()))
    }

    /// What it adds to the sum of the bytes that are cached and not mapped.
    pub fn unmapped_piece(&self, unmapped: Bytes) -> Piece {
        self.piece(unmapped, Counted::Except(self.cached_pages.clone(), self.mapped_pages.clone()))
    }

    fn piece(&self, figure: Bytes, counted: Counted) -> Piece {
        Piece { of: self.file, looked: self.pages, figure: figure.0, each: self.page_size.bytes(), counted }
    }
}

/// The files of all processes of a reading, so that sums count a page once that is mapped several times. Which pages
/// are cached and mapped is only found out for files of which the same part is mapped twice.
#[derive(Debug, Default)]
pub struct SharedFiles {
    known: KnownFiles,
    files: HashMap<u64, SharedFile>,
    /// The leases that must not be broken, once they are needed.
    leases: OnceLock<Leases>,
    /// The kernel's lists of pages, for files that must not be opened or may not be.
    lists: PageLists,
    /// Whether mappings of several processes are added up: what one of them maps may be mapped by a later one.
    joins_processes: bool,
}

impl SharedFiles {
    /// No file has been seen yet. `joins_processes` means that the mappings of several processes are added up.
    pub fn new(joins_processes: bool) -> SharedFiles {
        SharedFiles { joins_processes, ..SharedFiles::default() }
    }

    /// Forgets the files if the mappings of the next process are not added to those of the last one.
    pub fn begin_process(&mut self) {
        if !self.joins_processes {
            self.known = KnownFiles::default();
            self.files.clear();
        }
    }
}

#[derive(Debug, Default)]
struct SharedFile {
    /// The pages that were mapped by earlier processes.
    looked: PageRuns,
    cached: Places,
}

/// Measures the file behind each of the mappings of `process`, in their order. The parts of a file that are adjacent in
/// the list are measured through one descriptor.
pub fn measure_mappings(
    process: &Process,
    engine: &Engine,
    mappings: &Mappings,
    shared: &mut SharedFiles,
) -> Vec<Figure<MappingCache>> {
    let leases = shared.leases.get_or_init(Leases::read).clone();
    let mut opener = Opener { leases, opens_fuse: engine.opens_fuse(), last: None };
    let unknown = Places::default();
    let mut measure = |mapping: Mapping<'_>| {
        let mapped = process.open_mapped_file(&mapping)?;
        let (file, number) = opener.open(process, &mapped, &mapping, &mut shared.known)?;
        let cached_pages = shared.files.entry(number).or_default().cached.clone();
        let measured = measure(engine, &shared.lists, process, file, mapped.way(), &mapping);
        Ok(MappingCache { file: number, cached_pages, mapped_pages: unknown.clone(), ..measured })
    };
    let mut measured: Vec<_> = mappings.iter().map(&mut measure).collect();
    shared.find_shared_pages(process, engine, mappings, &mut measured);
    measured
}

const UNREADABLE: Absent = Absent::new(Reason::Vanished, "which of its pages are mapped could not be read");
const REPLACED: Absent = Absent::new(Reason::Changed, "which of its pages are cached could not be measured");

impl SharedFiles {
    /// Finds out which pages of a file are cached and mapped if the same part of it is mapped twice.
    fn find_shared_pages(
        &mut self,
        process: &Process,
        engine: &Engine,
        mappings: &Mappings,
        measured: &mut [Figure<MappingCache>],
    ) {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, found) in measured.iter().enumerate() {
            if let Ok(found) = found {
                places.entry(found.file).or_default().push(place);
            }
        }
        for (number, places) in places {
            let Some(file) = self.files.get_mut(&number) else { continue };
            let runs =
                || places.iter().filter_map(|place| measured.get(*place)?.as_ref().ok()).map(|found| found.pages);
            let (looked, together): (PageRuns, u64) = (runs().collect(), runs().map(|run| run.count).sum());
            let is_shared = looked.cached() != Pages(together) || looked.common(&file.looked) > Pages(0);
            if is_shared {
                let first = places.first().and_then(|place| mappings.get(*place));
                let leases = self.leases.get_or_init(Leases::read);
                let find = |first: Mapping<'_>| cached_pages(process, engine, leases, &self.lists, &first);
                file.cached.get_or_init(|| first.map_or(Err(REPLACED), find));
            }
            if self.joins_processes {
                file.looked = file.looked.iter().chain(&looked).copied().collect();
            }
            for place in places.into_iter().filter(|_| is_shared || self.joins_processes) {
                let (Some(mapping), Some(Ok(found))) = (mappings.get(place), measured.get_mut(place)) else { continue };
                let present = FileMapping::of(&mapping).read_present_pages(process, found.page_size);
                let present =
                    present.map(|runs| runs.into_iter().map(|run| Run::between(run.start, run.end)).collect());
                found.mapped_pages = Arc::new(OnceLock::from(present.map_err(|_| UNREADABLE)));
            }
        }
    }
}

/// The cached pages of the file behind a mapping.
fn cached_pages(
    process: &Process,
    engine: &Engine,
    leases: &Leases,
    lists: &PageLists,
    mapping: &Mapping<'_>,
) -> Figure<PageRuns> {
    let file = open_or_name(process, &process.open_mapped_file(mapping)?, mapping, leases, engine.opens_fuse())?;
    completed(engine.map(&file), &file, lists).runs.unwrap_or(Err(REPLACED))
}

/// The figures of a file, from the kernel's lists if it could not be opened.
fn completed(mut report: FileReport, file: &OpenFile, lists: &PageLists) -> FileReport {
    if PageLists::may_complete(&report) && PageLists::may_be_read() {
        // Without them, the reason why it was not opened stays.
        let _ = lists.look(&mut report, HeldPlace::of(file).as_ref(), true);
    }
    report
}

fn measure(
    engine: &Engine,
    lists: &PageLists,
    process: &Process,
    file: &OpenFile,
    way: Way,
    mapping: &Mapping<'_>,
) -> MappingCache {
    let range = ByteRange { offset: mapping.offset(), length: mapping.size().0 };
    let report = completed(engine.measure_range(file, range), file, lists);
    let bytes = report.pages.bytes(report.page_size);
    MappingCache {
        file: 0,
        pages: report.asked,
        page_size: report.page_size,
        cached_pages: Places::default(),
        mapped_pages: Places::default(),
        range: bytes,
        behind: match file.file_system().kind {
            FileSystemKind::Huge => Err(HUGETLB),
            _ => mapped_behind(process, mapping, bytes, report.page_size),
        },
        cached: report.cached().map(|pages| pages.bytes(report.page_size)),
        method: report.method(),
        way,
    }
}

const HUGETLB: Absent = Absent::new(Reason::Unsupported, "smaps does not count hugetlb pages in Rss");
const NO_TABLES: Absent = Absent::new(Reason::Vanished, "what it has mapped past the end of the file cannot be read");

/// How much of the file is mapped in after the first `range` bytes of a mapping. Only a huge page that begins before
/// the end of the file reaches past it, so no more than one huge page is examined.
fn mapped_behind(process: &Process, mapping: &Mapping<'_>, range: Bytes, page: PageSize) -> Figure<Bytes> {
    let start = mapping.start().saturating_add(range.0);
    // A page table of 8-byte entries fills a page and covers one huge page.
    let huge = (page.bytes() / 8).saturating_mul(page.bytes());
    let end = mapping.end().min(start.saturating_add(huge));
    if start >= end {
        return Ok(Bytes(0));
    }
    process.read_mapped_of_file(start..end, page).map_err(|_| NO_TABLES)
}

/// Opens files for reading and remembers the last one and its number, with the identity that was proven for it.
struct Opener {
    leases: Leases,
    opens_fuse: bool,
    last: Option<(FileIdentity, Figure<(OpenFile, u64)>)>,
}

impl Opener {
    fn open(
        &mut self,
        process: &Process,
        mapped: &MappedFile,
        mapping: &Mapping<'_>,
        known: &mut KnownFiles,
    ) -> Figure<(&OpenFile, u64)> {
        let identity = mapped.identity();
        let numbered = |file: OpenFile| {
            let (number, _) = known.enter(&file, true);
            (file, number)
        };
        let last = match self.last.take() {
            Some(last) if last.0 == identity => last,
            _ => {
                let opened = open_or_name(process, mapped, mapping, &self.leases, self.opens_fuse);
                (identity, opened.map(numbered))
            }
        };
        let opened = self.last.insert(last).1.as_ref().map_err(|absent| *absent)?;
        Ok((&opened.0, opened.1))
    }
}

/// Opens the file behind a mapping to be measured, unless that would break one of these leases. On FUSE, where opening
/// it may drop its cached pages, it is only named, and measured through a descriptor of a process that has it open.
///
/// # Errors
/// As [`Process::open_mapped_file`]; it is not a regular file, or must not be opened.
pub fn open_behind(process: &Process, mapping: &FileMapping, leases: &Leases) -> Figure<OpenFile> {
    let mapped = mapping.open(process)?;
    let identity = mapped.identity();
    match leases.bar(identity.device(), identity.inode()) {
        Some(barred) => Err(barred),
        None => open_named(process, &mapped, &mapping.path, false),
    }
}

/// Opens the file behind a mapping. One that must not be opened, or may not be, is only named: its figures are absent,
/// unless the kernel's lists have them.
fn open_or_name(
    process: &Process,
    mapped: &MappedFile,
    mapping: &Mapping<'_>,
    leases: &Leases,
    opens_fuse: bool,
) -> Figure<OpenFile> {
    let (identity, name) = (mapped.identity(), mapping.path());
    let why = match leases.bar(identity.device(), identity.inode()) {
        Some(leased) => leased,
        None => match open_named(process, mapped, name, opens_fuse) {
            Err(DENIED) => DENIED,
            opened => return opened,
        },
    };
    if !mapped.is_regular() {
        return Err(NOT_REGULAR);
    }
    mapped.prove_layer(process)?;
    let path = Path::new(OsStr::from_bytes(name));
    OpenFile::only_named(path, mapped.name_again().map_err(|_| why)?, why).map_err(|error| reason(&error))
}

fn open_named(process: &Process, mapped: &MappedFile, name: &[u8], opens_fuse: bool) -> Figure<OpenFile> {
    if !mapped.is_regular() {
        return Err(NOT_REGULAR);
    }
    mapped.prove_layer(process)?;
    let path = Path::new(OsStr::from_bytes(name));
    let opened = mapped.reopen(opens_fuse).map_err(|error| Error::io(Subject::Path(path.to_owned()), &error));
    opened.and_then(|opened| take(path, opened)).map_err(|error| reason(&error))
}

fn reason(error: &Error) -> Absent {
    match error.kind() {
        _ if error.absence() == Some(Absent::SILENT) => Absent::SILENT,
        ErrorKind::Denied => DENIED,
        ErrorKind::NotFound => GONE,
        ErrorKind::Unsupported => NOT_REGULAR,
        _ => FAILED,
    }
}
