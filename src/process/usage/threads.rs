//! Work on several threads that is left behind if it takes too long. A thread in a read that blocks in the kernel
//! cannot be called back.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

/// More threads than this mostly wait for the locks of the kernel.
const MOST_THREADS: usize = 8;

/// How long results are awaited before `check` is called.
const PATIENCE: Duration = Duration::from_millis(100);

/// Items that several threads take one after the other, and what came of them. The results are not sent to the thread
/// that waits: it would wake up for each.
struct Lane<T, R> {
    items: Vec<T>,
    next: AtomicUsize,
    results: Mutex<Vec<Option<R>>>,
}

impl<T, R> Lane<T, R> {
    fn new(items: Vec<T>) -> Lane<T, R> {
        let results = items.iter().map(|_| None).collect();
        Lane { items, next: AtomicUsize::new(0), results: Mutex::new(results) }
    }

    /// Calls `work` for items that nobody has taken yet, until there are none or it is late.
    fn work(&self, is_late: impl Fn() -> bool, mut work: impl FnMut(&T) -> R) {
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(place).filter(|_| !is_late()) else { return };
            let done = work(item);
            locked(&self.results, |results| {
                if let Some(result) = results.get_mut(place) {
                    *result = Some(done);
                }
            });
        }
    }

    /// What is done so far. Nothing is taken any more, and what is still being done is lost.
    fn end(&self) -> Vec<Option<R>> {
        self.next.store(self.items.len(), Ordering::Relaxed);
        locked(&self.results, std::mem::take)
    }
}

/// Calls `work` for each item, in the order of each lane, with as many threads for each lane as there are processors.
/// Each thread has a tool of its own, from `tool`. The result of an item that was not done before `until` is `None`.
/// `check` is called from time to time; the work ends if it says so.
pub(super) fn work_until<T, Tool, R, const LANES: usize>(
    lanes: [Vec<T>; LANES],
    until: Option<Instant>,
    tool: impl Fn() -> Tool,
    work: impl Fn(&mut Tool, &T) -> R + Send + Sync + 'static,
    check: &mut dyn FnMut() -> ControlFlow<()>,
) -> [Vec<Option<R>>; LANES]
where
    T: Send + Sync + 'static,
    Tool: Send + 'static,
    R: Send + 'static,
{
    let lanes = lanes.map(|items| Arc::new(Lane::new(items)));
    let is_late = move || until.is_some_and(|until| Instant::now() >= until);
    let work = Arc::new(work);
    // Each thread has a sender until it ends.
    let (sender, receiver) = channel::<()>();
    let most = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    for lane in &lanes {
        let mut started = 0;
        for _ in 0..most.min(lane.items.len()) {
            let (lane, work, sender, mut tool) = (lane.clone(), work.clone(), sender.clone(), tool());
            let work = move || {
                lane.work(is_late, |item| work(&mut tool, item));
                drop(sender);
            };
            started += usize::from(Builder::new().name("usage".into()).spawn(work).is_ok());
        }
        if started == 0 {
            let mut tool = tool();
            lane.work(is_late, |item| work(&mut tool, item));
        }
    }
    drop(sender);
    loop {
        let left = until.map_or(PATIENCE, |until| until.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left.min(PATIENCE)) {
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if is_late() || check().is_break() => break,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
    lanes.map(|lane| lane.end())
}

/// Changes what several threads share.
pub(super) fn locked<T, R>(shared: &Mutex<T>, change: impl FnOnce(&mut T) -> R) -> R {
    change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_left_behind() {
        let begun = Instant::now();
        let sleep = |_: &mut (), milliseconds: &u64| {
            thread::sleep(Duration::from_millis(*milliseconds));
            *milliseconds
        };
        let until = Some(begun + Duration::from_millis(200));
        let long = vec![1, 2, 5000, 6000, 3, 4000, 7000, 8000, 9000, 9001, 9002, 9003];
        let [long, short] = work_until([long, vec![4; 9]], until, || (), sleep, &mut || ControlFlow::Continue(()));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!((long.len(), long.first(), long.last()), (12, Some(&Some(1)), Some(&None)));
        // Those in the other lane do not wait for them.
        assert_eq!(short, [Some(4); 9]);
    }

    #[test]
    fn without_a_limit_everything_is_done_in_place() {
        let on = &mut || ControlFlow::Continue(());
        let [done] = work_until([(0..1000).collect()], None, || 1, |one, item| item + *one, on);
        assert!(done.into_iter().eq((1..=1000).map(Some)));
        let none = work_until([Vec::<u8>::new()], None, || (), |(), item| *item, on);
        assert_eq!(none, [vec![]]);
    }
}
