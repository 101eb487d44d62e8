//! The demo: a file is made, mapped shared and writable, and filled byte by byte, and both views are taken on the way.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::guard::{GuardedFile, NameState};
use super::place;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::{SideBySide, compare_mapping_with_file};
use crate::kernel::shared_map::SharedMap;
use crate::pagecache::{Engine, OpenFile};
use crate::process::Process;
use crate::units::Bytes;

/// What is asked of a demo.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The length of the file in bytes.
    pub size: Bytes,
    /// Where; a new name in [`place::default_directory`] if none is given.
    pub file: Option<PathBuf>,
    /// Whether a file that is there already is replaced.
    pub force: bool,
    /// Whether the file stays.
    pub keep: bool,
}

/// A demo under way: a file that is mapped, and filled up to some point.
pub struct Demo {
    // Unmapped before the file is removed.
    map: SharedMap,
    file: GuardedFile,
    // The same file, by a descriptor and not by its name, which others can take away or give to another file.
    measured: OpenFile,
    engine: Engine,
    process: Process,
    size: Bytes,
    filled: u64,
}

/// What both views say at one point of the demo.
#[derive(Debug, Clone)]
pub struct Observation {
    /// How much of the file was filled by then.
    pub filled: Bytes,
    /// Of how much.
    pub size: Bytes,
    /// The process.
    pub pid: u32,
    /// Both views of the mapping and the file.
    pub views: SideBySide,
    /// Why both views differ, in words; none where they agree.
    pub difference: Option<String>,
}

/// How many bytes are written between two looks at whether to stop.
const PORTION: u64 = 4 << 20;

impl Demo {
    /// Checks that it can end well, makes the file, reserves its blocks and maps it. Fills nothing.
    ///
    /// # Errors
    /// `Refused` where it would not fit, or the file exists; else what the system says. Nothing is left behind.
    pub fn begin(plan: &Plan) -> Result<Demo> {
        let process = Process::own()?;
        let place = Place::choose(plan, process.pid())?;
        place::check_that_it_fits(plan.size, &place.directory)?;
        let mut file = GuardedFile::make(&place.directory, plan.keep)?;
        match prepare(&mut file, plan.size, &place) {
            Ok((map, measured)) => {
                Ok(Demo { map, file, measured, engine: Engine::detect(), process, size: plan.size, filled: 0 })
            }
            Err(error) => {
                file.discard();
                Err(error)
            }
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The process that maps it: this one.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The descriptor that this process has of the file: `/proc/PID/fd/N` is the file whatever becomes of its name.
    pub fn descriptor(&self) -> i32 {
        self.file.file().as_raw_fd()
    }

    /// Fills the file up to `end`: byte `i` becomes `i % 128`. Calls `go_on` with the bytes filled so far every few MiB and
    /// stops where it says no. Tells whether `end` was reached.
    ///
    /// # Errors
    /// `Changed` where somebody cut the file short meanwhile; `System` where the system could not give a page of it.
    pub fn fill_to(&mut self, end: Bytes, mut go_on: impl FnMut(Bytes) -> bool) -> Result<bool> {
        let end = end.0.min(self.size.0);
        while self.filled < end {
            if !go_on(Bytes(self.filled)) {
                return Ok(false);
            }
            let next = end.min(self.filled.saturating_add(PORTION));
            let written = self.map.fill(self.filled, next, |place| (place % 128) as u8);
            written.map_err(|error| self.why_not_filled(&error))?;
            self.filled = next;
        }
        Ok(go_on(Bytes(self.filled)))
    }

    fn why_not_filled(&self, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Error::io(self.subject(), error);
        }
        self.other_length().unwrap_or_else(|| {
            Error::new(self.subject(), ErrorKind::System, "the system could not give a page of it while it was filled")
                .with_advice("choose another place with --file PATH; the kernel's log (dmesg) may say more")
        })
    }

    /// Takes both views now.
    ///
    /// # Errors
    /// What either view says.
    pub fn observe(&self) -> Result<Observation> {
        let mapping = self.map.addresses();
        let views = compare_mapping_with_file(&self.process, &self.engine, mapping, &self.measured)?;
        let difference = views.difference();
        Ok(Observation { filled: Bytes(self.filled), size: self.size, pid: self.pid(), views, difference })
    }

    /// What somebody else has done to the file since it was made, if they have.
    pub fn meddling(&self) -> Option<Error> {
        let about_name = |why: &'static str| Some(Error::new(self.subject(), ErrorKind::Changed, why));
        self.other_length().or_else(|| match self.file.name_state() {
            NameState::Held => None,
            NameState::Gone => about_name("somebody removed this name of the demo's file meanwhile"),
            NameState::Another => about_name("another file has this name now, and is left alone"),
        })
    }

    /// Whether it is the length that was asked for; else who it was that changed it.
    fn other_length(&self) -> Option<Error> {
        let length = self.file.file().metadata().ok()?.len();
        let why = || format!("somebody made it {length} bytes long meanwhile, of {}", self.size.0);
        (length != self.size.0).then(|| Error::new(self.subject(), ErrorKind::Changed, why()))
    }

    fn subject(&self) -> Subject {
        Subject::Path(self.path().to_owned())
    }
}

/// Where the file is made, and which names it may get.
struct Place {
    directory: PathBuf,
    names: Names,
}

/// The names that the file may get.
enum Names {
    /// The one that was asked for, and whether it is taken from another file.
    Asked(PathBuf, bool),
    /// The first of these that is free: the name without and with a number behind it.
    AnyLike(PathBuf),
}

impl Place {
    /// Looks at what is there; makes nothing.
    fn choose(plan: &Plan, pid: u32) -> Result<Place> {
        let Some(path) = &plan.file else {
            let directory = place::default_directory()?;
            let names = Names::AnyLike(directory.join(format!("rmap-demo-{pid}")));
            return Ok(Place { directory, names });
        };
        let directory = directory_of(path).to_owned();
        place::check_kind(&directory)?;
        let replaced = match path.symlink_metadata() {
            Ok(_) if !plan.force => return Err(taken(path)),
            Ok(found) if found.is_file() => true,
            Ok(_) => {
                let why = "it is not a regular file, and only those are replaced";
                return Err(Error::path(path, ErrorKind::Refused, why));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(place::about_place(path, &error)),
        };
        Ok(Place { directory, names: Names::Asked(path.clone(), replaced) })
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn taken(path: &Path) -> Error {
    Error::path(path, ErrorKind::Refused, "there is such a file already")
        .with_advice("choose another name, or --force to replace it")
}

/// Gives the file its blocks, maps it, and only then puts it under its name: a file that it replaces stays whole until
/// nothing can fail any more.
fn prepare(file: &mut GuardedFile, size: Bytes, place: &Place) -> Result<(SharedMap, OpenFile)> {
    let whole = |path: &Path| Subject::Path(path.to_owned());
    let shown = place.shown();
    reserve(file, size, shown)?;
    let map = SharedMap::map(file.file(), size).map_err(|error| {
        Error::io(whole(shown), &error)
            .with_advice("choose a smaller --size or raise the limit on address space (ulimit -v)")
    })?;
    give_name(file, &place.names)?;
    let measured = file.file().try_clone().map_err(|error| Error::io(whole(shown), &error))?;
    Ok((map, OpenFile::from_fd(file.path(), measured.into())?))
}

impl Place {
    /// The name to show before it has one.
    fn shown(&self) -> &Path {
        match &self.names {
            Names::Asked(path, _) | Names::AnyLike(path) => path,
        }
    }
}

/// How many names are tried in the default place.
const NAMES: u32 = 10_000;

fn give_name(file: &mut GuardedFile, names: &Names) -> Result<()> {
    match names {
        Names::Asked(path, replace) => file.name(path, *replace).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(path),
            _ => place::about_place(path, &error),
        }),
        Names::AnyLike(path) => {
            let mut tried = path.clone();
            for number in 1..=NAMES {
                match file.name(&tried, false) {
                    Ok(()) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        let mut next = path.as_os_str().to_owned();
                        next.push(format!("-{number}"));
                        tried = next.into();
                    }
                    Err(error) => return Err(place::about_place(&tried, &error)),
                }
            }
            Err(taken(&tried))
        }
    }
}

/// Reserves every block, so that a disk that fills up is an error here and not a SIGBUS while the mapping is filled.
///
/// `posix_fallocate` is fallocate(2) where the file system has it; elsewhere the C library writes into every block.
fn reserve(file: &GuardedFile, size: Bytes, shown: &Path) -> Result<()> {
    let length = i64::try_from(size.0).unwrap_or(i64::MAX);
    loop {
        match nix::fcntl::posix_fallocate(file.file(), 0, length) {
            Ok(()) => return Ok(()),
            // A signal that ends the demo in order is acted upon as soon as there is something to end.
            Err(Errno::EINTR) => {}
            Err(errno) => {
                let error = Error::errno(Subject::Path(shown.to_owned()), errno);
                return Err(error.with_advice("choose a smaller --size or another place with --file PATH"));
            }
        }
    }
}
