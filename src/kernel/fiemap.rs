//! `FS_IOC_FIEMAP`: which bytes of a file are written on its disk, as the file system keeps them.
//!
//! It looks at neither the page cache nor the disk, and nothing is written back for it.

#![allow(unsafe_code, reason = "an ioctl that no library wraps")]

use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use super::handle::Handle;

/// Flags of an extent, of the kernel's `include/uapi/linux/fiemap.h`.
const LAST: u32 = 1 << 0;
const UNKNOWN: u32 = 1 << 1;
const DELAYED: u32 = 1 << 2;
const UNWRITTEN: u32 = 1 << 11;

/// Extents per call: 28 KiB.
const EXTENTS: usize = 512;

/// `struct fiemap` without its extents.
#[repr(C)]
struct Header {
    start: u64,
    length: u64,
    flags: u32,
    found: u32,
    room: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    start: u64,
    address: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    reserved_too: [u32; 3],
}

#[repr(C)]
struct Request {
    header: Header,
    extents: [Extent; EXTENTS],
}

mod call {
    nix::ioctl_readwrite!(fiemap, b'f', 11, super::Header);
}

impl Extent {
    /// Whether the disk has its data. Inline data of btrfs has no address, but then its place is not `UNKNOWN`.
    fn is_written(&self) -> bool {
        self.flags & (UNWRITTEN | DELAYED) == 0 && (self.flags & UNKNOWN == 0 || self.address != 0)
    }

    fn bytes(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.length)
    }
}

/// What the disk has of a part of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OnDisk {
    /// The bytes that are written, in ascending order. They may reach beyond the part.
    pub(crate) written: Vec<Range<u64>>,
    /// Up to where this is known: the end of the part unless it has too many extents for one call.
    pub(crate) end: u64,
}

/// Which of the bytes `part` of a file are written on its disk: all except holes, blocks that are only reserved
/// (`fallocate`, or before their first write-back has succeeded), and bytes that have no blocks yet.
///
/// # Errors
/// * `EOPNOTSUPP`, `ENOTTY`, `EINVAL`, `EFBIG`, `EBADR`: the file system or this kind of file does not support it.
/// * `EBADF`: the descriptor is `O_PATH`, or a child has the file open, which is not asked.
/// * `EIO`: the disk could not be read.
#[doc(alias = "FIEMAP")]
pub(crate) fn on_disk(file: &Handle, part: Range<u64>) -> Result<OnDisk, Errno> {
    let fd = file.own().ok_or(Errno::EBADF)?;
    let length = part.end.saturating_sub(part.start);
    let header = Header { start: part.start, length, flags: 0, found: 0, room: EXTENTS as u32, reserved: 0 };
    let mut request = Request { header, extents: [Extent::default(); EXTENTS] };
    // SAFETY: the pointer is to the whole of `request`, which is live, has the layout of `struct fiemap` with room for
    // as many extents as the header says, and takes any integers. The kernel does not keep it.
    unsafe { call::fiemap(fd.as_raw_fd(), (&raw mut request).cast::<Header>()) }?;
    let found = usize::try_from(request.header.found).map_or(EXTENTS, |found| found.min(EXTENTS));
    let extents = request.extents.get(..found).unwrap_or_default();
    let end = match extents.last() {
        Some(last) if found == EXTENTS && last.flags & LAST == 0 => last.bytes().end.min(part.end),
        _ => part.end,
    };
    Ok(OnDisk { written: extents.iter().filter(|extent| extent.is_written()).map(Extent::bytes).collect(), end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_written_if_the_disk_has_its_data() {
        let is_written = |address, flags| Extent { address, flags, ..Extent::default() }.is_written();
        let (inline, encoded) = (1 << 9, 1 << 3);
        assert!(is_written(4096, 0) && is_written(4096, LAST) && is_written(0, inline));
        assert!(is_written(4096, encoded) && is_written(4096, UNKNOWN));
        assert!(!is_written(4096, UNWRITTEN) && !is_written(0, DELAYED | UNKNOWN) && !is_written(0, UNKNOWN));
    }

    #[test]
    fn a_file_system_without_blocks_is_an_error() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(on_disk(&Handle::from(file), 0..4096).is_err());
    }
}
