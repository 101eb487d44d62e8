//! One file's residency: how many of its pages are in the page cache, which ones, and how that was found out.
//!
//! [`OpenFile`] opens a file without a trace, [`Engine`] picks the kernel interface that tells the truth about it and
//! measures, [`FileReport`] says what came out, and [`PageRuns`] is the page map. [`Layout`] tells the holes of a file apart
//! from data that is merely not cached.
//! [`walk`] finds the files of whole trees.
//!
//! Nothing here knows about processes, and nothing formats.

mod engine;
mod file;
mod layout;
mod look;
mod pieces;
mod range;
mod report;
mod runs;
mod search;
mod tally;
pub mod walk;

pub use engine::Engine;
pub use file::OpenFile;
pub use layout::{Layout, Stretch};
pub use range::{ByteRange, Run};
pub use report::{Change, FileReport, Method, Residency};
pub use runs::{Cell, PageRuns};
pub use tally::{Sum, Tally};
