//! All files of the machine that have cached pages, with what is known about each: its path, its pages, the control
//! groups that are charged for them, and who holds it.
//!
//! The best source that this user may use is taken: the kernel's own lists (`machine::cached`); else the files
//! that processes map or have open; or, if that is requested, a walk over directories.

mod account;
mod captured_below;
mod chosen;
mod context;
mod described;
mod divide;
mod from_lists;
mod lead;
mod measured;
mod nameless;
mod parts;
mod restore;
#[cfg(feature = "capture")]
mod save;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use account::Account;
pub use described::Method;
pub(crate) use described::{group_names, node_names, through};
pub(crate) use divide::ChosenGroups;
pub(crate) use measured::{held_files, measure_files, walked_files};
#[cfg(feature = "capture")]
pub(crate) use restore::LIST;
pub(crate) use restore::{Captured, CapturedFiles};
#[cfg(feature = "capture")]
pub(crate) use save::SavedFiles;

use crate::error::Result;
use crate::machine::cached::{Counter, Counts, Kind, Lists};
use crate::process::GroupChoice;
use crate::units::{Absent, Bytes, Figure, PageSize, Reason};

/// A file with cached pages, or the part of it that is charged to one group or lies on one node.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// A number that no other file of the same answer has.
    pub id: u64,
    /// What distinguishes it from other rows of the same file: the group, node or program that it is about.
    pub part: Vec<u8>,
    /// Its path as a user can type it, or words if it has none.
    pub path: Vec<u8>,
    /// Whether its last name was removed.
    pub is_deleted: bool,
    /// What kind of file it is.
    pub(crate) kind: Figure<Kind>,
    /// The type of its file system.
    pub file_system: Figure<Arc<str>>,
    /// The device number of its file system.
    pub device: (u32, u32),
    /// Its inode number.
    pub inode: u64,
    /// How many names it has on disk.
    pub links: Figure<u64>,
    /// Its length.
    pub size: Figure<Bytes>,
    /// How much of it is in the page cache, up to date or not.
    pub cached: Figure<Bytes>,
    /// The states of its pages.
    pub(crate) counts: Figure<Counts>,
    /// Dirty, from cachestat if the states of its pages are not known.
    pub dirty: Figure<Bytes>,
    /// Under writeback, likewise.
    pub writeback: Figure<Bytes>,
    /// How much was evicted and is remembered; of shared memory: how much is in swap.
    pub evicted: Figure<Bytes>,
    /// The nodes that its pages are on, most pages first.
    pub nodes: Figure<Vec<u8>>,
    /// The control groups that are charged for its pages, most pages first.
    pub groups: Figure<Vec<u8>>,
    /// The container whose file it is.
    pub container: Figure<Option<Arc<str>>>,
    /// The processes and parts of the kernel that hold it.
    pub holders: Figure<Vec<u8>>,
    /// How many processes hold it.
    pub holder_count: Figure<u64>,
    /// What it was found and measured by.
    pub method: Method,
    /// What a reader must know about this row.
    pub note: Option<&'static str>,
    pub(crate) page_size: PageSize,
    /// What it can be divided into, if that is kept.
    #[cfg_attr(not(feature = "capture"), allow(dead_code, reason = "only captures keep them"))]
    parts: Option<Arc<parts::Parts>>,
}

impl FoundFile {
    /// How much of it counts for one of the states.
    pub(crate) fn amount(&self, counter: Counter) -> Figure<Bytes> {
        let bytes = |pages| crate::units::Pages(pages).bytes(self.page_size);
        self.counts.as_ref().map(|counts| bytes(counts.get(counter))).map_err(|absent| *absent)
    }

    /// How much of it is cached, but would have to be read again.
    pub(crate) fn not_up_to_date(&self) -> Figure<Bytes> {
        Ok(self.amount(Counter::Pages)?.saturating_sub(self.amount(Counter::UpToDate)?))
    }
}

/// What is read about each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its path.
    pub path: bool,
    /// The states of its pages.
    pub pages: bool,
    /// Who holds it.
    pub holders: bool,
    /// The container whose file it is; needs the path.
    pub container: bool,
}

/// What a file has several rows for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The control groups that are charged for its pages.
    Groups,
    /// The NUMA nodes that its pages are on.
    Nodes,
    /// The programs that hold it; its pages are then in several rows.
    Holders,
}

/// Which files are chosen, and what they are divided by.
#[derive(Debug, Clone, Default)]
pub struct FoundChoice {
    /// Only files in and below these directories, as absolute paths without links if such paths lead to them.
    pub below: Vec<PathBuf>,
    /// Only files with this device and inode number, as the lists have them.
    pub(crate) number: Option<((u32, u32), u64)>,
    /// Only deleted files.
    pub deleted: bool,
    /// Only files with pages that must be written to disk.
    pub dirty: bool,
    /// Only files that nobody maps.
    pub unmapped: bool,
    /// Only pages that these control groups are charged for.
    pub groups: GroupChoice,
    /// Only files that one of these processes holds.
    pub holders: HashSet<u32>,
    /// What rows are divided by.
    pub split: Option<Split>,
    /// Whether each row keeps what it could be divided into, for a capture.
    pub(crate) keeps_parts: bool,
}

impl Facts {
    /// These, and what the choice depends on.
    fn needed_by(self, choice: &FoundChoice) -> Facts {
        Facts {
            path: self.path || self.container || choice.deleted || !choice.below.is_empty(),
            pages: self.pages || choice.needs_pages(),
            holders: self.holders || choice.split == Some(Split::Holders) || !choice.holders.is_empty(),
            container: self.container,
        }
    }
}

impl FoundChoice {
    /// Chooses the files in and below a directory, which is looked for without waiting for a server.
    ///
    /// # Errors
    /// It cannot be found, or is nothing that has cached pages.
    pub fn add_below(&mut self, directory: &Path) -> Result<()> {
        self.below.push(lead::real_path(directory)?);
        Ok(())
    }

    /// Whether every file is chosen, and has one row.
    pub(super) fn is_everything(&self) -> bool {
        let FoundChoice { below, number, deleted, dirty, unmapped, groups, holders, split, keeps_parts: _ } = self;
        below.is_empty()
            && number.is_none()
            && !deleted
            && !dirty
            && !unmapped
            && groups.is_empty()
            && holders.is_empty()
            && split.is_none()
    }

    /// An option that only the kernel's lists can answer.
    pub(crate) fn needs_lists(&self) -> Option<&'static str> {
        match () {
            () if !self.groups.is_empty() => Some("--cgroup"),
            () if self.unmapped => Some("--unmapped"),
            () => None,
        }
    }

    /// Whether the states of pages decide.
    fn needs_pages(&self) -> bool {
        self.dirty || self.unmapped || matches!(self.split, Some(Split::Groups | Split::Nodes))
    }

    fn matches(&self, file: &FoundFile) -> bool {
        (!self.deleted || file.is_deleted && file.kind.is_ok())
            && (!self.dirty || file.dirty.is_ok_and(|dirty| dirty > Bytes(0)))
            && self.matches_mapped(file)
    }

    /// Whether a file is chosen by who maps it, which decides about all of its parts: a group that is charged for pages
    /// that nobody maps may be charged for a file that somebody does.
    fn matches_mapped(&self, file: &FoundFile) -> bool {
        let has = |counter| file.amount(counter).is_ok_and(|bytes| bytes > Bytes(0));
        !self.unmapped || file.counts.is_ok() && !has(Counter::Mapped) && !has(Counter::MappedUnknown)
    }

    /// Whether files with this path are chosen.
    fn has(&self, path: &[u8]) -> bool {
        self.below.is_empty() || self.is_below(path)
    }

    /// Whether a path is in or below one of the directories.
    fn is_below(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        self.below.iter().any(|directory| path.starts_with(directory))
    }
}

/// Reads the files of the machine, again and again.
#[derive(Debug, Default)]
pub struct MachineFiles {
    /// The programs, if they were loaded for an earlier round.
    lists: Option<Lists>,
}

/// How long reading may take by default.
pub const BUDGET: Duration = Duration::from_secs(2);

/// Not read because no column needs it.
pub(crate) const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");
