//! rmap: where is this memory, page by page, and who holds it?
//!
//! The library behind the command. It is built in floors; `a <- b` reads "b may use a", nothing points back, and
//! `tests/tidy.rs` keeps it so:
//!
//! ```text
//! units <- kernel <- process, pagecache <- join <- control, laboratory <- views <- cli
//! process <- machine <- join
//! units <- output <- views
//! ```
//!
//! * `kernel`: the raw kernel interfaces, and the only `unsafe` of the crate.
//! * [`process`]: what a process has mapped (`/proc/PID/smaps`).
//! * [`pagecache`]: which pages of a file are in the page cache (`cachestat`, `mincore`).
//! * [`machine`]: facts about the whole machine.
//! * [`join`]: the same page seen from both sides.
//! * [`control`]: changing what the page cache holds: warm, evict, lock.
//! * [`laboratory`]: memory that rmap makes itself, to put the comparison to the test.
//! * `output`, `views`, `cli`: column tables, renderers and the command line, behind the default feature `cli`.
//!
//! The first rule of an inspector holds everywhere: a figure that could not be known is absent, with the reason
//! ([`units::Figure`]), never zero.

pub mod control;
pub mod error;
pub mod join;
mod kernel;
pub mod laboratory;
pub mod machine;
pub mod pagecache;
pub mod process;
pub mod units;

#[cfg(feature = "cli")]
pub mod cli;
pub mod query;
pub mod render;
pub mod table;
pub mod views;

pub use error::{Error, Result};
