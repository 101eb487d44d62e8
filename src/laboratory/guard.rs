//! A file that is removed however the program ends.
//!
//! A destructor removes it if the program ends by itself or by a signal that it handles. A process cannot react to
//! SIGKILL or the out-of-memory killer, so a second process, the guard, waits for the end of a pipe that only the first
//! one holds, and then removes the file. The guard starts before the file exists: the file is first created under a
//! random name that the guard knows, and gets its own name once the guard knows that too. Whatever ends both processes
//! at once (the end of a container or of the machine) leaves the file.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::guardian::Guardian;
use crate::kernel::rename::rename_to_free_name;
use crate::kernel::whereabouts::await_answer;
use crate::units::{Bytes, counted};

/// A new file that is removed when this value is dropped, unless it is kept.
#[derive(Debug)]
pub struct GuardedFile {
    file: File,
    path: PathBuf,
    keep: bool,
    /// Whether its name was removed here, so that nothing is left to remove.
    is_unlinked: bool,
    // Dropped last: it ends once it has looked for the file.
    guard: Guardian,
}

/// How the name begins that the file has until it gets its own.
const BEFORE_NAMED: &str = ".rmap-demo-";

/// The state of the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameState {
    /// The file still has this name in its directory.
    Held,
    /// The name no longer exists, or cannot be looked up.
    Gone,
    /// Another file has this name now.
    Another,
}

impl GuardedFile {
    /// Creates an empty file in `directory` under a random name; only its owner may read and write it. The caller names
    /// it when it is ready. With `keep` it is not removed once it is named.
    ///
    /// # Errors
    /// If the guard cannot be started or the file cannot be created.
    pub fn make(directory: &Path, keep: bool) -> Result<GuardedFile> {
        let started = Guardian::start(directory, BEFORE_NAMED);
        let (guard, name) = started.map_err(|error| not_started(directory, &error))?;
        let path = directory.join(OsStr::from_bytes(name.as_bytes()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => Ok(GuardedFile { file, path, keep, is_unlinked: false, guard }),
            Err(error) => Err(super::place::about_place(directory, &error)),
        }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its current name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has got its name.
    pub fn is_named(&self) -> bool {
        let name = self.path.file_name().unwrap_or_default();
        !name.as_bytes().starts_with(BEFORE_NAMED.as_bytes())
    }

    /// Gives it a name in the directory in which it was created. With `replace` it replaces a file of that name.
    ///
    /// # Errors
    /// As `rename(2)`; `AlreadyExists` if the name is taken and must not be replaced.
    pub fn name(&mut self, path: &Path, replace: bool) -> io::Result<()> {
        if !self.keep {
            let identity = self.file.metadata()?;
            self.guard.announce(identity.dev(), identity.ino(), path.file_name().unwrap_or_default())?;
        }
        match replace {
            true => fs::rename(&self.path, path)?,
            false => rename_to_free_name(&self.path, path)?,
        }
        self.path = path.to_owned();
        Ok(())
    }

    /// The state of its name, in the directory in which it was created: that may have another name by now.
    fn name_state(&self) -> NameState {
        let name = self.path.file_name().unwrap_or_default();
        let found = fstatat(self.guard.directory(), name, AtFlags::AT_SYMLINK_NOFOLLOW);
        match (found, fstat(&self.file)) {
            (Ok(found), Ok(own)) if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino) => NameState::Held,
            (Ok(_), _) => NameState::Another,
            (Err(_), _) => NameState::Gone,
        }
    }

    /// Whether its path leads to it.
    pub fn is_at_its_path(&self) -> bool {
        let own = self.file.metadata();
        self.path.symlink_metadata().is_ok_and(|found| own.is_ok_and(|own| is_same(&found, &own)))
    }

    /// The error if another process has taken its name away.
    pub fn lost_name(&self) -> Option<Error> {
        let state = self.name_state();
        if self.is_unlinked || state == NameState::Held && (!self.keep || self.is_at_its_path()) {
            return None;
        }
        let why = match (state, self.other_name()) {
            (NameState::Held, _) => "its directory has another name now, and the demo file is still in it".to_owned(),
            (NameState::Gone, None) => "the demo file was removed by another process".to_owned(),
            (NameState::Gone, Some(name)) => format!("the demo file has another name now{name}, and is left"),
            (NameState::Another, None) => "another file has this name now and is not removed".to_owned(),
            (NameState::Another, Some(name)) => format!(
                "another file has this name now and is not removed; the demo file has another name{name}, and is left"
            ),
        };
        Some(Error::new(Subject::Path(self.path.clone()), ErrorKind::Changed, why))
    }

    /// In brackets the name that it has instead of its own; empty if it has one that is not known, and `None` if it has
    /// none.
    fn other_name(&self) -> Option<String> {
        let own = self.file.metadata().ok().filter(|own| own.nlink() > 0)?;
        let known = fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok();
        let known = known.filter(|path| path.symlink_metadata().is_ok_and(|found| is_same(&found, &own)));
        Some(known.map_or_else(String::new, |path| format!(" ({})", path.display())))
    }

    /// Removes its name, unless another file has it by now.
    ///
    /// # Errors
    /// `Changed` if it no longer has its name; otherwise as `unlink(2)`.
    pub fn unlink(&mut self) -> Result<()> {
        if self.name_state() != NameState::Held
            && let Some(error) = self.lost_name()
        {
            return Err(error);
        }
        let name = self.path.file_name().unwrap_or_default();
        unlinkat(self.guard.directory(), name, UnlinkatFlags::NoRemoveDir)
            .map_err(|errno| Error::errno(Subject::Path(self.path.clone()), errno))?;
        self.is_unlinked = true;
        Ok(())
    }

    /// The error if it no longer has the length that it was given.
    pub fn other_length(&self, given: Bytes) -> Option<Error> {
        changed_length(&self.file, given, Subject::Path(self.path.clone()))
    }

    /// Removes it even if it was to be kept.
    pub fn discard(mut self) {
        self.keep = false;
    }
}

impl Drop for GuardedFile {
    fn drop(&mut self) {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if await_answer(directory.unwrap_or(Path::new("."))).err() == Some(Errno::ETIMEDOUT) {
            // The guard removes it as soon as its file system answers again.
            self.guard.leave();
            return;
        }
        // The name may belong to another file by now.
        if !self.keep && !self.is_unlinked {
            let _ = self.unlink();
        }
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// The error if a file no longer has the length that it was given.
pub(super) fn changed_length(file: impl AsFd, given: Bytes, subject: Subject) -> Option<Error> {
    let length = u64::try_from(fstat(file).ok()?.st_size).ok()?;
    let now = counted(length, "byte", "bytes");
    let why = || format!("its length was changed from {} to {now} by another process", given.0);
    (length != given.0).then(|| Error::new(subject, ErrorKind::Changed, why()))
}

fn not_started(directory: &Path, error: &io::Error) -> Error {
    let subject = Subject::Words("the process that removes the demo file at the end".to_owned());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
            super::place::about_place(directory, error)
        }
        io::ErrorKind::WouldBlock => Error::new(subject, ErrorKind::System, "too many processes")
            .with_advice("end some, or raise the limit (ulimit -u)"),
        _ => Error::io(subject, error).with_advice("free some memory, or raise the limits (ulimit -a)"),
    }
}
