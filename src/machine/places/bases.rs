//! Finds the directories of the layers of overlays, of which only the text of a mount option is known.
//!
//! A layer that is not named from `/` was named from the working directory of the process that mounted the overlay,
//! which the kernel does not tell. So likely directories are tried, and one is taken if it is proven: all layers are
//! below it, and the first of them has the inode number of the root directory of the overlay, which overlayfs takes
//! over if all layers are on one file system. If they are not, a directory is taken if it alone of those that are tried
//! has all layers. No file system is asked: the kernel remembers the directories of layers as long as the overlay is
//! mounted.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;

use super::Places;
use super::above::trimmed;
use super::layers::{Directory, Overlay};
use super::mounts::{Device, Mounted, Namespace};
use crate::kernel::mount_table::{Layer, LayerRole};
use crate::kernel::whereabouts;
use crate::process::{ProcRoot, Process, Shown, read_pids};

/// In how many namespaces the layers of an overlay are looked for that is not mounted in ours.
const TRIED: usize = 4;

/// The bits of the inode number of a directory of an overlay that are those of the layer.
const NUMBER: u64 = u32::MAX as u64;

/// A device, and a path within its file system.
type Within = (Device, Vec<u8>);

/// Working directories, and the mount namespaces of the processes that are in them.
type WorkingDirectories = HashSet<(Option<u64>, Vec<u8>)>;

/// Finds layers.
pub(super) struct LayerFinder<'p> {
    places: &'p Places,
    root: &'p ProcRoot,
    is_live: bool,
    /// The namespaces in which an overlay is mounted, and whether as their root.
    mounted: HashMap<Device, Vec<(usize, bool)>>,
    /// What was found for a path in a namespace: many overlays share their layers.
    known: HashMap<(usize, Vec<u8>), Option<Within>>,
    /// Read only if they are needed.
    working: Option<WorkingDirectories>,
}

impl<'p> LayerFinder<'p> {
    pub(super) fn new(
        places: &'p Places,
        root: &'p ProcRoot,
        mounted: HashMap<Device, Vec<(usize, bool)>>,
    ) -> LayerFinder<'p> {
        LayerFinder { places, root, is_live: root.is_live(), mounted, known: HashMap::new(), working: None }
    }

    pub(super) fn overlay(&mut self, device: Device, layers: &[Layer]) -> Overlay {
        let mounted = self.mounted.get(&device).cloned().unwrap_or_default();
        let (mut found, mut unplaced): (Vec<Directory>, Vec<Vec<u8>>) = Default::default();
        // An overlay in our namespace was most likely mounted there. Otherwise a path may be one of any of the others.
        let mut tried: Vec<usize> = mounted.iter().map(|(namespace, _)| *namespace).collect();
        tried.dedup();
        match tried.contains(&0) {
            true => tried.retain(|namespace| *namespace == 0),
            false => {
                tried.truncate(TRIED);
                tried.push(0);
            }
        }
        let is_relative = layers.iter().any(|layer| !layer.path.starts_with(b"/"));
        let bases: Vec<(usize, Option<Vec<u8>>)> = tried
            .into_iter()
            .map(|namespace| (namespace, is_relative.then(|| self.base(device, namespace, layers)).flatten()))
            .collect();
        for layer in layers {
            let mut is_placed = false;
            for (namespace, base) in &bases {
                let Some(path) = whole_path(base.as_deref(), &layer.path) else { continue };
                let Some((on, path)) = self.find(*namespace, path) else { continue };
                let directory = Directory { device: on, path, role: layer.role };
                // No overlay is a layer of itself: in a namespace that has it as its root the path means another file.
                if on == device {
                    continue;
                }
                is_placed = true;
                if !found.contains(&directory) {
                    found.push(directory);
                }
            }
            if !is_placed && layer.role != LayerRole::Data {
                unplaced.push(end_of(&layer.path));
            }
        }
        found.sort_by_key(|layer| layer.role);
        Overlay { device, layers: found, unplaced, containers: self.containers(&mounted) }
    }

    /// The containers that have it as their root; if there are none, those that have it anywhere.
    fn containers(&self, mounted: &[(usize, bool)]) -> Vec<Arc<str>> {
        let others = || mounted.iter().filter(|(place, _)| *place > 0);
        let namespace = |place: &usize| self.places.namespaces.get(*place);
        let roots = others().filter(|(_, is_root)| *is_root).filter_map(|(place, _)| namespace(place));
        let mut names: Vec<Arc<str>> = roots.map(|namespace| Arc::clone(&namespace.name)).collect();
        if names.is_empty() {
            names = others().filter_map(|(place, _)| namespace(place)?.container.clone()).collect();
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The directory that the layers are named from, in a namespace. It is mostly one above the mount, as in
    /// `mount -t overlay o -o lowerdir=lo,upperdir=up,workdir=wk ov`, or as Docker does it: `upperdir=ID/diff`, mounted
    /// on `/var/lib/docker/overlay2/ID/merged`; otherwise a shell may still be in it.
    fn base(&mut self, device: Device, namespace: usize, layers: &[Layer]) -> Option<Vec<u8>> {
        let of_number = self.places.namespaces.get(namespace)?;
        let mounts: Vec<&Mounted> = of_number.mounts.iter().filter(|mount| mount.device == device).collect();
        if let Some(proof) = self.proof(of_number, device) {
            let mut possible: Vec<Vec<u8>> = Vec::new();
            for base in mounts.iter().flat_map(|mount| directories_above(&mount.point)) {
                match proof.fit(base, layers) {
                    Fit::Proven => return Some(base.to_vec()),
                    Fit::Possible => possible.push(base.to_vec()),
                    Fit::No => {}
                }
            }
            for (_, base) in self.working_directories().iter().filter(|(number, _)| *number == of_number.number) {
                let base = trimmed(base);
                match proof.fit(base, layers) {
                    Fit::Proven => return Some(base.to_vec()),
                    Fit::Possible => possible.push(base.to_vec()),
                    Fit::No => {}
                }
            }
            possible.sort_unstable();
            possible.dedup();
            return possible.pop().filter(|_| possible.is_empty());
        }
        // Without a proof only the way of Docker is trusted.
        let upper = layers.iter().find(|layer| layer.role == LayerRole::Upper)?;
        let name = upper.path.get(..memchr::memchr(b'/', &upper.path)?).filter(|name| !name.is_empty())?;
        let wanted = [b"/", name, b"/"].concat();
        let base = mounts.iter().find_map(|mount| mount.point.get(..memchr::memmem::rfind(&mount.point, &wanted)?))?;
        Some(base.to_vec())
    }

    /// What proves a base; `None` if the root directory of the overlay cannot be looked at.
    fn proof(&self, namespace: &Namespace, device: Device) -> Option<Proof<'p>> {
        if !self.is_live || namespace.is_served {
            return None;
        }
        let process = Process::open_in(self.root, namespace.pid).ok()?;
        let whole = |mount: &&Mounted| mount.device == device && mount.root.is_empty();
        let root = namespace.mounts.iter().filter(whole).find_map(|mount| {
            let found = shown(&process, &mount.typed(b""))?;
            found.inode.filter(|_| found.mount == mount.number)
        })?;
        Some(Proof { places: self.places, process, root })
    }

    fn working_directories(&mut self) -> &WorkingDirectories {
        let root = self.root;
        self.working.get_or_insert_with(|| {
            let processes = read_pids(root).unwrap_or_default().into_iter();
            let processes = processes.filter_map(|pid| Process::open_in(root, pid).ok());
            let read = |process: Process| {
                let path = process.read_working_directory()?;
                Some((process.read_mount_namespace().ok().flatten(), path))
            };
            processes.filter_map(read).collect()
        })
    }

    /// The device and the path within of a directory of a namespace.
    fn find(&mut self, namespace: usize, path: Vec<u8>) -> Option<Within> {
        let key = (namespace, path);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let looked_up = if self.is_live { self.look_up(namespace, &key.1) } else { None };
        let found = looked_up.or_else(|| {
            let (mount, within) = self.places.namespaces.get(namespace)?.locate(&key.1)?;
            Some((mount.device, trimmed(&within).to_vec()))
        });
        self.known.insert(key, found.clone());
        found
    }

    /// The same with symbolic links followed, if that needs no answer of a server.
    fn look_up(&self, namespace: usize, path: &[u8]) -> Option<Within> {
        let found = match namespace {
            0 => {
                let path = Path::new(OsStr::from_bytes(path));
                match whereabouts::locate(path).ok()? {
                    None => Shown::of(&whereabouts::open_name(path).ok()?)?,
                    Some(_) => return None,
                }
            }
            other => {
                let namespace = self.places.namespaces.get(other).filter(|namespace| !namespace.is_served)?;
                shown(&Process::open_in(self.root, namespace.pid).ok()?, path)?
            }
        };
        let (device, within) = self.places.of_mount(found.mount, &found.path)?;
        Some((device, trimmed(&within?).to_vec()))
    }
}

/// What tells whether layers are named from a directory.
struct Proof<'p> {
    places: &'p Places,
    /// A process that sees it.
    process: Process,
    /// The inode number of the root directory of the overlay. If all layers are on one file system, it is that of the
    /// upper layer, or of the first lower one.
    root: u64,
}

/// How a directory fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The layers are named from another one.
    No,
    /// All layers are below it, but another directory may have such names too.
    Possible,
    Proven,
}

impl Proof<'_> {
    /// How this directory fits. The path has no `/` at its end.
    fn fit(&self, base: &[u8], layers: &[Layer]) -> Fit {
        let find = |layer: &Layer| {
            let path = whole_path(Some(base), &layer.path).ok_or(Errno::ENOENT)?;
            let found = self.process.find_cached(Path::new(OsStr::from_bytes(&path)))?;
            Shown::of(&found).ok_or(Errno::EAGAIN)
        };
        let Some(first) = layers.iter().min_by_key(|layer| layer.role) else { return Fit::No };
        let Ok(first) = find(first) else { return Fit::No };
        let device = |found: &Shown| self.places.of_mount(found.mount, &found.path).map(|(device, _)| device);
        let others: Vec<_> = layers.iter().map(find).collect();
        // A directory that was replaced since is another one: not remembered, or with another number.
        if others.iter().any(|other| other.as_ref().is_err_and(|errno| *errno != Errno::EAGAIN)) {
            return Fit::No;
        }
        let is_one = others.iter().flatten().all(|other| device(other) == device(&first));
        let is_numbered = first.inode.is_some_and(|inode| inode & NUMBER == self.root & NUMBER);
        // The kernel need not remember the symbolic links on the way, which Docker names its lower layers by.
        match (is_one, others.iter().all(Result::is_ok)) {
            (true, _) if is_numbered => Fit::Proven,
            (false, true) => Fit::Possible,
            _ => Fit::No,
        }
    }
}

/// What a process sees at a path, without asking a file system.
fn shown(process: &Process, path: &[u8]) -> Option<Shown> {
    let found = process.find_cached(Path::new(OsStr::from_bytes(path))).ok()?;
    Shown::of(&found)
}

/// The whole path of a layer that was named from `/`, or from a base.
fn whole_path(base: Option<&[u8]>, path: &[u8]) -> Option<Vec<u8>> {
    match path.starts_with(b"/") {
        true => Some(trimmed(path).to_vec()),
        false => Some([base?, b"/", trimmed(path)].concat()),
    }
}

/// The directories above a path, the closest first; that of the root is empty.
fn directories_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memrchr_iter(b'/', path).filter_map(|slash| path.get(..slash))
}

/// The end of the path of a layer that certainly is a part of its real path, unless it has symbolic links: without the
/// names before the last `..`.
fn end_of(path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_layer_is_what_is_known_of_its_path() {
        let end = |path: &str| String::from_utf8(end_of(path.as_bytes())).unwrap();
        let paths = ["lo", "./a//lo/", "../lo", "a/../lo", "../../x/lo", ".", "..", "/a/lo"];
        assert_eq!(paths.map(end), ["lo", "a/lo", "lo", "lo", "x/lo", "", "", "a/lo"]);
    }

    #[test]
    fn directories_are_tried_from_the_closest_on() {
        let above: Vec<_> = directories_above(b"/a/b/c").map(|path| str::from_utf8(path).unwrap()).collect();
        assert_eq!(above, ["/a/b", "/a", ""]);
        assert_eq!(directories_above(b"").count(), 0);
    }
}
