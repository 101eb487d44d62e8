//! The kernel's own users of a file: swap, loop devices, and file systems that are mounted from a device.

use super::device::{all_above, mounts_of, number_at, number_in};
use super::row::{Holding, KernelUse};
use super::target::{Kind, Known, Target};
use crate::join::holders::kernel::{Swap, loop_devices, swaps};
use crate::process::{ProcRoot, deleted_name};

/// What may be wrong with a holder whose file was deleted.
const BY_NAME: &str = "its file was deleted, so only the removed name tells that it is this one";

/// The users of a file. `file` is its place among the requested files.
pub(super) fn holders(root: &ProcRoot, target: &Target, file: usize) -> Vec<Holding> {
    let mut found = Vec::new();
    // What is mounted and made of devices is only known of a running machine.
    let device = target.known().and_then(|known| known.block_device).filter(|_| root.is_live());
    let swaps = Swaps::read(root);
    for (swap, number) in &swaps.0 {
        if is_it(target, &swap.path) || device.is_some() && device == *number {
            found.push(of_swap(swap, file));
        }
    }
    for (name, path) in loop_devices(root) {
        let is_removed = is_removed_name(target, &path);
        if is_removed || is_it(target, &path) {
            let number = format!("block/{}/dev", String::from_utf8_lossy(&name));
            let number = if root.is_live() { number_in(root, &number) } else { None };
            let uses = number.map(|number| swaps.uses(root, number)).unwrap_or_default();
            let words = [&b"loop device /dev/"[..], &name, &uses].concat();
            let mut row = Holding::of_kernel(file, KernelUse::Loop, name, words);
            row.seen_as = path;
            row.note = is_removed.then_some(BY_NAME);
            found.push(row);
            number.into_iter().for_each(|number| add_above(root, &swaps, number, file, &mut found));
        }
    }
    if let Some(device) = device {
        add_mounts(root, device, b"", file, &mut found);
        add_above(root, &swaps, device, file, &mut found);
    }
    found
}

/// The files and partitions that are swap, with the number of each partition.
struct Swaps(Vec<(Swap, Option<(u32, u32)>)>);

impl Swaps {
    fn read(root: &ProcRoot) -> Swaps {
        let number = |swap: &Swap| if swap.is_partition { number_at(root, &swap.path) } else { None };
        let with_number = |swap| {
            let number = number(&swap);
            (swap, number)
        };
        Swaps(swaps(root).into_iter().map(with_number).collect())
    }

    fn of(&self, device: (u32, u32)) -> impl Iterator<Item = &Swap> {
        self.0.iter().filter(move |(_, number)| *number == Some(device)).map(|(swap, _)| swap)
    }

    /// What is done with a device: `, mounted on /a`, `, used as swap`, or nothing.
    fn uses(&self, root: &ProcRoot, device: (u32, u32)) -> Vec<u8> {
        let swap = if self.of(device).next().is_some() { &b", used as swap"[..] } else { b"" };
        [&in_words(&mounts_of(root, device)), swap].concat()
    }
}

fn of_swap(swap: &Swap, file: usize) -> Holding {
    let words = if swap.is_partition { "swap partition" } else { "swap file" };
    let mut row = Holding::of_kernel(file, KernelUse::Swap, b"swap".to_vec(), words.into());
    row.seen_as.clone_from(&swap.path);
    row
}

/// Adds the file systems on a device.
fn add_mounts(root: &ProcRoot, device: (u32, u32), of: &[u8], file: usize, found: &mut Vec<Holding>) {
    let mounted = mounts_of(root, device);
    if !mounted.is_empty() {
        let words = [&b"file system"[..], of, &in_words(&mounted)].concat();
        found.push(Holding::of_kernel(file, KernelUse::Mount, b"mount".to_vec(), words));
    }
}

/// Adds what is on the partitions of a device, and the devices that are made of it or of these.
fn add_above(root: &ProcRoot, swaps: &Swaps, device: (u32, u32), file: usize, found: &mut Vec<Holding>) {
    for above in all_above(root, device) {
        if above.is_partition {
            add_mounts(root, above.number, format!(" of /dev/{}", above.name).as_bytes(), file, found);
            found.extend(swaps.of(above.number).map(|swap| of_swap(swap, file)));
        } else {
            let words = [b"block device /dev/", above.name.as_bytes(), &swaps.uses(root, above.number)].concat();
            found.push(Holding::of_kernel(file, KernelUse::Below, above.name.into_bytes(), words));
        }
    }
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

/// `, mounted on /a, /b`, or nothing.
fn in_words(mounted: &[Vec<u8>]) -> Vec<u8> {
    if mounted.is_empty() { Vec::new() } else { [&b", mounted on "[..], &mounted.join(&b", "[..])].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_named() {
        assert_eq!(in_words(&[]), b"");
        assert_eq!(in_words(&[b"/a".to_vec(), b"/b c".to_vec()]), b", mounted on /a, /b c");
    }
}
