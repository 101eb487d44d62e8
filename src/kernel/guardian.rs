//! A child process that removes a file, or a directory with everything in it, once this process has ended, however it
//! ended.
//!
//! The child is forked and never executes another program, so this works in any program that uses the library.

use std::ffi::{CStr, CString, OsStr};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, UnlinkatFlags, fork, pipe2, unlinkat};

/// The length of a message to the child. The kernel writes messages of this length (below `PIPE_BUF`) as a whole.
const LENGTH: usize = 1024;

/// Where the name begins in a message, behind device and inode.
const NAME: usize = 16;

type Message = [u8; LENGTH];

/// The child process.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Pid,
    /// Where it removes something, whatever name this directory has by then.
    directory: OwnedFd,
    /// The child waits for the end of this pipe, which no other process has open.
    pipe: Option<std::fs::File>,
    /// Whether the end of the child is waited for.
    is_awaited: bool,
}

impl Guardian {
    /// Starts the child for something that is about to be made in `directory`, and returns its name: `prefix` and 128
    /// random bits, so that nobody can have made it before. When this process ends or the value is dropped, the child
    /// removes what has this name: a file, or a directory with everything in it.
    ///
    /// # Errors
    /// As `open(2)` for `directory`, `pipe(2)` and `fork(2)`.
    pub(crate) fn start(directory: &Path, prefix: &str) -> io::Result<(Guardian, CString)> {
        let random = || RandomState::new().hash_one(std::process::id());
        let name = CString::new(format!("{prefix}{:016x}{:016x}", random(), random()))?;
        Ok((Guardian::watching(directory, &name)?, name))
    }

    #[doc(alias = "fork")]
    #[allow(unsafe_code, reason = "a child process that never returns to Rust code")]
    fn watching(directory: &Path, unnamed: &CStr) -> io::Result<Guardian> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory: OwnedFd = open(directory, flags, Mode::empty())?;
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        // In the child they stay blocked: Ctrl-C and signals to the whole process group must not end it.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the child only makes system calls that are async-signal-safe, uses no memory but its stack and
        // `unnamed`, and ends with `_exit`.
        let forked = unsafe { fork() };
        if let Ok(ForkResult::Child) = forked {
            watch(reader.as_raw_fd(), directory.as_raw_fd(), unnamed);
        }
        mask.thread_set_mask()?;
        match forked? {
            ForkResult::Parent { child } => {
                Ok(Guardian { child, directory, pipe: Some(writer.into()), is_awaited: true })
            }
            ForkResult::Child => Err(io::ErrorKind::Other.into()),
        }
    }

    /// Sends the child a name in the directory that the file may have from now on. It removes the file of this name if
    /// that has this device and inode. Only the last name counts.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidFilename`] for a name of more than 1007 bytes; as `write(2)` if the child has ended.
    pub(crate) fn announce(&mut self, device: u64, inode: u64, name: &OsStr) -> io::Result<()> {
        let mut message: Message = [0; LENGTH];
        let (head, rest) = message.split_at_mut(NAME);
        head.copy_from_slice(&(u128::from(device) << 64 | u128::from(inode)).to_ne_bytes());
        let name = name.as_bytes();
        // A NUL must follow.
        let place = rest.get_mut(..name.len()).filter(|_| name.len() < LENGTH - NAME);
        place.ok_or(io::ErrorKind::InvalidFilename)?.copy_from_slice(name);
        self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(&message))
    }
}

impl Guardian {
    /// The directory in which it removes something.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// From now on it is left to itself: the file system of its file does not answer.
    pub(crate) fn leave(&mut self) {
        self.is_awaited = false;
    }
}

impl Drop for Guardian {
    /// Ends the child and waits until it has removed what it should, unless it was left to itself.
    fn drop(&mut self) {
        drop(self.pipe.take());
        while self.is_awaited && waitpid(self.child, None) == Err(Errno::EINTR) {}
    }
}

/// The child: waits for the end of the pipe and removes what it should.
#[allow(unsafe_code, reason = "system calls without the standard library, which a forked child must not use")]
fn watch(pipe: RawFd, directory: RawFd, unnamed: &CStr) -> ! {
    // SAFETY: both are plain system calls; the string ends in a NUL.
    unsafe { libc::setpgid(0, 0) };
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"guard".as_ptr()) };
    // Standard output and whatever else this process has open must not stay open until the child ends.
    close_others([pipe, directory]);
    let (mut last, mut next): (Message, Message) = ([0; LENGTH], [0; LENGTH]);
    loop {
        // SAFETY: `next` is writable and as long as stated.
        let count = unsafe { libc::read(pipe, next.as_mut_ptr().cast(), LENGTH) };
        match usize::try_from(count) {
            Ok(LENGTH) => last = next,
            Err(_) if Errno::last() == Errno::EINTR => {}
            _ => break,
        }
    }
    // SAFETY: it stays open until this process ends.
    remove(unsafe { BorrowedFd::borrow_raw(directory) }, unnamed);
    let name = last.as_ptr().wrapping_add(NAME).cast();
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `name` points into `last`, which ends in a NUL, and `found` has room for a `stat`.
    let status = unsafe { libc::fstatat(directory, name, found.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    // SAFETY: all zeros is a valid `stat`, which the kernel may have overwritten with another.
    let found = unsafe { found.assume_init() };
    let identity = (u128::from(found.st_dev) << 64 | u128::from(found.st_ino)).to_ne_bytes();
    if status == 0 && last.starts_with(&identity) {
        // SAFETY: as above.
        unsafe { libc::unlinkat(directory, name, 0) };
    }
    // SAFETY: this ends the process at once.
    unsafe { libc::_exit(0) }
}

/// Removes a file, or a directory with everything in it. Links are not followed. It only makes system calls and uses no
/// memory but its stack: less than 5 KiB for each level of directories.
fn remove(directory: BorrowedFd<'_>, name: &CStr) {
    if unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) != Err(Errno::EISDIR) {
        return;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let Ok(inner) = openat(directory, name, flags, Mode::empty()) else { return };
    let mut entries = [0; 4096];
    while let Some(length) = read_entries(inner.as_fd(), &mut entries) {
        let mut rest = entries.get(..length).unwrap_or_default();
        // Of `struct linux_dirent64`: the length of the entry at byte 16, and its name at byte 19, which ends in a NUL.
        while let Some(&[low, high, _]) = rest.get(16..19) {
            let entry = rest.get(..u16::from_ne_bytes([low, high]).into()).unwrap_or_default();
            match CStr::from_bytes_until_nul(entry.get(19..).unwrap_or_default()) {
                Ok(name) if name != c"." && name != c".." => remove(inner.as_fd(), name),
                Ok(_) => {}
                Err(_) => break,
            }
            rest = rest.get(entry.len()..).unwrap_or_default();
        }
    }
    drop(inner);
    let _ = unlinkat(directory, name, UnlinkatFlags::RemoveDir);
}

/// Reads entries of a directory, and returns how many bytes they take; `None` at the end.
#[allow(unsafe_code, reason = "getdents64 is not wrapped by nix, and readdir allocates")]
fn read_entries(directory: BorrowedFd<'_>, entries: &mut [u8]) -> Option<usize> {
    // SAFETY: `entries` is writable and as long as stated.
    let length =
        unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), entries.as_mut_ptr(), entries.len()) };
    usize::try_from(length).ok().filter(|length| *length > 0)
}

/// Closes all descriptors but these; -1 stands for none.
pub(super) fn close_others<const N: usize>(mut kept: [RawFd; N]) {
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept {
        close_between(first, fd - 1);
        first = fd + 1;
    }
    close_between(first, RawFd::MAX);
}

/// Closes the descriptors from one to another.
#[allow(unsafe_code, reason = "close_range is not wrapped by nix")]
fn close_between(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    // SAFETY: the child uses no descriptor but those that stay open.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    // Before Linux 5.9 one by one, as many as a process usually has.
    for fd in first..=if status == 0 { first } else { last.min(1 << 16) } {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn only_the_file_that_was_announced_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["unnamed", "ours", "other"] {
            std::fs::write(path(name), name).unwrap();
        }
        let identity = path("ours").metadata().unwrap();
        let mut guardian = Guardian::watching(folder.path(), c"unnamed").unwrap();
        guardian.announce(identity.dev(), identity.ino(), OsStr::new("ours")).unwrap();
        assert!(guardian.announce(0, 0, OsStr::new(&"x".repeat(1008))).is_err());
        assert!(path("unnamed").exists() && path("ours").exists());
        drop(guardian);
        assert!(!path("unnamed").exists() && !path("ours").exists() && path("other").exists());

        let mut guardian = Guardian::watching(folder.path(), c"unnamed").unwrap();
        guardian.announce(identity.dev(), identity.ino(), OsStr::new("other")).unwrap();
        drop(guardian);
        assert!(path("other").exists());
    }

    #[test]
    fn a_directory_is_removed_with_everything_in_it_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("outside"), "").unwrap();
        let (guardian, name) = Guardian::start(folder.path(), "tree-").unwrap();
        let top = folder.path().join(OsStr::from_bytes(name.as_bytes()));
        for below in 0..3 {
            let inner = top.join(format!("{below}/{}", "deep/".repeat(90)));
            std::fs::create_dir_all(&inner).unwrap();
            // More than are read at a time.
            for number in 0..300 {
                std::fs::write(inner.join(format!("file-with-a-long-name-{number}")), "").unwrap();
            }
            std::os::unix::fs::symlink(folder.path(), inner.join("link")).unwrap();
        }
        drop(guardian);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["outside"]);
    }

    #[test]
    fn every_name_is_different() {
        let folder = tempfile::tempdir().unwrap();
        let name = || Guardian::start(folder.path(), "x-").unwrap().1;
        assert_ne!(name(), name());
    }
}
