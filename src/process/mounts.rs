//! The mounts that a process sees. No mounted file system is accessed.

use crate::kernel::mount_table::MountTable;
use crate::process::directory::Directory;
use crate::process::head::Device;

impl Device {
    /// Both numbers.
    pub(super) fn numbers(self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

/// The mounts that the process sees; none if they cannot be read.
pub(super) fn mounts(directory: &Directory) -> MountTable {
    MountTable::parse(&directory.read_file("mountinfo", u64::MAX).unwrap_or_default())
}
