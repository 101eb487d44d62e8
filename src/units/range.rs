//! Parts of a file: in bytes, as users specify them, and in pages, as the kernel counts them.

use super::{Bytes, PageSize, Pages};

/// A part of a file in bytes: `length` bytes starting at `offset`. It may extend past the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// Consecutive pages of a file: `count` pages starting with page `first`. Page 0 holds the first byte of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// The number of the first page.
    pub first: u64,
    /// How many pages.
    pub count: u64,
}

impl ByteRange {
    /// The whole of any file.
    pub const ALL: ByteRange = ByteRange { offset: 0, length: u64::MAX };

    /// The pages of a file of `size` bytes that hold any of these bytes. There are none past the end of the file.
    pub fn pages(self, size: Bytes, page: PageSize) -> Run {
        let end = self.offset.saturating_add(self.length).min(size.0);
        let first = self.offset / page.bytes();
        if self.offset >= end {
            return Run { first, count: 0 };
        }
        Run { first, count: page.pages(Bytes(end)).0.saturating_sub(first) }
    }
}

impl Run {
    /// The number of the page after the last one.
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// How many pages.
    pub fn pages(self) -> Pages {
        Pages(self.count)
    }

    /// Whether it has no pages.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The offset of the first byte in the file.
    pub fn offset(self, page: PageSize) -> Bytes {
        Pages(self.first).bytes(page)
    }

    /// The pages in both; empty if they do not overlap.
    #[must_use]
    pub fn overlap(self, other: Run) -> Run {
        Run::between(self.first.max(other.first), self.end().min(other.end()))
    }

    /// The pages from `first` up to but not including `end`.
    pub(crate) fn between(first: u64, end: u64) -> Run {
        Run { first, count: end.saturating_sub(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(offset: u64, length: u64, size: u64) -> (u64, u64) {
        let run = ByteRange { offset, length }.pages(Bytes(size), PageSize::FOUR_KIB);
        (run.first, run.count)
    }

    #[test]
    fn a_range_is_the_pages_that_hold_its_bytes() {
        assert_eq!(pages(0, 1, 100_000), (0, 1));
        assert_eq!(pages(4095, 2, 100_000), (0, 2));
        assert_eq!(pages(4096, 4096, 100_000), (1, 1));
        assert_eq!(pages(5000, 0, 100_000), (1, 0));
    }

    #[test]
    fn a_range_ends_with_the_file() {
        assert_eq!(pages(0, u64::MAX, 4097), (0, 2));
        assert_eq!(pages(4096, 1 << 40, 4097), (1, 1));
        assert_eq!(pages(4097, 1, 4097), (1, 0));
        assert_eq!(pages(u64::MAX, u64::MAX, 4097).1, 0);
        assert_eq!(pages(0, u64::MAX, 0), (0, 0));
        assert_eq!(pages(0, u64::MAX, i64::MAX as u64), (0, 1 << 51));
    }

    #[test]
    fn runs_that_do_not_overlap_share_no_page() {
        let run = |first, count| Run { first, count };
        assert!(run(0, 4).overlap(run(4, 4)).is_empty());
        assert!(run(9, 4).overlap(run(4, 4)).is_empty());
        assert_eq!(run(2, 4).overlap(run(4, 4)), run(4, 2));
        assert_eq!(run(0, u64::MAX).overlap(run(u64::MAX, 9)).count, 0);
    }
}
