//! The process side: what a process has mapped and how much of it is in RAM, read from `/proc`.
//!
//! Readers and parsers of `/proc/PID`, each fed from a value [`ProcRoot`], so that a captured machine reads like the
//! live one. Nothing here knows the page cache, formats a figure or prints.
//!
//! * [`read`]: reads a process: [`read_smaps`], [`read_process`], [`read_present_pages`].
//! * [`smaps`]: the parser of smaps text, fed in chunks.
//! * [`mapping`]: what it yields: [`Mappings`], in flat storage.
//! * [`fields`]: the dictionary of the keys that the kernel gave.
//! * [`maps`]: who maps a file.
//! * [`meminfo`]: how much memory may still be used.

pub mod fields;
mod head;
mod identity;
pub mod mapping;
pub mod maps;
pub mod meminfo;
mod pool;
pub mod read;
mod root;
pub mod smaps;

pub use fields::{FieldId, FieldUnit, Fields, Wanted};
pub use identity::{Process, own_pid, read_process};
pub use mapping::{Device, Mapping, Mappings};
pub use meminfo::read_available_memory;
pub use read::{ProcessMappings, read_present_pages, read_smaps};
pub use root::ProcRoot;
pub use smaps::{ParseError, SmapsParser, parse_smaps};
