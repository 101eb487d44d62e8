//! The system calls that change what a process has mapped, and what each of them says about a mapping.

use std::ops::Range;
use std::time::Duration;

use nix::libc;

use super::change::InCache;
use crate::kernel::notify::{Notification, Watched};
use crate::units::{Bytes, Figure, PageSize};

/// A system call that was noted when it began. Whether it succeeded is not known.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    /// When it began, after the start of the program.
    pub(super) at: Duration,
    /// The thread that made it.
    pub(super) thread: u32,
    pub(super) call: Call,
    /// The addresses at which nothing is left of what was mapped before, once it is done.
    pub(super) frees: Option<Range<u64>>,
    /// The page cache of the mappings that it may end, as it was while it was held, by their addresses.
    pub(super) cache: Vec<InCacheAt>,
    /// Whether a change was put down to it.
    pub(super) is_used: bool,
}

impl Noted {
    /// Whether a later look may still find what it did, and so a change at the time at which it began.
    pub(super) fn is_open(&self) -> bool {
        let may_be_told = is_unseen(&self.call) || matches!(self.call, Call::Drop(_));
        !self.is_used && (may_be_told || self.frees.is_some() && !self.call.is_long())
    }

    /// Whether it is done for certain: its thread has begun another one of these calls since, or is about to do so.
    pub(super) fn is_done(&self, later: &[Noted], holding: Option<u32>) -> bool {
        holding == Some(self.thread) || later.iter().any(|noted| noted.thread == self.thread)
    }
}

/// The page cache of a mapping, by its addresses.
pub(super) type InCacheAt = (Range<u64>, Figure<InCache>);

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// `mmap`. Only with `MAP_FIXED` is it known in advance where.
    Map {
        fixed: Option<Range<u64>>,
        /// Whether it replaces what is mapped there: not with `MAP_FIXED_NOREPLACE`.
        replaces: bool,
        length: u64,
        offset: u64,
        is_file: bool,
        /// Whether it asks for huge pages of hugetlbfs without a file.
        is_huge: bool,
        is_shared: bool,
        is_accessible: bool,
        populates: bool,
    },
    /// `munmap`
    Unmap(Range<u64>),
    /// `mremap`, and the new length.
    Move(Range<u64>, u64),
    /// `brk`: where the heap ended before, if that is known and matters, and where it is to end.
    Break(Option<u64>, u64),
    /// `madvise` with an advice that frees pages.
    Drop(Range<u64>),
    /// `madvise` with an advice that brings pages in.
    Fill(Range<u64>),
    /// `mprotect`, and whether it leaves any access: memory without access is not followed.
    Protect(Range<u64>, bool),
    /// `mlock`, `mlock2`
    Lock(Range<u64>),
    /// `shmat`
    Attach,
    /// `shmdt`
    Detach(u64),
    /// `execve`, `execveat`
    Execute,
    /// `exit_group`
    Exit,
}

/// A call that ends nothing and always concerns little is not held. Those with lengths are held only if one of them is
/// large, so the many small ones of a starting program cost nothing.
#[cfg(target_pointer_width = "64")]
pub(super) const WATCHED: &[Watched] = &[
    Watched { number: libc::SYS_mmap, lengths: &[1], reserves: true },
    watched(libc::SYS_munmap, &[1]),
    watched(libc::SYS_mremap, &[1, 2]),
    watched(libc::SYS_madvise, &[1]),
    watched(libc::SYS_mprotect, &[1]),
    watched(libc::SYS_mlock, &[1]),
    watched(libc::SYS_mlock2, &[1]),
    watched(libc::SYS_brk, &[]),
    watched(libc::SYS_shmat, &[]),
    watched(libc::SYS_shmdt, &[]),
    watched(libc::SYS_execve, &[]),
    watched(libc::SYS_execveat, &[]),
    watched(libc::SYS_exit_group, &[]),
];
#[cfg(target_pointer_width = "64")]
const fn watched(number: libc::c_long, lengths: &'static [u8]) -> Watched {
    Watched { number, lengths, reserves: false }
}

/// On 32-bit machines `mmap` has another number and another unit.
#[cfg(not(target_pointer_width = "64"))]
pub(super) const WATCHED: &[Watched] = &[];

/// The words for the calls, as the kernel names them.
pub const CALLS: [&str; 11] =
    ["mmap", "munmap", "mremap", "brk", "madvise", "mprotect", "mlock", "shmat", "shmdt", "execve", "exit_group"];

/// The kinds of advice that free pages: `MADV_DONTNEED`, `MADV_FREE`, `MADV_REMOVE`, `MADV_PAGEOUT` and
/// `MADV_DONTNEED_LOCKED`.
const DROPS: [u64; 5] = [4, 8, 9, 21, 24];

/// The kinds of advice that map pages in: `MADV_POPULATE_READ` and `MADV_POPULATE_WRITE`. `MADV_WILLNEED` only reads
/// them.
const FILLS: [u64; 2] = [22, 23];

/// The flag of `mlock2` with which it maps nothing in.
const ON_FAULT: u64 = 1;

/// The bits of an `mprotect` that give access: read, write, execute.
const ACCESS: u64 = 7;

impl Call {
    /// What a call asks for; `None` if it does not change what is mapped, or is certain to fail.
    pub(super) fn of(notification: &Notification, page: PageSize, huge_page: Bytes) -> Option<Call> {
        let [first, second, third, fourth, _, sixth] = notification.arguments;
        let rounded = |length: u64| length.checked_next_multiple_of(page.bytes()).unwrap_or(u64::MAX);
        let range = || first..first.saturating_add(rounded(second));
        if fails(notification, page) {
            return None;
        }
        Some(match notification.number {
            libc::SYS_munmap => Call::Unmap(range()),
            libc::SYS_mremap => Call::Move(range(), rounded(third)),
            libc::SYS_mprotect => Call::Protect(range(), third & ACCESS != 0),
            libc::SYS_mlock2 if third & ON_FAULT != 0 => return None,
            libc::SYS_mlock | libc::SYS_mlock2 => Call::Lock(range()),
            libc::SYS_madvise if DROPS.contains(&third) => Call::Drop(range()),
            libc::SYS_madvise if FILLS.contains(&third) => Call::Fill(range()),
            libc::SYS_brk if first != 0 => Call::Break(None, rounded(first)),
            libc::SYS_shmat => Call::Attach,
            libc::SYS_shmdt => Call::Detach(first),
            libc::SYS_execve | libc::SYS_execveat => Call::Execute,
            libc::SYS_exit_group => Call::Exit,
            number if is_mmap(number) => {
                let has = |flag: i32| fourth & u64::from(flag.unsigned_abs()) != 0;
                let is_huge = has(libc::MAP_ANONYMOUS) && has(libc::MAP_HUGETLB);
                let length = match is_huge {
                    true => second.checked_next_multiple_of(huge_unit(fourth, huge_page)).unwrap_or(u64::MAX),
                    false => rounded(second),
                };
                let is_fixed = has(libc::MAP_FIXED) || has(libc::MAP_FIXED_NOREPLACE);
                Call::Map {
                    fixed: is_fixed.then(|| first..first.saturating_add(length)),
                    replaces: has(libc::MAP_FIXED) && !has(libc::MAP_FIXED_NOREPLACE),
                    length,
                    offset: sixth,
                    is_file: !has(libc::MAP_ANONYMOUS),
                    is_huge,
                    is_shared: has(libc::MAP_SHARED),
                    is_accessible: third != 0,
                    populates: has(libc::MAP_POPULATE) || has(libc::MAP_LOCKED),
                }
            }
            _ => return None,
        })
    }

    /// Its name.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Call::Map { .. } => "mmap",
            Call::Unmap(_) => "munmap",
            Call::Move(..) => "mremap",
            Call::Break(..) => "brk",
            Call::Drop(_) | Call::Fill(_) => "madvise",
            Call::Protect(..) => "mprotect",
            Call::Lock(_) => "mlock",
            Call::Attach => "shmat",
            Call::Detach(_) => "shmdt",
            Call::Execute => "execve",
            Call::Exit => "exit_group",
        }
    }

    /// Whether memory may be gone once it is done, so that this is the last moment to look at it.
    pub(super) fn ends_memory(&self) -> bool {
        match self {
            Call::Map { replaces, .. } => *replaces,
            Call::Break(before, end) => before.is_some_and(|before| *end < before),
            Call::Unmap(_) | Call::Move(..) | Call::Drop(_) | Call::Detach(_) | Call::Execute | Call::Exit => true,
            Call::Fill(_) | Call::Protect(..) | Call::Lock(_) | Call::Attach => false,
        }
    }

    /// Whether it maps a file that others see too: what is written to it is in the file at once.
    pub(super) fn shares_file(&self) -> bool {
        matches!(self, Call::Map { is_file: true, is_shared: true, .. })
    }

    /// The addresses that it is about, if it names them.
    pub(super) fn range(&self) -> Option<Range<u64>> {
        match self {
            Call::Unmap(range) | Call::Move(range, _) | Call::Drop(range) => Some(range.clone()),
            Call::Fill(range) | Call::Protect(range, _) | Call::Lock(range) => Some(range.clone()),
            Call::Map { fixed, .. } => fixed.clone(),
            Call::Break(before, end) => before.map(|before| before.min(*end)..before.max(*end)),
            Call::Attach | Call::Detach(_) | Call::Execute | Call::Exit => None,
        }
    }

    /// The addresses at which nothing is left of what was mapped before, as far as the call alone says it.
    pub(super) fn frees(&self) -> Option<Range<u64>> {
        let range = match self {
            Call::Unmap(range) | Call::Map { fixed: Some(range), replaces: true, .. } => range.clone(),
            // What becomes shorter loses its end, wherever it is moved.
            Call::Move(range, length) => range.start.saturating_add(*length)..range.end,
            _ => return None,
        };
        (range.start < range.end).then_some(range)
    }

    /// Whether memory may be there afterwards as before, but with fewer pages, or at another place.
    pub(super) fn only_changes_pages(&self) -> bool {
        matches!(self, Call::Drop(_) | Call::Move(..))
    }

    /// Whether it goes on bringing pages in for a while.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Call::Fill(_) | Call::Lock(_) | Call::Map { populates: true, .. })
    }
}

/// The size of the huge pages that flags ask for: its binary logarithm, or 0 for the usual size.
fn huge_unit(flags: u64, usual: Bytes) -> u64 {
    match flags >> libc::MAP_HUGE_SHIFT & u64::from(libc::MAP_HUGE_MASK.unsigned_abs()) {
        0 => usual.0.max(1),
        logarithm => 1 << logarithm,
    }
}

/// Whether the arguments of a call are such that the kernel refuses it before it does anything.
fn fails(notification: &Notification, page: PageSize) -> bool {
    let [address, _, _, flags, fd, _] = notification.arguments;
    let has = |flag: i32| flags & u64::from(flag.unsigned_abs()) != 0;
    let is_unaligned = !address.is_multiple_of(page.bytes());
    match notification.number {
        libc::SYS_munmap | libc::SYS_mremap | libc::SYS_madvise | libc::SYS_mprotect => is_unaligned,
        number if is_mmap(number) => {
            let is_of_no_type = !has(libc::MAP_TYPE);
            let has_no_file = !has(libc::MAP_ANONYMOUS) && (fd as i32) < 0;
            let is_fixed = has(libc::MAP_FIXED) || has(libc::MAP_FIXED_NOREPLACE);
            is_of_no_type || has_no_file || is_fixed && is_unaligned
        }
        _ => false,
    }
}

#[cfg(target_pointer_width = "64")]
fn is_mmap(number: libc::c_long) -> bool {
    number == libc::SYS_mmap
}

#[cfg(not(target_pointer_width = "64"))]
fn is_mmap(_number: libc::c_long) -> bool {
    false
}

/// Whether a call asks for a mapping of which nothing was known before, or for a longer heap.
pub(super) fn is_unseen(call: &Call) -> bool {
    match call {
        Call::Map { fixed: None, is_accessible: true, .. } => true,
        Call::Break(Some(before), end) => before < end,
        _ => false,
    }
}

/// Whether nothing of a range is outside of another.
pub(super) fn is_inside(part: &Range<u64>, whole: &Range<u64>) -> bool {
    whole.start <= part.start && part.end <= whole.end
}

/// Whether two ranges have an address in common.
pub(super) fn meet(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_one_of_the_words() {
        let range = || 0..1;
        let calls = [
            Call::Map {
                fixed: None,
                replaces: false,
                length: 1,
                offset: 0,
                is_file: true,
                is_huge: false,
                is_shared: true,
                is_accessible: true,
                populates: false,
            },
            Call::Unmap(range()),
            Call::Move(range(), 1),
            Call::Break(None, 1),
            Call::Drop(range()),
            Call::Fill(range()),
            Call::Protect(range(), true),
            Call::Lock(range()),
            Call::Attach,
            Call::Detach(0),
            Call::Execute,
            Call::Exit,
        ];
        for call in calls {
            assert!(CALLS.contains(&call.word()), "{call:?}");
        }
    }
}
