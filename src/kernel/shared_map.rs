//! A shared, writable mapping of a file, used to fill it. Inspecting never uses this.

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Advice, MmapMut, MmapOptions};

use super::{bus_error, demo_data};
use crate::units::Bytes;

/// A shared, writable mapping of a whole file that this program created.
#[derive(Debug)]
pub(crate) struct SharedMap(MmapMut);

impl SharedMap {
    /// Maps the first `length` bytes of `file` with `mmap(PROT_READ | PROT_WRITE, MAP_SHARED)`, and disables read-ahead
    /// (`MADV_RANDOM`).
    ///
    /// The file must be new and writable only by this user. All its blocks must be allocated, so that a full disk
    /// cannot raise SIGBUS.
    ///
    /// # Errors
    /// As `mmap(2)`; `ENOMEM` if the address space is limited.
    #[allow(unsafe_code, reason = "mapping a file for writing")]
    pub(crate) fn map(file: &File, length: Bytes) -> io::Result<SharedMap> {
        let length = usize::try_from(length.0).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the caller created the file with mode 0600 and does not share it. Its bytes are plain data of which
        // any value is valid, and they are only written through this value, never read.
        let map = unsafe { MmapOptions::new().len(length).map_mut(file)? };
        map.advise(Advice::Random)?;
        Ok(SharedMap(map))
    }

    /// The addresses of the mapping. In `/proc/self/smaps` the last page is always whole.
    pub(crate) fn addresses(&self) -> Range<u64> {
        let bytes = self.0.as_ptr_range();
        bytes.start as u64..bytes.end as u64
    }

    /// Fills the bytes from `start` up to but not including `end`: byte `i` becomes `i % 128`. Does nothing if they are
    /// not all in the mapping.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`]: the kernel raised SIGBUS because the file was truncated or its disk failed.
    /// What was written from that page on is lost.
    pub(crate) fn fill(&mut self, start: u64, end: u64) -> io::Result<()> {
        let range = usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        let whole = bus_error::survive(&mut self.0, |map| {
            if let Some(bytes) = map.get_mut(range) {
                demo_data::fill(bytes, start);
            }
        })?;
        if whole { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
    }
}
