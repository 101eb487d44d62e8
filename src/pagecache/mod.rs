//! One file's residency: how many of its pages are in the page cache, which ones, and how that was found out.
//!
//! [`OpenFile`] opens a file without a trace, [`Engine`] picks the kernel interface that tells the truth about it and
//! measures, [`FileReport`] says what came out, and [`PageRuns`] is the page map. [`Stretches`] tells the holes of a file apart
//! from data that is merely not cached.
//! [`walk`] finds the files of whole trees.
//!
//! Nothing here knows about processes, and nothing formats.

mod engine;
mod file;
mod look;
mod pieces;
mod report;
mod search;
mod stretches;
mod tally;
pub mod walk;

pub use crate::kernel::file_system::{FileSystem, FileSystemKind};
pub use engine::{Engine, read_file};
pub use file::OpenFile;
pub use report::{Change, FileReport, Method, Residency};
pub use stretches::{Stretch, Stretches};
pub use tally::{PageSum, Tally};
