//! The ties between this process and a child that asks in its place: however this process ends, the child ends too,
//! and it can be told from the processes of others.
//!
//! The child has a pipe that only this process can write to. When it is closed, which the kernel does at the latest at
//! the end of this process, the kernel sends the child SIGKILL. So it ends even while it waits for a file system, as
//! soon as that wait can be ended; what it has begun to write back remains dirty or is written, but never lost.
//! `PR_SET_PDEATHSIG` would tell it about the end of its parent, which is not this process.

#![allow(unsafe_code, reason = "fcntl and poll in a child process that uses no memory but its stack")]

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, pipe2};

use super::pidfd::pid_in_proc;

/// The command of `fcntl` that chooses the signal. The libc crate has it for musl only; it is the same on all
/// architectures that Rust knows.
const F_SETSIG: libc::c_int = 10;

/// The children that ask for this process.
static HELPERS: Mutex<Vec<Weak<Tie>>> = Mutex::new(Vec::new());

/// What keeps a child alive. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Tie {
    pid: u32,
    pipe: OwnedFd,
}

/// A child that is about to be started. Until then no other child is started, and `is_helper` waits.
pub(super) struct Birth {
    helpers: MutexGuard<'static, Vec<Weak<Tie>>>,
    /// The end of the pipe for the child.
    pub(super) reader: OwnedFd,
    writer: OwnedFd,
}

impl Birth {
    /// Prepares the start of a child.
    ///
    /// # Errors
    /// As `pipe(2)`.
    pub(super) fn begin() -> Result<Birth, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Birth { helpers: HELPERS.lock().unwrap_or_else(PoisonError::into_inner), reader, writer })
    }

    /// Enters the child that was started, whose pid `fork` returned; 0 if that is not known.
    ///
    /// # Errors
    /// `EAGAIN` if that failed.
    pub(super) fn end(mut self, pid: libc::pid_t) -> Result<Arc<Tie>, Errno> {
        let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(Errno::EAGAIN)?;
        let tie = Arc::new(Tie { pid, pipe: self.writer });
        self.helpers.retain(|helper| helper.strong_count() > 0);
        self.helpers.push(Arc::downgrade(&tie));
        Ok(tie)
    }
}

impl Tie {
    /// Its pid in `/proc`.
    fn shown_as(&self) -> Option<u32> {
        pid_in_proc(Pid::from_raw(i32::try_from(self.pid).ok()?)).ok()
    }

    /// Whether the child has not ended: then its pid cannot belong to another process.
    fn is_alive(&self) -> bool {
        // Without anybody who could read from it the pipe is broken.
        let polled = poll(&mut [PollFd::new(self.pipe.as_fd(), PollFlags::empty())], PollTimeout::ZERO);
        polled == Ok(0)
    }
}

/// Whether this is a child that asks in place of this process. A process that was listed before this is called is
/// recognized, however recently it was started.
pub(crate) fn is_helper(pid: u32) -> bool {
    let helpers = HELPERS.lock().unwrap_or_else(PoisonError::into_inner);
    helpers.iter().filter_map(Weak::upgrade).any(|tie| tie.pid == pid && tie.is_alive())
}

/// Whether `/proc` shows a child that asks in place of this process as this one, in whatever pid namespace that `/proc`
/// is. Needs Linux 5.3.
pub(crate) fn is_shown_helper(shown: u32) -> bool {
    let helpers = HELPERS.lock().unwrap_or_else(PoisonError::into_inner);
    helpers.iter().filter_map(Weak::upgrade).any(|tie| tie.shown_as() == Some(shown) && tie.is_alive())
}

/// In the child: has it end with the process that has the other end of this pipe, also if that has ended already.
pub(super) fn end_with(pipe: RawFd) {
    // SAFETY: a plain system call.
    let own = unsafe { libc::getpid() };
    for (command, argument) in [(libc::F_SETOWN, own), (F_SETSIG, libc::SIGKILL), (libc::F_SETFL, libc::O_ASYNC)] {
        // SAFETY: a plain system call.
        unsafe { libc::fcntl(pipe, command, argument) };
    }
    let mut state = libc::pollfd { fd: pipe, events: 0, revents: 0 };
    // SAFETY: one descriptor, as stated.
    unsafe { libc::poll(&raw mut state, 1, 0) };
    if state.revents & libc::POLLHUP != 0 {
        // SAFETY: this ends the process at once.
        unsafe { libc::_exit(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_without_a_pid_was_not_started() {
        for pid in [-1, 0] {
            assert_eq!(Birth::begin().unwrap().end(pid).err(), Some(Errno::EAGAIN), "{pid}");
        }
    }
}
