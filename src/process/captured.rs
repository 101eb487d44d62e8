//! What a capture says about the machine that it was taken on.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::process::directory::NamelessMount;
use crate::units::PageSize;

/// What a capture says about its machine.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The page size of the machine.
    pub page_size: PageSize,
    /// When it was taken.
    pub time: SystemTime,
    /// The release of the kernel (`uname -r`).
    pub release: String,
    /// The hardware (`uname -m`).
    pub machine: String,
    /// The identity of the boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: Option<String>,
    /// Whether the command lines of processes are in it.
    pub has_command_lines: bool,
    /// Whether all processes of the machine are, as far as is known.
    pub has_all_processes: bool,
    /// Whether it was taken in another pid namespace than the first, such as that of a container, where only the
    /// processes in it are seen.
    pub is_of_namespace: bool,
    /// Whether `/proc` did not even show how many processes other users have (`hidepid`).
    pub hides_more: bool,
    /// The processes that existed but could not be captured. One that is neither in the capture nor here had exited, if
    /// all were to be captured.
    pub(crate) missed: HashSet<u32>,
    /// Those of them that the user who took the capture was not allowed to see (`hidepid`).
    pub(crate) hidden: HashSet<u32>,
    /// Of each process that shares its memory with others (`vfork`, `CLONE_VM`), the first of them, if the capture
    /// tells which do.
    pub(crate) same_memory: Option<HashMap<u32, u32>>,
    /// The kernel's own mount of tmpfs.
    pub(crate) nameless: Option<NamelessMount>,
    /// The archive that it was read from, by its real path.
    pub(crate) archive: Option<PathBuf>,
    /// What lives as long as the capture is read: the directory that it was unpacked into.
    #[allow(dead_code, reason = "it is dropped when nothing reads the capture any more")]
    pub(crate) unpacked: Option<Unpacked>,
}

impl Captured {
    /// Whether there may have been processes that it does not have.
    pub fn has_only_some(&self) -> bool {
        !self.has_all_processes || self.is_of_namespace
    }
}

/// Something that lives as long as a capture is read.
#[derive(Clone)]
pub(crate) struct Unpacked(#[allow(dead_code, reason = "it is only dropped")] pub(crate) Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Unpacked")
    }
}
