//! What this process and the child of [`Actor`](super::Actor) write to each other.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::orders::Order;

/// Memory that both processes share.
#[derive(Debug)]
pub(super) struct Board {
    /// How many bytes of the current order are done.
    pub(super) done: AtomicU64,
    /// Whether the current order is to end early.
    pub(super) stop: AtomicBool,
    /// The order. It is written while the child waits for a byte that says so, and read before it answers.
    pub(super) order: UnsafeCell<Order>,
    /// The result. It is written before the child answers, and read after that.
    pub(super) result: UnsafeCell<Done>,
    /// The answer of `mincore(2)`, likewise: a byte for each page.
    pub(super) residency: UnsafeCell<[u8; RESIDENCY]>,
}

/// About how many pages one order asks at most.
pub(super) const RESIDENCY: usize = 1 << 14;

impl Board {
    pub(super) fn new() -> Board {
        Board {
            done: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            order: UnsafeCell::new(Order::Rewind),
            result: UnsafeCell::new(Done::default()),
            residency: UnsafeCell::new([0; RESIDENCY]),
        }
    }
}

/// The result of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Done {
    /// The result of the system call, or the number of pages that were touched. Negative: the error number.
    pub(super) result: i64,
    /// Page faults that needed no I/O, as `getrusage(2)` counts them.
    pub(crate) minor_faults: u64,
    /// Page faults that needed I/O.
    pub(crate) major_faults: u64,
    /// How long it took.
    pub(super) nanoseconds: u64,
}

impl Done {
    /// The result of the system call, or the number of pages that were touched.
    pub(crate) fn result(&self) -> u64 {
        u64::try_from(self.result).unwrap_or(0)
    }

    /// How long it took.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }
}
