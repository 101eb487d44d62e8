//! A file that is removed however the program ends.
//!
//! A destructor removes it when the program ends by itself or through a signal that it handles. Nothing in a process can act on
//! SIGKILL or the out-of-memory killer, so a second process waits for the end of a pipe that only the first one holds, and
//! removes the file then. It runs before there is a file: the file is first made under a name that nobody else can have, which
//! the guard knows, and gets its own name once the guard knows that too. What ends both processes at once (the end of a whole
//! container, or of the machine) leaves the file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::rename::rename_to_free_name;

/// A new file that goes away with this value, unless it is kept.
#[derive(Debug)]
pub struct GuardedFile {
    file: File,
    path: PathBuf,
    keep: bool,
    guard: Guard,
}

/// What became of the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameState {
    /// The file still has it.
    Held,
    /// It is not there any more, or cannot be looked at.
    Gone,
    /// Another file has it now.
    Another,
}

impl GuardedFile {
    /// Makes a new empty file in `directory` that only its owner may read and write, under a name that no other has; the caller
    /// names it when it is ready. With `keep` it stays once it is named.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(directory: &Path, keep: bool) -> Result<GuardedFile> {
        let name = unheard_of_name();
        let guard = Guard::start(directory, &name)?;
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => Ok(GuardedFile { file, path, keep, guard }),
            Err(error) => {
                guard.dismiss();
                Err(super::place::about_place(directory, &error))
            }
        }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its name now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it a name in the directory that it was made in; with `replace` also one that another file has.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` where the name is taken and not to be replaced.
    pub fn name(&mut self, path: &Path, replace: bool) -> io::Result<()> {
        if !self.keep {
            let identity = self.file.metadata()?;
            self.guard.tell(&identity, path.file_name().unwrap_or_default())?;
        }
        match replace {
            true => fs::rename(&self.path, path)?,
            false => rename_to_free_name(&self.path, path)?,
        }
        self.path = path.to_owned();
        Ok(())
    }

    /// What has become of its name.
    pub fn name_state(&self) -> NameState {
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(found), Ok(own)) if found.dev() == own.dev() && found.ino() == own.ino() => NameState::Held,
            (Ok(_), _) => NameState::Another,
            (Err(_), _) => NameState::Gone,
        }
    }

    /// Removes it, also where it was to be kept: it never came to be what was asked for.
    pub fn discard(mut self) {
        self.keep = false;
    }
}

impl Drop for GuardedFile {
    fn drop(&mut self) {
        // The name may have been given to another file meanwhile.
        if !self.keep && self.name_state() == NameState::Held {
            let _ = fs::remove_file(&self.path);
        }
        self.guard.end();
    }
}

/// A name that no file has, and that nobody can guess: 128 random bits.
fn unheard_of_name() -> OsString {
    let random = || RandomState::new().hash_one(std::process::id());
    format!(".rmap-demo-{:016x}{:016x}", random(), random()).into()
}

/// The process that outlives this one.
#[derive(Debug)]
struct Guard {
    // Held for its standard input: the pipe whose end tells it that this process is gone.
    process: Child,
}

impl Guard {
    /// Starts it in `directory`, where it will remove the file `unnamed`.
    fn start(directory: &Path, unnamed: &OsStr) -> Result<Guard> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("rmap").arg("remove-at-end").arg(unnamed).current_dir(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // In a group of its own: Ctrl-C and a signal to the whole group must not take the guard along.
        let process = command.process_group(0).spawn().map_err(|error| not_started(&error))?;
        Ok(Guard { process })
    }

    /// Tells it a name that the file may have from now on, and what tells the file from others.
    fn tell(&mut self, identity: &fs::Metadata, name: &OsStr) -> io::Result<()> {
        let head = format!("{} {} ", identity.dev(), identity.ino());
        let record = [head.as_bytes(), name.as_bytes(), b"\0"].concat();
        self.process.stdin.as_mut().map_or(Ok(()), |pipe| pipe.write_all(&record))
    }

    /// Closes its pipe and waits for it, so that it has looked when this returns.
    fn end(&mut self) {
        drop(self.process.stdin.take());
        // There is nobody to tell if that fails.
        let _ = self.process.wait();
    }

    /// Ends it before it removes anything.
    fn dismiss(mut self) {
        let _ = self.process.kill();
        self.end();
    }
}

fn not_started(error: &io::Error) -> Error {
    let subject = Subject::Words("the process that removes the demo's file at the end".to_owned());
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(subject, ErrorKind::System, "no more processes may be started")
            .with_advice("end some, or raise the limit (ulimit -u)"),
        _ => Error::io(subject, error).with_advice("free some memory, or raise the limits (ulimit -a)"),
    }
}

/// The guard process: waits until its standard input ends, then removes what it was told of from its working directory: the file
/// `unnamed`, whichever it is, and each name that it read if it belongs to the file that it was said to.
///
/// # Errors
/// None; the signature is that of a subcommand.
pub fn remove_at_end<E>(unnamed: &Path) -> std::result::Result<(), E> {
    let mut told = Vec::new();
    // A pipe's reading end knows no error but being interrupted, after which this goes on.
    let _ = io::stdin().lock().read_to_end(&mut told);
    let _ = fs::remove_file(unnamed);
    // What follows the last NUL was not told to its end, and so never acted upon.
    let whole = told.iter().rposition(|byte| *byte == 0).unwrap_or(0);
    for record in told.get(..whole).unwrap_or_default().split(|byte| *byte == 0) {
        if let Some((device, inode, name)) = parse_record(record) {
            remove_if_same(&name, device, inode);
        }
    }
    Ok(())
}

fn parse_record(record: &[u8]) -> Option<(u64, u64, PathBuf)> {
    let mut parts = record.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
    let (device, inode) = (number()?, number()?);
    Some((device, inode, PathBuf::from(OsString::from_vec(parts.next()?.to_vec()))))
}

fn remove_if_same(path: &Path, device: u64, inode: u64) {
    let is_same = fs::symlink_metadata(path).is_ok_and(|found| found.dev() == device && found.ino() == inode);
    if is_same {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_is_one_name() {
        let record = parse_record(b"254 77 a b\n c");
        assert_eq!(record, Some((254, 77, PathBuf::from("a b\n c"))));
        for broken in [&b""[..], b"254", b"254 77", b"254 x name", b"-1 77 name"] {
            assert_eq!(parse_record(broken), None);
        }
    }

    #[test]
    fn no_two_files_are_made_under_one_name() {
        assert_ne!(unheard_of_name(), unheard_of_name());
    }
}
