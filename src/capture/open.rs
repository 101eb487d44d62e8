//! Opens a capture: a directory, or an archive, which is unpacked into a private directory.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::archive::Decompressed;
use super::{DESCRIPTION, describe, unpack};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::{Captured, ProcRoot, Unpacked};

/// What a frame of zstd begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What the header of a tar archive has at byte 257.
const TAR: &[u8] = b"ustar";

/// A description is not longer.
const LONGEST: u64 = 1 << 16;

/// The machine at `path`: an archive of [`take`](super::take()), a directory that one was unpacked into, or any other
/// directory with the structure of `/proc`. An archive is unpacked; the files are removed when the last
/// [`ProcRoot`] of it is dropped.
///
/// # Errors
/// [`ErrorKind::Malformed`]: it is no capture, damaged, or not as rmap writes it. Otherwise that of reading it, or of
/// writing to the directory for temporary files.
pub fn open(path: &Path) -> Result<ProcRoot> {
    let Ok(found) = fs::metadata(path) else { return Ok(ProcRoot::at(path.to_owned())) };
    if found.is_dir() {
        return open_directory(path);
    }
    if !found.is_file() {
        return Err(malformed(path, "neither a directory nor an archive that rmap capture wrote"));
    }
    let unpacked = match memory() {
        Some(memory) => open_in(memory, path),
        None => open_in(&std::env::temp_dir(), path),
    };
    let unpacked = match unpacked {
        Err(Unopened::NoRoom(_)) if memory().is_some() => open_in(&std::env::temp_dir(), path),
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
fn open_in(place: &Path, path: &Path) -> std::result::Result<ProcRoot, Unopened> {
    let about = |error: &io::Error| Error::io(Subject::Path(path.to_owned()), error);
    let mut reader = BufReader::new(File::open(path).map_err(|error| about(&error))?);
    let mut start = [0; 512];
    let length = read_start(&mut reader, &mut start).map_err(|error| about(&error))?;
    let start = start.get(..length).unwrap_or_default();
    let whole = start.chain(reader);
    if start.starts_with(&ZSTD) {
        open_archive(place, path, Decompressed::new(BufReader::new(whole)))
    } else if start.get(257..).is_some_and(|magic| magic.starts_with(TAR)) {
        open_archive(place, path, whole)
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
            let captured = read_description(path, &description)?;
            return Ok(ProcRoot::of_capture(top.join("proc"), captured));
        }
    }
    Ok(ProcRoot::at(path.to_owned()))
}

fn read_description(path: &Path, description: &Path) -> Result<Captured> {
    let mut text = Vec::new();
    let read = File::open(description).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    read.map_err(|error| Error::io(Subject::Path(description.to_owned()), &error))?;
    describe::parse(&text).map_err(|why| malformed(path, why))
}

fn open_archive(place: &Path, path: &Path, archive: impl Read) -> std::result::Result<ProcRoot, Unopened> {
    let directory = Temporary::new(place).map_err(Unopened::NoRoom)?;
    unpack::unpack(archive, &directory.0).map_err(|failure| match failure {
        unpack::Failure::Archive(why) => malformed(path, why).into(),
        unpack::Failure::Directory(error) => {
            Unopened::NoRoom(Error::io(Subject::Path(directory.0.clone()), &error).with_advice(UNPACK))
        }
    })?;
    let captured = read_description(path, &directory.0.join(DESCRIPTION))?;
    let proc = directory.0.join("proc");
    Ok(ProcRoot::of_capture(proc, Captured { unpacked: Some(Unpacked(Arc::new(directory))), ..captured }))
}

/// Whether the process is about to be ended, and what it reads is being removed.
static ENDING: AtomicBool = AtomicBool::new(false);

/// A signal will end the process: what is read from now on means nothing.
pub fn begin_ending() {
    ENDING.store(true, Ordering::SeqCst);
}

/// Whether what was unpacked is being removed, so that what is read from now on means nothing.
pub fn is_ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// The directories that exist now.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes everything that was unpacked, for a process that is about to be ended by a signal.
pub fn remove_unpacked() {
    // The lock is held until all is removed: the process does not end before, because it waits for it.
    let mut directories = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    for directory in directories.drain(..) {
        // Another thread may still be unpacking: under the old name it finds nothing.
        let renamed = directory.with_extension("removed");
        let gone = if fs::rename(&directory, &renamed).is_ok() { renamed } else { directory };
        // Nobody is left who could be told.
        let _ = fs::remove_dir_all(gone);
    }
}

/// A directory that only this user can enter, and that is removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(top: &Path) -> Result<Temporary> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = top.join(format!("rmap-capture-{}-{number}", std::process::id()));
            // One that exists is never used, whoever made it.
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
                    return Ok(Temporary(path));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {}
                Err(error) => return Err(Error::io(Subject::Path(path), &error).with_advice(UNPACK)),
            }
        }
    }
}

/// What to do if there is no place for an unpacked archive.
const UNPACK: &str = "set TMPDIR to a directory with room, or unpack the archive and give its directory";

impl Drop for Temporary {
    fn drop(&mut self) {
        // A signal meanwhile waits for the lock, so that nothing is left half removed.
        let mut directories = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = fs::remove_dir_all(&self.0);
        directories.retain(|path| *path != self.0);
    }
}
