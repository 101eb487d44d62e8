//! How much of the clean memory the kernel can certainly drop, and how much may have to stay in RAM.
//!
//! smaps calls a page clean if nothing has to be written, but that does not make it reclaimable: the rings of AF_PACKET
//! and the maps of BPF are the kernel's own pages, ramfs has no storage, shared memory needs swap, and a page of a file
//! stays as long as any process has locked it. Clean memory is proven to be reclaimable only if
//!
//! * the mapping has none of the flags `lo`, `io`, `pf`, `mm`;
//! * only this mapping has the page (`Private_Clean`), so that no other mapping can have locked it;
//! * it was freed with `MADV_FREE`, or its file is on a file system that keeps its pages in an ordinary page cache.
//!   That follows from the device in `maps` and from `mountinfo`, so no file is touched, and a server that does not
//!   answer is not asked.
//!
//! Files on overlayfs and FUSE are not proven: their pages may be those of a tmpfs below. Nor are files in DAX mode.

use std::collections::HashMap;

use crate::process::flags::has_flag;
use crate::process::handle::Process;
use crate::process::head::Device;
use crate::process::kind::has_file;
use crate::process::mapping::{Mapping, Mappings};
use crate::process::mounts::mounts;
use crate::units::{Bytes, Figure};

/// The counters that are needed, and the flags.
pub(super) const WANTED: [&str; 7] =
    ["Rss", "Shared_Clean", "Private_Clean", "Anonymous", "LazyFree", "Locked", "VmFlags"];

/// File systems whose clean pages can always be dropped: they are on a disk or on a server.
const ORDINARY: [&[u8]; 24] = [
    b"ext2",
    b"ext3",
    b"ext4",
    b"xfs",
    b"btrfs",
    b"bcachefs",
    b"f2fs",
    b"jfs",
    b"reiserfs",
    b"nilfs2",
    b"vfat",
    b"msdos",
    b"exfat",
    b"ntfs3",
    b"fuseblk",
    b"hfsplus",
    b"erofs",
    b"squashfs",
    b"iso9660",
    b"udf",
    b"nfs",
    b"nfs4",
    b"cifs",
    b"smb3",
];

/// What is clean and not locked by its mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reclaimable {
    /// Certainly reclaimable.
    pub(super) proven: Bytes,
    /// The rest: reclaimable unless something holds it in RAM.
    pub(super) unproven: Bytes,
}

/// The devices of a process's mounts whose files have reclaimable pages.
pub(super) struct Ordinary(HashMap<Device, bool>);

impl Ordinary {
    /// Reads them from `mountinfo`. Without it, as in a capture, there are none.
    pub(super) fn read(process: &Process) -> Ordinary {
        let mut devices = HashMap::new();
        for mount in mounts(&process.directory) {
            let keeps = ORDINARY.contains(&&mount.kind[..]) && !mount.may_be_dax();
            let known = devices.entry(mount.device).or_insert(keeps);
            *known = *known && keeps;
        }
        Ordinary(devices)
    }

    fn has(&self, device: Device) -> bool {
        self.0.get(&device).copied().unwrap_or(false)
    }
}

/// The sum over the mappings.
pub(super) fn sum(mappings: &Mappings, ordinary: &Ordinary) -> Figure<Reclaimable> {
    let flags = mappings.fields().find(b"VmFlags");
    let mut sum = Reclaimable { proven: Bytes(0), unproven: Bytes(0) };
    for mapping in mappings {
        let flags = flags.and_then(|field| mapping.text(field));
        if is_locked(&mapping, flags) {
            continue;
        }
        let clean = clean(&mapping)?;
        let proven = proven(&mapping, flags, ordinary)?.min(clean);
        sum.proven = sum.proven + proven;
        sum.unproven = sum.unproven + clean.saturating_sub(proven);
    }
    Ok(sum)
}

/// What smaps calls clean and what is in a file or was freed. Kernels that do not count `LazyFree` (before 4.12) have
/// no freed memory.
fn clean(mapping: &Mapping<'_>) -> Figure<Bytes> {
    let clean = mapping.figure("Shared_Clean")? + mapping.figure("Private_Clean")?;
    let in_files = mapping.figure("Rss")?.saturating_sub(mapping.figure("Anonymous")?);
    Ok(clean.min(in_files + mapping.figure("LazyFree").unwrap_or(Bytes(0))))
}

fn proven(mapping: &Mapping<'_>, flags: Option<&[u8]>, ordinary: &Ordinary) -> Figure<Bytes> {
    // Without flags (before Linux 3.8) there is no telling.
    let is_plain = flags.is_some_and(|flags| !["io", "pf", "mm"].iter().any(|flag| has_flag(flags, flag)));
    let private = mapping.figure("Private_Clean")?;
    Ok(match is_plain {
        false => Bytes(0),
        true if !has_file(mapping) => private.min(mapping.figure("LazyFree").unwrap_or(Bytes(0))),
        true if ordinary.has(mapping.device()) => private,
        true => Bytes(0),
    })
}

/// Whether a mapping is locked: `lo` in its flags, or, for kernels without flags, any `Locked` memory.
fn is_locked(mapping: &Mapping<'_>, flags: Option<&[u8]>) -> bool {
    match flags {
        Some(flags) => has_flag(flags, "lo"),
        None => mapping.figure("Locked").is_ok_and(|locked| locked.0 > 0),
    }
}
