//! Paths of any length, and what is wrong with a path.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Type;
use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag};

use crate::error::Error;
use crate::kernel::handle::Handle;
use crate::kernel::open;
use crate::kernel::whereabouts::locate;
use crate::pagecache::file;

/// Opens a directory by its path. The kernel accepts paths of up to 4096 bytes; longer ones are opened in steps.
pub(super) fn open_by_path(path: &Path) -> Result<Handle, Errno> {
    if let Some(far) = locate(path)? {
        return open::directory_far(&far);
    }
    match open::directory(path) {
        Err(Errno::ENAMETOOLONG) => {
            let start = if path.is_absolute() { Path::new("/") } else { Path::new(".") };
            let mut opened = open::directory(start)?;
            for name in path.components().filter(|part| *part != Component::RootDir) {
                opened = open::directory_at(&opened, name.as_os_str(), true)?;
            }
            Ok(opened)
        }
        opened => opened,
    }
}

pub(super) fn failure(path: &Path, error: impl Into<io::Error>) -> Error {
    file::system(path, &error.into())
}

pub(super) fn join(directory: &Path, name: &CStr) -> PathBuf {
    directory.join(OsStr::from_bytes(name.to_bytes()))
}

/// The type of a file. All special files are reported as FIFOs.
pub(super) fn kind_of(stat: &FileStat) -> Type {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Type::File,
        SFlag::S_IFDIR => Type::Directory,
        SFlag::S_IFLNK => Type::Symlink,
        _ => Type::Fifo,
    }
}
