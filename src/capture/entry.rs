//! An entry of the archive.

use std::io;

use crate::process::{CapturedDenial, run_as_root};

/// An entry of the archive, by its path.
pub(super) enum Entry {
    File(Vec<u8>, Vec<u8>),
    Link(Vec<u8>, Vec<u8>),
    Directory(Vec<u8>),
}

impl Entry {
    /// What stands for a file that this user is not allowed to read.
    pub(super) fn denied(path: Vec<u8>) -> Entry {
        let denial = if run_as_root().is_some() { CapturedDenial::OfUser } else { CapturedDenial::OfRoot };
        Entry::Link(path, denial.target().as_bytes().to_vec())
    }
}

/// Whether this user is not allowed to read it.
pub(super) fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
