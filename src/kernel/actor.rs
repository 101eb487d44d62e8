//! A child process that maps, touches and releases memory as it is told. Its memory holds nothing else that changes, so
//! that every figure of it can be predicted.
//!
//! The child is forked and never executes another program. It ends with this process, whatever ends that.

#![allow(unsafe_code, reason = "a child process that never returns to Rust code, and memory that is shared with it")]

mod board;
mod child;
mod orders;
mod own_memory;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};

use super::guardian::close_others;
use super::page_size;
use crate::units::{PageRuns, Run};
pub(crate) use board::Done;
pub(crate) use orders::{Advice, Order, Pattern, Touch};

use board::{Board, RESIDENCY};
use child::{Page, act, end_with};

/// The child process.
#[derive(Debug)]
pub(crate) struct Actor {
    child: Pid,
    socket: UnixStream,
    board: NonNull<Board>,
    /// When it was told to end the order that is running early.
    stopped: Option<Instant>,
    /// Whether it was killed, and waited for as long as that is worth it.
    is_killed: bool,
    /// The signal that ended it, once that is known.
    ended_by: Option<Signal>,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A system call failed.
    Call(Errno),
    /// The child was ended by this signal.
    Ended(Option<Signal>),
}

/// An order that is being carried out.
#[derive(Debug)]
pub(crate) struct Running(());

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Failed {
        Failed::Call(errno)
    }
}

/// How often the caller is asked whether to go on.
const GLANCE: Duration = Duration::from_millis(40);

/// How long an order that is to end early may go on. A child that is stopped, or waits for a file system that does not
/// answer, would never end it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a killed child is waited for. One that waits for a file system ends once that answers.
const FAREWELL: Duration = Duration::from_secs(3);

impl Actor {
    /// Starts the child. Of all descriptors of this process it has only `file`, if there is one.
    ///
    /// # Errors
    /// As `fork(2)`, `mmap(2)` and `socketpair(2)`.
    #[doc(alias = "fork")]
    pub(crate) fn start(file: Option<&impl AsRawFd>) -> Result<Actor, Errno> {
        let length = NonZeroUsize::MIN.saturating_add(size_of::<Board>());
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let memory = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) }?;
        let io = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let (socket, far) = UnixStream::pair().map_err(io)?;
        let (board, parent, page) = (memory.cast::<Board>(), getpid(), Page(page_size().bytes()));
        // SAFETY: the mapping is new, long enough, and begins at the start of a page.
        unsafe { board.write(Board::new()) };
        let own = own_memory::segments(page.0);
        // In the child they stay blocked: this process ends it.
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        // SAFETY: the child only makes system calls and uses the allocator of the C library, which `fork` leaves in a
        // consistent state. It uses no memory of Rust but its stack, the board and the list of segments, and ends with
        // `_exit`.
        let forked = unsafe { fork() };
        if let Ok(ForkResult::Child) = forked {
            end_with(parent);
            close_others([far.as_raw_fd(), file.map_or(-1, AsRawFd::as_raw_fd)]);
            // SAFETY: the mapping has a board and stays until the process ends.
            act(far.as_raw_fd(), unsafe { board.as_ref() }, &page, &own);
        }
        mask.thread_set_mask()?;
        match forked? {
            ForkResult::Parent { child } => {
                Ok(Actor { child, socket, board, stopped: None, is_killed: false, ended_by: None })
            }
            ForkResult::Child => Err(Errno::ECHILD),
        }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Pid {
        self.child
    }

    /// Has an order carried out. While it is, `go_on` is called again and again with the number of bytes that are done;
    /// if it returns false, the order ends early.
    ///
    /// # Errors
    /// That of the system call; or the signal that ended the child, which then cannot be used any more.
    pub(crate) fn perform(&mut self, order: &Order, mut go_on: impl FnMut(u64) -> bool) -> Result<Done, Failed> {
        let mut running = self.begin(order)?;
        loop {
            match self.await_end(running)? {
                Ok(done) => return Ok(done),
                Err(still) => running = still,
            }
            if !go_on(self.progress()) {
                self.stop();
            }
        }
    }

    /// Begins to carry out an order, which then has to be awaited.
    ///
    /// # Errors
    /// The signal that ended the child.
    pub(crate) fn begin(&mut self, order: &Order) -> Result<Running, Failed> {
        self.board().done.store(0, Ordering::Relaxed);
        self.board().stop.store(false, Ordering::Relaxed);
        self.stopped = None;
        // SAFETY: the child waits for a byte and does not access the order.
        unsafe { self.board().order.get().write(*order) };
        self.socket.write_all(&[0]).map_err(|_| self.ended())?;
        Ok(Running(()))
    }

    /// Waits a moment for the end of an order; if it has not ended by then, it is still running.
    ///
    /// # Errors
    /// As [`Actor::perform`].
    pub(crate) fn await_end(&mut self, running: Running) -> Result<Result<Done, Running>, Failed> {
        let timeout = PollTimeout::try_from(GLANCE).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) if self.stopped.is_some_and(|since| since.elapsed() > PATIENCE) => {
                return Err(self.ended());
            }
            Ok(0) | Err(Errno::EINTR) => return Ok(Err(running)),
            polled => polled?,
        };
        self.socket.read_exact(&mut [0]).map_err(|_| self.ended())?;
        // SAFETY: the child has answered and waits for the next order.
        let done = unsafe { self.board().result.get().read() };
        match i32::try_from(-done.result) {
            Ok(errno) if done.result < 0 => Err(Failed::Call(Errno::from_raw(errno))),
            _ => Ok(Ok(done)),
        }
    }

    /// Which pages of its memory are in the page cache, each by its number from the start of `range`, as `mincore(2)`
    /// tells the child: it may ask about memory that it has made itself, whoever may open what is behind that.
    ///
    /// # Errors
    /// As [`Actor::perform`].
    pub(crate) fn read_residency(&mut self, range: &Range<u64>) -> Result<PageRuns, Failed> {
        let page = page_size().bytes();
        let step = page.saturating_mul(RESIDENCY as u64);
        let (mut runs, mut start) = (Vec::new(), range.start);
        while start < range.end {
            let length = step.min(range.end - start);
            self.perform(&Order::Residency { address: start, length }, |_| true)?;
            let first = (start - range.start) / page;
            // SAFETY: the child has answered and waits for the next order. Any byte is valid.
            let answer = unsafe { &*self.board().residency.get() };
            let pages = (first..).zip(answer).take(length.div_ceil(page) as usize);
            runs.extend(pages.filter(|(_, byte)| **byte & 1 != 0).map(|(first, _)| Run { first, count: 1 }));
            start = start.saturating_add(length);
        }
        Ok(runs.into_iter().collect())
    }

    /// How many bytes of the order that is running are done.
    pub(crate) fn progress(&self) -> u64 {
        self.board().done.load(Ordering::Relaxed)
    }

    /// Has the order that is running end early. If it does not, the child is killed.
    pub(crate) fn stop(&mut self) {
        self.board().stop.store(true, Ordering::Relaxed);
        self.stopped.get_or_insert_with(Instant::now);
    }

    fn board(&self) -> &Board {
        // SAFETY: the mapping has a board and stays until this value is dropped.
        unsafe { self.board.as_ref() }
    }

    /// Ends the child, and returns how it ended.
    fn ended(&mut self) -> Failed {
        if let Some(WaitStatus::Signaled(_, signal, _)) = self.kill() {
            self.ended_by = Some(signal);
        }
        Failed::Ended(self.ended_by)
    }

    /// Kills the child and waits for its end, but not for ever. `None` if that is not known.
    fn kill(&mut self) -> Option<WaitStatus> {
        if std::mem::replace(&mut self.is_killed, true) {
            return None;
        }
        let _ = kill(self.child, Signal::SIGKILL);
        let begun = Instant::now();
        loop {
            match waitpid(self.child, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) if begun.elapsed() < FAREWELL => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                ended => return ended.ok(),
            }
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
        // SAFETY: the mapping belongs to this value alone, and nothing refers to it any more.
        let _ = unsafe { munmap(self.board.cast(), 1 + size_of::<Board>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn perform(actor: &mut Actor, order: Order) -> Result<Done, Failed> {
        actor.perform(&order, |_| true)
    }

    #[test]
    fn memory_is_touched_in_any_order_and_each_page_once() {
        let mut actor = Actor::start(None::<&UnixStream>).unwrap();
        for pattern in [Pattern::Sequential, Pattern::Reverse, Pattern::Random, Pattern::Stride(3 * PAGE)] {
            let address = perform(&mut actor, Order::MapAnonymous { length: 100 * PAGE, is_shared: false }).unwrap();
            let touch = Touch { address: address.result(), length: 100 * PAGE, pattern, ..Touch::default() };
            let touched = |actor: &mut Actor, until| {
                let done = perform(actor, Order::Touch(Touch { until: until * PAGE, writes: true, ..touch })).unwrap();
                (done.result(), done.minor_faults)
            };
            perform(&mut actor, Order::Rewind).unwrap();
            let (first, faults) = touched(&mut actor, 40);
            assert!(faults >= first.min(2), "{pattern:?}");
            let (second, _) = touched(&mut actor, 100);
            let all = if pattern == Pattern::Stride(3 * PAGE) { (14, 20) } else { (40, 60) };
            assert_eq!((first, second), all, "{pattern:?}");
        }
    }

    #[test]
    fn only_the_page_faults_of_the_order_are_counted() {
        let mut actor = Actor::start(None::<&UnixStream>).unwrap();
        let mapped = perform(&mut actor, Order::MapAnonymous { length: 4 * PAGE, is_shared: false }).unwrap();
        assert_eq!((mapped.minor_faults, mapped.major_faults), (0, 0));
        let touch = Touch { address: mapped.result(), length: 4 * PAGE, until: 4 * PAGE, ..Touch::default() };
        let read = perform(&mut actor, Order::Touch(touch)).unwrap();
        assert_eq!((read.result(), read.minor_faults, read.major_faults), (4, 4, 0));
        let again = perform(&mut actor, Order::Glance(Touch { writes: true, ..touch })).unwrap();
        assert_eq!((again.result(), again.minor_faults, again.major_faults), (4, 4, 0), "copied on write");
    }

    #[test]
    fn it_ends_when_a_page_cannot_be_provided_and_says_which_signal_ended_it() {
        let file = tempfile::tempfile().unwrap();
        let mut actor = Actor::start(Some(&file)).unwrap();
        let order = Order::MapFile { fd: file.as_raw_fd(), length: PAGE, is_shared: true };
        let address = perform(&mut actor, order).unwrap().result();
        let touch = Touch { address, length: PAGE, until: PAGE, ..Touch::default() };
        assert_eq!(perform(&mut actor, Order::Touch(touch)), Err(Failed::Ended(Some(Signal::SIGBUS))));
        assert_eq!(perform(&mut actor, Order::Rewind), Err(Failed::Ended(Some(Signal::SIGBUS))), "it is remembered");
    }

    #[test]
    fn a_slow_order_ends_early_if_it_is_told_to() {
        let mut actor = Actor::start(None::<&UnixStream>).unwrap();
        let order = Order::MapAnonymous { length: 1 << 20, is_shared: false };
        let address = perform(&mut actor, order).unwrap().result();
        let touch = Touch { address, length: 1 << 20, until: 1 << 20, rate: 100 * PAGE, ..Touch::default() };
        let mut calls = 0;
        let done = actor.perform(&Order::Touch(touch), |_| {
            calls += 1;
            calls < 3
        });
        let pages = done.unwrap().result();
        assert!((1..200).contains(&pages) && calls >= 3, "{pages} pages, {calls} calls");
    }

    #[test]
    fn a_child_that_does_not_end_an_order_is_killed() {
        let mut actor = Actor::start(None::<&UnixStream>).unwrap();
        kill(actor.child, Signal::SIGSTOP).unwrap();
        let begun = Instant::now();
        assert_eq!(actor.perform(&Order::Rewind, |_| false), Err(Failed::Ended(Some(Signal::SIGKILL))));
        assert!(begun.elapsed() < 5 * PATIENCE, "{:?}", begun.elapsed());
    }
}
