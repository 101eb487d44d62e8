//! Whether two processes mean the same file by a name. No file is examined here.

use std::path::{Path, PathBuf};

use crate::process::handle::Process;

/// What the names that a process sees mean: its mount namespace and its root directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    mounts: Option<PathBuf>,
    root: Option<(u64, u64)>,
    /// A process whose namespace cannot be read has one of its own, unless it is in a capture.
    unknown: Option<u32>,
}

impl Process {
    /// Reads what the names that the process sees mean.
    pub fn read_namespace(&self) -> Namespace {
        let directory = self.memory().map_or_else(|_| self.directory.clone(), |memory| memory.directory);
        let mounts = directory.read_link("ns/mnt").ok();
        let root = directory.look(Path::new("root")).ok().map(|root| root.identity);
        let unknown = (self.is_live() && (mounts.is_none() || root.is_none())).then(|| self.pid());
        Namespace { mounts, root, unknown }
    }
}
