//! What `statx(2)` reports and `stat` does not: attributes of a file, looked up without mounting anything.

#![allow(unsafe_code, reason = "neither nix nor the musl libc wraps statx: the raw system call is needed")]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

use super::asker::{Plain, Task};
use super::handle::Handle;

/// `STATX_ATTR_DAX` of `linux/stat.h`: the file is in DAX mode (Linux 5.8 and later).
const ATTRIBUTE_DAX: u64 = 0x0020_0000;

/// `STATX_ATTR_NODUMP`.
const ATTRIBUTE_NO_DUMP: u64 = 0x40;

/// `STATX_ATTR_AUTOMOUNT`: opening the directory mounts another file system there (Linux 4.11 and later).
const ATTRIBUTE_AUTOMOUNT: u64 = 0x1000;

/// `STATX_CTIME` and `STATX_BTIME` of `linux/stat.h`.
const CHANGED: u32 = 0x80;
const CREATED: u32 = 0x800;

/// `STATX_ATTR_MOUNT_ROOT`: a file system is mounted there (Linux 5.8 and later).
const ATTRIBUTE_MOUNT_ROOT: u64 = 0x2000;

/// `struct statx`: the fields that are used, and space for the others. The kernel writes 256 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    owner: [u32; 2],
    mode: u16,
    spare: u16,
    inode: u64,
    sizes: [u64; 2],
    attributes_mask: u64,
    /// Access, creation, change and modification.
    times: [[u64; 2]; 4],
    special: [u32; 2],
    device_major: u32,
    device_minor: u32,
    rest: [u64; 14],
}

// SAFETY: it has only integers.
unsafe impl Plain for Statx {}

impl Statx {
    /// Reads the attributes of an open file, with the times of its creation and change.
    ///
    /// # Errors
    /// `ENOSYS` before Linux 4.11.
    pub(crate) fn of_handle(file: &Handle) -> Result<Statx, Errno> {
        let (flags, mask) = (libc::AT_EMPTY_PATH, CHANGED | CREATED);
        match file {
            Handle::Own(fd) => Statx::read(fd.as_fd(), c"", flags, mask),
            Handle::Far(far) => far.ask_for(Task::Statx, [flags as u64, mask.into(), 0], c""),
        }
    }

    /// Reads what the kernel knows about an open file, without asking a server. Device, inode and type never change.
    ///
    /// # Errors
    /// `ENOSYS` before Linux 4.11.
    pub(crate) fn cached_of_file(fd: BorrowedFd<'_>) -> Result<Statx, Errno> {
        Statx::read(fd, c"", libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC, 0)
    }

    /// The same about a name in an open directory. Symbolic links are followed.
    ///
    /// # Errors
    /// As `statx(2)`; `ENOSYS` before Linux 4.11.
    pub(crate) fn cached_of_name(directory: BorrowedFd<'_>, name: &CStr) -> Result<Statx, Errno> {
        Statx::read(directory, name, libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC, 0)
    }

    /// Reads the attributes of the file `name` in an open directory. An automount point is not mounted, and the server
    /// of another file system that is mounted there is not asked. A symbolic link is followed only if `follow` is set.
    ///
    /// # Errors
    /// As `statx(2)`; `ENOSYS` before Linux 4.11.
    #[doc(alias = "statx")]
    pub(crate) fn of_name(directory: &Handle, name: &CStr, follow: bool) -> Result<Statx, Errno> {
        let link = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        let flags = libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC | link;
        match directory {
            Handle::Own(fd) => Statx::read(fd.as_fd(), name, flags, 0),
            Handle::Far(far) => far.ask_for(Task::Statx, [u64::from(flags.unsigned_abs()), 0, 0], name),
        }
    }

    fn read(directory: BorrowedFd<'_>, name: &CStr, flags: libc::c_int, mask: u32) -> Result<Statx, Errno> {
        // SAFETY: all zeros is a valid value.
        let mut answer: Statx = unsafe { std::mem::zeroed() };
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

    /// Whether its file system would report if the file were not to be dumped.
    pub(crate) fn knows_no_dump(&self) -> bool {
        self.attributes_mask & ATTRIBUTE_NO_DUMP != 0
    }

    /// Whether it is a regular file.
    pub(crate) fn is_regular(&self) -> bool {
        self.mode() & libc::S_IFMT == libc::S_IFREG
    }

    /// Its type and permissions.
    pub(crate) fn mode(&self) -> u32 {
        self.mode.into()
    }

    /// The inode number.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
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
        let found = Statx::cached_of_file(file.as_fd()).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!((found.device(), found.inode(), found.is_dax()), (metadata.dev(), metadata.ino(), false));
        let root = Handle::from(std::fs::File::open("/").unwrap());
        let found = Statx::of_name(&root, c"proc", false).unwrap();
        assert_eq!(found.device(), std::fs::metadata("/proc").unwrap().dev());
        assert!(!found.is_automount_point());
        assert!(found.is_mount_point() != Some(false));
        assert!(Statx::of_name(&root, c"proc/self/task", false).unwrap().is_mount_point() != Some(true));
    }
}
