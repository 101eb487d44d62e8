//! The cached pages of a file: how many there are, which ones, and how they were measured.
//!
//! [`read_file`] measures one file. [`OpenFile`] opens a file without changing its access time, [`Engine`] picks the
//! kernel interface that is reliable for it and measures, and [`FileReport`] is the result, with the page map
//! ([`PageRuns`](crate::units::PageRuns)) if requested. [`Stretches`] tells holes apart from data that is not cached.
//! [`walk`] finds the files of whole directory trees.
//!
//! Nothing here knows about processes, and nothing formats.

mod check;
mod engine;
mod file;
mod known;
mod leases;
mod look;
mod pieces;
mod report;
mod search;
mod stretches;
mod tally;
pub mod walk;

pub use crate::kernel::file_system::{FileSystem, FileSystemKind};
pub use crate::kernel::identity::FileIdentity;
pub use engine::{Engine, read_file};
pub(crate) use engine::{MINCORE_ONLY, may_have_pages};
pub use file::OpenFile;
pub(crate) use known::KnownFiles;
pub use leases::Leases;
pub(crate) use report::{BUFFERS, UNTOLD};
pub use report::{Change, FileReport, Method, Residency};
pub use stretches::{Stretch, Stretches};
pub use tally::{PageSum, Tally};
