//! `LOOP_GET_STATUS64`: which file is behind a loop device, also if its path leads elsewhere or was removed.

#![allow(unsafe_code, reason = "an ioctl that no library wraps")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

/// `struct loop_info64` of the kernel's `include/uapi/linux/loop.h`.
#[repr(C)]
struct Status {
    device: u64,
    inode: u64,
    others: [u64; 27],
}

const GET_STATUS: libc::c_ulong = 0x4C05;

/// The device, as `stat` gives it, and the inode number of the file behind a loop device, of which the node below
/// `/dev` and the number are given. `None` if this user may not ask.
pub(crate) fn file_behind(node: &Path, number: (u32, u32)) -> Option<(u64, u64)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(node).ok()?;
    let found = opened.metadata().ok()?;
    if !found.file_type().is_block_device() || super::mount_table::parts(found.rdev()) != number {
        return None;
    }
    let mut status = Status { device: 0, inode: 0, others: [0; 27] };
    // SAFETY: the call fills in the structure, which is as long as the kernel's, and keeps no pointer.
    let answer = unsafe { libc::ioctl(opened.as_raw_fd(), GET_STATUS as _, &raw mut status) };
    (answer == 0).then_some((status.device, status.inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loop_device_has_a_file() {
        assert_eq!(size_of::<Status>(), 232);
        assert_eq!(file_behind(Path::new("/dev/null"), (1, 3)), None);
        assert_eq!(file_behind(Path::new("/no/such/node"), (7, 0)), None);
    }
}
