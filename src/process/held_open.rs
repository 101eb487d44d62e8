//! A file of a process, opened as far as that changes nothing.

use crate::kernel::handle::Handle;
use crate::kernel::open::Quiet;

/// A file that was opened through a link of the process.
#[derive(Debug)]
pub(crate) enum HeldOpen {
    /// For reading.
    ToRead(Quiet),
    /// It is on FUSE, where opening it for reading may drop its cached pages, and is only named.
    ToName(Handle),
}

impl HeldOpen {
    pub(super) fn into_handle(self) -> Handle {
        match self {
            HeldOpen::ToRead(quiet) => quiet.file,
            HeldOpen::ToName(name) => name,
        }
    }

    /// The open file.
    pub(super) fn handle(&self) -> &Handle {
        match self {
            HeldOpen::ToRead(quiet) => &quiet.file,
            HeldOpen::ToName(name) => name,
        }
    }
}
