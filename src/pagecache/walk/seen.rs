//! What was already visited, if it can be found again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::visit::Options;
use crate::kernel::mount_points;
use crate::pagecache::{FileIdentity, FileSystem, FileSystemKind, KnownFiles, OpenFile};

/// What was already visited.
pub(super) struct Seen {
    directories: Mutex<HashSet<FileIdentity>>,
    files: Mutex<KnownFiles>,
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
        lock(&self.files).enter(file, true).1
    }

    /// Whether a file that was found is visited for the first time.
    pub(super) fn first_of_found(&self, file: &OpenFile) -> bool {
        let looks_below = self.has_layers();
        if file.links() > 1 || looks_below || self.remembers_all.load(Ordering::Relaxed) {
            return lock(&self.files).enter(file, looks_below).1;
        }
        if !self.any_can_return.load(Ordering::Relaxed) {
            return true;
        }
        match lock(&self.expected).contains(&(file.device(), file.inode())) {
            true => lock(&self.files).enter(file, false).1,
            false => !lock(&self.files).contains(file, false),
        }
    }

    /// Finds out in what ways files below `roots` can be found again: those that are mount points have one link and two
    /// names, and those of an overlay may also be found in the directories that it consists of.
    pub(super) fn expect_below(&self, roots: &[PathBuf]) {
        roots.iter().filter_map(|root| FileSystem::of_path(root).ok()).for_each(|on| self.note_kind(on.kind));
        let roots: Vec<_> = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
        let below = |point: &Path| roots.iter().any(|root| point.starts_with(root));
        let Some(mounted) = mount_points::read_mounted(below) else {
            // Without /proc, any file may be mounted somewhere else too.
            self.remembers_all.store(true, Ordering::Relaxed);
            return;
        };
        if self.crosses && mounted.has_overlay {
            self.note_kind(FileSystemKind::Stacked("overlayfs"));
            self.note_kind(FileSystemKind::Ordinary);
        }
        self.any_can_return.fetch_or(!mounted.files.is_empty(), Ordering::Relaxed);
        lock(&self.expected).extend(mounted.files);
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
