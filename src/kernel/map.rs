//! A part of a file, mapped for reading and never accessed: in this process, or in the child that has the file open.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;

use super::asker::{Asker, Task};
use super::handle::Handle;

/// The mapping.
pub(super) enum Map {
    Own(MmapRaw),
    Far(FarMap),
}

/// A mapping in a child. It is unmapped when this value is dropped.
pub(super) struct FarMap {
    asker: Arc<Asker>,
    address: u64,
    length: usize,
}

impl Map {
    /// Maps `length` bytes from `offset` on with `mmap(PROT_READ, MAP_SHARED)`.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub(super) fn of(file: &Handle, offset: u64, length: usize) -> Result<Map, Errno> {
        match file {
            Handle::Own(fd) => {
                let map = MmapOptions::new().offset(offset).len(length).map_raw_read_only(fd.as_raw_fd());
                map.map(Map::Own).map_err(|error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
            }
            Handle::Far(file) => {
                let address = file.ask(Task::Map, [offset, length as u64, 0], &mut [])?;
                Ok(Map::Far(FarMap { asker: file.asker(), address, length }))
            }
        }
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Map::Own(map) => map.len(),
            Map::Far(far) => far.length,
        }
    }
}

impl FarMap {
    /// `mincore` of the `length` bytes from `start` on.
    ///
    /// # Errors
    /// As `mincore(2)`.
    pub(super) fn cached(&self, start: usize, length: usize, answer: &mut [u8]) -> Result<(), Errno> {
        self.ask(Task::MinCore, start, length, answer)
    }

    /// `mlock` of the `length` bytes from `start` on.
    ///
    /// # Errors
    /// As `mlock(2)`.
    pub(super) fn lock(&self, start: usize, length: usize) -> Result<(), Errno> {
        self.ask(Task::Lock, start, length, &mut [])
    }

    fn ask(&self, task: Task, start: usize, length: usize, answer: &mut [u8]) -> Result<(), Errno> {
        let arguments = [self.address.saturating_add(start as u64), length as u64, 0];
        self.asker.ask(task, -1, arguments, c"", answer).map(drop)
    }
}

impl Drop for FarMap {
    fn drop(&mut self) {
        let _ = self.ask(Task::Unmap, 0, self.length, &mut []);
    }
}
