//! A file with cached pages, and what kind of file it is.

use std::sync::Arc;

#[cfg(feature = "bpf")]
use crate::kernel::bpf::inodes::{Inode, SuperBlock};
use crate::kernel::cached::{Name, Target};
use crate::units::{Bytes, Pages};

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` (`include/uapi/linux/magic.h`).
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
/// `HUGETLBFS_MAGIC` of the same file.
const HUGETLBFS: u32 = 0x9584_58f6;
/// `BTRFS_SUPER_MAGIC` of the same file, and the number of the inode that has the pages of its trees, whose length
/// means nothing (`BTRFS_BTREE_INODE_OBJECTID` in `include/uapi/linux/btrfs_tree.h`).
const BTRFS: (u32, u64) = (0x9123_683e, 1);
/// The first inode number of ext4 that is not the file system's own (`EXT4_GOOD_OLD_FIRST_INO` in `fs/ext4/ext4.h`).
const EXT4: u64 = 11;

/// A file system, or one of the kernel's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// Its device number, as `mountinfo` and `maps` show it.
    pub(crate) device: (u32, u32),
    /// The name of its type, such as `ext4`.
    pub(crate) kind: String,
    magic: u32,
}

impl FileSystem {
    #[cfg(feature = "bpf")]
    pub(super) fn new(block: &SuperBlock) -> FileSystem {
        let kind = String::from_utf8_lossy(block.kind()).into_owned();
        FileSystem { device: block.device(), kind, magic: block.magic }
    }

    /// One of this type.
    #[cfg(test)]
    pub(super) fn called(kind: &str) -> FileSystem {
        FileSystem { device: (0, 0), kind: kind.to_owned(), magic: 0 }
    }

    /// Whether its pages are huge pages, which do not count as page cache.
    pub(super) fn is_hugetlb(&self) -> bool {
        self.magic == HUGETLBFS
    }

    /// Whether its files are only in memory: tmpfs and ramfs.
    pub(crate) fn is_in_memory(&self) -> bool {
        IN_MEMORY.contains(&self.magic)
    }
}

/// Whether a number is one that the file system of this type keeps for itself.
pub(crate) fn is_own_number(file_system: &str, number: u64) -> bool {
    match file_system {
        "ext2" | "ext3" | "ext4" => number < EXT4,
        "btrfs" => number == BTRFS.1,
        _ => false,
    }
}

/// What kind of file has cached pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A file with a name.
    File,
    /// A file whose last name was removed, and that something still uses.
    Deleted,
    /// A file of tmpfs or ramfs.
    Tmpfs,
    /// Shared memory without a file: System V, or mapped and anonymous.
    SharedMemory,
    /// Memory of `memfd_create(2)`.
    Memfd,
    /// A block device: what meminfo calls buffers.
    BlockDevice,
    /// What a file system keeps for itself: directories, symbolic links, the journal.
    Metadata,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Kind; 7] =
        [Kind::File, Kind::Deleted, Kind::Tmpfs, Kind::SharedMemory, Kind::Memfd, Kind::BlockDevice, Kind::Metadata];

    /// What kind of memory without a file the kernel gave this name.
    pub(crate) fn of_nameless(name: &[u8]) -> Kind {
        if name.starts_with(b"/memfd:") { Kind::Memfd } else { Kind::SharedMemory }
    }

    /// Its name.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Deleted => "deleted",
            Kind::Tmpfs => "tmpfs",
            Kind::SharedMemory => "shared memory",
            Kind::Memfd => "memfd",
            Kind::BlockDevice => "block device",
            Kind::Metadata => "metadata",
        }
    }
}

impl Kind {
    /// Its name as a key.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Kind::SharedMemory => "shared_memory",
            Kind::BlockDevice => "block_device",
            other => other.word(),
        }
    }
}

/// A file with cached pages.
#[derive(Debug, Clone)]
pub(crate) struct CachedFile {
    /// Its file system.
    pub(crate) file_system: Arc<FileSystem>,
    /// Its inode number, which on btrfs is that in its subvolume.
    pub(crate) number: u64,
    /// What tells it from others with this number.
    pub(crate) generation: u32,
    /// Its length.
    pub(crate) size: Bytes,
    /// How many of its pages were cached when it was listed.
    pub(crate) pages: Pages,
    /// How many names it has on disk.
    pub(crate) links: u32,
    /// Its type and permissions.
    pub(crate) mode: u32,
    /// The number of the device, if it is one.
    pub(crate) device: (u32, u32),
    pub(super) address: u64,
    pub(super) super_block: u64,
}

impl CachedFile {
    #[cfg(feature = "bpf")]
    pub(super) fn new(inode: &Inode, block: &SuperBlock, file_system: &Arc<FileSystem>) -> CachedFile {
        CachedFile {
            file_system: file_system.clone(),
            number: inode.number,
            generation: inode.generation,
            size: Bytes(inode.size),
            pages: Pages(inode.pages),
            links: inode.links,
            mode: inode.mode,
            device: inode.device(),
            address: inode.address,
            super_block: block.address,
        }
    }

    pub(super) fn target(&self) -> Target {
        let CachedFile { address, super_block, number, generation, .. } = *self;
        Target { address, super_block, number, generation }
    }

    /// A number that no other file of the same answer has.
    pub(crate) fn id(&self) -> u64 {
        self.address
    }

    /// Whether it has no name on disk any more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.links == 0
    }

    /// Whether it has the pages of the trees of btrfs.
    pub(crate) fn is_btree(&self) -> bool {
        (self.file_system.magic, self.number) == BTRFS
    }

    /// Whether it is the file system's own, and in no directory.
    pub(crate) fn is_internal(&self) -> bool {
        // Inodes that the kernel made for itself need not have a type.
        let is_named = matches!(self.mode & nix::libc::S_IFMT, nix::libc::S_IFDIR | nix::libc::S_IFLNK);
        self.has_own_number() || self.kind(None) == Kind::Metadata && !is_named
    }

    /// Whether its number is one that the file system keeps for itself.
    fn has_own_number(&self) -> bool {
        is_own_number(&self.file_system.kind, self.number)
    }

    /// Whether its kind depends on its name.
    pub(crate) fn needs_name(&self) -> bool {
        self.file_system.is_in_memory() && self.is_deleted()
    }

    /// What kind of file it is; `name` is needed for files of tmpfs that have no link.
    pub(crate) fn kind(&self, name: Option<&Name>) -> Kind {
        if let Some(name) = name.filter(|name| self.needs_name() && !name.is_rooted) {
            return Kind::of_nameless(&name.path);
        }
        let kind = self.mode & nix::libc::S_IFMT;
        match () {
            () if self.file_system.kind == "bdev" => Kind::BlockDevice,
            () if self.file_system.is_in_memory() => Kind::Tmpfs,
            () if kind != nix::libc::S_IFREG => Kind::Metadata,
            () if self.has_own_number() => Kind::Metadata,
            () if self.is_deleted() => Kind::Deleted,
            () => Kind::File,
        }
    }
}
