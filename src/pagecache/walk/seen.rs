//! What was already visited, by device and inode, if it can be found again.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::visit::Options;
use crate::kernel::mount_table;
use crate::kernel::whereabouts::locate;

/// Device and inode, which identify a file whatever its names.
pub(super) type Identity = (u64, u64);

/// What was already visited.
pub(super) struct Seen {
    directories: Mutex<HashSet<Identity>>,
    files: Mutex<HashSet<Identity>>,
    /// Files with one link that can be found under another name: those that are mount points.
    expected: Mutex<HashSet<Identity>>,
    /// Whether a file with one link can be found again at all.
    any_can_return: AtomicBool,
    follows: bool,
}

impl Seen {
    pub(super) fn new(options: &Options<'_>) -> Seen {
        Seen {
            directories: Mutex::default(),
            files: Mutex::default(),
            expected: Mutex::default(),
            any_can_return: AtomicBool::new(false),
            follows: options.follow,
        }
    }

    /// Whether a directory is visited for the first time.
    pub(super) fn first_of_directory(&self, identity: Identity) -> bool {
        insert(&self.directories, identity)
    }

    /// Whether a named file is visited for the first time. All named files are remembered.
    pub(super) fn first_of_named(&self, identity: Identity) -> bool {
        self.any_can_return.store(true, Ordering::Relaxed);
        insert(&self.files, identity)
    }

    /// Whether a file that was found is visited for the first time.
    pub(super) fn first_of_found(&self, identity: Identity, links: u64) -> bool {
        if links > 1 || self.follows {
            return insert(&self.files, identity);
        }
        if !self.any_can_return.load(Ordering::Relaxed) {
            return true;
        }
        match contains(&self.expected, identity) {
            true => insert(&self.files, identity),
            false => !contains(&self.files, identity),
        }
    }

    /// Remembers the files that are mount points in or below `roots`: they have one link and can be found under two
    /// names.
    pub(super) fn remember_mounted_files(&self, roots: &[PathBuf]) {
        let mounts = mount_table::own();
        let answers = |root: &&PathBuf| matches!(locate(root), Ok(None));
        let roots: Vec<_> = roots.iter().filter(answers).filter_map(|root| root.canonicalize().ok()).collect();
        // Only a mount of a part of a file system can be a single file.
        let points = mounts.mounts().iter().filter(|mount| mount.root != b"/");
        let points = points.map(|mount| Path::new(OsStr::from_bytes(&mount.point)));
        let points = points.filter(|point| roots.iter().any(|root| point.starts_with(root)));
        let points = points.filter(|point| mounts.blocking_above(point).is_none());
        for found in points.filter_map(|point| point.symlink_metadata().ok()).filter(|found| found.is_file()) {
            self.any_can_return.store(true, Ordering::Relaxed);
            insert(&self.expected, (found.dev(), found.ino()));
        }
    }
}

fn insert(set: &Mutex<HashSet<Identity>>, identity: Identity) -> bool {
    // A thread that panicked cannot leave a set of numbers in an invalid state.
    set.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(identity)
}

fn contains(set: &Mutex<HashSet<Identity>>, identity: Identity) -> bool {
    set.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&identity)
}
