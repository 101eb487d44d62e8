//! A child process that removes a file once this process has ended, however it ended.
//!
//! The child is forked and never executes another program, so this works in any program that uses the library.

use std::ffi::{CStr, OsStr};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

/// The length of a message to the child. The kernel writes messages of this length (below `PIPE_BUF`) as a whole.
const LENGTH: usize = 1024;

/// Where the name begins in a message, behind device and inode.
const NAME: usize = 16;

type Message = [u8; LENGTH];

/// The child process.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Pid,
    /// The child waits for the end of this pipe, which no other process has open.
    pipe: Option<std::fs::File>,
    /// Whether the end of the child is waited for.
    is_awaited: bool,
}

impl Guardian {
    /// Starts the child. When this process ends or the value is dropped, it removes the file `unnamed` in `directory`.
    ///
    /// # Errors
    /// As `open(2)` for `directory`, `pipe(2)` and `fork(2)`.
    #[doc(alias = "fork")]
    #[allow(unsafe_code, reason = "a child process that never returns to Rust code")]
    pub(crate) fn start(directory: &Path, unnamed: &CStr) -> io::Result<Guardian> {
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
            ForkResult::Parent { child } => Ok(Guardian { child, pipe: Some(writer.into()), is_awaited: true }),
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

/// The child: waits for the end of the pipe and removes the file.
#[allow(unsafe_code, reason = "system calls without the standard library, which a forked child must not use")]
fn watch(pipe: RawFd, directory: RawFd, unnamed: &CStr) -> ! {
    // SAFETY: both are plain system calls; the string ends in a NUL.
    unsafe { libc::setpgid(0, 0) };
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"guard".as_ptr()) };
    // Standard output and whatever else this process has open must not stay open until the child ends.
    close_others(pipe, directory);
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
    // SAFETY: the string ends in a NUL.
    unsafe { libc::unlinkat(directory, unnamed.as_ptr(), 0) };
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

/// Closes all descriptors but two.
#[allow(unsafe_code, reason = "close_range is not wrapped by nix")]
pub(super) fn close_others(one: RawFd, other: RawFd) {
    let (low, high) = (one.min(other), one.max(other));
    for (first, last) in [(0, low - 1), (low + 1, high - 1), (high + 1, RawFd::MAX)] {
        if first > last {
            continue;
        }
        // SAFETY: the child uses no descriptor but the two that stay open.
        let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        // Before Linux 5.9 one by one, as many as a process usually has.
        for fd in first..=if status == 0 { first } else { last.min(1 << 16) } {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
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
        let mut guardian = Guardian::start(folder.path(), c"unnamed").unwrap();
        guardian.announce(identity.dev(), identity.ino(), OsStr::new("ours")).unwrap();
        assert!(guardian.announce(0, 0, OsStr::new(&"x".repeat(1008))).is_err());
        assert!(path("unnamed").exists() && path("ours").exists());
        drop(guardian);
        assert!(!path("unnamed").exists() && !path("ours").exists() && path("other").exists());

        let mut guardian = Guardian::start(folder.path(), c"unnamed").unwrap();
        guardian.announce(identity.dev(), identity.ino(), OsStr::new("other")).unwrap();
        drop(guardian);
        assert!(path("other").exists());
    }
}
