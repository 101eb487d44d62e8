//! The process side: what a process has mapped and how much of it is in RAM, read from `/proc`.
//!
//! Everything is read through a [`Process`], a handle that is opened once. It is opened below a [`ProcRoot`], so that a
//! captured machine is read like a live one. Nothing here accesses the page cache, formats a figure or prints.
//!
//! ```no_run
//! # fn main() -> rmap::Result<()> {
//! let found = rmap::process::Process::open(4690)?.mappings(&["Rss", "Pss"])?;
//! for mapping in &found.mappings {
//!     if let Ok(rss) = mapping.figure("Rss") {
//!         println!("{:x} {}", mapping.start(), rss.0);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! * [`Process`]: the handle. Its methods read: mappings, totals, the account, status, page tables, held files.
//! * [`smaps`]: the parser of smaps text, fed in chunks.
//! * [`Interface`]: which kernel interface the figures came from.
//! * [`mapping`]: the result, [`Mappings`], in flat storage; [`fields`]: the names of the counters.
//! * [`MappingKind`], [`flags`], [`Deleted`]: the kind of a mapping (heap, code, memfd), the meaning of its flags, and
//!   whether its file was deleted.
//! * [`class`]: what made the memory of a mapping (malloc, a thread's stack, a JVM), by a table of rules.
//! * [`MappedFile`]: the file behind a mapping, with proof; [`FileMapping`]: a mapping of a given file.
//! * [`Criteria`]: processes by name, command line, user and control group.

pub mod account;
mod address_space;
mod auxv;
mod captured;
mod cgroup;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/checks/process.rs"]
pub mod checks;
mod choice;
pub mod class;
mod criteria;
mod deleted;
mod directory;
mod failure;
mod feed;
pub mod fields;
mod file_maps;
mod file_search;
mod file_uses;
pub mod flags;
mod handle;
mod head;
mod held_files;
mod held_open;
mod identity;
mod interface;
mod kind;
mod line_ends;
mod mapped_file;
pub mod mapping;
mod maps;
mod namespace;
mod numa_maps;
mod page_tables;
mod parse_error;
mod pool;
mod program;
#[cfg(feature = "capture")]
mod raw;
mod read;
mod reclaim;
mod records;
mod resident;
mod rollup;
mod root;
pub mod smaps;
mod stat;
mod status;
mod table_parts;
pub mod usage;

pub use crate::kernel::identity::FileIdentity;
pub(crate) use crate::kernel::privilege::{run_as_root, run_as_root_or_owner, run_as_root_or_owner_of, who_could};
pub use account::{Account, Amount};
pub use address_space::AddressSpaces;
#[cfg(feature = "capture")]
pub(crate) use address_space::tells_shared_memory;
pub use captured::Captured;
#[cfg(feature = "capture")]
pub(crate) use captured::Unpacked;
pub use cgroup::GroupChoice;
pub(crate) use cgroup::{container_id, read_memory_group};
pub(crate) use choice::Asked;
pub use choice::{NamedProcess, ProcessChoice};
pub use criteria::{Criteria, read_matching};
pub use deleted::Deleted;
pub use directory::parse_pid;
pub(crate) use directory::{Directory, NamelessMount};
#[cfg(feature = "capture")]
pub(crate) use failure::CapturedDenial;
pub(crate) use failure::of_own_child;
pub use fields::{FieldId, FieldUnit, Fields, Wanted};
pub use file_maps::FileMapping;
pub(crate) use file_search::{Descriptor, DescriptorText, Needles, ShownFiles};
pub(crate) use file_uses::{FileUse, UseBuffers, UsedIn, base_name, deleted_name, last_name};
pub use flags::{Flag, flags_in_words};
pub(crate) use handle::is_of_namespace;
#[cfg(feature = "capture")]
pub(crate) use handle::may_be_kernel_thread;
pub(crate) use handle::{ListedPids, listed_pids, own_pid};
pub use handle::{Process, shows_whole_machine};
pub use head::Device;
pub use held_files::{Held, HeldFile, HeldFiles};
pub(crate) use held_open::HeldOpen;
pub use identity::Identity;
pub use interface::Interface;
pub use kind::MappingKind;
pub(crate) use mapped_file::unescape as unescape_maps;
pub use mapped_file::{MappedFile, Way};
pub use mapping::{Mapping, Mappings};
pub use maps::parse_maps;
pub use namespace::Namespace;
pub(crate) use namespace::{Shown, own_root};
pub use numa_maps::{NumaAmount, NumaMapping, NumaMaps, parse_numa_maps};
pub(crate) use program::Program;
#[cfg(feature = "capture")]
pub(crate) use raw::Raw;
pub use read::ProcessMappings;
pub use rollup::ProcessTotals;
pub use root::{Hides, ProcRoot, hides_processes, not_mounted, read_pids, what_is_hidden};
pub(crate) use root::{is_own_helper, read_mounts, read_pids_of_holders};
pub use smaps::{ParseError, SmapsParser, parse_smaps};
pub use status::{Status, parse_status};
pub use table_parts::{TablePart, TableParts};
