//! What was already visited, if it can be found again.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::visit::Options;
use crate::kernel::mount_table::{self, Mount};
use crate::kernel::whereabouts::locate;
use crate::pagecache::{FileIdentity, FileSystem, FileSystemKind, KnownFiles, OpenFile};

/// What was already visited.
pub(super) struct Seen {
    directories: Mutex<HashSet<FileIdentity>>,
    files: Mutex<KnownFiles>,
    /// Device and inode of what was named. A walk that does not enter it from another file system leaves nothing out.
    named: Mutex<HashSet<(u64, u64)>>,
    /// Device and inode of files with one link that can be found under another name: those that are mount points.
    expected: Mutex<HashSet<(u64, u64)>>,
    /// Whether a file with one link can be found again at all.
    any_can_return: AtomicBool,
    /// Whether every file is remembered: symbolic links are followed, or what is mounted is not known.
    remembers_all: AtomicBool,
    /// Which kinds of file systems there are: a file of an overlay has its pages on another one.
    overlay: AtomicBool,
    other: AtomicBool,
    crosses: bool,
}

impl Seen {
    pub(super) fn new(options: &Options<'_>) -> Seen {
        Seen {
            directories: Mutex::default(),
            files: Mutex::default(),
            named: Mutex::default(),
            expected: Mutex::default(),
            any_can_return: AtomicBool::new(false),
            remembers_all: AtomicBool::new(options.follow),
            overlay: AtomicBool::new(false),
            other: AtomicBool::new(false),
            crosses: options.cross_file_systems,
        }
    }

    /// Whether a directory is visited for the first time.
    pub(super) fn first_of_directory(&self, identity: FileIdentity) -> bool {
        lock(&self.directories).insert(identity)
    }

    /// Whether a named file is visited for the first time. All named files are remembered.
    pub(super) fn first_of_named(&self, file: &OpenFile) -> bool {
        self.any_can_return.store(true, Ordering::Relaxed);
        self.note_kind(file.file_system().kind);
        lock(&self.named).insert((file.device(), file.inode()));
        KnownFiles::enter_shared(&self.files, file, true).1
    }

    /// Whether a file or directory was named itself.
    pub(super) fn is_named(&self, device: u64, inode: u64) -> bool {
        lock(&self.named).contains(&(device, inode))
    }

    /// Whether a file that was found is visited for the first time.
    pub(super) fn first_of_found(&self, file: &OpenFile) -> bool {
        let looks_below = self.has_layers();
        if file.links() > 1 || looks_below || self.remembers_all.load(Ordering::Relaxed) {
            return KnownFiles::enter_shared(&self.files, file, looks_below).1;
        }
        if !self.any_can_return.load(Ordering::Relaxed) {
            return true;
        }
        match lock(&self.expected).contains(&(file.device(), file.inode())) {
            true => KnownFiles::enter_shared(&self.files, file, false).1,
            false => !lock(&self.files).contains(file, false),
        }
    }

    /// Finds out in what ways files below `roots` can be found again: those that are mount points have one link and two
    /// names, and those of an overlay may also be found in the directories that it consists of.
    pub(super) fn expect_below(&self, roots: &[PathBuf]) {
        let mounts = mount_table::own();
        if mounts.mounts().is_empty() {
            // Without /proc, any file may be mounted somewhere else too.
            self.remembers_all.store(true, Ordering::Relaxed);
        }
        // A file system that may not answer is not asked.
        let answers = |root: &&PathBuf| matches!(locate(root), Ok(None));
        let roots: Vec<&PathBuf> = roots.iter().filter(answers).collect();
        let kinds = roots.iter().filter_map(|root| Some((root, FileSystem::of_path(root).ok()?.kind)));
        // What is refused is not visited.
        let visited: Vec<_> = kinds.filter(|(_, kind)| !matches!(kind, FileSystemKind::Pseudo(_))).collect();
        let named = visited.iter().filter_map(|(root, _)| root.metadata().ok());
        lock(&self.named).extend(named.map(|found| (found.dev(), found.ino())));
        visited.iter().for_each(|(_, kind)| self.note_kind(*kind));
        let roots: Vec<_> = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
        let point = |mount: &Mount| PathBuf::from(OsStr::from_bytes(&mount.point));
        let is_below = |mount: &&Mount| roots.iter().any(|root| point(mount).starts_with(root));
        let mounted = || mounts.mounts().iter().filter(is_below);
        if self.crosses && mounted().any(|mount| mount.kind == b"overlay") {
            self.note_kind(FileSystemKind::Stacked("overlayfs"));
            self.note_kind(FileSystemKind::Ordinary);
        }
        // Only a mount of a part of a file system can be a single file.
        let points = mounted().filter(|mount| mount.root != b"/").map(point);
        let points = points.filter(|point| mounts.blocking_above(point).is_none());
        for found in points.filter_map(|point| point.symlink_metadata().ok()).filter(|found| found.is_file()) {
            self.any_can_return.store(true, Ordering::Relaxed);
            lock(&self.expected).insert((found.dev(), found.ino()));
        }
    }

    fn note_kind(&self, kind: FileSystemKind) {
        let is_overlay = matches!(kind, FileSystemKind::Stacked(_));
        if is_overlay { &self.overlay } else { &self.other }.store(true, Ordering::Relaxed);
    }

    /// Whether there are overlays and other file systems.
    fn has_layers(&self) -> bool {
        self.overlay.load(Ordering::Relaxed) && self.other.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked cannot leave a set in an invalid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
