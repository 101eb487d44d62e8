//! How often a program is looked at, so that looking takes only a small part of the time.

use std::time::{Duration, Instant};

use super::ledger::Weight;

/// Decides when to look.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    begun: Instant,
    due: Instant,
    /// How long all looks took while a system call was held.
    held: Duration,
    /// How long all looks took.
    looked: Duration,
    /// How long the last one took.
    last: Duration,
}

/// A look waits until so many times its length have passed since the last one.
const REST: u32 = 30;

/// How long looks may hold system calls in any case, and the part of the time that is added to it.
const HOLDS: (Duration, u32) = (Duration::from_millis(20), 50);
const HEAVY_HOLDS: (Duration, u32) = (Duration::from_millis(100), 25);

/// The same for looks besides the regular ones.
const EXTRA: (Duration, u32) = (Duration::from_millis(60), 30);
const HEAVY_EXTRA: (Duration, u32) = (Duration::from_millis(200), 20);

/// When to look after a system call: it has done its work by then.
pub(super) const SOON: Duration = Duration::from_millis(1);

/// When to look after one that is not important: others may follow, as when a program starts.
const LATER: Duration = Duration::from_millis(10);

impl Pace {
    /// A program that starts now.
    pub(super) fn new(every: Duration) -> Pace {
        let now = Instant::now();
        let zero = Duration::ZERO;
        Pace { every, begun: now, due: now, held: zero, looked: zero, last: zero }
    }

    /// The time since the program started.
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How long to wait for the next look.
    pub(super) fn left(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Whether a system call may be held for a look.
    pub(super) fn may_hold(&self, weight: Weight) -> bool {
        self.is_within(self.held, if weight == Weight::Heavy { HEAVY_HOLDS } else { HOLDS })
    }

    fn is_within(&self, spent: Duration, (always, part): (Duration, u32)) -> bool {
        spent + self.last <= always + self.begun.elapsed() / part
    }

    /// Looks soon, because something has changed, unless that takes too much time in all.
    pub(super) fn hurry(&mut self, weight: Weight) {
        let (limit, wait) = match weight {
            Weight::Heavy => (HEAVY_EXTRA, SOON),
            Weight::Ordinary => (EXTRA, LATER),
        };
        if self.is_within(self.looked, limit) {
            self.due = self.due.min(Instant::now() + wait);
        }
    }

    /// A look that began at this time is done. It held a system call for so long.
    pub(super) fn looked(&mut self, since: Instant, held: Duration) {
        let now = Instant::now();
        self.last = now.saturating_duration_since(since);
        self.looked += self.last;
        self.held += held;
        self.due = now + self.every.max(self.last * REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_takes_long_is_not_repeated_at_once() {
        let mut pace = Pace::new(Duration::from_millis(100));
        assert!(pace.left().is_zero() && pace.may_hold(Weight::Ordinary));
        pace.looked(Instant::now(), Duration::ZERO);
        assert!(pace.left() <= Duration::from_millis(100) && pace.left() > Duration::from_millis(50));
        pace.hurry(Weight::Heavy);
        assert!(pace.left() <= SOON);
        pace.looked(Instant::now() - Duration::from_secs(1), Duration::from_secs(1));
        assert!(pace.left() > Duration::from_secs(20) && !pace.may_hold(Weight::Heavy));
        pace.hurry(Weight::Heavy);
        assert!(pace.left() > Duration::from_secs(20));
    }
}
