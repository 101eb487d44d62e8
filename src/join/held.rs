//! Files that a process has open or mapped, opened again to be measured.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::pagecache::walk::Named;
use crate::pagecache::{Leases, OpenFile};
use crate::process::{HeldFiles, HeldOpen};

/// Takes a file that was opened through a link of the process. `path` is the name to report.
///
/// # Errors
/// As [`OpenFile::open`].
pub(super) fn take(path: &Path, opened: HeldOpen) -> Result<OpenFile> {
    match opened {
        HeldOpen::ToRead(quiet) => OpenFile::from_quiet(path, quiet),
        HeldOpen::ToName(name) => OpenFile::unopened(path, name),
    }
}

/// Opens the files of a process, one after the other. Errors are passed to `fail`.
pub(super) fn open_held_files<'a>(
    held: Option<&'a HeldFiles>,
    leases: Leases,
    opens_fuse: bool,
    mut fail: impl FnMut(Error) + 'a,
) -> impl Iterator<Item = Named> + 'a {
    let files = held.into_iter().flat_map(|held| held.iter().map(move |file| (held, file)));
    files.filter_map(move |(held, file)| {
        let opened = match leases.bar(file.identity().device(), file.identity().inode()) {
            Some(why) => held.name(file).and_then(|name| OpenFile::only_named(file.path(), name, why)),
            None => held.open(file, opens_fuse).and_then(|opened| take(file.path(), opened)),
        };
        match opened {
            Ok(file) => Some(Named::Open(file)),
            // A file of /proc or the like has no cached pages, and it is normal that a process holds one.
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => {
                fail(error);
                None
            }
        }
    })
}
