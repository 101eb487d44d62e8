//! The demo: a file is made, mapped shared and writable, and filled byte by byte, and both views are taken on the way.

use std::path::{Path, PathBuf};

use super::guard::GuardedFile;
use super::place;
use crate::compare::{SideBySide, compare_mapping_with_file};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::shared_map::SharedMap;
use crate::pagecache::{Engine, OpenFile};
use crate::process::{ProcRoot, own_pid};
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
    engine: Engine,
    root: ProcRoot,
    pid: u32,
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
        let pid = own_pid(&ProcRoot::live())?;
        let path = match &plan.file {
            Some(path) => path.clone(),
            None => place::default_directory()?.join(format!("rmap-demo-{pid}")),
        };
        place::check_that_it_fits(plan.size, directory_of(&path))?;
        let mut file = create(&path, plan, pid)?;
        match prepare(&mut file, plan.size, &path) {
            Ok(map) => {
                let (engine, root) = (Engine::detect(), ProcRoot::live());
                Ok(Demo { map, file, engine, root, pid, size: plan.size, filled: 0 })
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
        self.pid
    }

    /// Fills the file up to `end`: byte `i` becomes `i % 128`. Calls `go_on` with the bytes filled so far every few MiB and
    /// stops where it says no. Tells whether `end` was reached.
    pub fn fill_to(&mut self, end: Bytes, mut go_on: impl FnMut(Bytes) -> bool) -> bool {
        let end = end.0.min(self.size.0);
        while self.filled < end {
            if !go_on(Bytes(self.filled)) {
                return false;
            }
            let next = end.min(self.filled.saturating_add(PORTION));
            self.map.fill(self.filled, next, |place| (place % 128) as u8);
            self.filled = next;
        }
        go_on(Bytes(self.filled))
    }

    /// Takes both views now.
    ///
    /// # Errors
    /// What either view says.
    pub fn observe(&self) -> Result<Observation> {
        let file = OpenFile::open(self.path())?;
        let views = compare_mapping_with_file(&self.root, &self.engine, self.pid, self.map.address(), &file)?;
        let difference = views.difference();
        Ok(Observation { filled: Bytes(self.filled), size: self.size, pid: self.pid, views, difference })
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes an empty file: under its name, or beside the file that it is going to replace.
fn create(path: &Path, plan: &Plan, pid: u32) -> Result<GuardedFile> {
    if !(plan.force && path.symlink_metadata().is_ok()) {
        return GuardedFile::create(path, plan.keep);
    }
    if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return Err(Error::path(path, ErrorKind::Refused, "it is not a regular file, and only those are replaced"));
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".rmap-{pid}"));
    GuardedFile::create(Path::new(&aside), plan.keep)
}

/// Gives the file its blocks, maps it, and only then puts it under its name: a file that it replaces stays whole until
/// nothing can fail any more.
fn prepare(file: &mut GuardedFile, size: Bytes, path: &Path) -> Result<SharedMap> {
    reserve(file, size)?;
    let map = SharedMap::map(file.file(), size).map_err(|error| {
        Error::io(Subject::Path(path.to_owned()), &error)
            .with_advice("choose a smaller --size or raise the limit on address space (ulimit -v)")
    })?;
    if file.path() != path {
        file.rename_over(path)?;
    }
    Ok(map)
}

/// Reserves every block, so that a disk that fills up is an error here and not a SIGBUS while the mapping is filled.
///
/// `posix_fallocate` is fallocate(2) where the file system has it; elsewhere the C library writes into every block.
fn reserve(file: &GuardedFile, size: Bytes) -> Result<()> {
    let length = i64::try_from(size.0).unwrap_or(i64::MAX);
    nix::fcntl::posix_fallocate(file.file(), 0, length).map_err(|errno| {
        Error::errno(Subject::Path(file.path().to_owned()), errno).with_advice("choose a smaller --size")
    })
}
