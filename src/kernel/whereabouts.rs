//! Where a path leads, found out without waiting for a file system that may never answer.
//!
//! A path is looked up component by component by the kernel, and each lookup may ask a server: also one in the middle
//! of the path, or behind a symbolic link. So before a path is used, it is resolved here, and whatever lies on such a
//! file system is looked up by the child that asks it. If the machine has no such mount, nothing of this is done; for a
//! file on ext4, tmpfs and the like three system calls show it (3 us), otherwise the list of mounts is read (30 us).
//!
//! This does not protect from somebody who replaces a component at the same moment.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::libc;
use nix::sys::stat::Mode;

use super::handle::{FarPath, Handle, read_link};
use super::mount_table::{self, MountTable};
use super::statx::Statx;

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// Not the device of any file system: what is behind a link of `/proc`, such as `/proc/PID/root`, is not known.
const BEHIND_PROC: (u32, u32) = (u32::MAX, u32::MAX);

/// `RESOLVE_CACHED` (Linux 5.12): the lookup fails with `EAGAIN` instead of asking a file system.
const CACHED: ResolveFlag = ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED);

/// How to look a path up in place of this process, if a file system that may not answer is on its way; `None` if this
/// process may look it up.
///
/// # Errors
/// Those of the lookup: `ENOENT`, `EACCES`, `ELOOP`. `ETIMEDOUT`: a file system on its way does not answer.
pub(crate) fn locate(path: &Path) -> Result<Option<FarPath>, Errno> {
    let known = mount_table::own_if_known();
    if known.as_ref().is_some_and(|table| !table.has_blocking()) {
        return Ok(None);
    }
    let found = cached(path);
    match &found {
        // Nothing had to be asked, so the caller can look it up with the same result.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => return Ok(None),
        Ok(found) if has_no_server(found) => return Ok(None),
        _ => {}
    }
    let table = known.unwrap_or_else(mount_table::own);
    let answers = |found: Statx| table.may_block(mount_table::parts(found.device())) == Some(false);
    if !table.has_blocking() || found.is_ok_and(answers) {
        return Ok(None);
    }
    resolve(&table, &absolute(path)?, Last::Followed)
}

/// Whether a path names a symbolic link, whatever that points to.
///
/// # Errors
/// Those of the lookup. `ETIMEDOUT`: a file system on its way does not answer.
pub(crate) fn is_link(path: &Path) -> Result<bool, Errno> {
    let table = mount_table::own();
    let far = if table.has_blocking() { resolve(&table, &absolute(path)?, Last::Named)? } else { None };
    match far.map_or_else(|| read_link(path), |far| far.read_link()) {
        Ok(_) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Waits until the file system of a path answers, if it may not. For files that this process then opens itself.
///
/// # Errors
/// As for [`locate`].
pub(crate) fn await_answer(path: &Path) -> Result<(), Errno> {
    locate(path)?.map_or(Ok(()), |far| far.stat().map(drop))
}

/// The same for a place where files are to be made: waits also until its file system answers `statfs(2)`, which some
/// servers answer although they do not answer `stat(2)`, or the other way round.
///
/// # Errors
/// As for [`locate`].
pub(crate) fn await_file_system(path: &Path) -> Result<(), Errno> {
    let Some(far) = locate(path)? else { return Ok(()) };
    far.stat()?;
    match far.open(OFlag::O_PATH)?.stat_fs() {
        // One that is answered with an error does not hang.
        Err(errno) if errno != Errno::ETIMEDOUT => Ok(()),
        found => found.map(drop),
    }
}

/// The same for a file that this process then makes.
///
/// # Errors
/// `ETIMEDOUT`: a file system on its way does not answer.
pub(crate) fn await_place(path: &Path) -> Result<(), Errno> {
    await_answer(path).or_else(|errno| if errno == Errno::ETIMEDOUT { Err(errno) } else { Ok(()) })
}

/// Whether it is certainly on a file system without a server, even if the list of mounts is not known.
///
/// Only file systems that keep all flags of `chattr` themselves (ext4, xfs, btrfs, f2fs, tmpfs) say that they know the
/// flag `nodump`. FUSE (also on a block device), NFS, SMB, 9P and overlayfs do not.
fn has_no_server(found: &Statx) -> bool {
    found.knows_no_dump()
}

/// Opens a descriptor that only names a file (`O_PATH`) below a directory, which also stands for `/`, without asking
/// any file system. Nothing is changed either: a symbolic link whose atime would move is not followed.
///
/// # Errors
/// As `openat2(2)`; `EAGAIN`: a file system would have to be asked.
pub(crate) fn open_cached(directory: BorrowedFd<'_>, path: &Path) -> Result<Handle, Errno> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(CACHED | ResolveFlag::RESOLVE_IN_ROOT);
    openat2(directory, path, how).map(Handle::Own)
}

/// Opens a descriptor that only names a file (`O_PATH`).
///
/// # Errors
/// As `open(2)`.
pub(crate) fn open_name(path: &Path) -> Result<Handle, Errno> {
    openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(Handle::Own)
}

/// What the kernel knows about a path without asking any file system. `EAGAIN`: it would have to ask.
fn cached(path: &Path) -> Result<Statx, Errno> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(CACHED);
    let fd = openat2(AT_FDCWD, path, how)?;
    Statx::cached_of_file(fd.as_fd())
}

fn absolute(path: &Path) -> Result<PathBuf, Errno> {
    match path.is_absolute() {
        true => Ok(path.to_owned()),
        // This asks no file system either.
        false => Ok(nix::unistd::getcwd()?.join(path)),
    }
}

/// What is asked about the last part of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The file, also behind a symbolic link.
    Followed,
    /// Its own name, which may be that of a symbolic link.
    Named,
}

fn resolve(table: &MountTable, path: &Path, last: Last) -> Result<Option<FarPath>, Errno> {
    let mut rest: VecDeque<OsString> = VecDeque::new();
    push_front(&mut rest, path);
    let (mut found, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            found.pop();
            continue;
        }
        let next = found.join(&name);
        if last == Last::Named && rest.is_empty() {
            found = next;
            break;
        }
        let device = table.blocking_above(&next);
        let link = match device {
            // No file system is behind a pipe.
            None if is_magic(table, &next) && is_pipe(&next) => return Ok(None),
            None if is_magic(table, &next) => {
                let whole: PathBuf = std::iter::once(next.as_os_str()).chain(rest.iter().map(OsStr::new)).collect();
                return FarPath::new(BEHIND_PROC, &whole).map(Some);
            }
            None => read_link(&next),
            Some(device) => FarPath::new(device, &next)?.read_link(),
        };
        match link {
            Ok(_) if links == LINKS => return Err(Errno::ELOOP),
            Ok(target) => {
                links += 1;
                if target.is_absolute() {
                    found = PathBuf::from("/");
                }
                push_front(&mut rest, &target);
            }
            // It is not a link.
            Err(Errno::EINVAL) => found = next,
            // The caller can open it in steps.
            Err(Errno::ENAMETOOLONG) if device.is_none() => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
    match table.blocking_above(&found) {
        Some(device) => FarPath::new(device, &found).map(Some),
        None => Ok(None),
    }
}

fn push_front(rest: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => rest.push_front(name.to_owned()),
            Component::ParentDir => rest.push_front(OsString::from("..")),
            _ => {}
        }
    }
}

/// Whether a link of `/proc` leads to a pipe without a name.
fn is_pipe(link: &Path) -> bool {
    read_link(link).is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"pipe:["))
}

/// Whether it is a link of `/proc` that leads to the file itself and not to where its text says: `root`, `cwd`, `exe`,
/// and those in `fd` and `map_files`.
fn is_magic(table: &MountTable, path: &Path) -> bool {
    let is_named = |name: &str| path.ends_with(name);
    let is_in = |name: &str| path.parent().is_some_and(|parent| parent.ends_with(name));
    (["root", "cwd", "exe"].into_iter().any(is_named) || ["fd", "map_files"].into_iter().any(is_in))
        && table.is_on(path, b"proc")
}
