//! The kernel's own users of a file: swap, loop devices, and file systems that are mounted from a device.

use std::fs;

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
            let device = if root.is_live() { number_of(root, &device) } else { None };
            let mounted = device.map(mounts_of).unwrap_or_default();
            let words = [&b"loop device /dev/"[..], &name, &in_words(&mounted)].concat();
            let mut row = Holding::of_kernel(file, KernelUse::Loop, name, words);
            row.seen_as = path;
            row.note = is_removed.then_some(BY_NAME);
            found.push(row);
        }
    }
    if let Some(device) = target.known().and_then(|known| known.block_device).filter(|_| root.is_live()) {
        add_uses_of_device(root, device, file, &mut found);
    }
    found
}

/// Adds the file systems on a block device and its partitions, and the block devices that are made of these.
fn add_uses_of_device(root: &ProcRoot, device: (u32, u32), file: usize, found: &mut Vec<Holding>) {
    let mut add_mounts = |device, of: &[u8]| {
        let mounted = mounts_of(device);
        if !mounted.is_empty() {
            let words = [&b"file system"[..], of, &in_words(&mounted)].concat();
            found.push(Holding::of_kernel(file, KernelUse::Mount, b"mount".to_vec(), words));
        }
    };
    add_mounts(device, b"");
    let place = format!("dev/block/{}:{}", device.0, device.1);
    let partitions: Vec<String> =
        names_in(root, &place).into_iter().filter(|name| has(root, &place, name, "partition")).collect();
    for name in &partitions {
        if let Some(device) = number_of(root, &format!("{place}/{name}/dev")) {
            add_mounts(device, format!(" of /dev/{name}").as_bytes());
        }
    }
    let of_partitions = partitions.iter().map(|name| format!("{place}/{name}/holders"));
    for holders in std::iter::once(format!("{place}/holders")).chain(of_partitions) {
        for name in names_in(root, &holders) {
            let mounted = number_of(root, &format!("block/{name}/dev")).map(mounts_of).unwrap_or_default();
            let words = [b"block device /dev/", name.as_bytes(), &in_words(&mounted)].concat();
            found.push(Holding::of_kernel(file, KernelUse::Below, name.into_bytes(), words));
        }
    }
}

/// The names in a directory of `/sys` that are text, sorted.
fn names_in(root: &ProcRoot, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(root.system_path().join(directory)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn has(root: &ProcRoot, place: &str, name: &str, file: &str) -> bool {
    root.read_system_file(&format!("{place}/{name}/{file}")).is_ok()
}

/// The number of a device in a file of `/sys`.
fn number_of(root: &ProcRoot, file: &str) -> Option<(u32, u32)> {
    parse_device(&root.read_system_file(file).ok()?)
}

/// Whether a path that the kernel shows is the file.
fn is_it(target: &Target, path: &[u8]) -> bool {
    match &target.kind {
        Kind::File(known) => known.is_at(path),
        Kind::Name(name) => name.is_own(path),
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
