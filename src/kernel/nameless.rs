//! The kernel's own mount of tmpfs, whose files have no names. It is in no list of mounts.
//!
//! The inode number of a memfd, or of shared anonymous memory, is counted up and that of one file. The number of a
//! System V segment is its id, which segments of other IPC namespaces have too, and so may a memfd.

use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;

use super::handle::Handle;
use super::mount_table;

/// The kernel's own mount of tmpfs, whose files (`memfd_create`, `shmget`, `MAP_SHARED`) have no names. It is in no
/// list of mounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamelessMount {
    pub(crate) device: (u32, u32),
    /// Its number in `fdinfo`, if that can be read.
    pub(crate) number: Option<u64>,
}

impl NamelessMount {
    /// A memfd of ours is on it too.
    pub(crate) fn find() -> Option<NamelessMount> {
        static FOUND: OnceLock<Option<NamelessMount>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let own = memfd_create(c"rmap", MFdFlags::MFD_CLOEXEC).ok()?;
            let device = mount_table::parts(fstat(&own).ok()?.st_dev);
            let number = Handle::Own(own).mount().and_then(|number| str::from_utf8(&number).ok()?.parse().ok());
            Some(NamelessMount { device, number })
        })
    }
}

/// Whether the name that the kernel shows for a file of this mount is that of a System V segment. No program chooses
/// such names: that of a memfd begins with `/memfd:`.
pub(crate) fn is_segment(name: &[u8]) -> bool {
    name.starts_with(b"/SYSV")
}
