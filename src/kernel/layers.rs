//! Where overlayfs keeps what is written to it: in another file system, whose kind decides whether there is a disk.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::file_system::{FileSystem, FileSystemKind};
use super::mount_table::{self, LayerRole};

/// The kind of the file system that has the data of new files in this directory: on overlayfs that of its upper layer,
/// if it can be found from here.
///
/// # Errors
/// As `statfs(2)`.
pub(crate) fn kind_of_new_files(directory: &Path) -> io::Result<FileSystemKind> {
    let kind = FileSystem::of_path(directory)?.kind;
    let is_stacked = matches!(kind, FileSystemKind::Stacked(_));
    Ok(if is_stacked { upper_kind(directory) } else { None }.unwrap_or(kind))
}

/// The kind of the upper layer of an overlay. Its path was the one that whoever mounted it saw. Another place may have
/// the same path here, but hardly the same size: that of an overlay is that of its upper layer.
fn upper_kind(directory: &Path) -> Option<FileSystemKind> {
    let device = mount_table::parts(directory.metadata().ok()?.dev());
    let mounts = mount_table::own();
    let overlay = mounts.mounts().iter().find(|mount| mount.device == device && mount.kind == b"overlay")?;
    let upper = overlay.layers().into_iter().find(|layer| layer.role == LayerRole::Upper)?;
    let path = PathBuf::from(OsStr::from_bytes(&upper.path));
    if !path.is_absolute() || mounts.blocking_above(&path).is_some() {
        return None;
    }
    let (one, other) = (statvfs(directory).ok()?, statvfs(&path).ok()?);
    let is_same = (one.blocks(), one.fragment_size()) == (other.blocks(), other.fragment_size());
    is_same.then(|| FileSystem::of_path(&path).ok()).flatten().map(|found| found.kind)
}
