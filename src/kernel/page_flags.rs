//! `/proc/kpageflags` and `/proc/kpagecgroup`: a number of 64 bits for each page frame, for root.
//!
//! The bits are those of `include/uapi/linux/kernel-page-flags.h`, and from [`RESERVED`] on those of
//! `include/linux/kernel-page-flags.h`, which are not promised to stay but have since 2009.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// The bytes of an entry.
pub(crate) const ENTRY: u64 = 8;

#[cfg_attr(not(feature = "bpf"), allow(dead_code, reason = "only pages of the lists are asked for it"))]
pub(crate) const UP_TO_DATE: u64 = 1 << 3;
pub(crate) const DIRTY: u64 = 1 << 4;
pub(crate) const LRU: u64 = 1 << 5;
pub(crate) const ACTIVE: u64 = 1 << 6;
pub(crate) const SLAB: u64 = 1 << 7;
pub(crate) const WRITEBACK: u64 = 1 << 8;
pub(crate) const BUDDY: u64 = 1 << 10;
pub(crate) const MMAP: u64 = 1 << 11;
pub(crate) const ANON: u64 = 1 << 12;
pub(crate) const SWAP_CACHE: u64 = 1 << 13;
pub(crate) const SWAP_BACKED: u64 = 1 << 14;
pub(crate) const HEAD: u64 = 1 << 15;
pub(crate) const TAIL: u64 = 1 << 16;
pub(crate) const HUGE: u64 = 1 << 17;
pub(crate) const UNEVICTABLE: u64 = 1 << 18;
pub(crate) const POISON: u64 = 1 << 19;
pub(crate) const NO_PAGE: u64 = 1 << 20;
pub(crate) const KSM: u64 = 1 << 21;
pub(crate) const OFFLINE: u64 = 1 << 23;
pub(crate) const PAGE_TABLE: u64 = 1 << 26;
pub(crate) const RESERVED: u64 = 1 << 32;
pub(crate) const LOCKED: u64 = 1 << 33;

/// Reads the entries of the frames from `first` on into `buffer`, as many as it has room for and the file has.
///
/// # Errors
/// As `pread`.
pub(crate) fn read_entries<'b>(file: &File, first: u64, buffer: &'b mut [u8]) -> io::Result<Entries<'b>> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let start = first.saturating_mul(ENTRY).saturating_add(filled as u64);
        match file.read_at(rest, start) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Entries(buffer.get(..filled).unwrap_or_default().as_chunks().0.iter()))
}

/// The entries of consecutive frames.
pub(crate) struct Entries<'b>(std::slice::Iter<'b, [u8; ENTRY as usize]>);

impl Iterator for Entries<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0.next().map(|entry| u64::from_ne_bytes(*entry))
    }
}
