//! Each mapping of a process joined with the file behind it: how much of the mapped range is in the page cache.
//!
//! How much of it the process has mapped in is reported by smaps, which is not read here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Subject};
use crate::pagecache::{Engine, Leases, Method, OpenFile};
use crate::process::{HeldOpen, MappedFile, Mapping, Mappings, Process, Way};
use crate::units::{Absent, ByteRange, Bytes, Figure, PageSize, Reason};

/// The file behind one mapping, in the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappingCache {
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
const FAILED: Absent = Absent::new(Reason::Unsupported, "its file cannot be opened");

/// Measures the file behind each of the mappings of `process`, in their order. The parts of a file that are adjacent in
/// the list are measured through one descriptor.
pub fn measure_mappings(process: &Process, engine: &Engine, mappings: &Mappings) -> Vec<Figure<MappingCache>> {
    let mut opener = Opener { leases: Leases::read(), opens_fuse: engine.opens_fuse(), last: None };
    let mut measure = |mapping: Mapping<'_>| {
        let mapped = process.open_mapped_file(&mapping)?;
        let file = opener.open(&mapped, &mapping)?;
        Ok(measure(engine, process, file, mapped.way(), &mapping))
    };
    mappings.iter().map(&mut measure).collect()
}

fn measure(engine: &Engine, process: &Process, file: &OpenFile, way: Way, mapping: &Mapping<'_>) -> MappingCache {
    let range = ByteRange { offset: mapping.offset(), length: mapping.size().0 };
    let report = engine.measure_range(file, range);
    let bytes = report.pages.bytes(report.page_size);
    MappingCache {
        range: bytes,
        behind: mapped_behind(process, mapping, bytes, report.page_size),
        cached: report.cached().map(|pages| pages.bytes(report.page_size)),
        method: report.method(),
        way,
    }
}

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

/// Opens files for reading and remembers the last one, with the identity that was proven for it.
struct Opener {
    leases: Leases,
    opens_fuse: bool,
    last: Option<((u64, u64), Figure<OpenFile>)>,
}

impl Opener {
    fn open(&mut self, mapped: &MappedFile, mapping: &Mapping<'_>) -> Figure<&OpenFile> {
        let identity = mapped.identity();
        let last = match self.last.take() {
            Some(last) if last.0 == identity => last,
            _ => {
                let bar = self.leases.bar(identity.0, identity.1);
                (identity, bar.map_or_else(|| open(mapped, mapping, self.opens_fuse), Err))
            }
        };
        self.last.insert(last).1.as_ref().map_err(|absent| *absent)
    }
}

fn open(mapped: &MappedFile, mapping: &Mapping<'_>, opens_fuse: bool) -> Figure<OpenFile> {
    if !mapped.is_regular() {
        return Err(NOT_REGULAR);
    }
    let path = Path::new(OsStr::from_bytes(mapping.path()));
    let opened = mapped.reopen(opens_fuse).map_err(|error| Error::io(Subject::Path(path.to_owned()), &error));
    let file = opened.and_then(|opened| match opened {
        HeldOpen::ToRead(quiet) => OpenFile::from_quiet(path, quiet),
        HeldOpen::ToName(name) => OpenFile::unopened(path, name),
    });
    file.map_err(|error| reason(&error))
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
