//! The entries of a directory that is open here. One may lead to a file system that may not answer; then a child
//! process asks it.

use std::ffi::CStr;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, stat};

use super::path::{join, open_by_path};
use super::visit::Options;
use super::work::OpenDirectory;
use crate::kernel::handle::{FarPath, Handle};
use crate::kernel::mount_table;
use crate::kernel::statx::Statx;
use crate::kernel::whereabouts::locate;
use crate::pagecache::leases::Opened;

/// Whether this process has a directory open and finds a file system in it that may not answer.
pub(super) fn may_block(directory: &OpenDirectory, device: u64) -> bool {
    let blocks = || mount_table::own().may_block(mount_table::parts(device)) == Some(true);
    directory.may_lead_away && directory.identity.0 != device && blocks()
}

/// Whether an entry may lead to another file system that may not answer: through a symbolic link, or because another
/// file is mounted over it.
fn may_lead_away(directory: &OpenDirectory, name: &CStr, link: bool) -> bool {
    let is_other = || Statx::of_name(&directory.handle, name, false).is_ok_and(|at| may_block(directory, at.device()));
    directory.may_lead_away && (link || is_other())
}

/// The attributes of a directory that was found.
pub(super) fn stat_name(directory: &OpenDirectory, name: &CStr, link: bool) -> Result<Statx, Errno> {
    match link && may_lead_away(directory, name, true) {
        true => open_by_path(&join(&directory.path, name)).and_then(|handle| Statx::of_handle(&handle)),
        false => Statx::of_name(&directory.handle, name, link),
    }
}

/// `fstatat` of an entry of a directory.
pub(super) fn stat_entry(directory: &OpenDirectory, name: &CStr, flags: AtFlags) -> Result<FileStat, Errno> {
    if may_lead_away(directory, name, !flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW)) {
        let path = join(&directory.path, name);
        return locate(&path)?.map_or_else(|| stat(&path), |far| far.stat());
    }
    directory.handle.stat_at(name, flags)
}

/// How a file was opened.
pub(super) enum Found {
    Opened(Opened),
    /// Only named, because it is on FUSE, where opening it may drop its cached pages.
    OnFuse(Handle),
}

/// Opens a file in a directory.
pub(super) fn open_entry(
    directory: &OpenDirectory,
    path: &Path,
    name: &CStr,
    link: bool,
    options: &Options<'_>,
) -> Result<Found, Errno> {
    if may_lead_away(directory, name, link)
        && let Some(far) = locate(path)?
    {
        return match !options.opens_fuse && far.is_on_fuse()? {
            true => far.open(OFlag::O_PATH).map(Found::OnFuse),
            false => {
                let found = far.stat()?;
                options.leases.open_far(&far, (found.st_dev, found.st_ino)).map(Found::Opened)
            }
        };
    }
    if directory.is_fuse && !options.opens_fuse {
        let link = if link { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        return match directory.handle.own() {
            None => directory.handle.open_at(name, link | OFlag::O_PATH),
            // Only the child that asks file systems can take the descriptor of a process.
            Some(_) => FarPath::new(mount_table::parts(directory.identity.0), path)?.open(link | OFlag::O_PATH),
        }
        .map(Found::OnFuse);
    }
    options.leases.open_at(&directory.handle, name, link).map(Found::Opened)
}
