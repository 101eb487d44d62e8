//! All processes of a machine, visited on several threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder};

/// More threads than this mostly wait for the locks of the kernel.
const MOST_THREADS: usize = 8;

/// One thread reads as many processes in less time than it takes to start others.
const FEWEST: usize = 32;

/// Calls `visit` once for each of these pids, in no particular order, on as many threads as are worth it. Each thread
/// has what `new` makes for it.
pub(super) fn visit_all<T>(pids: &[u32], new: impl Fn() -> T + Sync, visit: impl Fn(&mut T, u32) + Sync) {
    let next = AtomicUsize::new(0);
    let read = || {
        let mut own = new();
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            visit(&mut own, *pid);
        }
    };
    let threads = match pids.len() < FEWEST {
        true => 1,
        false => thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS),
    };
    thread::scope(|scope| {
        // This thread reads too, so it does not matter if another one cannot be started.
        for _ in 1..threads {
            let _ = Builder::new().name("processes".into()).spawn_scoped(scope, read);
        }
        read();
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_process_is_visited_once() {
        for count in [0, 1, 31, 32, 1000] {
            let pids: Vec<u32> = (0..count).collect();
            let seen = Mutex::new(Vec::new());
            visit_all(&pids, || (), |(), pid| seen.lock().unwrap().push(pid));
            let seen = seen.into_inner().unwrap();
            let all: BTreeSet<u32> = seen.iter().copied().collect();
            assert_eq!((seen.len(), all.len()), (pids.len(), pids.len()));
        }
    }
}
