//! How often a program is looked at, so that looking takes only a small part of the time.
//!
//! What a look costs is measured as the processor time of this thread: on a busy machine it takes longer, but costs the
//! program no more.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::ledger::Weight;

/// Decides when to look.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    begun: Instant,
    due: Instant,
    /// The weight of the call for whose sake the next look is early.
    hurried: Option<Weight>,
    ordinary: Spent,
    heavy: Spent,
    /// How many programs have begun after the first one.
    programs: u32,
    /// What the last look cost.
    last: Duration,
}

/// What looks for the sake of calls of one weight cost: those of a starting program must not be at the expense of later
/// ones that matter more.
#[derive(Debug, Default)]
struct Spent {
    /// While a call was held.
    held: Duration,
    /// Soon after a call.
    after: Duration,
}

/// A look waits until so many times its length have passed since the last one.
const REST: u32 = 30;

/// How long looks may hold system calls in any case, and the part of the time that is added to it.
const HOLDS: (Duration, u32) = (Duration::from_millis(40), 50);
const HEAVY_HOLDS: (Duration, u32) = (Duration::from_millis(200), 25);

/// The same for looks besides the regular ones.
const EXTRA: (Duration, u32) = (Duration::from_millis(40), 30);
const HEAVY_EXTRA: (Duration, u32) = (Duration::from_millis(200), 20);

/// How many programs may be only a step to the next one.
const MOST_STEPS: u32 = 8;

/// When to look after a system call: it has done its work by then.
pub(super) const SOON: Duration = Duration::from_millis(1);

/// When to look after one that is not important: others may follow, as when a program starts.
const LATER: Duration = Duration::from_millis(20);

impl Pace {
    /// A program that starts now.
    pub(super) fn new(every: Duration) -> Pace {
        let now = Instant::now();
        let (ordinary, heavy, last) = (Spent::default(), Spent::default(), Duration::ZERO);
        Pace { every, begun: now, due: now, hurried: None, ordinary, heavy, programs: 0, last }
    }

    /// Another program begins in the process. The time spent on the program before it (often a shell that only looks
    /// for it) is not counted against it: unless one follows another again and again.
    pub(super) fn begin_program(&mut self) {
        self.programs = self.programs.saturating_add(1);
        if self.programs <= MOST_STEPS {
            self.ordinary = Spent::default();
        }
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
        match weight {
            Weight::Heavy => self.is_within(self.heavy.held, HEAVY_HOLDS),
            Weight::Ordinary => self.is_within(self.ordinary.held, HOLDS),
        }
    }

    fn is_within(&self, spent: Duration, (always, part): (Duration, u32)) -> bool {
        spent + self.last <= always + self.begun.elapsed() / part
    }

    /// Looks soon, because something has changed, unless that takes too much time in all.
    pub(super) fn hurry(&mut self, weight: Weight) {
        let (spent, limit, wait) = match weight {
            Weight::Heavy => (self.heavy.after, HEAVY_EXTRA, SOON),
            Weight::Ordinary => (self.ordinary.after, EXTRA, LATER),
        };
        let due = Instant::now() + wait;
        if due < self.due && self.is_within(spent, limit) {
            self.due = due;
            self.hurried = Some(weight);
        }
    }

    /// A look is done that cost so much; while it held a call of this weight, it cost so much.
    pub(super) fn looked(&mut self, cost: Duration, held: Option<(Weight, Duration)>) {
        self.last = cost;
        match (held, self.hurried.take()) {
            (Some((weight, cost)), _) => self.spent(weight).held += cost,
            (None, Some(weight)) => self.spent(weight).after += cost,
            (None, None) => {}
        }
        self.due = Instant::now() + self.every.max(cost * REST);
    }

    fn spent(&mut self, weight: Weight) -> &mut Spent {
        match weight {
            Weight::Ordinary => &mut self.ordinary,
            Weight::Heavy => &mut self.heavy,
        }
    }
}

/// The processor time that this thread has used.
pub(super) fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_takes_long_is_not_repeated_at_once() {
        let mut pace = Pace::new(Duration::from_millis(100));
        assert!(pace.left().is_zero() && pace.may_hold(Weight::Ordinary));
        pace.looked(Duration::from_micros(100), None);
        assert!(pace.left() <= Duration::from_millis(100) && pace.left() > Duration::from_millis(50));
        pace.hurry(Weight::Heavy);
        assert!(pace.left() <= SOON);
        pace.looked(Duration::from_secs(1), Some((Weight::Ordinary, Duration::from_secs(1))));
        assert!(pace.left() > Duration::from_secs(20) && !pace.may_hold(Weight::Ordinary));
        pace.hurry(Weight::Heavy);
        assert!(pace.left() > Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_was_only_a_step_leaves_time_for_the_next_one() {
        let mut pace = Pace::new(Duration::from_millis(100));
        pace.looked(Duration::from_millis(1), Some((Weight::Ordinary, Duration::from_secs(1))));
        assert!(!pace.may_hold(Weight::Ordinary));
        pace.begin_program();
        assert!(pace.may_hold(Weight::Ordinary));
        // A program that runs itself again and again has no more time than any other.
        for _ in 0..100 {
            pace.looked(Duration::from_millis(1), Some((Weight::Ordinary, Duration::from_secs(1))));
            pace.begin_program();
        }
        assert!(!pace.may_hold(Weight::Ordinary));
    }
}
