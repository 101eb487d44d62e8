//! Where the demo creates its file, and whether it fits there. Everything is checked before anything is changed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::layers::kind_of_new_files;
use crate::kernel::whereabouts::{await_answer, await_file_system};
use crate::machine::read_available_memory;
use crate::pagecache::{FileSystem, FileSystemKind};
use crate::process::{Mapping, ProcRoot, Process};
use crate::units::{Bytes, Exact, Human};

/// Memory that stays free for the rest of the machine, or a quarter of what is available if that is less: a demo that
/// makes the machine swap shows nothing.
const LEFT_FREE: Bytes = Bytes(64 << 20);

/// Kept back from the size named in the advice, because others may take memory before it is tried; a sixteenth of what
/// is available if that is less.
const MARGIN: Bytes = Bytes(16 << 20);

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

/// Whether what is written to new files in this directory goes to another file system, and which one that is cannot be
/// seen.
pub(super) fn is_layer_unseen(directory: &Path) -> bool {
    matches!(kind_of_new_files(directory), Ok(FileSystemKind::Stacked(_)))
}

/// Whether what is written to new files in this directory gets to a disk, or to a server; it is taken for granted where
/// [`is_layer_unseen`].
pub(super) fn is_on_disk(directory: &Path) -> bool {
    matches!(
        kind_of_new_files(directory),
        Ok(FileSystemKind::Ordinary | FileSystemKind::Stacked(_) | FileSystemKind::Fuse)
    )
}

/// Checks that files can be created in `directory` and have cached pages.
///
/// # Errors
/// `Unsupported` if they cannot; otherwise as `statfs(2)`.
pub fn check_kind(directory: &Path) -> Result<()> {
    await_file_system(directory).map_err(|errno| about_place(directory, &errno.into()))?;
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

/// What a file of one size needs.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Its length.
    pub size: Bytes,
    /// How much memory it takes.
    pub memory: Bytes,
    /// How much of the disk.
    pub disk: Bytes,
}

/// Checks that a file in `directory` fits into memory, onto the disk and within the limit on its length.
///
/// # Errors
/// `Refused`, with the figures.
pub fn check_that_it_fits(needs: Needs, directory: &Path) -> Result<()> {
    let Needs { size, memory, disk } = needs;
    let fits = check_that_memory_fits(size, memory);
    if size.0 == 0 || usize::try_from(size.0).is_err() || i64::try_from(size.0).is_err() {
        let advice = fits.err().and_then(|error| error.advice().map(str::to_owned));
        return Err(refused(size, "a file of this size cannot be mapped".to_owned())
            .with_advice(advice.unwrap_or_else(|| "choose a size like 256M".to_owned())));
    }
    fits?;
    check_disk(size, disk, directory)?;
    check_length(size)
}

/// Checks that this empty file, which is to be in `directory`, may become so long.
///
/// # Errors
/// `Refused`, with the length that is possible.
pub(super) fn check_possible_length(file: &File, size: Bytes, directory: &Path) -> Result<()> {
    if file.set_len(size.0).is_ok() {
        let _ = file.set_len(0);
        return Ok(());
    }
    let most = longest(file)?;
    if size > most { Err(too_long(size, most, directory)) } else { Ok(()) }
}

/// The error if a file in `directory` may only be shorter.
pub(super) fn too_long(size: Bytes, most: Bytes, directory: &Path) -> Error {
    let most = Human(most);
    refused(size, format!("a file in {} may be at most {most} long", directory.display()))
        .with_advice(format!("choose a --size of up to {most}, or another place with --file PATH"))
}

/// The longest that this file may be, because of its file system or a limit of this process. Its length is 0 then.
pub(super) fn longest(file: &File) -> Result<Bytes> {
    // A length beyond the limit of this process is not even tried: a signal would end it.
    let beyond = limit(Resource::RLIMIT_FSIZE)?.0.saturating_add(1);
    let (mut possible, mut impossible) = (0, beyond.min(i64::MAX.unsigned_abs()));
    while impossible - possible > 1 {
        let middle = possible + (impossible - possible) / 2;
        if file.set_len(middle).is_ok() { possible = middle } else { impossible = middle }
    }
    let _ = file.set_len(0);
    Ok(Bytes(possible))
}

/// Checks that memory of this size, for which so much is needed, fits into the memory that is available: there may be
/// several copies of it, or only a part may be touched.
///
/// # Errors
/// `Refused`, with the size that would fit.
pub fn check_that_memory_fits(size: Bytes, needed: Bytes) -> Result<()> {
    check_that_it_fits_into(read_available_memory(&ProcRoot::live())?, size, needed)
}

fn check_that_it_fits_into(available: Bytes, size: Bytes, needed: Bytes) -> Result<()> {
    let left = LEFT_FREE.min(Bytes(available.0 / 4));
    if needed.0.saturating_add(left.0) <= available.0 {
        return Ok(());
    }
    let margin = MARGIN.min(Bytes(available.0 / 16));
    let room = available.saturating_sub(left).saturating_sub(margin);
    // The size for which so much less is needed.
    let most = u128::from(room.0) * u128::from(size.0) / u128::from(needed.0.max(1));
    let most = Human(Bytes(u64::try_from(most).unwrap_or(u64::MAX)));
    let (available, left) = (Human(available), Human(left));
    let part = match needed.0 / size.0.max(1) {
        0 => format!(", though only {} of it are touched", Human(needed)),
        1 if needed == size => String::new(),
        times if needed.0.is_multiple_of(size.0) => format!(" {times} times"),
        _ => format!(", of which {} are needed in all", Human(needed)),
    };
    let why = format!("it does not fit into memory{part}: {available} is available, of which {left} must stay free");
    Err(refused(size, why).with_advice(format!("choose a --size of up to {most}")))
}

fn check_disk(size: Bytes, needed: Bytes, directory: &Path) -> Result<()> {
    let room = statvfs(directory).map_err(|errno| about_place(directory, &errno.into()))?;
    // A file system without a limit, such as ramfs: then the memory alone decides.
    if room.blocks() == 0 {
        return Ok(());
    }
    // The types of these two differ between architectures; both convert to 64 bits.
    #[allow(clippy::useless_conversion, reason = "32-bit machines have 32-bit counts")]
    let free = Bytes(u64::from(room.blocks_available()).saturating_mul(u64::from(room.fragment_size())));
    if needed <= free {
        return Ok(());
    }
    let why = format!("it does not fit onto the disk of {}, which has {} free", directory.display(), Human(free));
    let is_on_disk = is_on_disk(directory);
    // Such a file system needs some of it to note where the blocks are.
    let room = if is_on_disk { free.saturating_sub(METADATA.min(Bytes(free.0 / 4))).0 / 64 * 63 } else { free.0 };
    let most = u128::from(room) * u128::from(size.0) / u128::from(needed.0.max(1));
    let most = Bytes(u64::try_from(most).unwrap_or(u64::MAX));
    let fits = match is_on_disk {
        // A little more may fit, too: only the file system knows.
        true if most > Bytes(0) => format!(": {} fits", Human(most)),
        _ => fitting(most),
    };
    Err(refused(size, why).with_advice(format!("choose a smaller --size or another place with --file PATH{fits}")))
}

/// What a file system needs besides the data of a file, at most, apart from a small part of the length.
const METADATA: Bytes = Bytes(1 << 20);

/// Checks that a file of this size is within the limit of this process.
///
/// # Errors
/// `Refused`, with the size that would fit.
pub(super) fn check_length(size: Bytes) -> Result<()> {
    let soft = limit(Resource::RLIMIT_FSIZE)?;
    let why = || format!("the limit on the size of a file (ulimit -f) is {}", Exact(soft));
    if size <= soft { Ok(()) } else { Err(beyond_limit(size, why(), soft)) }
}

/// Address space for what is not known in advance: stacks of threads, the allocator, alignment.
const ADDRESSES_IN_RESERVE: Bytes = Bytes(32 << 20);

/// Memory for what is not known in advance, such as the allocator.
const DATA_IN_RESERVE: Bytes = Bytes(1 << 20);

/// A limit on the memory of this process, and what is left of it.
struct Room {
    limit: Bytes,
    used: Bytes,
    reserve: Bytes,
    left: Bytes,
}

impl Room {
    /// What is left of this limit beside the mappings of this process that count; `None` if there is no limit.
    fn of(resource: Resource, reserve: Bytes, counts: fn(&Mapping) -> bool) -> Result<Option<Room>> {
        let limit = limit(resource)?;
        if limit.0 == RLIM_INFINITY {
            return Ok(None);
        }
        let own = Process::own()?.mappings(&[])?;
        let used: Bytes = own.mappings.iter().filter(|mapping| counts(mapping)).map(|mapping| mapping.size()).sum();
        Ok(Some(Room { limit, used, reserve, left: limit.saturating_sub(used).saturating_sub(reserve) }))
    }

    /// The address space.
    fn of_addresses() -> Result<Option<Room>> {
        Room::of(Resource::RLIMIT_AS, ADDRESSES_IN_RESERVE, |_| true)
    }

    /// The private memory that can be written.
    fn of_data() -> Result<Option<Room>> {
        Room::of(Resource::RLIMIT_DATA, DATA_IN_RESERVE, |mapping| {
            mapping.perm().contains('w') && mapping.perm().ends_with('p') && mapping.path() != b"[stack]"
        })
    }

    /// The error for a size that is more than `most`.
    fn exceeded(&self, size: Bytes, what: &str, most: Bytes) -> Error {
        let (limit, used, reserve) = (Exact(self.limit), Human(self.used), Human(self.reserve));
        let why = format!("the limit on {what} is {limit}, of which {used} are in use and {reserve} must stay free");
        beyond_limit(size, why, most)
    }
}

/// Checks that so many mappings of this size fit into the address space that this process may have.
///
/// # Errors
/// `Refused`, with the size that would fit.
pub(super) fn check_addresses(size: Bytes, copies: u64) -> Result<()> {
    let Some(room) = Room::of_addresses()? else { return Ok(()) };
    let most = Bytes(room.left.0 / copies.max(1));
    if size <= most { Ok(()) } else { Err(room.exceeded(size, "address space (ulimit -v)", most)) }
}

/// Checks that so much private memory fits into the limit on data of this process. `heap` is the smallest heap, if it
/// is to be one: it is made of blocks.
///
/// # Errors
/// `Refused`, with the size that would fit.
pub(super) fn check_data(size: Bytes, heap: Option<Bytes>) -> Result<()> {
    let Some(room) = Room::of_data()? else { return Ok(()) };
    let most = match heap {
        // A heap needs a little more than the size of its blocks.
        Some(least) => Some(Bytes(room.left.0 / 64 * 63)).filter(|most| *most >= least).unwrap_or_default(),
        None => room.left,
    };
    if size <= most { Ok(()) } else { Err(room.exceeded(size, "data (ulimit -d)", most)) }
}

/// What to do if a file could not be mapped.
pub(super) fn advice_on_mapping(error: &io::Error) -> String {
    match (error.kind(), Room::of_addresses()) {
        (io::ErrorKind::OutOfMemory, Ok(Some(room))) => {
            format!("choose a smaller --size or raise the limit on address space (ulimit -v){}", fitting(room.left))
        }
        (io::ErrorKind::OutOfMemory, _) => "choose a smaller --size".to_owned(),
        _ => ANOTHER_PLACE.to_owned(),
    }
}

fn limit(resource: Resource) -> Result<Bytes> {
    let limits = getrlimit(resource);
    limits.map(|(soft, _)| Bytes(soft)).map_err(|errno| Error::errno(Subject::Words("getrlimit".to_owned()), errno))
}

fn beyond_limit(size: Bytes, why: String, most: Bytes) -> Error {
    refused(size, why).with_advice(format!("choose a smaller --size or raise the limit{}", fitting(most)))
}

fn fitting(most: Bytes) -> String {
    if most > Bytes(0) { format!(": up to {} fits", Human(most)) } else { String::new() }
}

pub(super) fn refused(size: Bytes, why: String) -> Error {
    Error::new(Subject::Words(format!("--size {}", Exact(size))), ErrorKind::Refused, why)
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn the_size_that_is_named_still_fits_a_moment_later() {
        let mib = |count: u64| Bytes(count << 20);
        for (available, copies) in [(64, 1), (4096, 1), (4096, 2)] {
            let times = |size: Bytes| Bytes(size.0 * copies);
            let error = check_that_it_fits_into(mib(available), mib(1 << 20), times(mib(1 << 20))).unwrap_err();
            let named: Bytes = error.advice().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
            assert!(
                named > Bytes(0) && check_that_it_fits_into(mib(available - 3), named, times(named)).is_ok(),
                "{error}"
            );
        }
    }

    #[test]
    fn a_limit_is_only_named_where_it_may_be_the_cause() {
        let advice = |errno: i32| advice_on_mapping(&io::Error::from_raw_os_error(errno));
        // Tests run without a limit on address space.
        assert_eq!(advice(libc::ENOMEM), "choose a smaller --size");
        assert_eq!(advice(libc::ENODEV), "choose another place with --file PATH");
    }
}
