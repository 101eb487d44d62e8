//! An entry of the archive.

use std::io;

/// An entry of the archive, by its path.
pub(super) enum Entry {
    File(Vec<u8>, Vec<u8>),
    Link(Vec<u8>, Vec<u8>),
    Directory(Vec<u8>),
}

/// Whether this user is not allowed to read it.
pub(super) fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
