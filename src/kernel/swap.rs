//! Whether this machine has any swap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether swap is off: then no page can be in it. `/proc/swaps` is read again after about a second. False if it cannot
/// be read.
pub(crate) fn is_off() -> bool {
    /// The second in which it was read, and in the lowest bit whether swap was off.
    static READ: AtomicU64 = AtomicU64::new(0);
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let before = READ.load(Ordering::Relaxed);
    if before >> 1 == second && second != 0 {
        return before & 1 == 1;
    }
    // A header, and a line for each swap device.
    let off = std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() == 1);
    READ.store(second << 1 | u64::from(off), Ordering::Relaxed);
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_meminfo() {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = meminfo.lines().find(|line| line.starts_with("SwapTotal:")).unwrap();
        assert_eq!(is_off(), total.split_whitespace().nth(1) == Some("0"));
    }
}
