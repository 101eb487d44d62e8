//! Unpacks an archive, which anyone may have made: nothing outside of the directory is touched, whatever is in it.
//!
//! Only files, directories and those links that a capture has are made. A link is a text that the kernel wrote: nothing
//! is ever made or read through one, so it may lead anywhere. What is unpacked has limits, so that a small archive
//! cannot fill a disk.

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tar::EntryType;

use super::{COMPLETE, DESCRIPTION, Wanted};
use crate::join::machine_files::LIST;
use crate::process::{CapturedDenial, parse_pid};

/// What is at the top of a capture.
const TOP: [&str; 4] = [DESCRIPTION, "proc", "sys", "rmap"];

/// How many bytes an archive may have when it is unpacked.
const MOST_BYTES: u64 = 2 << 30;

/// How many files, directories and links it may have.
const MOST_ENTRIES: u64 = 4_000_000;

/// How deep directories may be nested.
const DEEPEST: usize = 96;

/// The longest target of a link.
const LONGEST_TARGET: usize = 8192;

/// How much is read between two entries at most: long names are there.
const BETWEEN: u64 = 1 << 20;

const TOO_LONG: &str = "the name of an entry is too long";

/// Why an archive was not unpacked.
pub(super) enum Failure {
    /// It is damaged, or has what no capture has.
    Archive(String),
    /// The files could not be written.
    Directory(io::Error),
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Archive(why.into()))
}

/// Unpacks these parts of an archive into an empty directory.
pub(super) fn unpack(archive: impl Read, directory: &Path, wanted: Wanted) -> Result<(), Failure> {
    let left = Rc::new(Cell::new(BETWEEN));
    let mut archive = tar::Archive::new(Metered { archive, left: Rc::clone(&left) });
    let mut place = Place { top: directory, made: HashSet::new(), is_complete: false };
    let (mut bytes, mut count) = (0_u64, 0_u64);
    let damaged = |error: io::Error| Failure::Archive(format!("not a whole capture: {error}"));
    let mut entries = archive.entries().map_err(damaged)?;
    loop {
        left.set(BETWEEN);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(damaged)?;
        let (size, kind) = (entry.size(), entry.header().entry_type());
        let path = entry.path_bytes().into_owned();
        bytes = bytes.saturating_add(size);
        count += 1;
        if bytes > MOST_BYTES || count > MOST_ENTRIES {
            return refuse(format!("more than {} GiB or {MOST_ENTRIES} files, which no capture has", MOST_BYTES >> 30));
        }
        left.set(size.saturating_add(BETWEEN));
        let below = place.path_of(&path)?;
        if !TOP.iter().any(|top| below.starts_with(top)) && below != Path::new(".") {
            return refuse("not an archive that rmap capture wrote");
        }
        if !is_wanted(&below, wanted) {
            io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
            continue;
        }
        match kind {
            EntryType::Regular => place.make_file(&below, &mut entry, size)?,
            EntryType::Directory => place.make_directory(&below)?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                place.make_link(&below, &target)?;
            }
            _ => return refuse(format!("{} is neither a file, a directory nor a link", shown(&path))),
        }
    }
    // What follows the end is padding; and the last checksum, which is compared only if all is read.
    left.set(BETWEEN);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    if !place.is_complete {
        return refuse("it was cut off: its last entry is missing");
    }
    Ok(())
}

/// Whether an entry belongs to one of the parts.
fn is_wanted(below: &Path, wanted: Wanted) -> bool {
    if below == Path::new(LIST) {
        return wanted.files;
    }
    let name = below.strip_prefix("proc").ok().and_then(|inner| inner.iter().next()?.to_str());
    wanted.processes || name.and_then(parse_pid).is_none()
}

/// A name of an entry for a message.
fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string().chars().take(200).collect()
}

/// Where an archive is unpacked.
struct Place<'d> {
    top: &'d Path,
    /// The directories that were made.
    made: HashSet<PathBuf>,
    is_complete: bool,
}

impl Place<'_> {
    /// The path of an entry below the directory.
    fn path_of(&self, name: &[u8]) -> Result<PathBuf, Failure> {
        let trimmed = name.strip_prefix(b"./").unwrap_or(name);
        let trimmed = trimmed.strip_suffix(b"/").unwrap_or(trimmed);
        if trimmed.is_empty() && !name.is_empty() {
            return Ok(PathBuf::from("."));
        }
        let mut parts = trimmed.split(|byte| *byte == b'/');
        let is_odd = parts.clone().count() > DEEPEST
            || parts.any(|part| part.is_empty() || part == b"." || part == b".." || part.contains(&0));
        if is_odd && trimmed != b"." {
            return refuse(format!("an entry has the path {}, which no capture has", shown(name)));
        }
        Ok(PathBuf::from(OsStr::from_bytes(trimmed)))
    }

    /// Makes a directory and those above it.
    fn make_directory(&mut self, below: &Path) -> Result<(), Failure> {
        if below == Path::new(".") || below.as_os_str().is_empty() || self.made.contains(below) {
            return Ok(());
        }
        if let Some(above) = below.parent() {
            self.make_directory(above)?;
        }
        // What exists already was made as a file or a link: directories are only made here.
        fs::DirBuilder::new().mode(0o700).create(self.top.join(below)).map_err(|error| taken(below, error))?;
        self.made.insert(below.to_owned());
        Ok(())
    }

    fn make_file(&mut self, below: &Path, text: &mut impl Read, size: u64) -> Result<(), Failure> {
        self.make_above(below)?;
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(self.top.join(below));
        let mut file = file.map_err(|error| taken(below, error))?;
        let mut copied = 0;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match text.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return refuse(format!("not a whole capture: {error}")),
            };
            copied += count as u64;
            let piece = buffer.get(..count).unwrap_or_default();
            io::Write::write_all(&mut file, piece).map_err(Failure::Directory)?;
        }
        if copied != size {
            return refuse(format!("it was cut off in {}", shown(below.as_os_str().as_bytes())));
        }
        self.is_complete |= below == Path::new(COMPLETE);
        Ok(())
    }

    fn make_link(&mut self, below: &Path, target: &[u8]) -> Result<(), Failure> {
        if CapturedDenial::of_target(OsStr::from_bytes(target)).is_none() && !is_link_of_capture(below) {
            return refuse(format!("{} is a link, which no capture has there", shown(below.as_os_str().as_bytes())));
        }
        if target.is_empty() || target.len() > LONGEST_TARGET || target.contains(&0) {
            return refuse(format!("{} is a link to nowhere", shown(below.as_os_str().as_bytes())));
        }
        self.make_above(below)?;
        // The longest path of Linux; the kernel shows no longer one.
        match symlink(OsStr::from_bytes(target), self.top.join(below)) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENAMETOOLONG) => Ok(()),
            made => made.map_err(|error| taken(below, error)),
        }
    }

    fn make_above(&mut self, below: &Path) -> Result<(), Failure> {
        below.parent().map_or(Ok(()), |above| self.make_directory(above))
    }
}

fn taken(below: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            Failure::Archive(format!("two entries have the path {}", shown(below.as_os_str().as_bytes())))
        }
        _ if error.raw_os_error() == Some(nix::libc::ENAMETOOLONG) => Failure::Archive(TOO_LONG.to_owned()),
        _ => Failure::Directory(error),
    }
}

/// Whether a capture has a link there: `proc/PID/exe`, `root`, `cwd`, `fd/N` and `ns/NAME`, also of a thread.
fn is_link_of_capture(below: &Path) -> bool {
    let parts: Option<Vec<&str>> = below.iter().map(OsStr::to_str).collect();
    let is_number = |text: &str| parse_pid(text).is_some();
    let of_process = match parts.as_deref() {
        Some(["proc", pid, "task", thread, rest @ ..]) if is_number(pid) && is_number(thread) => rest.to_vec(),
        Some(["proc", pid, rest @ ..]) if is_number(pid) => rest.to_vec(),
        _ => return false,
    };
    match of_process[..] {
        ["exe" | "root" | "cwd"] | ["ns", _] => true,
        ["fd", number] => is_number(number),
        _ => false,
    }
}

/// Gives up if more is read than an entry may have: the names of entries are read into memory.
struct Metered<R> {
    archive: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.archive.read(buffer)?;
        match self.left.get().checked_sub(count as u64) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, TOO_LONG)),
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_only_where_a_capture_has_them() {
        for path in ["proc/7/exe", "proc/7/fd/3", "proc/7/ns/mnt", "proc/7/task/9/root", "proc/7/task/9/fd/0"] {
            assert!(is_link_of_capture(Path::new(path)), "{path}");
        }
        for path in ["proc", "proc/7", "proc/self/exe", "proc/7/smaps", "proc/7/fd/x", "sys/a", "proc/7/task/9", "exe"]
        {
            assert!(!is_link_of_capture(Path::new(path)), "{path}");
        }
    }
}
