//! What kind of file system a file is on, as far as it decides whether the page cache can be asked about.
//!
//! The kinds are those that behave differently, not all that there are; the figures are `f_type` of `statfs(2)`.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::sys::statfs::{Statfs, fstatfs, statfs};
use nix::sys::statvfs::FsFlags;

/// The kind of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileSystemKind {
    /// Keeps file data in the page cache in the usual way: ext4, xfs, btrfs, NFS and most others.
    Ordinary,
    /// Lives in the page cache: tmpfs (also `memfd` and shared anonymous memory) and ramfs.
    Memory,
    /// Stacked on others, which hold the cached pages (overlayfs, aufs): `cachestat` answers zeros here.
    Stacked(&'static str),
    /// Served by a process. It may pass files through to another file system, and then is like [`FileSystemKind::Stacked`].
    Fuse,
    /// hugetlbfs: huge pages of a pool of their own, which are no page cache.
    Huge,
    /// Made up by the kernel as it is read (`/proc`, `/sys`, cgroups), with the name of the file system.
    Pseudo(&'static str),
}

/// What `statfs` tells about a file that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind.
    pub kind: FileSystemKind,
    /// Whether its mount keeps access times: neither `noatime` nor read-only.
    pub keeps_atime: bool,
    /// Whether `lseek` with `SEEK_DATA` writes dirty pages back before it answers, as NFS and SMB do: their servers know the
    /// holes (`nfs42_proc_llseek`, `cifs_llseek` in the kernel's source).
    pub seek_writes: bool,
}

/// Kernel-made file systems by `f_type` (`linux/magic.h`, and the file system's own source for the last ones).
const PSEUDO: [(u32, &str); 31] = [
    (0x0000_9fa0, "procfs"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0x6265_6570, "configfs"),
    (0xcafe_4a11, "bpf"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x0000_1cd1, "devpts"),
    (0x6e73_6673, "nsfs"),
    (0x1980_0202, "mqueue"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x6573_5543, "fusectl"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x5a3c_69f0, "apparmorfs"),
    (0x0765_5821, "resctrl"),
    (0xabba_1974, "xenfs"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e66_7364, "nfsd"),
    (0x0904_1934, "anon_inodefs"),
    (0x5049_5045, "pipefs"),
    (0x534f_434b, "sockfs"),
    (0x5049_4446, "pidfs"),
    (0x6c6f_6f70, "binderfs"),
    (0x0000_9fa2, "usbdevfs"),
    (0x0000_9fa1, "openpromfs"),
    (0x444d_4142, "dmabuf"),
];

impl FileSystem {
    /// Asks `statfs(2)` about the file behind a path. Nothing is opened.
    ///
    /// # Errors
    /// Those of the path lookup (`ENOENT`, `EACCES`, `ELOOP`), or `EIO` if the file system is gone.
    #[doc(alias = "statfs")]
    pub fn of_path(path: &Path) -> io::Result<FileSystem> {
        Ok(read(&statfs(path)?))
    }

    /// Asks `fstatfs(2)` about an open file.
    ///
    /// # Errors
    /// `EBADF`, or `EIO` if the file system is gone.
    #[doc(alias = "fstatfs")]
    pub fn of_file(fd: BorrowedFd<'_>) -> io::Result<FileSystem> {
        Ok(read(&fstatfs(fd)?))
    }
}

fn read(answer: &Statfs) -> FileSystem {
    // The kernel's magic numbers have 32 bits; the type of the field differs by architecture, and may sign-extend.
    let magic = answer.filesystem_type().0 as u32;
    let keeps_no_atime = FsFlags::ST_NOATIME | FsFlags::ST_RDONLY;
    FileSystem {
        kind: kind(magic),
        keeps_atime: !answer.flags().intersects(keeps_no_atime),
        seek_writes: matches!(magic, 0x0000_6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x0000_517b),
    }
}

fn kind(magic: u32) -> FileSystemKind {
    match magic {
        0x0102_1994 | 0x8584_58f6 => FileSystemKind::Memory,
        0x794c_7630 => FileSystemKind::Stacked("overlayfs"),
        0x6175_6673 => FileSystemKind::Stacked("aufs"),
        0x6573_5546 => FileSystemKind::Fuse,
        0x9584_58f6 => FileSystemKind::Huge,
        _ => pseudo(magic).map_or(FileSystemKind::Ordinary, FileSystemKind::Pseudo),
    }
}

fn pseudo(magic: u32) -> Option<&'static str> {
    PSEUDO.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mounts_that_every_machine_has_are_known() {
        for (path, kind) in [
            ("/proc/self/status", FileSystemKind::Pseudo("procfs")),
            ("/sys/kernel", FileSystemKind::Pseudo("sysfs")),
            ("/dev/shm", FileSystemKind::Memory),
        ] {
            assert_eq!(FileSystem::of_path(Path::new(path)).unwrap().kind, kind, "{path}");
        }
    }

    #[test]
    fn a_path_and_its_descriptor_agree() {
        use std::os::fd::AsFd;
        let file = tempfile::NamedTempFile::new().unwrap();
        let by_path = FileSystem::of_path(file.path()).unwrap();
        assert_eq!(by_path, FileSystem::of_file(file.as_file().as_fd()).unwrap());
    }

    #[test]
    fn magic_numbers_are_listed_once() {
        for (index, (magic, name)) in PSEUDO.iter().enumerate() {
            assert!(PSEUDO[index + 1..].iter().all(|(other, _)| other != magic), "{name}");
            assert_eq!(kind(*magic), FileSystemKind::Pseudo(name), "{name}");
        }
    }

    #[test]
    fn a_missing_path_is_the_kernels_error() {
        let error = FileSystem::of_path(Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
