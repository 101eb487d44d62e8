//! The orders that the child of [`Actor`](super::Actor) understands.

use std::os::fd::RawFd;

use nix::libc::{self, c_int};

/// What the child is to do. Lengths and addresses are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `ftruncate(2)`: the file has this length and no data.
    Truncate { fd: RawFd, length: u64 },
    /// `fallocate(2)`: blocks for this length. Where that is not possible, zeros are written and dropped from the page
    /// cache; then the result is 1.
    Allocate { fd: RawFd, length: u64 },
    /// `pwrite(2)`: data for this length.
    WriteFile { fd: RawFd, length: u64 },
    /// `mmap(2)` of the file from its start, between two pages without access. The result is the address.
    MapFile { fd: RawFd, length: u64, is_shared: bool },
    /// The same without a file.
    MapAnonymous { length: u64, is_shared: bool },
    /// `mmap(2)` with `MAP_HUGETLB`. The result is the address.
    MapHuge { length: u64 },
    /// `munmap(2)`.
    Unmap { address: u64, length: u64 },
    /// `mremap(2)` to another address, which is the result.
    Move { address: u64, length: u64 },
    /// `madvise(2)`.
    Advise { address: u64, length: u64, advice: Advice },
    /// `msync(2)` with `MS_SYNC`.
    Sync { address: u64, length: u64 },
    /// `fdatasync(2)`, then `posix_fadvise(2)` with `POSIX_FADV_DONTNEED`.
    Evict { fd: RawFd },
    /// `mincore(2)`, for at most [`RESIDENCY`](super::board::RESIDENCY) pages: the answer is on the board.
    Residency { address: u64, length: u64 },
    /// Reads or writes memory. The result is the number of pages that were touched.
    Touch(Touch),
    /// The same once, without a change to where the next [`Order::Touch`] goes on.
    Glance(Touch),
    /// The next [`Order::Touch`] begins at the start.
    Rewind,
    /// The address of the stack, rounded down to a page, with some room for the child itself.
    Stack,
    /// `malloc(3)`: blocks of `block` bytes, `length` in total. The result is the address of the first.
    Allocations { length: u64, block: u64 },
    /// Writes to the first `until` bytes of the blocks, from the first block on. The result is the number of pages.
    FillAllocations { until: u64 },
    /// `free(3)` of all blocks but the last one.
    FreeButOne,
    /// `free(3)` of all blocks.
    FreeAll,
    /// `malloc_trim(3)`; `ENOSYS` if the C library is not glibc.
    Trim,
    /// `fork(2)`: a child that waits. The result is its pid.
    Fork,
    /// Ends the child of [`Order::Fork`].
    EndFork,
}

/// Advice about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// `MADV_NORMAL`
    Normal,
    /// `MADV_RANDOM`
    Random,
    /// `MADV_SEQUENTIAL`
    Sequential,
    /// `MADV_WILLNEED`
    WillNeed,
    /// `MADV_HUGEPAGE`
    HugePage,
    /// `MADV_NOHUGEPAGE`
    NoHugePage,
    /// `MADV_DONTNEED`
    DontNeed,
}

impl Advice {
    pub(super) fn number(self) -> c_int {
        match self {
            Advice::Normal => libc::MADV_NORMAL,
            Advice::Random => libc::MADV_RANDOM,
            Advice::Sequential => libc::MADV_SEQUENTIAL,
            Advice::WillNeed => libc::MADV_WILLNEED,
            Advice::HugePage => libc::MADV_HUGEPAGE,
            Advice::NoHugePage => libc::MADV_NOHUGEPAGE,
            Advice::DontNeed => libc::MADV_DONTNEED,
        }
    }
}

/// The order in which memory is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pattern {
    /// Page after page, every byte.
    #[default]
    Sequential,
    /// The same from the end to the start.
    Reverse,
    /// Every page once, in an order without a pattern, every byte.
    Random,
    /// One byte every so many bytes.
    Stride(u64),
}

/// Which memory is touched, and how. It goes on where the last order has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Touch {
    /// Where the memory begins.
    pub(crate) address: u64,
    /// Its length.
    pub(crate) length: u64,
    /// How many bytes of it are to be touched, with those of earlier orders. With a stride: up to where.
    pub(crate) until: u64,
    /// In which order.
    pub(crate) pattern: Pattern,
    /// Whether it is written; otherwise it is read.
    pub(crate) writes: bool,
    /// How many bytes per second; 0 is as fast as possible.
    pub(crate) rate: u64,
}
