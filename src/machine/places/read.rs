//! Reads the mounts of all mount namespaces, and finds the layers of their overlays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::bases::LayerFinder;
use super::layers::{Layers, Overlay};
use super::mounts::{Device, Namespace};
use super::{At, Places};
use crate::error::{ErrorKind, Result};
use crate::kernel::mount_table::{Layer, Mount};
use crate::machine::container_name;
use crate::process::{ProcRoot, Process, hides_processes, own_root, read_pids, shows_whole_machine};

/// Through how many processes a namespace is read until one is found that sees all of it.
const READERS: u32 = 8;

impl Places {
    /// Reads the mounts of this process and of every other mount namespace that it may see: a link for each process,
    /// and a list for each namespace. In a capture the namespace of the first process that shows its mounts stands for
    /// that of this process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn read(root: &ProcRoot) -> Result<Places> {
        let mut pids = read_pids(root)?;
        pids.sort_unstable();
        let own = match root.is_live() {
            // Another proc file system may be of a pid namespace in which this process is not.
            true => Process::own_in(root).or_else(|_| Process::own())?,
            false => {
                let has_mounts = |process: &Process| process.read_mounts().is_ok_and(|mounts| !mounts.is_empty());
                let first = pids.first().map(|first| Process::open_in(root, *first));
                let mut opened = pids.iter().filter_map(|pid| Process::open_in(root, *pid).ok());
                match (opened.find(has_mounts), first) {
                    (Some(process), _) => process,
                    (None, Some(first)) => first?,
                    (None, None) => return Ok(Places::default()),
                }
            }
        };
        let mut reader = Reader::default();
        reader.add(&own, own.read_mount_namespace().ok().flatten());
        for pid in pids {
            reader.visit(root, pid);
        }
        if root.is_live() {
            reader.add_own_root();
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
    fuse: HashSet<Device>,
    /// What is mounted from a device on NFS.
    sources: HashMap<Device, HashSet<Vec<u8>>>,
    denied: u64,
    /// Whether one of those that were denied may be in a container.
    hides_container: bool,
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
                let process = Process::open_in(root, pid);
                if !process.as_ref().is_ok_and(Process::is_kernel_thread) {
                    self.denied += 1;
                    let cgroup = process.and_then(|process| process.read_cgroup());
                    self.hides_container |= cgroup.map_or(true, |cgroup| container_name(&cgroup).is_some());
                }
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

    /// In a chroot the mount that the root directory is on may be missing. Another process may see it.
    fn add_own_root(&mut self) {
        let Some((own, others)) = self.namespaces.split_first_mut().filter(|(own, _)| !own.is_whole()) else { return };
        let of_same = others.iter().find(|other| other.number.is_some() && other.number == own.number);
        if let (Some(whole), Some((mount, path))) = (of_same, own_root()) {
            own.add_root(whole, (mount, &path));
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
                _ if mount.is_fuse() => {
                    self.fuse.insert(mount.device);
                }
                _ => {}
            }
        }
    }

    fn finish(self, root: &ProcRoot) -> Places {
        let mut places = Places {
            nameless: root.nameless_mount(),
            denied: self.denied,
            hides_container: self.hides_container,
            is_blind: hides_processes(root) || root.is_live() && !shows_whole_machine(root),
            repeating: self.repeating,
            fuse: self.fuse,
            ..Places::default()
        };
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
        let mut finder = LayerFinder::new(&places, root, mounted);
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
