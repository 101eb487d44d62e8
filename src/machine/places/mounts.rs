//! The mounts of one namespace: which of them are seen, and what leads to them.

use std::collections::HashMap;
use std::sync::Arc;

use super::above::{Above, trimmed};
use crate::kernel::mount_table::Mount;
use crate::units::rest_below;

/// A device number, major and minor.
pub(super) type Device = (u32, u32);

/// A mount namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    /// Its number; `None` in a capture without it.
    pub(super) number: Option<u64>,
    /// A process in it.
    pub(super) pid: u32,
    /// The container that this process is in.
    pub(super) container: Option<Arc<str>>,
    /// A name for it, whether it is that of a container or not.
    pub(super) name: Arc<str>,
    pub(super) mounts: Vec<Mounted>,
    /// The mounts by the directories they are on.
    points: Above<Vec<usize>>,
    /// Whether its root directory may not answer.
    pub(super) is_served: bool,
}

/// A mount, with paths that have no `/` at their end.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) number: u64,
    parent: u64,
    pub(super) device: Device,
    /// The directory of the file system that is mounted.
    pub(super) root: Box<[u8]>,
    /// Where it is mounted.
    pub(super) point: Box<[u8]>,
    /// Whether it was added because the root directory is on it, which is no mount point.
    pub(super) is_added: bool,
    /// Whether another mount hides all of it.
    is_hidden: bool,
    /// What is mounted on it, and hides what is below: by directory, the number of the last mount.
    on_it: Option<Box<Above<u64>>>,
}

impl Mounted {
    fn new(mount: &Mount) -> Option<Mounted> {
        let number = |digits: &[u8]| str::from_utf8(digits).ok()?.parse().ok();
        // The directory may have been removed.
        let root = mount.root.strip_suffix(b"//deleted").unwrap_or(&mount.root);
        Some(Mounted {
            number: number(&mount.number)?,
            parent: number(&mount.parent)?,
            device: mount.device,
            root: trimmed(root).into(),
            point: trimmed(&mount.point).into(),
            is_added: false,
            is_hidden: false,
            on_it: None,
        })
    }

    /// Whether another mount hides a path (not of the file system, but as it is typed).
    pub(super) fn hides(&self, typed: &[u8]) -> bool {
        self.is_hidden || self.on_it.as_ref().is_some_and(|on_it| on_it.above(typed).next().is_some())
    }

    /// The path that is typed for the path `rest` below its root.
    pub(super) fn typed(&self, rest: &[u8]) -> Vec<u8> {
        let mut typed = Vec::with_capacity(self.point.len() + rest.len() + 1);
        typed.extend_from_slice(&self.point);
        typed.extend_from_slice(rest);
        or_slash(typed)
    }

    /// The path within the file system for the path `rest` below the directory on which it is mounted.
    pub(super) fn within(&self, rest: &[u8]) -> Vec<u8> {
        or_slash([&self.root, rest].concat())
    }
}

/// The root directory is a path too.
pub(super) fn or_slash(path: Vec<u8>) -> Vec<u8> {
    if path.is_empty() { b"/".to_vec() } else { path }
}

impl Namespace {
    pub(super) fn new(
        number: Option<u64>,
        pid: u32,
        container: Option<Arc<str>>,
        name: Arc<str>,
        mounts: &[Mount],
    ) -> Namespace {
        let is_served = mounts.iter().rfind(|mount| mount.point == b"/").is_none_or(Mount::is_served);
        let mounts = mounts.iter().filter_map(Mounted::new).collect();
        let mut namespace = Namespace { number, pid, container, name, mounts, points: Above::default(), is_served };
        namespace.arrange();
        namespace
    }

    /// Finds what hides what, and what is where.
    fn arrange(&mut self) {
        find_hidden(&mut self.mounts);
        self.points = Above::default();
        for (place, mount) in self.mounts.iter().enumerate() {
            self.points.of(&mount.point).push(place);
        }
    }

    /// Adds the mount that the root directory is on, where that is no mount point, so that no list has it. `whole` is
    /// the same namespace as a process with another root directory sees it, and `path` the root directory there.
    pub(super) fn add_root(&mut self, whole: &Namespace, (number, path): (u64, &[u8])) {
        let Some((mount, within)) = whole.locate(path).filter(|(mount, _)| mount.number == number) else { return };
        let (device, root) = (mount.device, trimmed(&within).into());
        let point = Box::default();
        let (is_added, is_hidden, on_it) = (true, false, None);
        let added = Mounted { number, parent: number, device, root, point, is_added, is_hidden, on_it };
        self.mounts.insert(0, added);
        self.arrange();
    }

    /// Whether its root directory is a mount, so that no mount of the namespace is left out of the list.
    pub(super) fn is_whole(&self) -> bool {
        self.mounts.iter().any(|mount| mount.point.is_empty())
    }

    /// The mount that a typed path leads to, and the path within its file system.
    pub(super) fn locate(&self, typed: &[u8]) -> Option<(&Mounted, Vec<u8>)> {
        let typed = trimmed(typed);
        self.mounts_above(typed).find(|(mount, _)| !mount.hides(typed)).map(|(mount, rest)| (mount, mount.within(rest)))
    }

    /// The mounts at and below a typed directory that are not hidden.
    pub(super) fn seen_below(&self, typed: &[u8]) -> impl Iterator<Item = &Mounted> {
        let typed = trimmed(typed);
        let is_below = |mount: &&Mounted| rest_below(&mount.point, typed).is_some();
        self.mounts.iter().filter(is_below).filter(|mount| !mount.hides(&mount.point))
    }

    /// The mounts below a directory on the mount with this number that are seen from there.
    pub(super) fn mounted_below(&self, number: u64, directory: &[u8]) -> Vec<&Mounted> {
        let is_below =
            |mount: &&Mounted| mount.point.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"));
        let (mut found, mut parents): (Vec<&Mounted>, Vec<u64>) = (Vec::new(), vec![number]);
        while let Some(parent) = parents.pop() {
            let is_new =
                |mount: &&Mounted| mount.parent == parent && !found.iter().any(|one| one.number == mount.number);
            let on_it: Vec<&Mounted> = self.mounts.iter().filter(is_below).filter(is_new).collect();
            parents.extend(on_it.iter().map(|mount| mount.number));
            found.extend(on_it);
        }
        found.retain(|mount| mount.on_it.as_ref().is_none_or(|on_it| on_it.above(&mount.point).next().is_none()));
        found
    }

    /// The path within the file system on a device for a path that leads, or has led, to it.
    pub(super) fn within(&self, device: Device, typed: &[u8]) -> Option<Vec<u8>> {
        let typed = trimmed(typed);
        let mut on_device = self.mounts_above(typed).filter(|(mount, _)| mount.device == device);
        let first = on_device.next()?;
        // A file that is held may be hidden now; but what is seen comes first.
        let (mount, rest) = match first.0.hides(typed) {
            true => on_device.find(|(mount, _)| !mount.hides(typed)).unwrap_or(first),
            false => first,
        };
        Some(mount.within(rest))
    }

    /// The mounts that a typed path may be below, the closest and last one first.
    fn mounts_above<'m, 'p>(&'m self, typed: &'p [u8]) -> impl Iterator<Item = (&'m Mounted, &'p [u8])> {
        let of_place = |place: &usize| self.mounts.get(*place);
        self.points
            .above(typed)
            .flat_map(move |(rest, places)| places.iter().rev().filter_map(of_place).map(move |mount| (mount, rest)))
    }
}

/// Finds which mounts are hidden: those that are mounted below a directory on which, on the same mount, another one was
/// mounted later; and all that is on hidden ones.
fn find_hidden(mounts: &mut [Mounted]) {
    let mut on: HashMap<u64, Above<u64>> = HashMap::new();
    let parents: HashMap<u64, u64> = mounts.iter().map(|mount| (mount.number, mount.parent)).collect();
    for mount in mounts.iter().filter(|mount| mount.parent != mount.number) {
        *on.entry(mount.parent).or_default().of(&mount.point) = mount.number;
    }
    // Whether others on the same mount are in the way.
    let is_covered = |mount: &Mounted| {
        let others = on.get(&mount.parent).map(|others| others.above(&mount.point));
        others.into_iter().flatten().any(|(rest, last)| !rest.is_empty() || *last != mount.number)
    };
    let mut hidden: HashMap<u64, bool> = HashMap::new();
    let covered: HashMap<u64, bool> = mounts.iter().map(|mount| (mount.number, is_covered(mount))).collect();
    for mount in mounts.iter_mut() {
        let (mut chain, mut number) = (Vec::new(), mount.number);
        let is_hidden = loop {
            match (hidden.get(&number), covered.get(&number)) {
                (Some(known), _) => break *known,
                (None, Some(true)) => break true,
                // The mounts above the root directory are not listed. A list in a circle has been damaged.
                (None, None) => break false,
                (None, Some(false)) if chain.contains(&number) => break false,
                (None, Some(false)) => {
                    chain.push(number);
                    number = parents.get(&number).copied().unwrap_or(number);
                }
            }
        };
        hidden.extend(chain.into_iter().chain([mount.number]).map(|number| (number, is_hidden)));
        mount.is_hidden = is_hidden;
    }
    for mount in mounts {
        mount.on_it = on.remove(&mount.number).map(Box::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::damaged;
    use crate::kernel::mount_table::MountTable;
    use proptest::prelude::*;

    fn namespace(text: impl AsRef<[u8]>) -> Namespace {
        let table = MountTable::parse(text.as_ref());
        Namespace::new(Some(1), 1, None, "x".into(), table.mounts())
    }

    proptest! {
        #[test]
        fn the_path_of_a_mount_that_is_seen_leads_to_it(
            text in damaged(&[include_bytes!("../../../tests/checks/seeds/mountinfo/mountinfo.txt")]),
        ) {
            let found = namespace(text);
            let numbers: std::collections::HashSet<u64> = found.mounts.iter().map(|mount| mount.number).collect();
            for mount in &found.mounts {
                let typed = mount.typed(b"/x");
                // In a damaged list two mounts may have one number, or none leads to the root.
                if !mount.hides(trimmed(&typed)) && numbers.len() == found.mounts.len() {
                    prop_assert!(found.locate(&typed).is_some());
                    let root = trimmed(&mount.root);
                    prop_assert_eq!(found.within(mount.device, &typed).is_some(), true, "{}", root.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn a_later_mount_hides_those_below_its_directory() {
        let found = namespace(
            "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /a/b rw - ext4 b rw\n3 1 8:3 / /a rw - ext4 c rw\n\
             4 3 8:4 / /a/b rw - ext4 d rw\n5 2 8:5 / /a/b/c rw - ext4 e rw\n6 4 8:6 / /a/b rw - ext4 f rw\n",
        );
        let hidden: Vec<bool> = found.mounts.iter().map(|mount| mount.is_hidden).collect();
        assert_eq!(hidden, [false, true, false, false, true, false]);
        let at = |path: &str| found.locate(path.as_bytes()).map(|(mount, within)| (mount.device.1, within)).unwrap();
        assert_eq!(at("/a/b/c/d"), (6, b"/c/d".to_vec()));
        assert_eq!(at("/a"), (3, b"/".to_vec()));
        assert_eq!(at("/"), (1, b"/".to_vec()));
        assert!(found.mounts[3].hides(b"/a/b") && !found.mounts[2].hides(b"/a/x"));
        // A process may hold a file that is hidden.
        assert_eq!(found.within((8, 5), b"/a/b/c/d"), Some(b"/d".to_vec()));
        assert_eq!(found.within((8, 9), b"/a/b/c/d"), None);
    }

    #[test]
    fn a_part_of_a_file_system_has_its_paths() {
        let found = namespace("1 0 8:1 /@root / rw - btrfs a rw\n2 1 8:1 /@home//deleted /home rw - btrfs a rw\n");
        let at = |path: &str| found.locate(path.as_bytes()).map(|(_, within)| within).unwrap();
        assert_eq!(at("/home/x"), b"/@home/x");
        assert_eq!(at("/home"), b"/@home");
        assert_eq!(at("/etc/x/"), b"/@root/etc/x");
        assert_eq!(found.mounts[1].typed(b"/x"), b"/home/x");
        assert_eq!(found.mounts[0].typed(b""), b"/");
    }

    #[test]
    fn mounts_in_a_circle_end() {
        let found = namespace("1 2 8:1 / /a rw - ext4 a rw\n2 1 8:2 / /b rw - ext4 a rw\n3 3 8:3 / / rw - ext4 a rw\n");
        assert_eq!(found.mounts.len(), 3);
    }
}
