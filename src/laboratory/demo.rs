//! The demo: creates a file, maps it shared and writable, fills it byte by byte, and takes both views on the way.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::guard::GuardedFile;
use super::named::Place;
use super::place::{Needs, advice_on_mapping, check_addresses};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::{SideBySide, compare_mapping_with_file};
use crate::kernel::shared_map::SharedMap;
use crate::pagecache::{Engine, OpenFile};
use crate::process::Process;
use crate::units::Bytes;

/// The options of a demo.
#[derive(Debug, Clone)]
pub struct DemoRequest {
    /// The length of the file in bytes.
    pub size: Bytes,
    /// The path of the file. By default a new name in [`default_directory`](super::place::default_directory).
    pub file: Option<PathBuf>,
    /// Whether an existing file is replaced.
    pub force: bool,
    /// Whether the file is kept at the end.
    pub keep: bool,
}

/// A running demo: a file that is mapped, and filled up to some point.
pub struct Demo {
    // Dropped first, so that the file is unmapped before it is removed.
    map: SharedMap,
    file: GuardedFile,
    // The same file by its descriptor: its name may be removed or given to another file.
    measured: OpenFile,
    engine: Engine,
    process: Process,
    size: Bytes,
    filled: u64,
}

/// Both views at one point of the demo.
#[derive(Debug, Clone)]
pub struct Observation {
    /// How much of the file was filled.
    pub filled: Bytes,
    /// The size of the file.
    pub size: Bytes,
    /// The process that maps the file.
    pub pid: u32,
    /// Both views of the mapping and the file.
    pub views: SideBySide,
    /// A sentence that says why the views differ; `None` if they agree.
    pub difference: Option<String>,
}

/// How many bytes are written between two checks whether to stop.
const PORTION: u64 = 4 << 20;

impl Demo {
    /// Checks that the file fits, creates it, allocates its blocks and maps it. Fills nothing.
    ///
    /// # Errors
    /// `Refused` if it does not fit or the file exists; otherwise the error of the system. Nothing is left behind.
    pub fn begin(request: &DemoRequest) -> Result<Demo> {
        let process = Process::own()?;
        let place = Place::choose(request.file.as_deref(), request.force, process.pid())?;
        place.check_that_it_fits(Needs { size: request.size, memory: request.size, disk: request.size })?;
        check_addresses(request.size, 1)?;
        let mut file = GuardedFile::make(place.directory(), request.keep)?;
        match prepare(&mut file, request.size, &place) {
            Ok((map, measured)) => {
                Ok(Demo { map, file, measured, engine: Engine::detect(), process, size: request.size, filled: 0 })
            }
            Err(error) => {
                file.discard();
                Err(error)
            }
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The pid of this process, which maps the file.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The descriptor of the file in this process: `/proc/PID/fd/N` is the file, whatever happens to its name.
    pub fn descriptor(&self) -> i32 {
        self.file.file().as_raw_fd()
    }

    /// Fills the file up to `end`: byte `i` becomes `i % 128`. Calls `go_on` every few MiB with the number of bytes
    /// filled so far and stops if it returns false. Returns whether `end` was reached.
    ///
    /// # Errors
    /// `Changed` if the file was truncated meanwhile; `System` if the system could not provide a page.
    pub fn fill_to(&mut self, end: Bytes, mut go_on: impl FnMut(Bytes) -> bool) -> Result<bool> {
        let end = end.0.min(self.size.0);
        while self.filled < end {
            if !go_on(Bytes(self.filled)) {
                return Ok(false);
            }
            let next = end.min(self.filled.saturating_add(PORTION));
            let written = self.map.fill(self.filled, next);
            written.map_err(|error| self.why_not_filled(&error))?;
            self.filled = next;
        }
        Ok(go_on(Bytes(self.filled)))
    }

    fn why_not_filled(&self, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Error::io(self.subject(), error);
        }
        self.file.other_length(self.size).unwrap_or_else(|| {
            Error::new(
                self.subject(),
                ErrorKind::System,
                "the system could not provide a page of it while it was filled",
            )
            .with_advice("choose another place with --file PATH; the kernel log (dmesg) may say more")
        })
    }

    /// Takes both views now.
    ///
    /// # Errors
    /// If either view cannot be taken.
    pub fn observe(&self) -> Result<Observation> {
        let mapping = self.map.addresses();
        let views = compare_mapping_with_file(&self.process, &self.engine, mapping, &self.measured)?;
        let difference = views.difference();
        Ok(Observation { filled: Bytes(self.filled), size: self.size, pid: self.pid(), views, difference })
    }

    /// What another process has done to the file since it was created, if anything.
    pub fn meddling(&self) -> Option<Error> {
        self.file.other_length(self.size).or_else(|| self.file.lost_name())
    }

    /// What another process has done to the name of the file, if anything.
    pub fn lost_name(&self) -> Option<Error> {
        self.file.lost_name()
    }

    /// Whether its path leads to the file.
    pub fn is_at_its_path(&self) -> bool {
        self.file.is_at_its_path()
    }

    fn subject(&self) -> Subject {
        Subject::Path(self.path().to_owned())
    }
}

/// Allocates the blocks of the file, maps it, and only then gives it its name, so that an existing file is not replaced
/// if anything fails.
fn prepare(file: &mut GuardedFile, size: Bytes, place: &Place) -> Result<(SharedMap, OpenFile)> {
    let whole = |path: &Path| Subject::Path(path.to_owned());
    let shown = place.shown();
    reserve(file, size, shown)?;
    let map = SharedMap::map(file.file(), size)
        .map_err(|error| Error::io(whole(shown), &error).with_advice(advice_on_mapping(&error)))?;
    place.give_name(file)?;
    let measured = file.file().try_clone().map_err(|error| Error::io(whole(shown), &error))?;
    Ok((map, OpenFile::from_fd(file.path(), measured.into())?))
}

/// Allocates every block, so that a full disk is an error here and not a SIGBUS while the mapping is filled.
///
/// `posix_fallocate` uses `fallocate(2)` if the file system supports it; otherwise the C library writes to every block.
fn reserve(file: &GuardedFile, size: Bytes, shown: &Path) -> Result<()> {
    let length = i64::try_from(size.0).unwrap_or(i64::MAX);
    loop {
        match nix::fcntl::posix_fallocate(file.file(), 0, length) {
            Ok(()) => return Ok(()),
            // A signal that ends the demo is handled once the file exists.
            Err(Errno::EINTR) => {}
            Err(errno) => {
                let error = Error::errno(Subject::Path(shown.to_owned()), errno);
                return Err(error.with_advice("choose a smaller --size or another place with --file PATH"));
            }
        }
    }
}
