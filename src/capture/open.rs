//! Opens a capture: a directory, or an archive, which is unpacked into a private directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::archive::Decompressed;
use super::{COMPLETE, DESCRIPTION, Wanted, describe, unpack};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::guardian::Guardian;
use crate::process::{Captured, ProcRoot, Unpacked};

/// What a frame of zstd begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What the header of a tar archive has at byte 257.
const TAR: &[u8] = b"ustar";

/// A description is not longer, nor is a list of pids.
const LONGEST: u64 = 1 << 20;

/// The machine at `path`: an archive of [`take`](super::take()), a directory that one was unpacked into, or any other
/// directory with the structure of `/proc`. Of an archive, the wanted parts are unpacked.
///
/// What was unpacked is removed when the last [`ProcRoot`] of it is dropped. If this process ends before, a child of it
/// removes the files. Only if this process is pid 1 of a pid namespace, the kernel ends that child together with it: so
/// a program that may be pid 1 calls [`remove_unpacked`] before it ends.
///
/// # Errors
/// [`ErrorKind::Malformed`]: the file is not a capture, or it is damaged. Otherwise the archive could not be read, or
/// there was no place to unpack it.
pub fn open(path: &Path, wanted: Wanted) -> Result<ProcRoot> {
    let Ok(found) = fs::metadata(path) else { return Ok(ProcRoot::at(path.to_owned())) };
    if found.is_dir() {
        return open_directory(path);
    }
    if !found.is_file() {
        return Err(malformed(path, "neither a directory nor an archive that rmap capture wrote"));
    }
    let unpacked = match memory() {
        Some(memory) => open_in(memory, path, wanted),
        None => open_in(&std::env::temp_dir(), path, wanted),
    };
    let unpacked = match unpacked {
        Err(Unopened::NoRoom(_)) if memory().is_some() => open_in(&std::env::temp_dir(), path, wanted),
        unpacked => unpacked,
    };
    unpacked.map_err(|(Unopened::NoRoom(error) | Unopened::Refused(error))| error)
}

/// Why an archive could not be opened.
enum Unopened {
    /// Another place may serve.
    NoRoom(Error),
    Refused(Error),
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Unopened {
        Unopened::Refused(error)
    }
}

/// A directory in memory, unless the user chose another: a capture is thousands of small files, which a disk may take
/// seconds to make and to remove.
fn memory() -> Option<&'static Path> {
    let memory = Path::new("/dev/shm");
    let is_chosen = std::env::var_os("TMPDIR").is_some_and(|chosen| !chosen.is_empty());
    let is_memory = || statfs(memory).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    (!is_chosen && is_memory()).then_some(memory)
}

/// Unpacks the archive in a directory of its own below `place`.
fn open_in(place: &Path, path: &Path, wanted: Wanted) -> std::result::Result<ProcRoot, Unopened> {
    let about = |error: &io::Error| Error::io(Subject::Path(path.to_owned()), error);
    let mut reader = BufReader::new(File::open(path).map_err(|error| about(&error))?);
    let mut start = [0; 512];
    let length = read_start(&mut reader, &mut start).map_err(|error| about(&error))?;
    let start = start.get(..length).unwrap_or_default();
    let whole = start.chain(reader);
    if start.starts_with(&ZSTD) {
        open_archive(place, path, Decompressed::new(BufReader::new(whole)), wanted)
    } else if start.get(257..).is_some_and(|magic| magic.starts_with(TAR)) {
        open_archive(place, path, whole, wanted)
    } else {
        let advice = "it must be a tar or tar.zst file";
        Err(malformed(path, "not an archive that rmap capture wrote").with_advice(advice).into())
    }
}

fn malformed(path: &Path, why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::path(path, ErrorKind::Malformed, why)
}

fn read_start(reader: &mut impl Read, start: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match reader.read(start.get_mut(length..).unwrap_or_default()) {
            Ok(0) => return Ok(length),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn open_directory(path: &Path) -> Result<ProcRoot> {
    let is_proc = path.file_name().is_some_and(|name| name == "proc");
    let above = path.parent().filter(|_| is_proc);
    for top in [Some(path), above].into_iter().flatten() {
        let description = top.join(DESCRIPTION);
        if fs::symlink_metadata(&description).is_ok_and(|found| found.is_file()) {
            return Ok(ProcRoot::of_capture(top.join("proc"), read_captured(path, top)?));
        }
    }
    Ok(ProcRoot::at(path.to_owned()))
}

/// What the files of the capture in the directory `top` say about it.
fn read_captured(path: &Path, top: &Path) -> Result<Captured> {
    let read = |file: &Path| {
        let mut text = Vec::new();
        let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
        read.map_err(|error| Error::io(Subject::Path(file.to_owned()), &error)).map(|_| text)
    };
    let captured = describe::parse(&read(&top.join(DESCRIPTION))?).map_err(|why| malformed(path, why))?;
    let last = top.join(COMPLETE);
    // Of a capture that somebody unpacked, any file may have been removed.
    let has_last = fs::symlink_metadata(&last).is_ok_and(|found| found.is_file());
    let text = if has_last { read(&last)? } else { Vec::new() };
    describe::add_processes(captured, &text).map_err(|why| malformed(path, why))
}

fn open_archive(
    place: &Path,
    path: &Path,
    archive: impl Read,
    wanted: Wanted,
) -> std::result::Result<ProcRoot, Unopened> {
    let directory = Temporary::new(place).map_err(Unopened::NoRoom)?;
    unpack::unpack(archive, &directory.path, wanted).map_err(|failure| match failure {
        unpack::Failure::Archive(why) => malformed(path, why).into(),
        unpack::Failure::Directory(error) => {
            Unopened::NoRoom(Error::io(Subject::Path(directory.path.clone()), &error).with_advice(UNPACK))
        }
    })?;
    ARCHIVES.lock().unwrap_or_else(PoisonError::into_inner).push((directory.path.clone(), path.to_owned()));
    let captured = read_captured(path, &directory.path)?;
    let proc = directory.path.join("proc");
    let unpacked = Some(Unpacked(Arc::new(directory)));
    Ok(ProcRoot::of_capture(proc, Captured { archive: fs::canonicalize(path).ok(), unpacked, ..captured }))
}

/// The child processes that remove what was unpacked, also if a signal ends this process that cannot be handled.
static GUARDIANS: Mutex<Vec<(PathBuf, Guardian)>> = Mutex::new(Vec::new());

/// Where archives were unpacked, each with the name that the archive was given. Errors are also written after what was
/// unpacked is removed.
static ARCHIVES: Mutex<Vec<(PathBuf, PathBuf)>> = Mutex::new(Vec::new());

/// A path below the directory that an archive was unpacked into, as one below the archive, which a reader knows.
#[cfg(feature = "cli")]
pub(crate) fn path_in_archive(path: &Path) -> Option<PathBuf> {
    let archives = ARCHIVES.lock().unwrap_or_else(PoisonError::into_inner);
    archives.iter().find_map(|(directory, archive)| {
        let below = path.strip_prefix(directory).ok()?;
        Some(if below == Path::new("") { archive.clone() } else { archive.join(below) })
    })
}

/// Removes everything that was unpacked, although a thread may still read it. This is for the end of the process.
pub fn remove_unpacked() {
    remove(|_| true);
}

/// Removes what was unpacked at these paths. Who calls it meanwhile waits until that is done.
fn remove(is_over: impl Fn(&Path) -> bool) {
    let mut guardians = GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner);
    guardians.retain(|(path, _)| !is_over(path));
}

/// A directory that only this user can enter, and that is removed when this value is dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn new(place: &Path) -> Result<Temporary> {
        let failed = |path: &Path, error: &io::Error| Error::io(Subject::Path(path.to_owned()), error);
        let started = Guardian::start(place, "rmap-capture-");
        let (guardian, name) = started.map_err(|error| failed(place, &error).with_advice(UNPACK))?;
        let path = place.join(OsStr::from_bytes(name.as_bytes()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| failed(&path, &error).with_advice(UNPACK))?;
        GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), guardian));
        Ok(Temporary { path })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(|path| path == self.path);
    }
}

/// What to do if an archive cannot be unpacked here.
const UNPACK: &str = "set TMPDIR to a directory with more room, or unpack it with tar and name that directory instead";

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_what_was_unpacked_is_named_as_one_of_the_archive() {
        let unpacked = Path::new("/no/rmap-capture-test");
        ARCHIVES.lock().unwrap().push((unpacked.to_owned(), PathBuf::from("a.tar")));
        let named = |path: &Path| path_in_archive(path).map(PathBuf::into_os_string);
        assert_eq!(named(&unpacked.join("proc/7")), Some("a.tar/proc/7".into()));
        assert_eq!(named(unpacked), Some("a.tar".into()));
        assert_eq!(named(Path::new("/no/rmap")), None);
    }
}
