//! How much of the clean memory the kernel can certainly drop, and how much of it may still be held in RAM.
//!
//! smaps calls a page clean if nothing has to be written, but that does not make it reclaimable: the rings of AF_PACKET
//! and the maps of BPF are the kernel's own pages, ramfs has nowhere to write to, shared memory needs swap, and a page
//! of a file stays as long as any process has locked it. Clean memory is proven to be reclaimable only if
//!
//! * the mapping has none of the flags `lo`, `io`, `pf`, `mm`;
//! * only this mapping has the page (`Private_Clean`), so that no other mapping can have locked it;
//! * it was freed with `MADV_FREE`, or its file is on a file system that keeps its pages in an ordinary page cache.
//!   This follows from the device in `maps` and from `mountinfo`, so no file is touched and no hanging server is asked.
//!
//! Files on overlayfs and FUSE are not proven, because their pages may be those of a tmpfs below. Nor are files on a
//! device with DAX.

use std::collections::HashMap;

use crate::process::fields::FieldId;
use crate::process::flags::has_flag;
use crate::process::handle::Process;
use crate::process::head::Device;
use crate::process::kind::has_file;
use crate::process::mapping::{Mapping, Mappings};
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

/// Clean memory that is not locked by its mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reclaimable {
    /// Certainly reclaimable.
    pub(super) proven: Bytes,
    /// The rest: reclaimable unless something holds it in RAM.
    pub(super) unproven: Bytes,
}

/// The devices of a process's mounts whose files have reclaimable pages.
pub(super) struct Ordinary(HashMap<(u32, u32), bool>);

impl Ordinary {
    /// Reads them from `mountinfo`. Without it, as in a capture, there are none.
    pub(super) fn read(process: &Process) -> Ordinary {
        let mut devices = HashMap::new();
        for mount in process.directory.mounts().mounts() {
            let keeps = ORDINARY.contains(&&mount.kind[..]) && !mount.may_be_dax();
            let known = devices.entry(mount.device).or_insert(keeps);
            *known = *known && keeps;
        }
        Ordinary(devices)
    }

    /// None: nothing is known about the mounts.
    pub(super) fn none() -> Ordinary {
        Ordinary(HashMap::new())
    }

    fn has(&self, device: Device) -> bool {
        self.0.get(&device.numbers()).copied().unwrap_or(false)
    }
}

/// The keys of the counters, so that no mapping looks for a name.
struct Keys {
    rss: FieldId,
    shared_clean: FieldId,
    private_clean: FieldId,
    anonymous: FieldId,
    lazy_free: Option<FieldId>,
    locked: Option<FieldId>,
    flags: Option<FieldId>,
}

impl Keys {
    fn find(mappings: &Mappings) -> Figure<Keys> {
        Ok(Keys {
            rss: mappings.find_bytes("Rss")?,
            shared_clean: mappings.find_bytes("Shared_Clean")?,
            private_clean: mappings.find_bytes("Private_Clean")?,
            anonymous: mappings.find_bytes("Anonymous")?,
            lazy_free: mappings.find_bytes("LazyFree").ok(),
            locked: mappings.find_bytes("Locked").ok(),
            flags: mappings.fields().find(b"VmFlags"),
        })
    }
}

/// The sum over the mappings.
pub(super) fn sum(mappings: &Mappings, ordinary: &Ordinary) -> Figure<Reclaimable> {
    let mut sum = Reclaimable { proven: Bytes(0), unproven: Bytes(0) };
    if mappings.is_empty() {
        return Ok(sum);
    }
    let keys = Keys::find(mappings)?;
    for mapping in mappings {
        let flags = keys.flags.and_then(|field| mapping.text(field));
        if is_locked(&mapping, &keys, flags) {
            continue;
        }
        let clean = clean(&mapping, &keys)?;
        let proven = proven(&mapping, &keys, flags, ordinary)?.min(clean);
        sum.proven = sum.proven.plus(proven)?;
        sum.unproven = sum.unproven.plus(clean.saturating_sub(proven))?;
    }
    Ok(sum)
}

/// The clean memory, but no more than what is in files or was freed.
fn clean(mapping: &Mapping<'_>, keys: &Keys) -> Figure<Bytes> {
    let clean = Bytes::sum_of([mapping.given(keys.shared_clean), mapping.given(keys.private_clean)])?;
    let in_files = mapping.given(keys.rss)?.saturating_sub(mapping.given(keys.anonymous)?);
    Ok(clean.min(in_files.plus(freed(mapping, keys))?))
}

/// The freed memory. Kernels that do not count `LazyFree` (before 4.12) have no such memory.
fn freed(mapping: &Mapping<'_>, keys: &Keys) -> Bytes {
    keys.lazy_free.and_then(|field| mapping.bytes(field)).unwrap_or(Bytes(0))
}

fn proven(mapping: &Mapping<'_>, keys: &Keys, flags: Option<&[u8]>, ordinary: &Ordinary) -> Figure<Bytes> {
    // Without flags (before Linux 3.8) nothing is proven.
    let is_plain = flags.is_some_and(|flags| !["io", "pf", "mm"].iter().any(|flag| has_flag(flags, flag)));
    let private = mapping.given(keys.private_clean)?;
    Ok(match is_plain {
        false => Bytes(0),
        true if !has_file(mapping) => private.min(freed(mapping, keys)),
        true if ordinary.has(mapping.device()) => private,
        true => Bytes(0),
    })
}

/// Whether a mapping is locked: `lo` in its flags, or, for kernels without flags, any `Locked` memory.
fn is_locked(mapping: &Mapping<'_>, keys: &Keys, flags: Option<&[u8]>) -> bool {
    match flags {
        Some(flags) => has_flag(flags, "lo"),
        None => keys.locked.and_then(|field| mapping.bytes(field)).is_some_and(|locked| locked.0 > 0),
    }
}
