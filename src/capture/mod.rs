//! Captures: what rmap reads of a machine, in one archive, to be read later and elsewhere.
//!
//! A capture is a tar archive, compressed with zstd or not. It has:
//!
//! * `rmap-capture.json`: what is known of the machine as a whole.
//! * `proc/` and `sys/`: files and links as the kernel shows them. A link to `(permission denied)`, or to `(permission
//!   denied to root)`, stands for what this user was not allowed to read.
//! * `rmap/files.jsonl`: the cached files, from the kernel's lists.
//! * `rmap/complete`: the last entry; an archive without it was cut off.
//!
//! [`take()`] writes one, [`open()`] makes one the root of everything that is read.

mod archive;
mod describe;
mod entry;
mod open;
mod process;
mod system;
mod take;
mod unpack;

pub use archive::Compression;
#[cfg(feature = "cli")]
pub(crate) use open::path_in_archive;
pub use open::{open, remove_unpacked};
pub use take::{Taken, What, take};

/// What of a capture is read. The rest of an archive is not unpacked: each process has some twenty files, and the list
/// of cached files is often longer than everything else.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The processes; the mounts are in their files, too.
    pub processes: bool,
    /// The list of cached files.
    pub files: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Wanted = Wanted { processes: true, files: true };
    /// What is true of the machine as a whole.
    pub const MACHINE: Wanted = Wanted { processes: false, files: false };
    /// The same with the processes.
    pub const PROCESSES: Wanted = Wanted { processes: true, files: false };
}

/// The description of the machine, at the top of a capture.
const DESCRIPTION: &str = "rmap-capture.json";
/// The last entry.
const COMPLETE: &str = "rmap/complete";
/// The version of this layout. A reader rejects a higher one.
const FORMAT: u64 = 1;
