//! A child process that does what is left to do once this process has ended, however it ended: it kills the program
//! that this process had started, and lets the held calls of other processes go on.
//!
//! `PR_SET_PDEATHSIG` alone is not enough to end the program: the kernel clears it when the program changes its user,
//! and the program may do so itself.

#![allow(unsafe_code, reason = "what a forked child does that never returns to Rust code")]

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::guardian::close_others;
use super::notify::{self, Listener, Open};
use super::pidfd;

/// The child process. It never executes another program, and ends when there is nothing left to do.
#[derive(Debug)]
pub(super) struct Heir {
    /// The child waits for the end of this pipe, which no other process has open.
    _pipe: OwnedFd,
}

/// What the child has open. A descriptor that it lacks is -1.
struct Inheritance {
    pipe: RawFd,
    /// The program, to be killed.
    program: RawFd,
    listener: RawFd,
    open: *const Open,
}

impl Heir {
    /// Starts the child for the child `program` of this process, which has not been waited for, and for the listener of
    /// its calls, if there is one. Before Linux 5.3 it only lets calls go on.
    ///
    /// # Errors
    /// As `pipe(2)` and `fork(2)`.
    #[doc(alias = "fork")]
    pub(super) fn start(program: Pid, listener: Option<&Listener>) -> io::Result<Heir> {
        Heir::of(pidfd::open(program).ok().as_ref(), listener)
    }

    fn of(program: Option<&OwnedFd>, listener: Option<&Listener>) -> io::Result<Heir> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let inheritance = Inheritance {
            pipe: reader.as_raw_fd(),
            program: program.map_or(-1, AsRawFd::as_raw_fd),
            listener: listener.map_or(-1, |listener| listener.as_fd().as_raw_fd()),
            open: listener.map_or(std::ptr::null(), |listener| listener.open()),
        };
        // In the child they stay blocked: signals to the whole session or process group must not end it.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the children only make system calls that are async-signal-safe, use no memory but their stacks and
        // that of the listener, which is shared with them, and end with `_exit`.
        let forked = unsafe { fork() };
        if let Ok(ForkResult::Child) = forked {
            // SAFETY: as above.
            if unsafe { libc::fork() } == 0 {
                inherit(&inheritance);
            }
            // SAFETY: this ends the process at once.
            unsafe { libc::_exit(0) };
        }
        mask.thread_set_mask()?;
        if let ForkResult::Parent { child } = forked? {
            // It ends at once and leaves the one that inherits to init.
            while waitpid(child, None) == Err(Errno::EINTR) {}
        }
        Ok(Heir { _pipe: writer })
    }
}

/// The child: waits for the end of the pipe, kills the program, then lets calls go on until no process has the filter:
/// first those that were received and not let go.
fn inherit(inheritance: &Inheritance) -> ! {
    let Inheritance { pipe, program, listener, open } = *inheritance;
    // SAFETY: a plain system call.
    unsafe { libc::setsid() };
    name_this_process(c"heir");
    close_others([pipe, program, listener]);
    await_end(pipe);
    let _ = pidfd::kill(program);
    // SAFETY: it is that of the listener, which was there before the fork, or null.
    unsafe { notify::let_open_go(listener, open) };
    if listener >= 0 {
        let_calls_go(listener);
    }
    // SAFETY: this ends the process at once.
    unsafe { libc::_exit(0) }
}

/// Lets calls go on until no process is left that could make one.
fn let_calls_go(listener: RawFd) {
    loop {
        let mut ready = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, as stated.
        let polled = unsafe { libc::poll(&raw mut ready, 1, -1) };
        if ready.revents & libc::POLLIN != 0 {
            if let Ok(call) = notify::receive(listener) {
                let _ = notify::let_go(listener, &call);
            }
        } else if polled >= 0 || Errno::last() != Errno::EINTR {
            return;
        }
    }
}

/// Waits until the other end of a pipe is closed.
fn await_end(pipe: RawFd) {
    loop {
        let mut byte = MaybeUninit::<u8>::uninit();
        // SAFETY: the byte is writable.
        let count = unsafe { libc::read(pipe, byte.as_mut_ptr().cast::<c_void>(), 1) };
        if count >= 0 || Errno::last() != Errno::EINTR {
            return;
        }
    }
}

fn name_this_process(name: &CStr) {
    // SAFETY: a plain system call; the string ends in a NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus};

    use super::*;
    use crate::kernel::launch::launch;
    use crate::kernel::notify::{Filter, Watched};

    /// How a child ends within half a minute.
    fn end_of(pid: Pid) -> WaitStatus {
        let begun = Instant::now();
        loop {
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)).unwrap() {
                WaitStatus::StillAlive if begun.elapsed().as_secs() < 30 => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                WaitStatus::StillAlive => {
                    kill(pid, Signal::SIGKILL).unwrap();
                    panic!("it waits for ever");
                }
                ended => return ended,
            }
        }
    }

    fn words(words: &[&str]) -> Vec<CString> {
        words.iter().map(|word| CString::new(*word).unwrap()).collect()
    }

    #[test]
    fn calls_that_were_received_go_on_after_the_end_of_their_receiver() {
        let watched = [Watched { number: libc::SYS_exit_group, lengths: &[], reserves: false }];
        let Some(filter) = Filter::new(&watched, 1) else { return };
        let mut launched = launch(&words(&["sh", "-c", "(exit 3) & exit 7"]), Some(&filter), &SigSet::empty()).unwrap();
        let Ok(listener) = launched.listener.take().unwrap() else {
            eprintln!("SKIPPED: no seccomp notification here");
            return;
        };
        // An heir that may not kill the program, because that belongs to another user by now.
        let heir = Heir::of(None, Some(&listener)).unwrap();
        // Several are held, and what has the last of them is overwritten while the next is waited for.
        assert_ne!(listener.receive().unwrap().thread, listener.receive().unwrap().thread);
        // SAFETY: the last call is written by nobody else.
        unsafe { listener.open().cast_mut().cast::<libc::seccomp_notif>().write_bytes(0, 1) };
        let pid = launched.pid;
        // As at the end of this process.
        drop((heir, listener));
        assert_eq!(end_of(pid), WaitStatus::Exited(pid, 7));
    }

    #[test]
    fn a_program_that_asked_not_to_be_killed_ends_all_the_same() {
        let script = "import ctypes, time\nctypes.CDLL(None).prctl(1, 0)\nprint(flush=True)\ntime.sleep(60)";
        let Ok(launched) = launch(&words(&["python3", "-c", script]), None, &SigSet::empty()) else {
            eprintln!("SKIPPED: python3 is not installed");
            return;
        };
        let pid = launched.pid;
        drop(launched);
        assert_eq!(end_of(pid), WaitStatus::Signaled(pid, Signal::SIGKILL, false));
    }
}
