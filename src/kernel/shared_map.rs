//! A file mapped shared and writable, for programs that fill it. Inspecting never uses this: it writes.

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Advice, MmapMut, MmapOptions};

use super::bus_error;
use crate::units::Bytes;

/// A writable shared mapping of a whole file that this program made.
#[derive(Debug)]
pub(crate) struct SharedMap(MmapMut);

impl SharedMap {
    /// Maps the first `length` bytes of `file` with `mmap(PROT_READ | PROT_WRITE, MAP_SHARED)`, and tells the kernel
    /// (`MADV_RANDOM`) not to read ahead of the pages that are touched.
    ///
    /// The file must be a new one that only this user can write, with all its blocks reserved, so that a full disk cannot come in
    /// between.
    ///
    /// # Errors
    /// `ENOMEM` where the address space is limited, and what else mmap(2) says.
    #[allow(unsafe_code, reason = "mapping a file for writing")]
    pub(crate) fn map(file: &File, length: Bytes) -> io::Result<SharedMap> {
        let length = usize::try_from(length.0).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the caller made the file with mode 0600 and shares it with nobody; its bytes are plain data of which any value is valid,
        // and they are only ever written through this value, never read.
        let map = unsafe { MmapOptions::new().len(length).map_mut(file)? };
        map.advise(Advice::Random)?;
        Ok(SharedMap(map))
    }

    /// The addresses of the mapping, as `/proc/self/smaps` has them but for the last page, which may be in part.
    pub(crate) fn addresses(&self) -> Range<u64> {
        let bytes = self.0.as_ptr_range();
        bytes.start as u64..bytes.end as u64
    }

    /// Writes `value(i)` into byte `i`, for every `i` from `start` up to and without `end`. What lies outside the mapping is
    /// left out.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`]: the kernel could not give a page, because the file was cut short or its disk failed (a
    /// SIGBUS, which is survived). What was written from that page on is lost.
    pub(crate) fn fill(&mut self, start: u64, end: u64, value: impl Fn(u64) -> u8) -> io::Result<()> {
        let range = usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        let whole = bus_error::survive(&mut self.0, |map| {
            for (byte, place) in map.get_mut(range).into_iter().flatten().zip(start..) {
                *byte = value(place);
            }
        })?;
        if whole { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
    }
}
