//! Receives the system calls of a program as soon as they begin.
//!
//! Until a call has been received, a signal may interrupt it, and without `SA_RESTART` it then fails with `EINTR`,
//! which neither `mmap` nor `munmap` ever does otherwise. So a thread of its own does nothing but receive: it does not
//! read mappings in the meantime. A call that has been received waits until it is let go, whatever signals come. The
//! microseconds before that remain, so the interrupted calls are counted.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Error, Result, Subject};
use crate::kernel::notify::{Listener, Notification, is_thread_of, run_promptly};

/// Receives the calls of one process, and lets those of its children go on at once.
#[derive(Debug)]
pub(super) struct Hearing {
    listener: Arc<Listener>,
    calls: Receiver<Notification>,
    interrupted: Arc<AtomicU64>,
    /// A byte comes with each call, and the end once no process is left that could make one (Linux 6.11).
    bell: UnixStream,
}

impl Hearing {
    /// Receives from now on, in a thread that begins with the signals blocked that this one has blocked.
    ///
    /// # Errors
    /// As `socketpair(2)`, or as `pthread_create(3)`.
    pub(super) fn begin(listener: Listener, program: Pid) -> Result<Hearing> {
        let failed = |error: std::io::Error| Error::io(Subject::Words("system calls".to_owned()), &error);
        let (bell, far) = UnixStream::pair().map_err(failed)?;
        bell.set_nonblocking(true).map_err(failed)?;
        let (sender, calls) = channel();
        let (listener, interrupted) = (Arc::new(listener), Arc::new(AtomicU64::new(0)));
        let (own, count) = (Arc::clone(&listener), Arc::clone(&interrupted));
        let receiver = std::thread::Builder::new().name("calls".to_owned());
        let receiver = receiver.spawn(move || receive(&own, program, &sender, far, &count));
        receiver.map_err(|error| failed(error).with_advice("--no-syscalls needs no thread to receive them"))?;
        Ok(Hearing { listener, calls, interrupted, bell })
    }

    /// The next call that waits, if there is one. `Err` if none can come any more.
    pub(super) fn next(&self) -> std::result::Result<Option<Notification>, ()> {
        match (&self.bell).read(&mut [0]) {
            Ok(0) => Err(()),
            Ok(_) => Ok(self.calls.try_recv().ok()),
            Err(_) => Ok(None),
        }
    }

    /// Lets a call go on. If its thread was killed meanwhile, nothing waits.
    pub(super) fn let_go(&self, held: &Notification) {
        let _ = self.listener.let_go(held);
    }

    /// How many calls at most, of the program and its children, a signal has interrupted before they were received: it
    /// may have ended the thread.
    pub(super) fn interrupted(&self) -> u64 {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Readable once a call waits.
impl AsFd for Hearing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Nothing waits for what is dropped: the thread lets a call go on whose bell nobody hears any more.
impl Drop for Hearing {
    fn drop(&mut self) {
        let _ = self.bell.shutdown(Shutdown::Both);
        self.calls.try_iter().for_each(|held| self.let_go(&held));
    }
}

/// The thread. It ends when no process is left, or with this one.
fn receive(
    listener: &Listener,
    program: Pid,
    calls: &Sender<Notification>,
    mut bell: UnixStream,
    interrupted: &AtomicU64,
) {
    run_promptly();
    loop {
        let held = match listener.receive() {
            Ok(held) => held,
            Err(Errno::EINTR) => continue,
            Err(Errno::ENOENT) if !listener.is_over() => {
                interrupted.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(_) => return,
        };
        let is_own = is_thread_of(program, held.thread);
        if !is_own || calls.send(held).is_err() || bell.write_all(&[0]).is_err() {
            let _ = listener.let_go(&held);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::time::Duration;

    use nix::libc;
    use nix::poll::{PollFd, PollFlags, poll};
    use nix::sys::signal::{SigSet, Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

    use super::*;
    use crate::kernel::launch::{Launched, launch};
    use crate::kernel::notify::{Filter, Watched};

    /// A program in Python that is heard; `None`, with a line that says so, where that is impossible.
    fn heard(script: &str) -> Option<(Launched, Hearing)> {
        let words = ["python3", "-c", script].map(|word| CString::new(word).unwrap());
        let watched = [Watched { number: libc::SYS_mmap, lengths: &[1], reserves: true }];
        let filter = Filter::new(&watched, 1 << 30)?;
        let Ok(mut launched) = launch(&words, Some(&filter), &SigSet::empty()) else {
            eprintln!("SKIPPED: python3 is not installed");
            return None;
        };
        let listener = match launched.listener.take().unwrap() {
            Ok(listener) => listener,
            Err(errno) => {
                eprintln!("SKIPPED: no seccomp notification here: {errno}");
                return None;
            }
        };
        let hearing = Hearing::begin(listener, launched.pid).unwrap();
        Some((launched, hearing))
    }

    #[test]
    fn a_call_that_comes_while_nobody_listens_any_more_goes_on() {
        let Some((launched, hearing)) = heard("import mmap, time\ntime.sleep(0.3)\nmmap.mmap(-1, 1 << 30)") else {
            return;
        };
        // As between the two steps of its end.
        hearing.bell.shutdown(Shutdown::Both).unwrap();
        let begun = std::time::Instant::now();
        let ended = || waitpid(launched.pid, Some(WaitPidFlag::WNOHANG)).unwrap() != WaitStatus::StillAlive;
        while !ended() {
            if begun.elapsed() > Duration::from_secs(30) {
                kill(launched.pid, Signal::SIGKILL).unwrap();
                panic!("it waits for ever");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_signal_interrupts_no_call_that_waits_for_its_turn() {
        let script = "import signal, mmap\nsignal.signal(signal.SIGUSR1, lambda *_: None)\nmmap.mmap(-1, 1 << 30)";
        let Some((launched, hearing)) = heard(script) else { return };
        let mut ready = [PollFd::new(hearing.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ready, 30_000_u16), Ok(1), "the program maps memory");
        // Nobody has taken the call yet.
        kill(launched.pid, Signal::SIGUSR1).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let held = hearing.next().unwrap().unwrap();
        assert_eq!((held.number, held.arguments[1]), (libc::SYS_mmap, 1 << 30));
        hearing.let_go(&held);
        assert_eq!(waitpid(launched.pid, None), Ok(WaitStatus::Exited(launched.pid, 0)));
        assert_eq!(hearing.interrupted(), 0);
    }
}
