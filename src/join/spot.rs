//! Where an open file is: on which file system, and at which path within it.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::kernel::handle::Handle;
use crate::machine::Places;

/// Where a file is.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    /// The device of its file system, as `mountinfo` and `maps` show it; `stat` may give another one.
    pub(super) device: (u32, u32),
    /// Its path within the file system, if it can be told.
    pub(super) within: Option<Vec<u8>>,
}

impl Spot {
    /// Of a file that is open, perhaps as a name only. `None`: its mount is in no list that this user may read.
    pub(super) fn of(named: &Handle, places: &Places) -> Option<Spot> {
        let path = named.link();
        let number = named.mount().and_then(|number| str::from_utf8(&number).ok()?.parse().ok())?;
        let typed = path.as_deref().unwrap_or(Path::new("/")).as_os_str().as_bytes();
        let (device, within) = places.of_mount(number, typed)?;
        Some(Spot { device, within: within.filter(|_| path.is_some()) })
    }
}
