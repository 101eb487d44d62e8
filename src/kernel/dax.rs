//! Whether a file is in DAX mode: accessed in place on persistent memory, without the page cache.

use super::handle::Handle;
use super::statx::Statx;

/// Whether the file is in DAX mode; `false` if the kernel does not report it.
pub(crate) fn is_dax(file: &Handle) -> bool {
    Statx::of_handle(file).is_ok_and(|found| found.is_dax())
}
