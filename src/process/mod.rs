//! The process side: what a process has mapped and how much of it is in RAM, read from `/proc`.
//!
//! Readers and parsers of `/proc/PID`, each fed from a value [`ProcRoot`], so that a captured machine reads like the
//! live one. Nothing here knows the page cache, formats a figure or prints.
//!
//! * [`read`]: reads a process: [`read_mappings`], [`read_smaps`], [`read_process`], [`read_present_pages`].
//! * [`smaps`]: the parser of smaps text, fed in chunks.
//! * [`source`]: which kernel interface is read for the counters that are wanted.
//! * [`mapping`]: what it yields: [`Mappings`], in flat storage.
//! * [`kind`], [`flags`], [`deleted`]: what a mapping is: heap, code, memfd; its flags in words; whether its file has gone.
//! * [`fields`]: the dictionary of the keys that the kernel gave.
//! * [`file_maps`]: who maps a file.
//! * [`account`]: where its memory is, in a few figures.
//! * [`rollup`]: the totals of a process; [`status`]: what may be known of it without smaps.
//! * [`select`]: processes by name, command line, user and control group.
//! * [`read_held_files`]: the files that a process maps or has open.
//! * [`meminfo`]: how much memory may still be used.

pub mod account;
mod capability;
pub mod deleted;
mod feed;
pub mod fields;
pub mod file_maps;
pub mod flags;
mod head;
mod held_files;
mod identity;
pub mod kind;
pub mod mapping;
mod maps;
pub mod meminfo;
mod page_cells;
mod page_tables;
mod pool;
pub mod read;
mod resident;
pub mod rollup;
mod root;
pub mod select;
pub mod smaps;
pub mod source;
pub mod status;

pub use deleted::{Deleted, read_deleted};
pub use fields::{FieldId, FieldUnit, Fields, Wanted};
pub use flags::{Flag, flags_in_words};
pub use held_files::{Held, HeldFile, HeldFiles, read_held_files};
pub use identity::{Process, own_pid, read_process};
pub use kind::MappingKind;
pub use mapping::{Device, Mapping, Mappings};
pub use maps::parse_maps;
pub use meminfo::read_available_memory;
pub use page_cells::{PageCell, PageCells, read_page_cells};
pub use read::{ProcessMappings, read_mappings, read_present_pages, read_smaps};
pub use rollup::{ProcessTotals, read_totals};
pub use root::{ProcRoot, read_pids};
pub use select::{Selection, read_selected};
pub use smaps::{ParseError, SmapsParser, parse_smaps};
pub use source::Source;
pub use status::{Status, parse_status, read_status};
