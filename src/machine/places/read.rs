//! Reads the mounts of all mount namespaces, and finds the layers of their overlays.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use super::above::trimmed;
use super::layers::{Directory, Layers, Overlay};
use super::mounts::{Device, Namespace};
use super::{At, Places};
use crate::error::{ErrorKind, Result};
use crate::kernel::handle::Handle;
use crate::kernel::mount_table::{Layer, Mount};
use crate::kernel::whereabouts;
use crate::machine::container_name;
use crate::process::{ProcRoot, Process, read_pids};

/// Through how many processes a namespace is read until one is found that sees all of it.
const READERS: u32 = 8;

/// In how many namespaces the layers of an overlay are looked for that is not mounted in ours.
const TRIED: usize = 4;

impl Places {
    /// Reads the mounts of this process and of every other mount namespace that it may see: a link for each process,
    /// and a list for each namespace. In a capture the namespace of the first process stands for that of this process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn read(root: &ProcRoot) -> Result<Places> {
        let mut pids = read_pids(root)?;
        pids.sort_unstable();
        let own = match root.is_live() {
            // Another proc file system may be of a pid namespace in which this process is not.
            true => Process::own_in(root).or_else(|_| Process::own())?,
            false => match pids.first() {
                Some(first) => Process::open_in(root, *first)?,
                None => return Ok(Places::default()),
            },
        };
        let mut reader = Reader::default();
        reader.add(&own, own.read_mount_namespace().ok().flatten());
        for pid in pids {
            reader.visit(root, pid);
        }
        Ok(reader.finish(root))
    }
}

#[derive(Default)]
struct Reader {
    namespaces: Vec<Namespace>,
    /// The place of a namespace in the list, and through how many more processes it may be read.
    known: HashMap<u64, (usize, u32)>,
    overlays: HashMap<Device, Vec<Layer>>,
    repeating: HashSet<Device>,
    /// What is mounted from a device on NFS.
    sources: HashMap<Device, HashSet<Vec<u8>>>,
    denied: u64,
}

impl Reader {
    fn visit(&mut self, root: &ProcRoot, pid: u32) {
        let opened = Process::open_in(root, pid);
        match opened.and_then(|process| process.read_mount_namespace().map(|number| (process, number))) {
            Ok((process, Some(number))) => match self.known.get(&number) {
                // A process with another root directory sees only what is below it.
                Some((_, left)) if *left > 0 && process.has_whole_root() => self.add(&process, Some(number)),
                Some(_) => {}
                None => self.add(&process, Some(number)),
            },
            Err(error) if error.kind() == ErrorKind::Denied => {
                let is_kernel_thread = Process::open_in(root, pid).is_ok_and(|process| process.is_kernel_thread());
                self.denied += u64::from(!is_kernel_thread);
            }
            // It has exited, or a capture does not have it.
            Ok((_, None)) | Err(_) => {}
        }
    }

    fn add(&mut self, process: &Process, number: Option<u64>) {
        let mounts = match process.read_mounts() {
            Ok(mounts) => mounts,
            // Ours is the first in any case.
            Err(_) if self.namespaces.is_empty() => Vec::new(),
            Err(_) => return,
        };
        self.note(&mounts);
        let cgroup = process.read_cgroup();
        let container = cgroup.ok().and_then(|cgroup| container_name(&cgroup)).map(Arc::from);
        let name = container.clone().unwrap_or_else(|| namespace_of(process));
        let namespace = Namespace::new(number, process.pid(), container, name, &mounts);
        let is_whole = namespace.is_whole() && process.has_whole_root();
        let known = number.and_then(|number| self.known.get(&number)).copied();
        let left = if is_whole { 0 } else { known.map_or(READERS, |(_, left)| left.saturating_sub(1)) };
        // Ours, of which this process sees only a part, is also one of the others.
        let other = known.map(|(place, _)| place).filter(|place| *place > 0);
        let place = match other.and_then(|place| Some((place, self.namespaces.get_mut(place)?))) {
            Some((place, other)) => {
                *other = namespace;
                place
            }
            None => {
                self.namespaces.push(namespace);
                self.namespaces.len() - 1
            }
        };
        if let Some(number) = number {
            self.known.insert(number, (place, left));
        }
    }

    fn note(&mut self, mounts: &[Mount]) {
        for mount in mounts {
            match &mount.kind[..] {
                b"overlay" => {
                    self.repeating.insert(mount.device);
                    self.overlays.entry(mount.device).or_insert_with(|| mount.layers());
                }
                b"btrfs" | b"bcachefs" => {
                    self.repeating.insert(mount.device);
                }
                b"nfs" | b"nfs4" => {
                    self.sources.entry(mount.device).or_default().insert(mount.source.clone());
                }
                _ => {}
            }
        }
    }

    fn finish(self, root: &ProcRoot) -> Places {
        let mut places = Places { denied: self.denied, repeating: self.repeating, ..Places::default() };
        let mut mounted: HashMap<Device, Vec<(usize, bool)>> = HashMap::new();
        for (place, namespace) in self.namespaces.iter().enumerate() {
            for (mount, found) in namespace.mounts.iter().enumerate() {
                let at = At { namespace: place, mount };
                let list = if place == 0 { &mut places.own } else { &mut places.others };
                list.entry(found.device).or_default().of(&found.root).push(at);
                places.mounts.entry(found.number).or_insert(at);
                if self.overlays.contains_key(&found.device) {
                    let is_root = found.point.is_empty();
                    mounted.entry(found.device).or_default().push((place, is_root));
                }
            }
            if let Some(number) = namespace.number {
                places.by_number.insert(number, place);
            }
        }
        // The kernel writes `/` as the root of each mount of NFS.
        let several = self.sources.into_iter().filter(|(_, sources)| sources.len() > 1);
        places.unclear = several.map(|(device, _)| device).collect();
        places.namespaces = self.namespaces;
        let mut finder = LayerFinder { places: &places, root, mounted, known: HashMap::new() };
        let mut overlays: Vec<Overlay> =
            self.overlays.into_iter().map(|(device, layers)| finder.overlay(device, &layers)).collect();
        overlays.sort_by_key(|overlay| overlay.device);
        places.layers = Layers::new(overlays);
        places
    }
}

/// A name for the namespace of a process that is in no known container.
fn namespace_of(process: &Process) -> Arc<str> {
    let name = process.read_name().unwrap_or_default();
    match name.is_empty() {
        true => format!("namespace of {}", process.pid()).into(),
        false => format!("namespace of {} ({})", process.pid(), String::from_utf8_lossy(&name)).into(),
    }
}

/// Finds the directories of layers, of which only the text of a mount option is known.
struct LayerFinder<'p> {
    places: &'p Places,
    root: &'p ProcRoot,
    /// The namespaces in which an overlay is mounted, and whether as their root.
    mounted: HashMap<Device, Vec<(usize, bool)>>,
    /// What was found for a path in a namespace: many overlays share their layers.
    known: HashMap<(usize, Vec<u8>), Option<Within>>,
}

/// A device, and a path within its file system.
type Within = (Device, Vec<u8>);

impl LayerFinder<'_> {
    fn overlay(&mut self, device: Device, layers: &[Layer]) -> Overlay {
        let mounted = self.mounted.get(&device).cloned().unwrap_or_default();
        let mut found: Vec<Directory> = Vec::new();
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
        for layer in layers {
            for namespace in &tried {
                let Some(path) = self.whole_path(device, *namespace, layers, &layer.path) else { continue };
                let Some((on, path)) = self.find(*namespace, path) else { continue };
                let directory = Directory { device: on, path, role: layer.role };
                // No overlay is a layer of itself: in a namespace that has it as its root the path means another file.
                if on != device && !found.contains(&directory) {
                    found.push(directory);
                }
            }
        }
        found.sort_by_key(|layer| layer.role);
        Overlay { device, layers: found, containers: self.containers(&mounted) }
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

    /// The whole path of a layer. Docker names them from its own directory if there are many, and mounts the overlay
    /// next to the upper layer: `upperdir=ID/diff`, mounted on `/var/lib/docker/overlay2/ID/merged`.
    fn whole_path(&self, device: Device, namespace: usize, layers: &[Layer], path: &[u8]) -> Option<Vec<u8>> {
        if path.starts_with(b"/") {
            return Some(trimmed(path).to_vec());
        }
        let upper = layers.iter().find(|layer| layer.role == crate::kernel::mount_table::LayerRole::Upper)?;
        let name = upper.path.get(..memchr::memchr(b'/', &upper.path)?).filter(|name| !name.is_empty())?;
        let wanted = [b"/", name, b"/"].concat();
        let mut mounts = self.places.namespaces.get(namespace)?.mounts.iter().filter(|mount| mount.device == device);
        let base = mounts.find_map(|mount| mount.point.get(..memchr::memmem::rfind(&mount.point, &wanted)?))?;
        Some([base, b"/", path].concat())
    }

    /// The device and the path within of a directory of a namespace.
    fn find(&mut self, namespace: usize, path: Vec<u8>) -> Option<Within> {
        let key = (namespace, path);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let looked_up = if self.root.is_live() { self.look_up(namespace, &key.1) } else { None };
        let found = looked_up.or_else(|| {
            let (mount, within) = self.places.namespaces.get(namespace)?.locate(&key.1)?;
            Some((mount.device, trimmed(&within).to_vec()))
        });
        self.known.insert(key, found.clone());
        found
    }

    /// The same with symbolic links followed, if that needs no answer of a server.
    fn look_up(&self, namespace: usize, path: &[u8]) -> Option<Within> {
        let path = Path::new(OsStr::from_bytes(path));
        let found = match namespace {
            0 => match whereabouts::locate(path).ok()? {
                None => whereabouts::open_name(path).ok()?,
                Some(_) => return None,
            },
            other => {
                let namespace = self.places.namespaces.get(other).filter(|namespace| !namespace.is_served)?;
                Process::open_in(self.root, namespace.pid).ok()?.find_cached(path).ok()?
            }
        };
        let number = found.mount().and_then(|number| str::from_utf8(&number).ok()?.parse().ok())?;
        let Handle::Own(fd) = &found else { return None };
        let real = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?.into_os_string().into_vec();
        let (device, within) = self.places.of_mount(number, &real)?;
        Some((device, trimmed(&within?).to_vec()))
    }
}
