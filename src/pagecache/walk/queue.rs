//! The work that threads share: directories that nobody has read yet, and files of directories too large for one thread.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::resource::{Resource, getrlimit};

use super::work::{Directory, Work};

/// Descriptors that are left for everything but the walk: the standard ones, and those of what is done with a file.
const DESCRIPTORS_KEPT: u64 = 10;

/// Descriptors that a thread needs: a directory, the same once more to list it, the next one, and a file.
const DESCRIPTORS_A_JOB: u64 = 4;

/// How deep a thread goes into directories, with those above open, before it leaves them to whoever comes next.
const DEEPEST_NESTING: u64 = 16;

/// How many directories wait for each thread at most, unless the tree is deeper than threads may go at once.
const WAITING_A_JOB: usize = 32;

/// The work that waits, last come first served: what is deep goes before what is wide, and the queue stays short.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Copies of what is under the lock, for decisions that may be wrong by a little.
    waiting: AtomicUsize,
    idle: AtomicUsize,
    stopped: AtomicBool,
    jobs: usize,
    nesting: usize,
}

struct State {
    waiting: Vec<Work>,
    /// How many threads have taken work that may bring more.
    busy: usize,
}

impl Queue {
    pub(super) fn new(directories: Vec<Directory>, jobs: NonZeroUsize) -> Queue {
        // Taken from the end: the directory that was named first is the first.
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

    /// Takes work, waits for it while another thread may bring some, and gives none when all is done.
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

    /// Says that work that was taken is done.
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

    /// Whether a directory that was found is better left to whoever comes next than read at once, at this nesting.
    pub(super) fn takes_directory(&self, nesting: usize) -> bool {
        let room = self.jobs > 1 && self.waiting.load(Ordering::Relaxed) < self.jobs * WAITING_A_JOB;
        room || nesting >= self.nesting
    }

    /// Whether a thread is out of work and there is none for it.
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

/// As many threads as were asked for, as far as there are descriptors for them.
pub(super) fn affordable_jobs(asked: NonZeroUsize) -> NonZeroUsize {
    let affordable = usize::try_from(free_descriptors() / DESCRIPTORS_A_JOB).unwrap_or(usize::MAX);
    NonZeroUsize::new(asked.get().min(affordable)).unwrap_or(NonZeroUsize::MIN)
}

/// How many directories a thread may have open above the one that it reads.
fn affordable_nesting(jobs: NonZeroUsize) -> usize {
    let each = free_descriptors() / u64::try_from(jobs.get()).unwrap_or(u64::MAX);
    let nesting = each.saturating_sub(DESCRIPTORS_A_JOB) / 2;
    usize::try_from(nesting.min(DEEPEST_NESTING)).unwrap_or_default()
}

fn free_descriptors() -> u64 {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    soft.saturating_sub(DESCRIPTORS_KEPT)
}
