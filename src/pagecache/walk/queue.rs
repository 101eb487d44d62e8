//! The work that threads share: directories to be read, and files of directories that are too large for one thread.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::resource::{Resource, getrlimit};

use super::work::Work;

/// Descriptors that are reserved for everything but the walk: the standard ones, and those needed to measure a file.
const DESCRIPTORS_KEPT: u64 = 10;

/// Descriptors that a thread needs: a directory, a second one to list it, the next directory, and a file.
const DESCRIPTORS_A_JOB: u64 = 4;

/// How many directories a thread keeps open above the one that it reads. Those above are opened again through `..`.
const NESTING: usize = 16;

/// The highest number of waiting directories per thread. Each keeps the directory open in which it was found.
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
    /// How many directories a thread keeps open above the one that it reads.
    pub(super) nesting: usize,
    /// How many directories may wait.
    most_waiting: usize,
}

struct State {
    waiting: Vec<Work>,
    /// How many threads are working and may add more work.
    busy: usize,
}

impl Queue {
    pub(super) fn new(directories: Vec<PathBuf>, jobs: NonZeroUsize) -> Queue {
        // Work is taken from the end, so the directory that was named first comes first.
        let waiting: Vec<Work> = directories.into_iter().rev().map(Work::Named).collect();
        Queue {
            waiting: AtomicUsize::new(waiting.len()),
            state: Mutex::new(State { waiting, busy: 0 }),
            changed: Condvar::new(),
            idle: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            jobs: jobs.get(),
            nesting: affordable(jobs, NESTING),
            most_waiting: jobs.get() * affordable(jobs, WAITING_A_JOB),
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

    /// Whether a directory that was found should be put into the queue instead of being read by the thread that found
    /// it.
    pub(super) fn takes_directory(&self) -> bool {
        self.jobs > 1 && self.waiting.load(Ordering::Relaxed) < self.most_waiting
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

/// `most` descriptors for each thread, or fewer if there are not enough.
fn affordable(jobs: NonZeroUsize, most: usize) -> usize {
    let each = free_descriptors() / u64::try_from(jobs.get()).unwrap_or(u64::MAX);
    let half = each.saturating_sub(DESCRIPTORS_A_JOB) / 2;
    usize::try_from(half).unwrap_or(most).clamp(1, most)
}

/// How many descriptors are left for a walk and what it opens, if nothing else has many.
pub(crate) fn free_descriptors() -> u64 {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    soft.saturating_sub(DESCRIPTORS_KEPT)
}
