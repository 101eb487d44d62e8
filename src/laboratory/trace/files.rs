//! The files that a program maps, kept open while they are of interest, so that their cached pages can be measured even
//! after they were unmapped.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::area::Area;
use super::change::InCache;
use crate::join::open_behind;
use crate::pagecache::{Engine, Leases, OpenFile};
use crate::process::{Device, Process};
use crate::units::{Absent, ByteRange, Figure, Pages, Reason};

/// What identifies the file of a mapping, for as long as it is mapped. The name is the first one seen: device and
/// inode alone may be those of several files (btrfs).
type Key = (Device, u64, Vec<u8>);

/// The open files.
#[derive(Debug)]
pub(super) struct Files {
    engine: Engine,
    open: HashMap<Key, Figure<OpenFile>>,
    /// Opening a leased file would break the lease.
    leases: Leases,
    /// Leases that are being read: that takes up to 20 ms, in which no system call of the program shall wait.
    reading: Option<JoinHandle<Leases>>,
    read: Instant,
}

/// How many files are open at most: a process may have 1024 descriptors.
const MOST: usize = 256;

/// How long what is known about leases is used.
const LEASES_LAST: Duration = Duration::from_secs(5);

const NO_FILE: Absent = Absent::new(Reason::NotApplicable, "it has no file");
pub(super) const NOT_OPEN: Absent =
    Absent::new(Reason::Unsupported, "the file was not open yet when the system call was held");
const TOO_MANY: Absent = Absent::new(Reason::Unsupported, "too many files are mapped to keep them all open");

impl Files {
    pub(super) fn new() -> Files {
        Files {
            // On this thread alone: what it costs is counted there, and the program keeps its processors.
            engine: Engine::detect().with_threads(NonZeroUsize::MIN),
            open: HashMap::new(),
            leases: Leases::default(),
            reading: Some(std::thread::spawn(Leases::read)),
            read: Instant::now(),
        }
    }

    /// Opens the file of a mapping, as long as it is mapped. If a system call `is_held`, the leases are not waited for,
    /// and the file is opened later.
    pub(super) fn open(&mut self, process: &Process, area: &Area, is_held: bool) {
        let key = key(area);
        let has_to_wait = self.reading.as_ref().is_some_and(|reading| !reading.is_finished());
        if !area.has_file() || self.open.contains_key(&key) || (is_held && has_to_wait) {
            return;
        }
        let is_room = self.open.len() < MOST;
        let opened = match is_room {
            true => open_behind(process, &area.of_file(), self.leases()),
            false => Err(TOO_MANY),
        };
        self.open.insert(key, opened);
    }

    /// Measures the parts of the file that are mapped; `None` if it is not open.
    pub(super) fn known(&self, area: &Area, parts: &[ByteRange]) -> Option<Figure<InCache>> {
        self.open.contains_key(&key(area)).then(|| self.measure(area, parts))
    }

    /// Measures the parts of the file that are, or were, mapped.
    pub(super) fn measure(&self, area: &Area, parts: &[ByteRange]) -> Figure<InCache> {
        let file = self.open.get(&key(area)).ok_or(NO_FILE)?.as_ref().map_err(|absent| *absent)?;
        let measured = parts.iter().map(|part| {
            let report = self.engine.measure_range(file, *part);
            let bytes = |pages: Figure<Pages>| pages.map(|pages| pages.bytes(report.page_size));
            InCache { cached: bytes(report.cached()), dirty: bytes(report.dirty()), method: report.method() }
        });
        measured.reduce(InCache::with).ok_or(NO_FILE)
    }

    /// Closes the files of which no mapping is left.
    pub(super) fn keep(&mut self, is_mapped: impl Fn(&dyn Fn(&Area) -> bool) -> bool) {
        self.open.retain(|known, _| is_mapped(&|area: &Area| key(area) == *known));
    }

    /// Begins to read the leases again if they were read a while ago.
    pub(super) fn refresh(&mut self) {
        if self.reading.is_none() && self.read.elapsed() > LEASES_LAST {
            self.reading = Some(std::thread::spawn(Leases::read));
        }
    }

    /// What is known about leases.
    fn leases(&mut self) -> &Leases {
        if let Some(reading) = self.reading.take() {
            self.leases = reading.join().unwrap_or_default();
            self.read = Instant::now();
        }
        &self.leases
    }
}

fn key(area: &Area) -> Key {
    (area.device, area.inode, area.first_path.clone())
}
