//! Who holds a file, for all files at once: the processes that map it or have it open, and the kernel itself (swap
//! files, loop devices).
//!
//! Only text in `/proc` is read: `maps`, and the links in `fd` with their `fdinfo`. No file is opened, and no server is
//! asked, so that none can make this wait, and nothing changes. A file is known by the device of its file system and
//! its inode number there. Where that may stand for several files (btrfs, overlayfs), its path decides.

mod block;
pub(in crate::join) mod kernel;
mod read;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::kernel::nameless::is_segment;
use crate::machine::Places;
use crate::process::{deleted_name, last_name};

/// A process that maps a file or has it open, or a part of the kernel that uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The pid; `None` for the kernel.
    pub pid: Option<u32>,
    /// The name of the process (`comm`, at most 15 bytes of any values); for the kernel `swap` or `loop0`.
    pub command: Arc<[u8]>,
    /// Whether it is mapped.
    pub is_mapped: bool,
    /// Whether it is open.
    pub is_open: bool,
}

/// A file that is held, under one of its names.
#[derive(Debug, Clone, Copy)]
pub struct HeldPath<'h> {
    holders: &'h Holders,
    entry: &'h Entry,
}

/// All files that are held, and who holds them.
#[derive(Debug, Default)]
pub struct Holders {
    entries: Vec<Entry>,
    /// The last entry of a device and inode number.
    by_inode: HashMap<(Device, u64), u32>,
    /// Entries on overlays, and those whose inode number is not known, by their path.
    by_path: HashMap<Device, HashMap<Arc<[u8]>, Vec<u32>>>,
    /// Files that are held on file systems that are not known, by the lower bits of their inode number.
    strays: HashMap<Option<u64>, HashSet<Stray>>,
    processes: Vec<Known>,
    denied: u64,
    unplaced: u64,
    late: u64,
    is_blind: bool,
    is_live: bool,
}

type Device = (u32, u32);

/// A file that is held on a file system that is not known, so that it may be another file than its numbers say.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Stray {
    device: Option<Device>,
    /// The last part of its path.
    name: Box<[u8]>,
}

/// A process, or a part of the kernel.
#[derive(Debug)]
struct Known {
    pid: Option<u32>,
    command: Arc<[u8]>,
}

/// A file under one name.
#[derive(Debug)]
struct Entry {
    inode: Option<u64>,
    /// The generation of the inode of a System V segment, if it is known.
    generation: Option<u32>,
    path: Arc<[u8]>,
    /// Whether the path is that within the file system. Otherwise it is as the kernel shows it to this process.
    is_within: bool,
    holds: Vec<Hold>,
    /// The entry before it with the same device and inode number.
    before: Option<u32>,
}

/// A place in the list of processes, and how they hold the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hold {
    process: u32,
    is_mapped: bool,
    is_open: bool,
}

impl Holders {
    /// How many processes did not show what they hold to this user.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// How many processes were not asked, because the time was over.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// How many descriptors were left out because their mount is in no list that this user may read (a detached mount,
    /// or one of the kernel's own other than for memory without a name), and the device of the file is not known.
    pub fn unplaced(&self) -> u64 {
        self.unplaced
    }

    /// Whether `/proc` does not show all processes of the machine, so that nothing is known about how many there are:
    /// it hides those of other users (`hidepid`), or it belongs to another pid namespace than the first, as in a
    /// container, and those outside are missing. False for a capture, of which this cannot be told.
    pub fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// How many files are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no file is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The holders of a file, each once, in the order of their pids: those that hold it under its own device and inode
    /// number, and, if it is in a layer of overlays, those that hold it there. `path` is its path within the file
    /// system.
    ///
    /// Where several files may have one inode number (btrfs, overlays, FUSE) only holders under this path are given, so
    /// that one under another hard link is missing, never one of another file shown. A file of the lower layer of an
    /// overlay is recognized by its path and its inode number, which overlayfs takes over in its lower 32 bits; one of
    /// the upper layer by its path alone, because it may have been copied there since.
    pub fn of(&self, places: &Places, device: (u32, u32), inode: u64, path: &[u8]) -> Vec<Holder> {
        let mut holds: Vec<Hold> = Vec::new();
        let is_proof = places.numbers_files(device);
        let is_nameless = places.is_nameless(device);
        let may_be = |entry: &&Entry| !is_nameless || !is_segment(&entry.path);
        for entry in self.entries_of(device, inode).filter(may_be).filter(|entry| is_proof || entry.is_at(path)) {
            add(&mut holds, entry);
        }
        for entry in self.entries_at(device, path).filter(|entry| entry.inode.is_none()) {
            add(&mut holds, entry);
        }
        if !self.by_path.is_empty() {
            for seen in places.in_overlays(device, path) {
                let has_its_number = |entry: &Entry| entry.inode.is_none_or(|known| may_be_one(known, inode));
                let is_it =
                    |entry: &&Entry| has_its_number(entry) || seen.is_upper && deleted_name(&entry.path).is_none();
                self.entries_at(seen.device, &seen.path).filter(is_it).for_each(|entry| add(&mut holds, entry));
            }
        }
        holds.sort_unstable();
        holds.into_iter().filter_map(|hold| self.holder(hold)).collect()
    }

    /// The holders of a System V segment, whose number in another IPC namespace is that of another segment. `None` if
    /// it cannot be told which of them hold this one; without its generation, it is the only one.
    pub fn of_segment(&self, device: (u32, u32), inode: u64, generation: Option<u32>) -> Option<Vec<Holder>> {
        let (mut holds, mut is_clear, mut only) = (Vec::new(), true, generation);
        for entry in self.entries_of(device, inode).filter(|entry| is_segment(&entry.path)) {
            only = only.or(entry.generation);
            let is_other = entry.generation != only;
            is_clear &= entry.generation.is_some() && (!is_other || generation.is_some());
            if !is_other {
                add(&mut holds, entry);
            }
        }
        holds.sort_unstable();
        is_clear.then(|| holds.into_iter().filter_map(|hold| self.holder(hold)).collect())
    }

    /// Whether a file that [`of`](Holders::of) gives no holder, or not all, may have others: an overlay is held at a
    /// path that would be this one, but where its layers are could not be found ([`Places::unplaced_layers`]); or a
    /// file of this name and number is held on a file system that is not known; or one of this number is held on FUSE
    /// under another name, which is a hard link or another file.
    pub fn may_miss(&self, places: &Places, device: (u32, u32), inode: u64, path: &[u8]) -> bool {
        let is_fuse = !places.numbers_files(device) && !places.repeats_inodes(device);
        if is_fuse && self.entries_of(device, inode).any(|entry| !entry.is_at(path)) {
            return true;
        }
        let name = last_name(path);
        // The file may be held under another name, which only its own file system tells.
        let is_nameless = path.is_empty() || !places.has_device(device);
        // What is held on its own device was found by its number, if that is certain.
        let is_elsewhere = |stray: &Stray| stray.device != Some(device) || places.repeats_inodes(device);
        let may_be = |stray: &Stray, any| is_elsewhere(stray) && (any || *stray.name == *name);
        let strays = |number| self.strays.get(&number).into_iter().flatten();
        if strays(Some(inode & NUMBER)).any(|stray| may_be(stray, is_nameless)) {
            return true;
        }
        if strays(None).any(|stray| may_be(stray, false)) {
            return true;
        }
        places.unplaced_layers().any(|(device, end)| {
            let Some(held) = self.by_path.get(&device) else { return false };
            memchr::memchr_iter(b'/', path).any(|slash| {
                let Some((layer, rest)) = path.split_at_checked(slash) else { return false };
                let before = layer.strip_suffix(end);
                let is_layer = before.is_some_and(|before| end.is_empty() || before.ends_with(b"/"));
                is_layer && held.contains_key(rest)
            })
        })
    }

    /// The names under which a file of this device and inode number is held. On btrfs and overlayfs they may be those
    /// of several files, otherwise they are hard links, or ways to it through different mounts.
    pub fn paths(&self, device: (u32, u32), inode: u64) -> impl Iterator<Item = HeldPath<'_>> {
        self.entries_of(device, inode).map(|entry| HeldPath { holders: self, entry })
    }

    fn entries_of(&self, device: Device, inode: u64) -> impl Iterator<Item = &Entry> {
        let get = |place: &u32| self.entries.get(*place as usize);
        let first = self.by_inode.get(&(device, inode)).and_then(get);
        std::iter::successors(first, move |entry| entry.before.as_ref().and_then(get))
    }

    /// The entries on overlays and without an inode number that have this path.
    fn entries_at<'h>(&'h self, device: Device, path: &'h [u8]) -> impl Iterator<Item = &'h Entry> {
        let on_device = self.by_path.get(&device);
        let names = [Some(path), deleted_name(path)].into_iter().flatten();
        let places = names.filter_map(move |name| on_device?.get(name)).flatten();
        places.filter_map(|place| self.entries.get(*place as usize)).filter(move |entry| entry.is_at(path))
    }

    fn holder(&self, hold: Hold) -> Option<Holder> {
        let known = self.processes.get(hold.process as usize)?;
        let command = Arc::clone(&known.command);
        Some(Holder { pid: known.pid, command, is_mapped: hold.is_mapped, is_open: hold.is_open })
    }

    /// Adds that a process holds a file. The holds of one process come in a row.
    fn add(&mut self, file: &FoundFile<'_>, hold: Hold) {
        let same = |entry: &&mut Entry| {
            (&*entry.path, entry.is_within, entry.generation) == (file.path, file.is_within, file.generation)
        };
        let mut next = match file.inode {
            Some(inode) => self.by_inode.get(&(file.device, inode)).copied(),
            None => {
                let on_device = self.by_path.get(&file.device);
                let name = deleted_name(file.path).unwrap_or(file.path);
                let places = on_device.and_then(|paths| paths.get(name)).into_iter().flatten().copied();
                let is_it = |place: &u32| {
                    let entry = self.entries.get(*place as usize);
                    entry.is_some_and(|entry| entry.inode.is_none() && &*entry.path == file.path)
                };
                let mut places = places;
                places.find(is_it)
            }
        };
        while let Some(entry) = next.and_then(|place| self.entries.get_mut(place as usize)) {
            next = entry.before;
            let Some(entry) = Some(entry).filter(same) else { continue };
            match entry.holds.last_mut().filter(|last| last.process == hold.process) {
                Some(last) => {
                    last.is_mapped |= hold.is_mapped;
                    last.is_open |= hold.is_open;
                }
                None => entry.holds.push(hold),
            }
            return;
        }
        self.add_entry(file, hold);
    }

    fn add_entry(&mut self, file: &FoundFile<'_>, hold: Hold) {
        let Ok(place) = u32::try_from(self.entries.len()) else { return };
        let before = file.inode.and_then(|inode| self.by_inode.insert((file.device, inode), place));
        if file.is_within && (file.inode.is_none() || file.is_stacked) {
            let name = deleted_name(file.path).unwrap_or(file.path);
            self.by_path.entry(file.device).or_default().entry(name.into()).or_default().push(place);
        }
        self.entries.push(Entry {
            inode: file.inode,
            generation: file.generation,
            path: file.path.into(),
            is_within: file.is_within,
            holds: vec![hold],
            before,
        });
    }
}

/// The bits of the inode number of an overlay that are those of the layer, whether the upper bits say which (`xino`) or
/// not.
const NUMBER: u64 = u32::MAX as u64;

/// Whether two files may be one as far as their inode numbers tell, one of which may be that on an overlay.
pub(in crate::join) fn may_be_one(inode: u64, other: u64) -> bool {
    inode & NUMBER == other & NUMBER
}

/// A held file that was found.
struct FoundFile<'t> {
    device: Device,
    inode: Option<u64>,
    generation: Option<u32>,
    path: &'t [u8],
    is_within: bool,
    /// Whether it may be on an overlay.
    is_stacked: bool,
}

impl Entry {
    /// Whether this is the file with this path within the file system, as far as the path tells: a name that ends in
    /// ` (deleted)` may have been removed or be called so.
    fn is_at(&self, path: &[u8]) -> bool {
        self.is_within && (&*self.path == path || deleted_name(&self.path) == Some(path))
    }
}

/// Adds the holds of an entry, each process once.
fn add(holds: &mut Vec<Hold>, entry: &Entry) {
    if holds.is_empty() {
        holds.clone_from(&entry.holds);
        return;
    }
    let known: HashMap<u32, usize> = holds.iter().enumerate().map(|(place, hold)| (hold.process, place)).collect();
    for hold in &entry.holds {
        match known.get(&hold.process).and_then(|place| holds.get_mut(*place)) {
            Some(same) => {
                same.is_mapped |= hold.is_mapped;
                same.is_open |= hold.is_open;
            }
            None => holds.push(*hold),
        }
    }
}

impl<'h> HeldPath<'h> {
    /// The path within the file system, or, if that is not known, as the kernel shows it to this process. The kernel
    /// appends ` (deleted)` to a name that was removed.
    pub fn path(&self) -> &'h [u8] {
        &self.entry.path
    }

    /// Whether it is the path within the file system.
    pub fn is_within(&self) -> bool {
        self.entry.is_within
    }

    /// Whether the name was removed, unless it just ends so.
    pub fn is_deleted(&self) -> bool {
        deleted_name(&self.entry.path).is_some()
    }

    /// Whether it is the file with this path within the file system.
    pub fn is_at(&self, path: &[u8]) -> bool {
        self.entry.is_at(path)
    }

    /// Who holds it, each once.
    pub fn holders(&self) -> impl Iterator<Item = Holder> {
        self.entry.holds.iter().filter_map(|hold| self.holders.holder(*hold))
    }
}
