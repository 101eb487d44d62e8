//! What stands around the files: the mounts that lead to them, and the processes that hold them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::chosen::ChosenPlaces;
use super::described::{SHOWN, device_name, joined, through, within};
use super::parts::HolderOfFile;
use super::{Facts, FoundChoice, FoundFile, NOT_READ};
use crate::error::Result;
use crate::join::{Holder, Holders};
use crate::kernel::cached::Name;
use crate::kernel::mount_table::parts;
use crate::kernel::nameless::is_segment;
use crate::kernel::whereabouts::locate;
use crate::machine::cached::{CachedFile, Kind};
use crate::machine::{Place, Places};
use crate::process::{ProcRoot, Shown};
use crate::units::{Absent, Figure, Reason, counted};

const UNSEEN: Absent = Absent::new(Reason::Denied, "a process that does not show what it maps may hold it");
const OTHER_SEGMENT: Absent = Absent::new(
    Reason::Unsupported,
    "System V segments of several IPC namespaces may have this number, and nothing tells which of them is held",
);
const UNKNOWN: Absent = Absent::new(
    Reason::Unsupported,
    "a process holds a file with this number, and nothing tells whether it is this one",
);
const DEVICE: Absent =
    Absent::new(Reason::Unsupported, "what else uses a block device, such as a mount, is not looked for");
const UNLISTED: Absent =
    Absent::new(Reason::Unsupported, "the mount that it is on is not in the list of mounts of this process");
const UNSEEN_CONTAINER: Absent =
    Absent::new(Reason::Denied, "it may be in a mount namespace of a process that does not show its mounts");
const OTHER_NAMES: &str = "this name was removed, but the file has others";
const HIDDEN: &str = "another mount hides this path";

/// The mounts and the holders of all files.
pub(super) struct Context {
    places: Places,
    holders: Option<Holders>,
    chosen: ChosenPlaces,
    wants_container: bool,
    /// Whether the container of a file was not known.
    hides_container: AtomicBool,
}

/// Who holds a file, by program: its name, and how many of its processes do.
pub(super) struct HeldBy {
    /// The name of the program, or of the part of the kernel.
    pub(super) command: Arc<[u8]>,
    /// Its processes.
    pids: Vec<Option<u32>>,
}

impl Context {
    /// Reads it, as far as it is needed.
    pub(super) fn read(choice: &FoundChoice, facts: Facts, until: Option<Instant>) -> Result<Option<Context>> {
        if !facts.path && !facts.holders {
            return Ok(None);
        }
        let root = ProcRoot::live();
        let places = Places::read(&root)?;
        let holders = if facts.holders { Some(Holders::read_until(&root, &places, until)?) } else { None };
        let chosen = ChosenPlaces::find(choice, &places);
        let (wants_container, hides_container) = (facts.container, AtomicBool::new(false));
        Ok(Some(Context { places, holders, chosen, wants_container, hides_container }))
    }

    /// A message about what is not known of the files that were looked at because of such processes.
    pub(super) fn unknown(&self) -> Option<String> {
        let messages: Vec<String> = self.unseen().into_iter().chain(self.uncontained()).collect();
        (!messages.is_empty()).then(|| messages.join("; "))
    }

    /// The same about their containers.
    fn uncontained(&self) -> Option<String> {
        if !self.wants_container || !self.hides_container.load(Ordering::Relaxed) {
            return None;
        }
        let processes = || {
            let (one, many) = ("process does not show its mounts", "processes do not show their mounts");
            counted(self.places.denied(), one, many)
        };
        Some(match self.places.is_blind() {
            true => "which container a file belongs to is known only as far as /proc shows processes".to_owned(),
            false => format!("which container a file belongs to is not known of all: {}", processes()),
        })
    }

    /// The container that a file was found to belong to. If none was, it may be of one that is not seen.
    fn contained(&self, container: Option<Arc<str>>, has_own_path: bool) -> Figure<Option<Arc<str>>> {
        if container.is_some() || !self.places.may_hide_container(has_own_path) {
            return Ok(container);
        }
        self.hides_container.store(true, Ordering::Relaxed);
        Err(UNSEEN_CONTAINER)
    }

    /// A message about the processes that did not show their mounts or what they hold, or were not asked in time.
    pub(super) fn unseen(&self) -> Option<String> {
        let holders = self.holders.as_ref()?;
        if holders.is_blind() {
            return Some("what holds a file is known only as far as /proc shows processes".to_owned());
        }
        let unseen = holders.denied().saturating_add(holders.late());
        let processes = counted(unseen, "process", "processes");
        (unseen > 0).then(|| format!("what holds a file is not known for {processes}"))
    }

    /// Messages about the chosen directories of which it is not known where they are, as in a chroot. Only what is
    /// mounted below them is found.
    pub(super) fn unlisted(&self) -> impl Iterator<Item = String> {
        let unlisted = self.chosen.unlisted().iter().map(|path| {
            let path = path.display();
            format!(
                "what is in {path} is not known: {} (a chroot); `rmap files --scan {path}` walks over it",
                UNLISTED.why
            )
        });
        let untold = self.chosen.untold().iter().map(|path| {
            format!("which of the removed files {} is cannot be told; `rmap pcstat` measures it", path.display())
        });
        unlisted.chain(untold)
    }

    /// Whether a file that was measured is a chosen one without a name.
    pub(super) fn has_removed(&self, file: &FoundFile) -> bool {
        file.links == Ok(0) && self.chosen.has_removed(file.device, file.inode)
    }

    /// Whether a file with this name is in or below one of the chosen directories. `None`: it has no name in memory,
    /// and is on a file system of which they have a part.
    pub(super) fn is_below(&self, choice: &FoundChoice, file: &CachedFile, name: &Option<Name>) -> Option<bool> {
        if file.kind(name.as_ref()) == Kind::BlockDevice {
            let is_below = |path: &Vec<u8>| choice.is_below(path) && is_block_device(path, file.device);
            return Some(device_name(file.device).as_ref().is_some_and(is_below));
        }
        let device = file.file_system.device;
        if self.chosen.has_file(device, file.number) {
            return Some(true);
        }
        let is_named = name.as_ref().is_some_and(|name| name.is_rooted);
        if file.is_internal() && !is_named {
            return Some(false);
        }
        let mut directories = self.chosen.on(device);
        if let Some(name) = name.as_ref().filter(|name| name.is_rooted) {
            let path = Path::new(OsStr::from_bytes(&name.path));
            return Some(directories.any(|directory| path.starts_with(OsStr::from_bytes(directory))));
        }
        let is_whole = directories.any(|directory| directory == b"/") && self.places.is_clear(device);
        if is_whole || !self.chosen.has_part_of(device) { Some(is_whole) } else { None }
    }

    /// Gives a file with this name its path, one below the chosen directories if it has such a path, and the container
    /// that it belongs to.
    pub(super) fn place(&self, choice: &FoundChoice, file: &mut FoundFile, name: Option<&Name>) {
        self.place_at(choice, file, file.device, name);
    }

    /// The same, on this device.
    fn place_at(&self, choice: &FoundChoice, file: &mut FoundFile, device: (u32, u32), name: Option<&Name>) {
        let name = name.filter(|name| name.is_rooted);
        let find = |name: &Name| self.places.find_preferring(device, &name.path, |path| choice.is_below(path));
        let place = name.and_then(find);
        let is_below = |place: &Place| place.pid.is_none() && !place.is_hidden && choice.is_below(&place.path);
        if !place.as_ref().is_some_and(is_below) && self.place_as_typed(file, device, name) {
            file.container = self.contained(place.and_then(|place| place.container), true);
            return;
        }
        let (Some(place), Some(name)) = (place, name) else {
            file.container = self.unplaced_container(file, device);
            return;
        };
        file.path = place.pid.map_or(place.path.clone(), |pid| through(pid, &place.path));
        file.container = self.contained(place.container, true);
        if place.is_hidden {
            file.note = file.note.or(Some(HIDDEN));
        } else if name.is_deleted && !file.is_deleted {
            file.note = file.note.or(Some(OTHER_NAMES));
        }
    }

    /// The container of a file without a path. What is mounted nowhere is in none.
    fn unplaced_container(&self, file: &FoundFile, device: (u32, u32)) -> Figure<Option<Arc<str>>> {
        match file.kind {
            Ok(Kind::BlockDevice | Kind::Memfd | Kind::SharedMemory | Kind::Metadata) => Ok(None),
            // Without its name, where it is mounted is not known either.
            Err(absent) => Err(absent),
            _ => self.contained(None, self.places.is_own(device)),
        }
    }

    /// Gives a file the path by which it was chosen, or the directory above it, if its name does not lead there.
    fn place_as_typed(&self, file: &mut FoundFile, device: (u32, u32), name: Option<&Name>) -> bool {
        let chosen = || Some((self.chosen.file(device, file.inode)?.as_os_str().as_bytes().to_vec(), false));
        let Some((path, is_hidden)) = chosen().or_else(|| self.chosen.typed_path(device, &name?.path)) else {
            return false;
        };
        file.path = path;
        file.note = file.note.or(is_hidden.then_some(HIDDEN));
        true
    }

    /// The device of the file system that a path leads to, and the path within.
    fn locate(&self, path: &[u8]) -> Option<((u32, u32), Vec<u8>)> {
        self.chosen.locate(path).or_else(|| self.places.locate(path))
    }

    /// The device of the file system that a path leads to, as the lists have it.
    pub(super) fn device_of(&self, path: &[u8]) -> Option<(u32, u32)> {
        self.locate(path).map(|(device, _)| device)
    }

    /// The programs that hold a file, those with most processes first; absent if some that hold it may not be seen.
    pub(super) fn held_by(&self, device: (u32, u32), inode: u64, path: &[u8]) -> Figure<Vec<HeldBy>> {
        let holders = self.holders.as_ref().ok_or(NOT_READ)?;
        let found = holders.of(&self.places, device, inode, path);
        if found.is_empty() && self.unseen().is_some() {
            return Err(UNSEEN);
        }
        if found.is_empty() && self.may_miss(device, inode, path) {
            return Err(UNKNOWN);
        }
        Ok(by_program(&found))
    }

    /// The same of a file without a name, to which the kernel gave this one: a memfd, or a System V segment, whose
    /// number others have too.
    pub(super) fn nameless_held_by(
        &self,
        (device, inode): ((u32, u32), u64),
        generation: Option<u32>,
        name: &[u8],
    ) -> Figure<Vec<HeldBy>> {
        if !is_segment(name) {
            return self.held_by(device, inode, name);
        }
        let holders = self.holders.as_ref().ok_or(NOT_READ)?;
        let found = holders.of_segment(device, inode, generation).ok_or(OTHER_SEGMENT)?;
        if found.is_empty() && self.unseen().is_some() { Err(UNSEEN) } else { Ok(by_program(&found)) }
    }

    /// Whether this is the mount whose files have no names.
    pub(super) fn is_nameless(&self, device: (u32, u32)) -> bool {
        self.places.is_nameless(device)
    }

    /// Whether processes may hold a file in a way that does not tell that it is this one.
    fn may_miss(&self, device: (u32, u32), inode: u64, path: &[u8]) -> bool {
        self.holders.as_ref().is_some_and(|holders| holders.may_miss(&self.places, device, inode, path))
    }

    /// The programs that have a block device open, those with most processes first; absent if none is found, because it
    /// may be in use in other ways.
    pub(super) fn held_device(&self, device: (u32, u32)) -> Figure<Vec<HeldBy>> {
        let holders = self.holders.as_ref().ok_or(NOT_READ)?;
        let found = holders.of_block_device(&self.places, device);
        if found.is_empty() { Err(DEVICE) } else { Ok(by_program(&found)) }
    }

    /// Gives a file that was found at its path by a walk, or was named, its container and its holders, which it returns
    /// by program.
    pub(super) fn add_to_walked(&self, file: &mut FoundFile) -> Figure<Vec<HeldBy>> {
        // Its own device may be another than that of the mount, as on btrfs and overlays.
        let Some((device, path)) = self.locate(&file.path) else { return self.hold_unplaced(file) };
        let is_elsewhere = self.chosen.locate(&file.path).is_some();
        let container = match is_elsewhere {
            true => self.places.find(device, &path).and_then(|place| place.container),
            false => self.places.container(device, &path),
        };
        file.container = self.contained(container, true);
        self.hold_at(file, device, &path)
    }

    /// Gives a file its holders that is on no mount of the list.
    fn hold_unplaced(&self, file: &mut FoundFile) -> Figure<Vec<HeldBy>> {
        file.container = Err(UNLISTED);
        let path = std::mem::take(&mut file.path);
        let programs = self.hold_at(file, file.device, &path);
        file.path = path;
        programs
    }

    /// Gives a file its holders that is at this path of a device.
    fn hold_at(&self, file: &mut FoundFile, device: (u32, u32), path: &[u8]) -> Figure<Vec<HeldBy>> {
        let programs = self.held_by(device, file.inode, path);
        self.hold(file, &programs, Some((device, path)));
        programs
    }

    /// Gives a file that a process holds its path, its container and its holders. The mount that it was opened on
    /// tells where it is, and otherwise its path. Returns the holders by program. `generation` is that of the inode, if
    /// it tells files of one number apart.
    pub(super) fn add_to_held(
        &self,
        choice: &FoundChoice,
        file: &mut FoundFile,
        opened: Option<Shown>,
        generation: Option<u32>,
    ) -> Figure<Vec<HeldBy>> {
        if matches!(file.kind, Ok(Kind::Memfd | Kind::SharedMemory)) {
            file.container = Ok(None);
            let name = file.path.strip_prefix(b"shared memory ").map(|name| [b"/", name].concat()).unwrap_or_default();
            let programs = self.nameless_held_by((file.device, file.inode), generation, &name);
            self.hold(file, &programs, None);
            return programs;
        }
        // In a chroot a path may be that of another file, and that of a removed one cannot be looked up.
        let is_partly_seen = opened.as_ref().is_some_and(|shown| self.places.is_partly_seen(shown.mount));
        let is_here = !is_partly_seen || leads_to(&file.path, file);
        let of_mount = opened.and_then(|shown| {
            let path = shown.path.strip_suffix(b" (deleted)").filter(|_| file.is_deleted).unwrap_or(&shown.path);
            if !is_here {
                return self.places.of_mount_outside(shown.mount, path).filter(|_| !file.is_deleted);
            }
            let (device, within) = self.places.of_mount(shown.mount, path)?;
            Some((device, within?))
        });
        // A path as another process sees it may lead to another file here, with the same inode number.
        let typed = || self.places.locate(&file.path).filter(|(device, _)| is_here && *device == file.device);
        let Some((device, path)) = of_mount.or_else(typed) else {
            let programs = self.hold_unplaced(file);
            file.path = within(file.device, &file.path);
            return programs;
        };
        let programs = self.hold_at(file, device, &path);
        let is_deleted = file.is_deleted;
        self.place_at(choice, file, device, Some(&Name { path, is_rooted: true, is_deleted }));
        programs
    }

    /// Gives a file its holders. `place` is the device of its file system and its path there, if it is in one.
    pub(super) fn hold(
        &self,
        file: &mut FoundFile,
        programs: &Figure<Vec<HeldBy>>,
        place: Option<((u32, u32), &[u8])>,
    ) {
        file.holders = programs.as_ref().map(|programs| words(programs)).map_err(|absent| *absent);
        let count = |programs: &Vec<HeldBy>| programs.iter().map(HeldBy::processes).sum();
        let may_miss = || place.is_some_and(|(device, path)| self.may_miss(device, file.inode, path));
        // A process that is not seen may be one more.
        let counted = |programs| match () {
            () if self.unseen().is_some() => Err(UNSEEN),
            () if may_miss() => Err(UNKNOWN),
            () => Ok(count(programs)),
        };
        file.holder_count = programs.as_ref().map_err(|absent| *absent).and_then(counted);
    }
}

/// Whether a path leads to the file of a row, as far as that is known without waiting for a server.
fn leads_to(path: &[u8], file: &FoundFile) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    let is_it = |found: Metadata| (parts(found.dev()), found.ino()) == (file.device, file.inode);
    matches!(locate(path), Ok(None)) && path.symlink_metadata().is_ok_and(is_it)
}

/// Whether a path leads to this block device, as far as that is known without waiting for a server. Its name is that
/// of a node of devtmpfs, which need not be mounted.
fn is_block_device(path: &[u8], device: (u32, u32)) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    let is_it = |found: Metadata| found.file_type().is_block_device() && parts(found.rdev()) == device;
    !matches!(locate(path), Ok(None)) || path.metadata().is_ok_and(is_it)
}

fn by_program(holders: &[Holder]) -> Vec<HeldBy> {
    let mut programs: Vec<HeldBy> = Vec::new();
    for holder in holders {
        match programs.iter_mut().find(|program| program.command == holder.command) {
            Some(program) => program.pids.push(holder.pid),
            None => programs.push(HeldBy { command: holder.command.clone(), pids: vec![holder.pid] }),
        }
    }
    programs.sort_by_key(|program| std::cmp::Reverse(program.pids.len()));
    programs
}

impl HeldBy {
    /// How many processes.
    pub(super) fn processes(&self) -> u64 {
        self.pids.iter().flatten().count() as u64
    }

    /// The part of a file that it holds, which is all of it.
    pub(super) fn part(&self) -> HolderOfFile {
        HolderOfFile { program: self.command.to_vec(), processes: self.processes() }
    }

    /// Whether one of these processes is among them.
    pub(super) fn has_any(&self, pids: &HashSet<u32>) -> bool {
        self.pids.iter().flatten().any(|pid| pids.contains(pid))
    }

    /// `java 4690`, `postgres (12)`, `loop0`.
    fn words(&self) -> Vec<u8> {
        match self.pids[..] {
            [Some(pid)] => [&self.command[..], format!(" {pid}").as_bytes()].concat(),
            [None] => self.command.to_vec(),
            _ => [&self.command[..], format!(" ({})", self.pids.len()).as_bytes()].concat(),
        }
    }
}

/// Programs as a list; empty if nobody holds it.
fn words(programs: &[HeldBy]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = programs.iter().take(SHOWN).map(HeldBy::words).collect();
    joined(&names, programs.len())
}
