//! Where the demo creates its file, and whether it fits there. Everything is checked before anything is changed.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::whereabouts::await_answer;
use crate::machine::read_available_memory;
use crate::pagecache::{FileSystem, FileSystemKind};
use crate::process::ProcRoot;
use crate::units::{Bytes, Exact, Human};

/// Memory that stays free for the rest of the machine, or a quarter of what is available if that is less: a demo that
/// makes the machine swap shows nothing.
const LEFT_FREE: Bytes = Bytes(64 << 20);

/// A directory for temporary files on a disk: the first of `$TMPDIR`, `/var/tmp`, `/tmp`, `~/.cache` and the current
/// directory that exists, is writable, and is not on tmpfs, where files are always in memory.
///
/// # Errors
/// `Refused` if there is none.
pub fn default_directory() -> Result<PathBuf> {
    let temporary = std::env::var_os("TMPDIR").map(PathBuf::from);
    let cache = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let fixed = ["/var/tmp", "/tmp"].map(PathBuf::from);
    let candidates = temporary.into_iter().chain(fixed).chain(cache).chain([PathBuf::from(".")]);
    candidates.into_iter().find(|directory| is_writable(directory) && is_on_disk(directory)).ok_or_else(|| {
        Error::new(
            Subject::Words("demo".to_owned()),
            ErrorKind::Refused,
            "there is no writable temporary directory on a disk",
        )
        .with_advice("name a file on one with --file PATH")
    })
}

fn is_writable(directory: &Path) -> bool {
    use nix::unistd::AccessFlags;
    await_answer(directory).is_ok()
        && directory.is_dir()
        && nix::unistd::access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

fn is_on_disk(directory: &Path) -> bool {
    let kind = FileSystem::of_path(directory).map(|found| found.kind);
    matches!(kind, Ok(FileSystemKind::Ordinary | FileSystemKind::Stacked(_) | FileSystemKind::Fuse))
}

/// Checks that files can be created in `directory` and have cached pages.
///
/// # Errors
/// `Unsupported` if they cannot; otherwise as `statfs(2)`.
pub fn check_kind(directory: &Path) -> Result<()> {
    await_answer(directory).map_err(|errno| about_place(directory, &errno.into()))?;
    let found = FileSystem::of_path(directory).map_err(|error| about_place(directory, &error))?;
    let why = match found.kind {
        FileSystemKind::Pseudo(name) => {
            format!("this is {name}, where only the kernel creates files")
        }
        FileSystemKind::Huge => {
            "this is hugetlbfs: its files use huge pages, which are not in the page cache".to_owned()
        }
        FileSystemKind::Ordinary | FileSystemKind::Memory | FileSystemKind::Stacked(_) | FileSystemKind::Fuse => {
            return Ok(());
        }
    };
    Err(Error::path(directory, ErrorKind::Unsupported, why).with_advice(ANOTHER_PLACE))
}

const ANOTHER_PLACE: &str = "choose another place with --file PATH";

/// The error of a place where a file was to be created, with advice.
pub(super) fn about_place(path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            "create its directory first, or choose another place with --file PATH"
        }
        io::ErrorKind::PermissionDenied => "choose a directory that you may write to with --file PATH",
        io::ErrorKind::InvalidFilename => "choose a shorter name",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or choose another place with --file PATH"
        }
        _ => ANOTHER_PLACE,
    };
    Error::io(Subject::Path(path.to_owned()), error).with_advice(advice)
}

/// Checks that a file of `size` bytes in `directory` fits into memory, with so many copies of it, onto the disk and
/// into the limits of this process.
///
/// # Errors
/// `Refused`, with the figures.
pub fn check_that_it_fits(size: Bytes, copies: u64, directory: &Path) -> Result<()> {
    if size.0 == 0 || usize::try_from(size.0).is_err() || i64::try_from(size.0).is_err() {
        return Err(
            refused(size, "a file of this size cannot be mapped".to_owned()).with_advice("choose a size like 256M")
        );
    }
    check_that_memory_fits(size, copies)?;
    check_disk(size, directory)?;
    check_limit(size, Resource::RLIMIT_FSIZE, "the limit on the size of a file (ulimit -f)")?;
    check_limit(size, Resource::RLIMIT_AS, "the limit on address space (ulimit -v)")
}

/// Checks that so many copies of memory of this size fit into the memory that is available.
///
/// # Errors
/// `Refused`, with the size that would fit.
pub fn check_that_memory_fits(size: Bytes, copies: u64) -> Result<()> {
    let available = read_available_memory(&ProcRoot::live())?;
    let left = LEFT_FREE.min(Bytes(available.0 / 4));
    if Bytes(size.0.saturating_mul(copies)) + left <= available {
        return Ok(());
    }
    // What is available changes from moment to moment.
    let most = available.saturating_sub(left).0 / copies.max(1);
    let most = Human(Bytes(most - most / 16));
    let (available, left) = (Human(available), Human(left));
    let times = if copies > 1 { format!(" {copies} times") } else { String::new() };
    let why = format!("it does not fit into memory{times}: {available} is available, of which {left} must stay free");
    Err(refused(size, why).with_advice(format!("choose a --size of up to {most}")))
}

fn check_disk(size: Bytes, directory: &Path) -> Result<()> {
    let room = statvfs(directory).map_err(|errno| about_place(directory, &errno.into()))?;
    // The types of these two differ between architectures; both convert to 64 bits.
    #[allow(clippy::useless_conversion, reason = "32-bit machines have 32-bit counts")]
    let free = Bytes(u64::from(room.blocks_available()).saturating_mul(u64::from(room.fragment_size())));
    if size <= free {
        return Ok(());
    }
    let why = format!("it does not fit onto the disk of {}, which has {} free", directory.display(), Human(free));
    Err(refused(size, why).with_advice("choose a smaller --size or another place with --file PATH"))
}

fn check_limit(size: Bytes, resource: Resource, what: &str) -> Result<()> {
    let (soft, _) = getrlimit(resource).map_err(|errno| Error::errno(Subject::Words("getrlimit".to_owned()), errno))?;
    if size.0 <= soft {
        return Ok(());
    }
    Err(refused(size, format!("{what} is {}", Exact(Bytes(soft))))
        .with_advice("choose a smaller --size or raise the limit"))
}

fn refused(size: Bytes, why: String) -> Error {
    Error::new(Subject::Words(format!("--size {}", Exact(size))), ErrorKind::Refused, why)
}
