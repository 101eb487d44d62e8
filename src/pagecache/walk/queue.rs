//! The work that threads share: directories to be read, and files of directories that are too large for one thread.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::resource::{Resource, getrlimit};

use super::work::{Directory, Work};

/// Descriptors that are reserved for everything but the walk: the standard ones, and those needed to measure a file.
const DESCRIPTORS_KEPT: u64 = 10;

/// Descriptors that a thread needs: a directory, a second one to list it, the next directory, and a file.
const DESCRIPTORS_A_JOB: u64 = 4;

/// How many levels a thread descends, with the directories above open, before it puts directories into the queue.
const DEEPEST_NESTING: u64 = 16;

/// The highest number of waiting directories per thread, unless the tree is deeper than a thread may descend.
const WAITING_A_JOB: usize = 32;

/// The waiting work, last in, first out: the walk goes deep before it goes wide, which keeps the queue short.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Approximate copies of what is under the lock.
    waiting: AtomicUsize,
    idle: AtomicUsize,
    stopped: AtomicBool,
    jobs: usize,
    nesting: usize,
}

struct State {
    waiting: Vec<Work>,
    /// How many threads are working and may add more work.
    busy: usize,
}

impl Queue {
    pub(super) fn new(directories: Vec<Directory>, jobs: NonZeroUsize) -> Queue {
        // Work is taken from the end, so the directory that was named first comes first.
        let waiting: Vec<Work> = directories.into_iter().rev().map(Work::Directory).collect();
        Queue {
            waiting: AtomicUsize::new(waiting.len()),
            state: Mutex::new(State { waiting, busy: 0 }),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            jobs: jobs.get(),
            nesting: affordable_nesting(jobs),
        }
    }

    /// Takes work. Waits while another thread may still add some; returns `None` when everything is done.
    pub(super) fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(work) = state.waiting.pop() {
                self.waiting.store(state.waiting.len(), Ordering::Relaxed);
                state.busy += 1;
                return Some(work);
            }
            if state.busy == 0 {
                return None;
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Marks work that was taken as done.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.busy = state.busy.saturating_sub(1);
        if state.busy == 0 {
            self.changed.notify_all();
        }
    }

    /// Adds work.
    pub(super) fn put(&self, work: Work) {
        let mut state = self.lock();
        state.waiting.push(work);
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Whether a directory that was found at this nesting should be put into the queue instead of being read at once.
    pub(super) fn takes_directory(&self, nesting: usize) -> bool {
        let room = self.jobs > 1 && self.waiting.load(Ordering::Relaxed) < self.jobs * WAITING_A_JOB;
        room || nesting >= self.nesting
    }

    /// Whether a thread is idle and no work is waiting.
    pub(super) fn is_hungry(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0 && self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Ends the walk on all threads.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _state = self.lock();
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requested number of threads, or fewer if there are not enough descriptors.
pub(super) fn affordable_jobs(asked: NonZeroUsize) -> NonZeroUsize {
    let affordable = usize::try_from(free_descriptors() / DESCRIPTORS_A_JOB).unwrap_or(usize::MAX);
    NonZeroUsize::new(asked.get().min(affordable)).unwrap_or(NonZeroUsize::MIN)
}

/// How many directories a thread may keep open above the one that it reads.
fn affordable_nesting(jobs: NonZeroUsize) -> usize {
    let each = free_descriptors() / u64::try_from(jobs.get()).unwrap_or(u64::MAX);
    let nesting = each.saturating_sub(DESCRIPTORS_A_JOB) / 2;
    usize::try_from(nesting.min(DEEPEST_NESTING)).unwrap_or_default()
}

fn free_descriptors() -> u64 {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    soft.saturating_sub(DESCRIPTORS_KEPT)
}
