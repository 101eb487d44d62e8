//! Each mapping of a process joined with the file behind it: how much of the mapped range is in the page cache.
//!
//! What of that the process has mapped in is smaps' part and is not read here.

use std::path::PathBuf;

use nix::libc;

use crate::error::{Error, ErrorKind};
use crate::pagecache::{ByteRange, Engine, Method, OpenFile};
use crate::process::{Mapping, Mappings, ProcRoot};
use crate::units::{Absent, Bytes, Figure, Reason};

/// The file behind one mapping, in the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappingCache {
    /// How much of the mapping has a page of the file behind it: what lies before the end of the file, in whole pages.
    pub range: Bytes,
    /// How much of that range is in the page cache.
    pub cached: Figure<Bytes>,
    /// What told.
    pub method: Figure<Method>,
    /// How the file was found.
    pub way: Way,
}

/// How the file behind a mapping was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Through `/proc/PID/map_files`: the very file, also deleted, a memfd, or in another mount namespace.
    MapFiles,
    /// By its path below `/proc/PID/root`, where device and inode are those that smaps gives.
    Path,
}

const NO_FILE: Absent = Absent::new(Reason::NotApplicable, "there is no file behind it");
const CAPTURE: Absent = Absent::new(Reason::Unsupported, "a capture has no page cache");
const DENIED: Absent = Absent::new(
    Reason::Denied,
    "its file may not be opened here: root, or CAP_CHECKPOINT_RESTORE, opens it through map_files",
);
const OTHER_FILE: Absent = Absent::new(
    Reason::Denied,
    "its path leads to another file by now: root, or CAP_CHECKPOINT_RESTORE, opens the mapped one through map_files",
);
const NO_REGULAR_FILE: Absent = Absent::new(Reason::Unsupported, "what is behind it is no regular file");
const GONE: Absent = Absent::new(Reason::Vanished, "the mapping or its file went away");
const FAILED: Absent = Absent::new(Reason::Unsupported, "its file could not be opened");

impl Way {
    /// The way as one word, as tables and JSON write it.
    pub fn word(self) -> &'static str {
        match self {
            Way::MapFiles => "map_files",
            Way::Path => "path",
        }
    }
}

/// The file behind each of the mappings of `pid`, in their order. A file that is mapped in several parts is opened once.
pub fn measure_mappings(root: &ProcRoot, engine: &Engine, pid: u32, mappings: &Mappings) -> Vec<Figure<MappingCache>> {
    let live = root.is_live();
    let mut opener = Opener { root, pid, last: None };
    let mut measure = |mapping: Mapping<'_>| {
        if mapping.inode() == 0 {
            return Err(NO_FILE);
        }
        if !live {
            return Err(CAPTURE);
        }
        let (file, way) = opener.open(&mapping)?;
        Ok(measure(engine, file, way, &mapping))
    };
    mappings.iter().map(&mut measure).collect()
}

fn measure(engine: &Engine, file: &OpenFile, way: Way, mapping: &Mapping<'_>) -> MappingCache {
    let range = ByteRange { offset: mapping.offset(), length: mapping.size().0 };
    let report = engine.measure_range(file, range);
    MappingCache {
        range: report.pages.bytes(report.page_size),
        cached: report.cached().map(|pages| pages.bytes(report.page_size)),
        method: report.method(),
        way,
    }
}

/// Opens the files behind mappings. The parts of a file are neighbours, so that remembering the last one is enough.
struct Opener<'r> {
    root: &'r ProcRoot,
    pid: u32,
    last: Option<Opened>,
}

struct Opened {
    key: (u32, u32, u64),
    found: Figure<(OpenFile, Way)>,
}

impl Opener<'_> {
    fn open(&mut self, mapping: &Mapping<'_>) -> Figure<(&OpenFile, Way)> {
        let key = key_of(mapping);
        if self.last.as_ref().is_none_or(|last| last.key != key) {
            self.last = Some(Opened { key, found: self.find(mapping) });
        }
        match self.last.as_ref().map(|last| &last.found) {
            Some(Ok((file, way))) => Ok((file, *way)),
            Some(Err(absent)) => Err(*absent),
            None => Err(FAILED),
        }
    }

    fn find(&self, mapping: &Mapping<'_>) -> Figure<(OpenFile, Way)> {
        let link = format!("map_files/{:x}-{:x}", mapping.start(), mapping.end());
        match OpenFile::open(&self.root.pid_path(self.pid, &link)) {
            Ok(file) => Ok((file, Way::MapFiles)),
            Err(error) if error.kind() == ErrorKind::Denied => self.find_by_path(mapping),
            Err(error) => Err(reason(&error)),
        }
    }

    fn find_by_path(&self, mapping: &Mapping<'_>) -> Figure<(OpenFile, Way)> {
        let path = mapping.path().strip_prefix(b"/").ok_or(DENIED)?;
        let path: PathBuf = self.root.pid_path(self.pid, "root").join(os_str(path));
        let file = OpenFile::open(&path).map_err(|error| reason(&error))?;
        let device = file.device();
        let same = (libc::major(device), libc::minor(device), file.inode()) == key_of(mapping);
        if same { Ok((file, Way::Path)) } else { Err(OTHER_FILE) }
    }
}

fn key_of(mapping: &Mapping<'_>) -> (u32, u32, u64) {
    (mapping.device().major, mapping.device().minor, mapping.inode())
}

fn os_str(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

fn reason(error: &Error) -> Absent {
    match error.kind() {
        ErrorKind::Denied => DENIED,
        ErrorKind::NotFound => GONE,
        ErrorKind::Unsupported => NO_REGULAR_FILE,
        _ => FAILED,
    }
}
