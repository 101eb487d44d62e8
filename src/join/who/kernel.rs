//! The kernel's own users of a file: swap, loop devices, and file systems that are mounted from a device.

use super::row::{Holding, KernelUse};
use super::target::{Kind, Known, Target};
use crate::join::holders::kernel::{loop_devices, swaps};
use crate::kernel::mount_table;
use crate::process::{ProcRoot, deleted_name};

/// What may be wrong with a holder whose file was deleted.
const BY_NAME: &str = "its file was deleted, so only the removed name tells that it is this one";

/// The users of a file, which was asked for as number `file`.
pub(super) fn holders(root: &ProcRoot, target: &Target, file: usize) -> Vec<Holding> {
    let mut found = Vec::new();
    for swap in swaps(root) {
        if is_it(target, &swap.path) {
            let words = if swap.is_partition { "swap partition" } else { "swap file" };
            let mut row = Holding::of_kernel(file, KernelUse::Swap, b"swap".to_vec(), words.into());
            row.seen_as = swap.path;
            found.push(row);
        }
    }
    for (name, path) in loop_devices(root) {
        let is_removed = is_removed_name(target, &path);
        if is_removed || is_it(target, &path) {
            // The mounts are those of this process: those of a captured machine are not known.
            let device = format!("block/{}/dev", String::from_utf8_lossy(&name));
            let device = if root.is_live() { root.read_system_file(&device).ok() } else { None };
            let mounted = device.and_then(|text| parse_device(&text)).map(mounts_of).unwrap_or_default();
            let words = [&b"loop device /dev/"[..], &name, &in_words(&mounted)].concat();
            let mut row = Holding::of_kernel(file, KernelUse::Loop, name, words);
            row.seen_as = path;
            row.note = is_removed.then_some(BY_NAME);
            found.push(row);
        }
    }
    if let Some(device) = target.known().and_then(|known| known.block_device).filter(|_| root.is_live()) {
        let mounted = mounts_of(device);
        if !mounted.is_empty() {
            let words = [&b"file system"[..], &in_words(&mounted)].concat();
            found.push(Holding::of_kernel(file, KernelUse::Mount, b"mount".to_vec(), words));
        }
    }
    found
}

/// Whether a path that the kernel shows is the file.
fn is_it(target: &Target, path: &[u8]) -> bool {
    match &target.kind {
        Kind::File(known) => known.is_at(path),
        Kind::Name(name) => path == name,
        Kind::Number { .. } => false,
    }
}

/// Whether a path that the kernel shows is that of a deleted file, and so is that of the file that is asked about.
fn is_removed_name(target: &Target, path: &[u8]) -> bool {
    let is_it =
        |known: &Known| deleted_name(path).is_some() && known.path.as_deref() == Some(path) && !known.is_at(path);
    target.known().is_some_and(is_it)
}

/// Where file systems of a device are mounted, as this process sees it.
fn mounts_of(device: (u32, u32)) -> Vec<Vec<u8>> {
    let table = mount_table::own();
    table.mounts().iter().filter(|mount| mount.device == device).map(|mount| mount.point.clone()).collect()
}

/// `, mounted on /a, /b`, or nothing.
fn in_words(mounted: &[Vec<u8>]) -> Vec<u8> {
    if mounted.is_empty() { Vec::new() } else { [&b", mounted on "[..], &mounted.join(&b", "[..])].concat() }
}

/// `7:0`, as in `/sys/block/loop0/dev`.
fn parse_device(text: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = str::from_utf8(text.trim_ascii()).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_two_numbers() {
        assert_eq!(parse_device(b"7:12\n"), Some((7, 12)));
        for text in [&b""[..], b"7", b"7:", b"7:x\n"] {
            assert_eq!(parse_device(text), None);
        }
    }

    #[test]
    fn mounts_are_named() {
        assert_eq!(in_words(&[]), b"");
        assert_eq!(in_words(&[b"/a".to_vec(), b"/b c".to_vec()]), b", mounted on /a, /b c");
    }
}
