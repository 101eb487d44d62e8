//! A file that is removed however the program ends.
//!
//! A destructor removes it when the program ends by itself or through a signal that it handles. Nothing in a process can act on
//! SIGKILL or the out-of-memory killer, so a second process waits for the end of a pipe that only the first one holds, and
//! removes the file then.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Error, ErrorKind, Result, Subject};

/// A new file that goes away with this value, unless it is kept.
#[derive(Debug)]
pub struct GuardedFile {
    file: File,
    path: PathBuf,
    keep: bool,
    // Held for its standard input: the pipe whose end tells it that this process is gone.
    guard: Option<Child>,
}

impl GuardedFile {
    /// Makes a new file that only its owner may read and write, under a name that no other has. With `keep` it stays.
    ///
    /// # Errors
    /// What the system says; `Refused` where the name is taken.
    pub fn create(path: &Path, keep: bool) -> Result<GuardedFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(|error| about(path, &error))?;
        let mut guarded = GuardedFile { file, path: path.to_owned(), keep, guard: None };
        if !keep {
            guarded.guard = Some(guarded.start_guard(path)?);
        }
        Ok(guarded)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another name, in place of a file that may have that name now.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename_over(&mut self, path: &Path) -> Result<()> {
        // Before the rename, so that the other file is still there if no process can be started.
        let guard = if self.keep { None } else { Some(self.start_guard(path)?) };
        let renamed = fs::rename(&self.path, path).map_err(|error| about(path, &error));
        let spare = match renamed {
            Ok(()) => {
                self.path = path.to_owned();
                std::mem::replace(&mut self.guard, guard)
            }
            Err(_) => guard,
        };
        if let Some(spare) = spare {
            // It finds nothing of this file under the name that it was given.
            let _ = end_guard(spare);
        }
        renamed
    }

    /// Removes it, also where it was to be kept: it never came to be what was asked for.
    pub fn discard(mut self) {
        self.keep = false;
    }

    /// Starts the process that removes this file, should it be called `path` by then.
    fn start_guard(&self, path: &Path) -> Result<Child> {
        let identity = self.file.metadata().map_err(|error| about(&self.path, &error))?;
        let path = fs::canonicalize(path).map_err(|error| about(path, &error))?;
        let words = [identity.dev().to_string(), identity.ino().to_string()].map(OsString::from);
        Command::new("/proc/self/exe")
            .arg0("rmap")
            .args(["remove-at-end".into(), path.into_os_string()].iter().chain(&words))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // In a group of its own: Ctrl-C and a signal to the whole group must not take the guard along.
            .process_group(0)
            .spawn()
            .map_err(|error| Error::io(Subject::Words("the demo's guard process".to_owned()), &error))
    }
}

/// Closes the guard's pipe and waits for it, so that it has looked when this returns.
fn end_guard(mut guard: Child) -> Result<()> {
    drop(guard.stdin.take());
    guard.wait().map_err(|error| Error::io(Subject::Words("the demo's guard process".to_owned()), &error))?;
    Ok(())
}

impl Drop for GuardedFile {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Ok(identity) = self.file.metadata() {
            remove_if_same(&self.path, identity.dev(), identity.ino());
        }
        if let Some(guard) = self.guard.take() {
            // It looks once more and ends; there is nobody to tell if that fails.
            let _ = end_guard(guard);
        }
    }
}

/// Removes the file only if it is still the one with this identity: the name may have been given to another meanwhile.
fn remove_if_same(path: &Path, device: u64, inode: u64) {
    let is_same = fs::symlink_metadata(path).is_ok_and(|found| found.dev() == device && found.ino() == inode);
    if is_same {
        let _ = fs::remove_file(path);
    }
}

/// The guard process: waits until its standard input ends, then removes the file.
///
/// # Errors
/// None; the signature is that of a subcommand.
pub fn remove_at_end<E>(path: &Path, device: u64, inode: u64) -> std::result::Result<(), E> {
    let mut nothing = [0; 64];
    let mut input = std::io::stdin().lock();
    while matches!(input.read(&mut nothing), Ok(count) if count > 0) {}
    remove_if_same(path, device, inode);
    Ok(())
}

fn about(path: &Path, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        return Error::path(path, ErrorKind::Refused, "there is such a file already")
            .with_advice("choose another name, or --force to replace it");
    }
    Error::io(Subject::Path(path.to_owned()), error)
}
