//! What `statx(2)` reports and `stat` does not: attributes of a file, looked up without mounting anything.

#![allow(unsafe_code, reason = "neither nix nor the musl libc wraps statx: the raw system call is needed")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// `STATX_ATTR_DAX` of `linux/stat.h`: the file is in DAX mode (Linux 5.8 and later).
const ATTRIBUTE_DAX: u64 = 0x0020_0000;

/// `STATX_ATTR_AUTOMOUNT`: opening the directory mounts another file system there (Linux 4.11 and later).
const ATTRIBUTE_AUTOMOUNT: u64 = 0x1000;

/// `STATX_CTIME` and `STATX_BTIME` of `linux/stat.h`.
const CHANGED: u32 = 0x80;
const CREATED: u32 = 0x800;

/// `STATX_ATTR_MOUNT_ROOT`: a file system is mounted there (Linux 5.8 and later).
const ATTRIBUTE_MOUNT_ROOT: u64 = 0x2000;

/// `struct statx`: the fields that are used, and space for the others. The kernel writes 256 bytes.
#[repr(C)]
pub(crate) struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    others: [u64; 5],
    attributes_mask: u64,
    /// Access, creation, change and modification.
    times: [[u64; 2]; 4],
    device_numbers_of_file: [u32; 2],
    device_major: u32,
    device_minor: u32,
    rest: [u64; 14],
}

impl Statx {
    /// Reads the attributes of an open file, with the times of its creation and change.
    ///
    /// # Errors
    /// `ENOSYS` before Linux 4.11.
    pub(crate) fn of_file(fd: BorrowedFd<'_>) -> Result<Statx, Errno> {
        Statx::read(fd, c"", libc::AT_EMPTY_PATH, CHANGED | CREATED)
    }

    /// Reads the attributes of the file `name` in an open directory. An automount point is not mounted. A symbolic link
    /// is followed only if `follow` is set.
    ///
    /// # Errors
    /// As `statx(2)`; `ENOSYS` before Linux 4.11.
    #[doc(alias = "statx")]
    pub(crate) fn of_name(directory: BorrowedFd<'_>, name: &CStr, follow: bool) -> Result<Statx, Errno> {
        let link = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        Statx::read(directory, name, libc::AT_NO_AUTOMOUNT | link, 0)
    }

    fn read(directory: BorrowedFd<'_>, name: &CStr, flags: libc::c_int, mask: u32) -> Result<Statx, Errno> {
        let mut answer = Statx {
            mask: 0,
            block_size: 0,
            attributes: 0,
            others: [0; 5],
            attributes_mask: 0,
            times: [[0; 2]; 4],
            device_numbers_of_file: [0; 2],
            device_major: 0,
            device_minor: 0,
            rest: [0; 14],
        };
        let directory = directory.as_raw_fd();
        // SAFETY: the name is NUL-terminated and the buffer has the 256 bytes of `struct statx`. Both outlive the call,
        // and the kernel keeps neither.
        let status = unsafe { libc::syscall(libc::SYS_statx, directory, name.as_ptr(), flags, mask, &raw mut answer) };
        Errno::result(status).map(|_| answer)
    }

    /// Whether the file is in DAX mode.
    pub(crate) fn is_dax(&self) -> bool {
        self.attributes & ATTRIBUTE_DAX != 0
    }

    /// Whether opening it would mount another file system.
    pub(crate) fn is_automount_point(&self) -> bool {
        self.attributes & ATTRIBUTE_AUTOMOUNT != 0
    }

    /// When the file was created and last changed, as the bytes of the kernel; `None` if its file system does not keep
    /// both.
    pub(crate) fn times(&self) -> Option<[u8; 24]> {
        let [_, created, changed, _] = self.times;
        let part = |[seconds, nanoseconds]: [u64; 2]| [(seconds as u32), (seconds >> 32) as u32, nanoseconds as u32];
        let mut bytes = [0; 24];
        let parts = part(created).into_iter().chain(part(changed));
        bytes.chunks_exact_mut(4).zip(parts).for_each(|(space, part)| space.copy_from_slice(&part.to_ne_bytes()));
        (self.mask & (CHANGED | CREATED) == CHANGED | CREATED).then_some(bytes)
    }

    /// When the file was created, in seconds since 1970, or last changed if its file system does not keep that.
    pub(crate) fn created(&self) -> Option<i64> {
        let [_, [created, _], [changed, _], _] = self.times;
        let known = |bit, seconds: u64| (self.mask & bit != 0).then_some(seconds as i64);
        known(CREATED, created).or(known(CHANGED, changed))
    }

    /// Whether a file system is mounted there; `None` if the kernel does not report that.
    pub(crate) fn is_mount_point(&self) -> Option<bool> {
        (self.attributes_mask & ATTRIBUTE_MOUNT_ROOT != 0).then_some(self.attributes & ATTRIBUTE_MOUNT_ROOT != 0)
    }

    /// The device number, as `fstat` reports it.
    pub(crate) fn device(&self) -> u64 {
        major_minor(self.device_major, self.device_minor)
    }
}

/// The device number with these parts, as `fstat` reports it.
pub(crate) fn major_minor(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_layout_matches_the_kernel() {
        assert_eq!(size_of::<Statx>(), 256);
        assert_eq!(std::mem::offset_of!(Statx, attributes), 8);
        assert_eq!(std::mem::offset_of!(Statx, attributes_mask), 56);
        assert_eq!(std::mem::offset_of!(Statx, device_major), 136);
    }

    #[test]
    fn the_device_is_that_of_fstat() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let found = Statx::of_file(file.as_fd()).unwrap();
        assert_eq!((found.device(), found.is_dax()), (file.metadata().unwrap().dev(), false));
        let root = std::fs::File::open("/").unwrap();
        let found = Statx::of_name(root.as_fd(), c"proc", false).unwrap();
        assert_eq!(found.device(), std::fs::metadata("/proc").unwrap().dev());
        assert!(!found.is_automount_point());
        assert!(found.is_mount_point() != Some(false));
        assert!(Statx::of_name(root.as_fd(), c"proc/self/task", false).unwrap().is_mount_point() != Some(true));
    }
}
