//! The answer to whether a process holds a file.

use crate::units::Absent;

/// Whether a mapping or a descriptor is of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is of another file.
    No,
    /// It is, with what a reader must know.
    Yes(Option<&'static str>),
    /// It may be, and this is why it is not known.
    Unproven(Absent),
}
