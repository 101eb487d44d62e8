//! A file that is removed however the program ends.
//!
//! A destructor removes it if the program ends by itself or by a signal that it handles. A process cannot react to
//! SIGKILL or the out-of-memory killer, so a second process, the guard, waits for the end of a pipe that only the first
//! one holds, and then removes the file. The guard starts before the file exists: the file is first created under a
//! random name that the guard knows, and gets its own name once the guard knows that too. Whatever ends both processes
//! at once (the end of a container or of the machine) leaves the file.

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

/// A new file that is removed when this value is dropped, unless it is kept.
#[derive(Debug)]
pub struct GuardedFile {
    file: File,
    path: PathBuf,
    keep: bool,
    guard: Guard,
}

/// The state of the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameState {
    /// The file still has this name.
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
        let name = random_name();
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

    /// Its current name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it a name in the directory in which it was created. With `replace` it replaces a file of that name.
    ///
    /// # Errors
    /// As `rename(2)`; `AlreadyExists` if the name is taken and must not be replaced.
    pub fn name(&mut self, path: &Path, replace: bool) -> io::Result<()> {
        if !self.keep {
            let identity = self.file.metadata()?;
            self.guard.announce(&identity, path.file_name().unwrap_or_default())?;
        }
        match replace {
            true => fs::rename(&self.path, path)?,
            false => rename_to_free_name(&self.path, path)?,
        }
        self.path = path.to_owned();
        Ok(())
    }

    /// The state of its name.
    pub fn name_state(&self) -> NameState {
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(found), Ok(own)) if found.dev() == own.dev() && found.ino() == own.ino() => NameState::Held,
            (Ok(_), _) => NameState::Another,
            (Err(_), _) => NameState::Gone,
        }
    }

    /// Removes it even if it was to be kept.
    pub fn discard(mut self) {
        self.keep = false;
    }
}

impl Drop for GuardedFile {
    fn drop(&mut self) {
        // The name may belong to another file by now.
        if !self.keep && self.name_state() == NameState::Held {
            let _ = fs::remove_file(&self.path);
        }
        self.guard.end();
    }
}

/// A name that no other file has and that cannot be guessed: 128 random bits.
fn random_name() -> OsString {
    let random = || RandomState::new().hash_one(std::process::id());
    format!(".rmap-demo-{:016x}{:016x}", random(), random()).into()
}

/// The process that outlives this one.
#[derive(Debug)]
struct Guard {
    // Holds its standard input: the pipe whose end shows that this process has ended.
    process: Child,
}

impl Guard {
    /// Starts it in `directory`, where it will remove the file `unnamed`.
    fn start(directory: &Path, unnamed: &OsStr) -> Result<Guard> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("rmap").arg("remove-at-end").arg(unnamed).current_dir(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // In its own process group: Ctrl-C and signals to the whole group must not end the guard.
        let process = command.process_group(0).spawn().map_err(|error| not_started(&error))?;
        Ok(Guard { process })
    }

    /// Sends it a name that the file may have from now on, with the identity of the file.
    fn announce(&mut self, identity: &fs::Metadata, name: &OsStr) -> io::Result<()> {
        let head = format!("{} {} ", identity.dev(), identity.ino());
        let record = [head.as_bytes(), name.as_bytes(), b"\0"].concat();
        self.process.stdin.as_mut().map_or(Ok(()), |pipe| pipe.write_all(&record))
    }

    /// Closes its pipe and waits until it has ended.
    fn end(&mut self) {
        drop(self.process.stdin.take());
        // If this fails, nothing can be done about it.
        let _ = self.process.wait();
    }

    /// Ends it before it removes anything.
    fn dismiss(mut self) {
        let _ = self.process.kill();
        self.end();
    }
}

fn not_started(error: &io::Error) -> Error {
    let subject = Subject::Words("the process that removes the demo file at the end".to_owned());
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(subject, ErrorKind::System, "too many processes")
            .with_advice("end some, or raise the limit (ulimit -u)"),
        _ => Error::io(subject, error).with_advice("free some memory, or raise the limits (ulimit -a)"),
    }
}

/// The guard process: waits for the end of its standard input, then removes the file `unnamed` and each name that it
/// read, if that name still belongs to the right file.
///
/// # Errors
/// None; the signature is that of a subcommand.
pub fn remove_at_end<E>(unnamed: &Path) -> std::result::Result<(), E> {
    let mut told = Vec::new();
    // Reading a pipe can only fail by being interrupted, and is then retried.
    let _ = io::stdin().lock().read_to_end(&mut told);
    let _ = fs::remove_file(unnamed);
    // What follows the last NUL is incomplete, so the name was never used.
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
    fn every_random_name_is_different() {
        assert_ne!(random_name(), random_name());
    }
}
