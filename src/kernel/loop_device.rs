//! `LOOP_GET_STATUS64`: which file is behind a loop device, also if its path leads elsewhere or was removed.
//!
//! The device asks the file system of its file, which may not answer, and may be mounted where this process does not
//! see it. So a child asks the device (see [`asker`](super::asker)).

#![allow(unsafe_code, reason = "a type that the kernel fills in")]

use std::path::Path;

use nix::fcntl::OFlag;
use nix::libc;

use super::asker::{Plain, Task};
use super::handle::{FarPath, Handle};
use super::mount_table::parts;

/// `struct loop_info64` of the kernel's `include/uapi/linux/loop.h`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Status {
    device: u64,
    inode: u64,
    others: [u64; 27],
}

// SAFETY: it has only integers.
unsafe impl Plain for Status {}

const GET_STATUS: u64 = 0x4C05;

/// Not the device of any file system: the child that asks loop devices.
const LOOP_DEVICES: (u32, u32) = (u32::MAX, u32::MAX - 1);

/// The device, as `stat` gives it, and the inode number of the file behind a loop device, of which the node below
/// `/dev` and the number are given. `None` if this user may not ask, or the file system of the file does not answer.
pub(crate) fn file_behind(node: &Path, number: (u32, u32)) -> Option<(u64, u64)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let path = FarPath::new(LOOP_DEVICES, node).ok()?;
    let Handle::Far(opened) = path.open(OFlag::O_NONBLOCK).ok()? else { return None };
    let found: libc::stat = opened.ask_for(Task::Stat, [libc::AT_EMPTY_PATH as u64, 0, 0], c"").ok()?;
    if found.st_mode & libc::S_IFMT != libc::S_IFBLK || parts(found.st_rdev) != number {
        return None;
    }
    let status: Status = opened.ask_for(Task::Ioctl, [GET_STATUS, 0, 0], c"").ok()?;
    Some((status.device, status.inode))
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
