//! The kernel's own users of a file: swap, loop devices, and file systems that are mounted from a device.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::device::{all_above, mounts_of, number_at, number_in};
use super::overlays::open_name;
use super::row::{Holding, KernelUse};
use super::search::listed;
use super::target::{Kind, Known, Target};
use super::verdict::Verdict;
use super::wanted::path_of;
use crate::error::{Error, ErrorKind, Subject};
use crate::join::holders::kernel::{Swap, loop_devices, swaps};
use crate::join::machine_files::FoundFile;
use crate::kernel::loop_device::file_behind;
use crate::kernel::mount_table::parts;
use crate::kernel::whereabouts;
use crate::machine::Places;
use crate::process::{ProcRoot, base_name, deleted_name, last_name};
use crate::units::{Absent, Reason};

/// What may be wrong with a holder whose file was deleted.
const BY_NAME: &str = "its file was deleted, so only the removed name tells that it is this one";
const ELSEWHERE: Absent = Absent::new(
    Reason::Unsupported,
    "its path leads to no file here (it was deleted, or is one of another mount namespace)",
);
const NOT_ALLOWED: Absent = Absent::new(Reason::Denied, "you may not follow its path");
const NOT_FOLLOWED: Absent = Absent::new(Reason::Unsupported, "its path cannot be followed");
const UNTOLD: Absent = Absent::new(Reason::Unsupported, "the capture does not tell which file that is");
const OTHER_DEVICE: Absent =
    Absent::new(Reason::Unsupported, "its file has this inode number, but the device number is not proof");

/// The users of one file.
pub(super) struct KernelSearch<'s> {
    pub(super) root: &'s ProcRoot,
    pub(super) places: &'s Places,
    pub(super) target: &'s Target,
    /// The file in the list of cached files of a capture, if it is there.
    pub(super) listed: Option<&'s FoundFile>,
}

impl KernelSearch<'_> {
    /// The users of the file, which has this place among the requested ones, and a line for each reason why it is not
    /// known of some whether they are.
    pub(super) fn run(&self, file: usize) -> (Vec<Holding>, Vec<Error>) {
        let root = self.root;
        let mut found = Vec::new();
        let mut doubts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut doubt = |absent: Absent, words: &[u8]| {
            doubts.entry(absent.why).or_default().push(String::from_utf8_lossy(words).into_owned());
        };
        // What is mounted and made of devices is only known of a running machine.
        let device = self.target.known().and_then(|known| known.block_device).filter(|_| root.is_live());
        let swaps = Swaps::read(root);
        for (swap, number) in &swaps.0 {
            match self.is_at(&swap.path) {
                _ if device.is_some() && device == *number => found.push(of_swap(swap, file)),
                Verdict::Yes(note) => found.push(Holding { note, ..of_swap(swap, file) }),
                Verdict::Unproven(absent) if !swap.is_partition => {
                    doubt(absent, &[b"swap file ", &swap.path[..]].concat());
                }
                Verdict::Unproven(_) | Verdict::No => {}
            }
        }
        for (name, path) in loop_devices(root) {
            let number = format!("block/{}/dev", String::from_utf8_lossy(&name));
            let number = if root.is_live() { number_in(root, &number) } else { None };
            let words = [&b"loop device /dev/"[..], &name].concat();
            let note = match self.is_behind(&name, number, &path) {
                Verdict::Yes(note) => note,
                Verdict::Unproven(absent) => {
                    doubt(absent, &words);
                    continue;
                }
                Verdict::No => continue,
            };
            let uses = number.map(|number| swaps.uses(root, number)).unwrap_or_default();
            let row = Holding::of_kernel(file, KernelUse::Loop, name, [words, uses].concat());
            found.push(Holding { seen_as: path, note, ..row });
            number.into_iter().for_each(|number| add_above(root, &swaps, number, file, &mut found));
        }
        if let Some(device) = device {
            add_mounts(root, device, b"", file, &mut found);
            add_above(root, &swaps, device, file, &mut found);
        }
        let line = |(why, whom): (&str, Vec<String>)| {
            let why = format!("{} may be it: {why}", listed(&whom));
            Error::new(Subject::Path(self.target.label.clone()), ErrorKind::System, why)
        };
        (found, doubts.into_iter().map(line).collect())
    }

    /// Whether a path that the kernel shows is the file.
    fn is_at(&self, path: &[u8]) -> Verdict {
        let is_it = match &self.target.kind {
            Kind::File(known) if known.is_at(path) => true,
            Kind::File(known) => {
                let own = known.path.as_deref();
                if own == Some(path) && deleted_name(path).is_some() {
                    return Verdict::Yes(Some(BY_NAME));
                }
                let has_its_name = own.map(last_name) == Some(last_name(path));
                match has_its_name.then(|| open_name(&path_of(path))) {
                    Some(Err(errno)) => return Verdict::Unproven(unfollowed(errno)),
                    _ => false,
                }
            }
            Kind::Name(name) => name.is_own(path),
            Kind::Number { device, inode } if self.root.is_live() => match open_name(&path_of(path)) {
                Ok(name) => match Known::of(name, &path_of(path), self.places) {
                    Ok(known) => known.is_numbered(*device, *inode),
                    Err(error) => return error.absence().map_or(Verdict::No, Verdict::Unproven),
                },
                Err(errno) => return Verdict::Unproven(unfollowed(errno)),
            },
            Kind::Number { .. } => match self.listed {
                Some(file) if file.is_deleted => {
                    deleted_name(path).is_some() && base_name(path) == base_name(&file.path)
                }
                Some(file) => file.path == path,
                None => return Verdict::Unproven(UNTOLD),
            },
        };
        if is_it { Verdict::Yes(None) } else { Verdict::No }
    }

    /// Whether the file is behind a loop device, of which the kernel shows this path.
    fn is_behind(&self, name: &[u8], number: Option<(u32, u32)>, path: &[u8]) -> Verdict {
        // The device asks the file system of its file. One that may not answer is asked by the path alone; a path that
        // leads nowhere (the file was deleted, or is one of another mount namespace) tells nothing.
        let may_ask = || !matches!(whereabouts::locate(&path_of(path)), Ok(Some(_)) | Err(Errno::ETIMEDOUT));
        let ask = |number| file_behind(&path_of(&[b"/dev/", name].concat()), number);
        let Some((device, inode)) = number.filter(|_| may_ask()).and_then(ask) else { return self.is_at(path) };
        // The path may lead to another file since.
        match self.target.has_number(parts(device), inode) {
            true => Verdict::Yes(None),
            false if leads_to(path, device, inode) => self.is_at(path),
            false if self.target.may_have_number(parts(device), inode, self.places) => Verdict::Unproven(OTHER_DEVICE),
            false => Verdict::No,
        }
    }
}

/// Why the path that the kernel shows does not tell which file is there.
fn unfollowed(errno: Errno) -> Absent {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => ELSEWHERE,
        Errno::EACCES | Errno::EPERM => NOT_ALLOWED,
        Errno::ETIMEDOUT => Absent::SILENT,
        _ => NOT_FOLLOWED,
    }
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

/// Whether a path leads to the file with these numbers, as `stat` gives them.
fn leads_to(path: &[u8], device: u64, inode: u64) -> bool {
    let found = open_name(&path_of(path)).and_then(|name| name.stat());
    found.is_ok_and(|found| (found.st_dev, found.st_ino) == (device, inode))
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
