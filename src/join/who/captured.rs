//! Files of a captured machine. It has no files but their names, each as a process saw it, so a name is compared by
//! where it led: the mounts of that process tell the file system and the path within.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::verdict::Verdict;
use crate::error::{Error, ErrorKind, Result};
use crate::join::holders::may_be_one;
use crate::join::machine_files::FoundFile;
use crate::kernel::nameless::is_segment;
use crate::machine::Places;
use crate::process::{
    DescriptorText, FileMapping, Needles, ProcRoot, Process, UseBuffers, base_name, deleted_name, last_name, parse_pid,
    unescape_maps,
};
use crate::units::{Absent, Reason};

/// A device number, major and minor.
type Device = (u32, u32);

/// A name in a capture, and the file that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CapturedName {
    /// As its process sees it, with ` (deleted)` if a link of `/proc` says so.
    name: Vec<u8>,
    /// The mount namespace in which it is seen; `None` if the capture does not tell.
    namespace: Option<u64>,
    /// The process that sees it, if it was named through one of another mount namespace than that of the machine.
    through: Option<u32>,
    /// The device of its file system and its path there; `None` if the capture has no mounts that tell.
    spot: Option<(Device, Vec<u8>)>,
    /// Its inode number, if the list of cached files or a process that maps it tells, and no other file of the device
    /// has the same.
    inode: Option<u64>,
    /// Whether the number is that of a descriptor, which other files of the same name do not have.
    is_exact: bool,
    /// What it is if it is a System V segment.
    segment: Option<Segment>,
}

/// A System V segment in a capture, whose number is its id in its IPC namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    device: Device,
    inode: u64,
    /// The IPC namespace of the process that maps it; `None` if the capture does not tell.
    namespace: Option<u64>,
}

const OTHER_SEGMENT: Absent = Absent::new(
    Reason::Unsupported,
    "it maps a System V segment with this id, and the capture does not tell of which IPC namespace",
);
const OTHER_NAMESPACE: Absent = Absent::new(
    Reason::Unsupported,
    "it sees a file of this name, but the capture does not tell whether it is this one",
);
const OTHER_MOUNT: Absent =
    Absent::new(Reason::Unsupported, "it holds a file of this name on a mount that the capture does not have");
/// The same for a file that was asked about by its numbers.
pub(super) const OTHER_MOUNT_NUMBER: Absent = Absent::new(
    Reason::Unsupported,
    "it has a file with this inode number open on a mount that the capture does not have",
);
const OTHER_LAYER: Absent =
    Absent::new(Reason::Unsupported, "it holds a file of an overlay, and the capture does not tell of which layer");

impl CapturedName {
    /// What a path that was typed stands for. One below `/proc/PID` is that which the link of the process leads to.
    ///
    /// # Errors
    /// The capture does not have it, or cannot tell where it leads.
    pub(super) fn find(root: &ProcRoot, path: &Path, places: &Places) -> Result<CapturedName> {
        let fail = |kind, why: &'static str| Error::path(path, kind, why);
        if !path.is_absolute() {
            return Err(fail(ErrorKind::Unsupported, "a capture has no working directory")
                .with_advice("name the file by its whole path"));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(fail(ErrorKind::Unsupported, "a capture does not tell where '..' leads")
                .with_advice("name the file without it"));
        }
        // Without `.` and double slashes.
        let plain: PathBuf = path.components().collect();
        let (name, process, descriptor) = match plain.strip_prefix("/proc") {
            Err(_) => (plain.as_os_str().as_bytes().to_vec(), None, None),
            Ok(below) => {
                let missing = || fail(ErrorKind::NotFound, "no such file in the capture");
                let mut parts = below.iter();
                let pid = parts.next().and_then(|pid| parse_pid(pid.to_str()?)).ok_or_else(missing)?;
                let process = Process::open_in(root, pid)?;
                let name = process.read_captured_name(parts.as_path())?.ok_or_else(missing)?;
                let descriptor = process.read_captured_numbers(parts.as_path());
                (name, Some(process), descriptor)
            }
        };
        let segment = match &process {
            Some(process) if is_segment(&name) => Segment::find(process, &plain, places)?,
            _ => None,
        };
        let namespace = match &process {
            Some(process) => process.read_mount_namespace().ok().flatten(),
            None => places.own_namespace(),
        };
        let is_own = process.is_none() || namespace.is_some() && namespace == places.own_namespace();
        let spot = if is_own { places.locate(&name) } else { namespace.and_then(|at| places.locate_in(at, &name)) };
        let exact = descriptor.and_then(|(mount, inode)| {
            let (device, within) = places.of_descriptor(mount, &name)?;
            let known = spot.clone().filter(|(found, _)| *found == device).map(|(_, within)| within);
            let within = within.or(known).unwrap_or_else(|| name.clone());
            places.numbers_files(device).then_some(((device, within), inode))
        });
        let (spot, inode) = exact.map_or((spot, None), |(spot, inode)| (Some(spot), Some(inode)));
        let through = process.filter(|_| !is_own).map(|process| process.pid());
        Ok(CapturedName { name, namespace, through, spot, inode, is_exact: inode.is_some(), segment })
    }

    /// Whether it is another way to write the same name.
    pub(super) fn is_same(&self, other: &CapturedName) -> bool {
        if self.segment.is_some() || other.segment.is_some() {
            return self.segment == other.segment
                && self.segment.as_ref().is_some_and(|segment| segment.namespace.is_some());
        }
        match (&self.spot, &other.spot) {
            (Some((one, _)), Some((another, _))) if self.is_exact && other.is_exact => {
                (one, self.inode) == (another, other.inode)
            }
            (Some(one), Some(another)) => one == another,
            _ => (&self.name, self.namespace, self.through) == (&other.name, other.namespace, other.through),
        }
    }

    /// Whether it is a path of the machine itself, as `/proc/swaps` has them.
    pub(super) fn is_own(&self, path: &[u8]) -> bool {
        self.through.is_none() && self.name == path
    }

    /// Takes over the inode number that a listed file or a mapping has, if no other file of the device has the same.
    pub(super) fn learn(&mut self, device: Device, inode: u64, places: &Places) {
        if self.is_exact {
            return;
        }
        let is_there = self.is_on(|own| own == device);
        self.inode = Some(inode).filter(|_| is_there && places.numbers_files(device));
    }

    /// Whether a mapping has this very name, and so its inode number.
    pub(super) fn is_mapped_by_name(&self, process: &Process, mapping: &FileMapping, places: &Places) -> bool {
        // Almost every mapping has another name, and needs no copy of it.
        let is_escaped = mapping.path.contains(&b'\\');
        if !is_escaped && base_name(&mapping.path) != base_name(&self.name) {
            return false;
        }
        let path = unescape_maps(&mapping.path);
        if base_name(&path) != base_name(&self.name) {
            return false;
        }
        let namespace = process.read_mount_namespace().ok().flatten();
        match (&self.spot, self.seen(places, namespace, mapping.device.numbers(), &path, mapping.inode)) {
            (Some((device, within)), Seen::At(found, at)) => (*device, within) == (found, &at),
            _ => false,
        }
    }

    /// Whether a process that maps it may tell its inode number.
    pub(super) fn may_learn(&self) -> bool {
        !self.is_exact
    }

    /// Where it is, by its name and by that which it had before it was deleted: as [`CapturedName::is_listed`] needs
    /// it for every file.
    pub(super) fn listed_spots(&self, places: &Places) -> ListedSpots {
        let spot = |name: &[u8]| places.locate_in(self.namespace?, name);
        ListedSpots { own: spot(&self.name), deleted: deleted_name(&self.name).and_then(spot) }
    }

    /// Whether its file system is known, and is one of these.
    pub(super) fn is_on(&self, is_it: impl Fn(Device) -> bool) -> bool {
        self.spot.as_ref().is_some_and(|(device, _)| is_it(*device))
    }

    /// Whether a mapping of a process is of it.
    pub(super) fn is_mapped(&self, process: &Process, mapping: &FileMapping, places: &Places) -> Verdict {
        let device = mapping.device.numbers();
        if let Some(segment) = &self.segment {
            return segment.is_mapped(process, mapping);
        }
        let has_number = self.has_number(device, mapping.inode);
        let see = |namespace, path: &[u8]| self.seen(places, namespace, device, path, mapping.inode);
        self.compare(process, &unescape_maps(&mapping.path), has_number, places, see)
    }

    /// Whether a descriptor of a process, with this inode number if that is known, is of it.
    pub(super) fn is_open(
        &self,
        process: &Process,
        inode: Option<u64>,
        text: &DescriptorText,
        places: &Places,
    ) -> Verdict {
        if self.segment.is_some() {
            let may_be = text.path == self.name;
            return if may_be { Verdict::Unproven(OTHER_SEGMENT) } else { Verdict::No };
        }
        let on = |path: &[u8]| places.of_descriptor(text.mount?, path);
        let has_number = on(b"/").zip(inode).and_then(|((device, _), inode)| self.has_number(device, inode));
        let see = |_, path: &[u8]| match on(path) {
            Some((device, Some(within))) => Seen::At(device, within),
            Some((device, None)) => self.unplaced(Some(device), inode, places),
            None if text.mount.is_some() => self.unplaced(None, inode, places),
            None => Seen::Unknown,
        };
        self.compare(process, &text.path, has_number, places, see)
    }

    /// Whether a file with this number is it; `None` if that is not known.
    fn has_number(&self, device: Device, inode: u64) -> Option<bool> {
        let is_there = self.is_on(|own| own == device);
        self.inode.filter(|_| is_there).map(|known| known == inode)
    }

    /// Compares it with a path as a process holds it, of a file that has its number, does not have it, or may have it.
    fn compare(
        &self,
        process: &Process,
        path: &[u8],
        has_number: Option<bool>,
        places: &Places,
        see: impl Fn(Option<u64>, &[u8]) -> Seen,
    ) -> Verdict {
        match has_number {
            Some(true) => return Verdict::Yes(None),
            Some(false) if self.is_exact => return Verdict::No,
            _ => {}
        }
        let namespace = process.read_mount_namespace().ok().flatten();
        let compare = |path| self.compare_path(process, namespace, path, places, see(namespace, path));
        // The name may have been removed, or end like this.
        let removed = || deleted_name(path).map_or(Verdict::No, compare);
        match (compare(path), has_number) {
            (Verdict::Yes(note), _) => Verdict::Yes(note),
            // Another file had the name before.
            (_, Some(false)) => Verdict::No,
            (Verdict::No, _) => removed(),
            (doubt, _) => match removed() {
                Verdict::Yes(note) => Verdict::Yes(note),
                _ => doubt,
            },
        }
    }

    /// The same for a path that leads to what was seen.
    fn compare_path(
        &self,
        process: &Process,
        namespace: Option<u64>,
        path: &[u8],
        places: &Places,
        seen: Seen,
    ) -> Verdict {
        let Some((device, within)) = &self.spot else { return self.compare_names(process, namespace, path) };
        let (found, at) = match &seen {
            Seen::At(found, _) if places.is_unclear(*found) && found == device => {
                return self.compare_names(process, namespace, path);
            }
            Seen::At(found, at) | Seen::OfLayer(found, at, _) => (*found, at),
            Seen::Unknown => return self.compare_names(process, namespace, path),
            // The kernel shows the path below the root of such a mount, so only its last part tells anything.
            Seen::OnNoMount { may_be_it } => {
                let is_like_it = *may_be_it && last_name(path) == last_name(&self.name);
                return if is_like_it { Verdict::Unproven(OTHER_MOUNT) } else { Verdict::No };
            }
        };
        match seen {
            _ if (*device, within) == (found, at) => Verdict::Yes(None),
            // Before Linux 6.8 `maps` has the numbers of the file of the layer.
            Seen::OfLayer(_, _, on) if on != *device => Verdict::No,
            _ if places.may_show(found, at, *device, within) => Verdict::Unproven(OTHER_LAYER),
            Seen::OfLayer(..) => self.compare_names(process, namespace, path),
            _ if places.may_show(*device, within, found, at) => Verdict::Unproven(OTHER_LAYER),
            _ => Verdict::No,
        }
    }

    /// Where a file is whose path leads to no mount that is known. Its device may be known, and its inode number.
    fn unplaced(&self, device: Option<Device>, inode: Option<u64>, places: &Places) -> Seen {
        let Some((own, _)) = &self.spot else { return Seen::Unknown };
        if device.is_some_and(|device| places.is_nameless(device)) {
            return Seen::Unknown;
        }
        let may_be_there = |device| device == *own || places.may_be_elsewhere(device) || places.is_overlay(*own);
        let has_other_number = self.inode.zip(inode).is_some_and(|(own, other)| !may_be_one(own, other));
        Seen::OnNoMount { may_be_it: device.is_none_or(may_be_there) && !has_other_number }
    }

    /// Where a path leads that a process of this mount namespace maps.
    fn seen(&self, places: &Places, namespace: Option<u64>, device: Device, path: &[u8], inode: u64) -> Seen {
        let Some(number) = namespace else { return Seen::Unknown };
        match places.locate_in(number, path) {
            Some((found, within)) if found == device => Seen::At(found, within),
            Some((found, within)) if places.is_overlay(found) => Seen::OfLayer(found, within, device),
            // It may be hidden by another mount, or of the namespace that the process was started in.
            _ => match places.within(namespace, device, path) {
                Some(within) => Seen::At(device, within),
                None => self.unplaced(Some(device), Some(inode), places),
            },
        }
    }

    /// Compares it where mounts do not tell: in one mount namespace, a name is one file.
    fn compare_names(&self, process: &Process, namespace: Option<u64>, path: &[u8]) -> Verdict {
        let is_seen_alike = match (self.namespace, self.through) {
            (Some(own), _) => namespace == Some(own),
            // A capture that does not have namespaces at all.
            (None, None) => namespace.is_none(),
            (None, Some(_)) => false,
        };
        match () {
            () if path != self.name => Verdict::No,
            () if is_seen_alike || self.through == Some(process.pid()) => Verdict::Yes(None),
            () => Verdict::Unproven(OTHER_NAMESPACE),
        }
    }

    /// Whether a file of the list of cached files, which has the path that a user of the machine could type, is this
    /// one, which was typed as `label`.
    pub(super) fn is_listed(
        &self,
        label: &Path,
        spots: &ListedSpots,
        file: &FoundFile,
        seen: &mut Namespaces<'_>,
        places: &Places,
    ) -> bool {
        // The list has one of the names of a file, which may be another hard link.
        match self.has_number(file.device, file.inode) {
            Some(true) => return true,
            Some(false) if self.is_exact => return false,
            _ => {}
        }
        let (name, own) = match deleted_name(&self.name).filter(|_| file.is_deleted) {
            Some(name) => (name, &spots.deleted),
            None => (&self.name[..], &spots.own),
        };
        if label.as_os_str().as_bytes() == file.path || self.through.is_none() && name == file.path {
            return true;
        }
        let Some((device, _)) = self.spot.as_ref().filter(|(device, _)| *device == file.device) else { return false };
        let listed = PathBuf::from(OsStr::from_bytes(&file.path));
        let (namespace, path) = match listed.strip_prefix("/proc").ok().map(Path::iter) {
            None => (places.own_namespace(), file.path.clone()),
            Some(mut parts) => {
                let pid = parts.next().and_then(|pid| parse_pid(pid.to_str()?));
                let below = parts.as_path().strip_prefix("root").ok();
                let Some((pid, below)) = pid.zip(below) else { return false };
                (seen.of(pid), Path::new("/").join(below).as_os_str().as_bytes().to_vec())
            }
        };
        let other = namespace.and_then(|namespace| places.locate_in(namespace, &path));
        !places.is_unclear(*device) && own.is_some() && *own == other
    }
}

impl Segment {
    /// That which is mapped where a link of `map_files` says.
    fn find(process: &Process, link: &Path, places: &Places) -> Result<Option<Segment>> {
        let namespace = process.read_ipc_namespace().ok().flatten();
        let mut found = None;
        process.search_maps(&Needles::any(), &mut UseBuffers::default(), &mut |mapping| {
            let (start, end, device) = (mapping.addresses.start, mapping.addresses.end, mapping.device.numbers());
            if places.is_nameless(device) && link.ends_with(format!("map_files/{start:x}-{end:x}")) {
                found = Some(Segment { device, inode: mapping.inode, namespace });
            }
        })?;
        Ok(found)
    }

    fn is_mapped(&self, process: &Process, mapping: &FileMapping) -> Verdict {
        if (mapping.device.numbers(), mapping.inode) != (self.device, self.inode) || !is_segment(&mapping.path) {
            return Verdict::No;
        }
        match (self.namespace, process.read_ipc_namespace().ok().flatten()) {
            (Some(own), Some(other)) if own == other => Verdict::Yes(None),
            (Some(_), Some(_)) => Verdict::No,
            _ => Verdict::Unproven(OTHER_SEGMENT),
        }
    }
}

/// Where a name in a capture is, and where it was if it is that of a deleted file: file system and path.
#[derive(Debug)]
pub(super) struct ListedSpots {
    own: Option<(Device, Vec<u8>)>,
    deleted: Option<(Device, Vec<u8>)>,
}

/// The mount namespaces of processes in a capture, each of which is read once.
pub(super) struct Namespaces<'r> {
    root: &'r ProcRoot,
    known: HashMap<u32, Option<u64>>,
}

impl Namespaces<'_> {
    pub(super) fn new(root: &ProcRoot) -> Namespaces<'_> {
        Namespaces { root, known: HashMap::new() }
    }

    /// That of this process; `None` if the capture does not tell.
    fn of(&mut self, pid: u32) -> Option<u64> {
        let read = |root| Process::open_in(root, pid).ok()?.read_mount_namespace().ok().flatten();
        *self.known.entry(pid).or_insert_with(|| read(self.root))
    }
}

/// Where a path that a process maps leads to.
enum Seen {
    /// A file system, and the path within.
    At(Device, Vec<u8>),
    /// An overlay, and the path within; the mapping has the device of a layer.
    OfLayer(Device, Vec<u8>, Device),
    /// A mount that no process in the capture has in its list.
    OnNoMount {
        /// Whether it may be the file as far as its numbers tell.
        may_be_it: bool,
    },
    Unknown,
}
