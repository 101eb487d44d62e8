//! Where the files of a file system are: the path that a user can type for a file of which only the device of its file
//! system and its path there are known.
//!
//! The mounts of this process decide, then those of other mount namespaces (`/proc/PID/mountinfo`, one for each
//! namespace), in which containers have theirs. No file system is asked for its files.

mod above;
mod bases;
mod layers;
mod mounts;
mod read;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use above::{Above, trimmed};
pub use layers::LayerPath;
use layers::Layers;
use mounts::{Device, Mounted, Namespace, or_slash};

use crate::process::NamelessMount;
use crate::units::rest_below;

/// Where a file can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path, as any bytes. If there is a [`pid`](Place::pid), it is one that this process sees; what it leads to is
    /// then `/proc/PID/root` and this path.
    pub path: Vec<u8>,
    /// The container that the file belongs to, such as `docker:0123456789ab` (see
    /// [`container_name`](super::container_name)); for a mount namespace that is in no known container,
    /// `namespace of 412 (systemd-udevd)`. `None`: it is in this process's own namespace and in no container, or
    /// several containers share it.
    pub container: Option<Arc<str>>,
    /// A process in whose mount namespace the path is seen, if it is not seen in that of this process.
    pub pid: Option<u32>,
    /// Whether another mount hides it there, so that the path leads to another file, or to none.
    pub is_hidden: bool,
}

/// A file system, or a part of one, that is in or below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedPart {
    /// The device of the file system.
    pub(crate) device: Device,
    /// The directory there.
    pub(crate) directory: Vec<u8>,
    /// Where it is below the directory that was asked for: empty, or from a `/` on.
    pub(crate) below: Vec<u8>,
}

/// A mount of one of the namespaces.
#[derive(Debug, Clone, Copy)]
struct At {
    namespace: usize,
    mount: usize,
}

/// The mounts of all mount namespaces of a machine.
#[derive(Debug, Default)]
pub struct Places {
    /// The first is that of this process, or in a capture that of its first process.
    namespaces: Vec<Namespace>,
    by_number: HashMap<u64, usize>,
    /// The mounts in our namespace, by what is mounted.
    own: HashMap<Device, Above<Vec<At>>>,
    /// Those in the others.
    others: HashMap<Device, Above<Vec<At>>>,
    /// By the number of the mount.
    mounts: HashMap<u64, At>,
    /// Devices with several mounts of which the list does not tell what part of the file system they are (NFS).
    unclear: HashSet<Device>,
    /// Devices on which several files may have the same inode number (btrfs, overlayfs).
    repeating: HashSet<Device>,
    /// Devices of FUSE, of which each server numbers its files as it likes.
    fuse: HashSet<Device>,
    layers: Layers,
    /// The kernel's own mount of tmpfs, which is in no list of mounts.
    nameless: Option<NamelessMount>,
    denied: u64,
    hides_container: bool,
    is_blind: bool,
}

impl Places {
    /// How many processes did not show their mount namespace to this user. Files that are only in theirs have no path.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// Whether `/proc` does not show all processes, so that not even the number of the other namespaces is known.
    pub(crate) fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Whether a file in which no container was found may be of one that this user does not see. A file to which a path
    /// of this process leads is of another container only if that one has it in an overlay.
    pub(crate) fn may_hide_container(&self, has_own_path: bool) -> bool {
        self.is_blind || if has_own_path { self.hides_container } else { self.denied > 0 }
    }

    /// Where a file is, of which the device of its file system (as in `mountinfo` and `maps`; `stat` may give another
    /// one) and its path within that are known. The path begins with `/` at the root of the file system, on btrfs at
    /// its top subvolume.
    ///
    /// A path in the namespace of this process comes first, then one in another namespace, then one that is hidden
    /// below another mount. Of several, the shortest is given. `None`: it is in no mount, or on NFS, and cannot be
    /// told.
    pub fn find(&self, device: (u32, u32), path: &[u8]) -> Option<Place> {
        self.find_preferring(device, path, |_| false)
    }

    /// The same, where of several paths in the namespace of this process one that is preferred comes before a shorter
    /// one.
    pub(crate) fn find_preferring(
        &self,
        device: Device,
        path: &[u8],
        is_preferred: impl Fn(&[u8]) -> bool + Copy,
    ) -> Option<Place> {
        if self.unclear.contains(&device) {
            return None;
        }
        let path = trimmed(path);
        self.own_place(device, path, false, is_preferred)
            .or_else(|| self.other_place(device, path, false))
            .or_else(|| self.own_place(device, path, true, is_preferred))
            .or_else(|| self.other_place(device, path, true))
    }

    /// Whether a mount that is seen proves that a path exists: one is mounted there or below.
    pub(crate) fn proves(&self, typed: &[u8]) -> bool {
        self.namespaces.first().is_some_and(|own| own.seen_below(typed).next().is_some())
    }

    /// The container that a file in a mount of this process belongs to, as in [`Place::container`].
    pub(crate) fn container(&self, device: Device, path: &[u8]) -> Option<Arc<str>> {
        self.layers.container(device, path)
    }

    /// Everything that this process sees in and below a directory: the directory itself, every mount at or below it
    /// that is not hidden, and for overlays among them the directories of their layers. Each is the device of a file
    /// system and a directory there, without those that are below another one of the list. Symbolic links are not
    /// followed.
    ///
    /// A file of a lower layer may be hidden by one of the upper layer. Layers of an overlay that have only data are
    /// left out, because the names there are others. For an export of NFS the directory is `/`.
    pub fn below(&self, typed: &[u8]) -> Vec<((u32, u32), Vec<u8>)> {
        let Some(own) = self.namespaces.first() else { return Vec::new() };
        let mounts = own.seen_below(typed).map(|mount| (mount.device, mount.within(b"")));
        self.with_layers(self.locate(typed).into_iter().chain(mounts).collect())
    }

    /// These directories and those of the layers of overlays among them, without those that are below another one.
    pub(crate) fn with_layers(&self, mut found: Vec<(Device, Vec<u8>)>) -> Vec<(Device, Vec<u8>)> {
        let layers: Vec<_> = found.iter().flat_map(|(device, path)| self.in_layers(*device, path)).collect();
        found.extend(layers.into_iter().map(|layer| (layer.device, layer.path)));
        for (_, path) in &mut found {
            path.truncate(trimmed(path).len());
        }
        found.sort_unstable();
        found.dedup();
        let mut above: HashMap<Device, Above<()>> = HashMap::new();
        for (device, path) in &found {
            above.entry(*device).or_default().of(path);
        }
        found.retain(|(device, path)| above.get(device).is_some_and(|above| above.above(path).nth(1).is_none()));
        found.into_iter().map(|(device, path)| (device, or_slash(path))).collect()
    }

    /// Whether a path as a process of another mount namespace maps a file leads this process to the same file, as far
    /// as the mounts tell: to the same path of the same file system. The namespace is the number in
    /// `/proc/PID/ns/mnt`; the device is that of the file system, as in `maps`. False if the namespace is not known.
    pub fn is_ours(&self, namespace: u64, device: (u32, u32), typed: &[u8]) -> bool {
        let own = || self.locate(typed).filter(|(leads_to, _)| *leads_to == device);
        match self.by_number.get(&namespace) {
            Some(_) if typed.starts_with(b"/") && !self.unclear.contains(&device) => {
                own().is_some_and(|(_, within)| self.within(Some(namespace), device, typed) == Some(within))
            }
            _ => false,
        }
    }

    /// The device of the file system that a path leads to, as this process types it, and the path within. Symbolic
    /// links are not followed.
    pub fn locate(&self, typed: &[u8]) -> Option<((u32, u32), Vec<u8>)> {
        let (mount, within) = self.namespaces.first()?.locate(typed)?;
        Some((mount.device, within))
    }

    /// The same for a path as processes of a mount namespace see it. `None` also if the namespace is not known.
    pub(crate) fn locate_in(&self, namespace: u64, typed: &[u8]) -> Option<(Device, Vec<u8>)> {
        let (mount, within) = self.namespaces.get(*self.by_number.get(&namespace)?)?.locate(typed)?;
        Some((mount.device, within))
    }

    /// The number of the mount namespace of this process, or the one that stands for it in a capture.
    pub(crate) fn own_namespace(&self) -> Option<u64> {
        self.namespaces.first()?.number
    }

    /// Whether it is not known what part of the file system on this device each mount is.
    pub(crate) fn is_unclear(&self, device: Device) -> bool {
        self.unclear.contains(&device)
    }

    /// Whether a file of an overlay may be a file of a layer, as far as their paths tell.
    pub(crate) fn may_show(&self, overlay: Device, path: &[u8], device: Device, within: &[u8]) -> bool {
        let is_it = |layer: &LayerPath| layer.device == device && layer.path == within;
        let may_be = |end: &[u8]| within.strip_suffix(path).is_some_and(|layer| layer.ends_with(end));
        self.in_layers(overlay, path).iter().any(is_it)
            || self.unplaced_layers().any(|(found, end)| found == overlay && may_be(end))
    }

    /// The paths that a file of an overlay may have in the layers, the uppermost first: in the first of them in which
    /// it exists, it has its pages. Empty if the device is not that of an overlay.
    pub fn in_layers(&self, device: (u32, u32), path: &[u8]) -> Vec<LayerPath> {
        self.layers.below(device, trimmed(path))
    }

    /// The files of overlays that a file of a layer is: the device of the overlay, and the path there.
    pub fn in_overlays(&self, device: (u32, u32), path: &[u8]) -> Vec<LayerPath> {
        self.layers.above(device, trimmed(path))
    }

    /// The layers of overlays that could not be found, because they were named from a directory that is not known, or
    /// are in a mount namespace that is not: the device of the overlay, and the known end of the path of the layer.
    pub fn unplaced_layers(&self) -> impl Iterator<Item = ((u32, u32), &[u8])> {
        self.layers.unplaced()
    }

    /// Whether several files on this device may have the same inode number.
    pub fn repeats_inodes(&self, device: (u32, u32)) -> bool {
        self.repeating.contains(&device)
    }

    /// Whether an inode number is certainly that of one file of this device.
    pub(crate) fn numbers_files(&self, device: Device) -> bool {
        !self.repeats_inodes(device) && !self.fuse.contains(&device)
    }

    /// Whether this is the device of an overlay.
    pub(crate) fn is_overlay(&self, device: Device) -> bool {
        self.layers.has(device)
    }

    /// The devices of all overlays.
    pub(crate) fn overlays(&self) -> impl Iterator<Item = Device> {
        self.layers.devices()
    }

    /// The device that the mount with this number is on, and the path within its file system for a path as a process
    /// with this mount sees it, if it is below the mount.
    pub(crate) fn of_mount(&self, number: u64, typed: &[u8]) -> Option<(Device, Option<Vec<u8>>)> {
        let (_, mount) = self.mount(*self.mounts.get(&number)?)?;
        let below = rest_below(trimmed(typed), &mount.point);
        Some((mount.device, below.map(|rest| mount.within(rest))))
    }

    /// Whether a path as this process types it leads to the mount with this number, and to the path that the kernel
    /// shows. True also if the list of mounts does not tell where such a path leads, as in a chroot.
    pub(crate) fn leads_to(&self, typed: &[u8], number: u64, shown: &[u8]) -> bool {
        let located = self.namespaces.first().and_then(|own| own.locate(typed));
        trimmed(typed) == trimmed(shown) && located.is_none_or(|(mount, _)| mount.number == number)
    }

    /// The same as [`Places::below`] for a directory on the mount with this number, in whatever namespace and even if
    /// it is hidden, at a path as processes there see it; without layers. Empty if that is not known.
    pub(crate) fn below_mount(&self, number: u64, seen: &[u8]) -> Vec<PlacedPart> {
        let seen = trimmed(seen);
        let Some((namespace, mount)) = self.mounts.get(&number).and_then(|at| self.mount(*at)) else {
            return Vec::new();
        };
        // In a chroot a path on the mount of its root may be one from the root of the namespace, or from its own.
        let Some(rest) = rest_below(seen, &mount.point).filter(|_| !mount.is_added) else { return Vec::new() };
        let first = PlacedPart { device: mount.device, directory: mount.within(rest), below: Vec::new() };
        let others = namespace.mounted_below(number, seen).into_iter().filter_map(|mount| {
            let below = rest_below(&mount.point, seen)?.to_vec();
            Some(PlacedPart { device: mount.device, directory: mount.within(b""), below })
        });
        std::iter::once(first).chain(others).collect()
    }

    /// Whether this process is in a chroot on the mount with this number, so that a path on it may be one from its root
    /// directory, or from that of the mount namespace.
    pub(crate) fn is_partly_seen(&self, number: u64) -> bool {
        self.mounts.get(&number).and_then(|at| self.mount(*at)).is_some_and(|(_, mount)| mount.is_added)
    }

    /// The same as [`Places::of_mount`] for a path from the root of the mount namespace of this process, as another
    /// process sees it.
    pub(crate) fn of_mount_outside(&self, number: u64, typed: &[u8]) -> Option<(Device, Vec<u8>)> {
        let (own, others) = self.namespaces.split_first()?;
        let whole = others.iter().find(|other| other.number.is_some() && other.number == own.number)?;
        let mount = whole.mounts.iter().find(|mount| mount.number == number)?;
        let rest = rest_below(trimmed(typed), &mount.point)?;
        Some((mount.device, mount.within(rest)))
    }

    /// Whether the list of mounts tells which part of the file system on this device is mounted.
    pub(crate) fn is_clear(&self, device: Device) -> bool {
        !self.unclear.contains(&device)
    }

    /// Whether a mount with this number is in a list of mounts, or is the kernel's own mount of tmpfs.
    pub(crate) fn has_mount(&self, number: u64) -> bool {
        self.mounts.contains_key(&number) || self.nameless.is_some_and(|nameless| nameless.number == Some(number))
    }

    /// Whether a file system on this device is in a list of mounts, or is that of the kernel's own mount of tmpfs.
    pub(crate) fn has_device(&self, device: Device) -> bool {
        self.is_nameless(device) || self.own.contains_key(&device) || self.others.contains_key(&device)
    }

    /// Whether a file system on this device is mounted in the namespace of this process.
    pub(crate) fn is_own(&self, device: Device) -> bool {
        self.own.contains_key(&device)
    }

    /// Whether this is the device of the kernel's own mount of tmpfs.
    pub(crate) fn is_nameless(&self, device: Device) -> bool {
        self.nameless.is_some_and(|nameless| nameless.device == device)
    }

    /// Whether a file on this device, of which the path within is not known, may be in another file system or at
    /// another inode number: the device is that of a subvolume or of an overlay, or of a file system that is in no list
    /// and may be one of them.
    pub(crate) fn may_be_elsewhere(&self, device: Device) -> bool {
        self.repeats_inodes(device) || device.0 == 0 && !self.has_device(device)
    }

    /// The same for the mount of an open file, which may be the kernel's own mount of tmpfs.
    pub(crate) fn of_descriptor(&self, mount: u64, typed: &[u8]) -> Option<(Device, Option<Vec<u8>>)> {
        let nameless = || self.nameless.filter(|nameless| nameless.number == Some(mount));
        self.of_mount(mount, typed).or_else(|| Some((nameless()?.device, None)))
    }

    /// The path within the file system on a device for a path as a process of this mount namespace maps it.
    pub(crate) fn within(&self, namespace: Option<u64>, device: Device, typed: &[u8]) -> Option<Vec<u8>> {
        let place = namespace.and_then(|number| self.by_number.get(&number)).copied().unwrap_or(0);
        let found = self.namespaces.get(place)?.within(device, typed);
        // A process may hold files of the namespace that it was started in.
        found.or_else(|| self.namespaces.first().filter(|_| place != 0)?.within(device, typed))
    }

    fn mount(&self, at: At) -> Option<(&Namespace, &Mounted)> {
        let namespace = self.namespaces.get(at.namespace)?;
        Some((namespace, namespace.mounts.get(at.mount)?))
    }

    fn own_place(
        &self,
        device: Device,
        path: &[u8],
        is_hidden: bool,
        is_preferred: impl Fn(&[u8]) -> bool,
    ) -> Option<Place> {
        let above = self.own.get(&device)?;
        let paths = above.above(path).flat_map(|(rest, mounts)| mounts.iter().map(move |at| (rest, *at)));
        let typed = paths.filter_map(|(rest, at)| {
            let (_, mount) = self.mount(at)?;
            let typed = mount.typed(rest);
            (mount.hides(trimmed(&typed)) == is_hidden).then_some(typed)
        });
        // The first of several is that of the largest part of the path that is mounted.
        let path_here = typed.min_by_key(|typed| (!is_preferred(typed), typed.len()))?;
        Some(Place { path: path_here, container: self.layers.container(device, path), pid: None, is_hidden })
    }

    fn other_place(&self, device: Device, path: &[u8], is_hidden: bool) -> Option<Place> {
        let above = self.others.get(&device)?;
        let mut paths = above.above(path).flat_map(|(rest, mounts)| mounts.iter().map(move |at| (rest, *at)));
        paths.find_map(|(rest, at)| {
            let (namespace, mount) = self.mount(at)?;
            let typed = mount.typed(rest);
            let place = || Place {
                path: typed.clone(),
                container: Some(Arc::clone(&namespace.name)),
                pid: Some(namespace.pid),
                is_hidden,
            };
            (mount.hides(trimmed(&typed)) == is_hidden).then(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::process::ProcRoot;

    /// A process of a capture: pid, namespace, control group, mounts.
    type Captured<'t> = (u32, u64, &'t str, &'t str);

    fn capture(processes: &[Captured<'_>]) -> Places {
        let top = tempfile::tempdir().unwrap();
        for (pid, namespace, cgroup, mounts) in processes {
            let folder = top.path().join(pid.to_string());
            fs::create_dir_all(folder.join("ns")).unwrap();
            std::os::unix::fs::symlink(format!("mnt:[{namespace}]"), folder.join("ns/mnt")).unwrap();
            std::os::unix::fs::symlink("/", folder.join("root")).unwrap();
            fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
            fs::write(folder.join("comm"), format!("name{pid}\n")).unwrap();
            fs::write(folder.join("mountinfo"), mounts).unwrap();
        }
        Places::read(&ProcRoot::at(top.path().to_owned())).unwrap()
    }

    fn shown(place: Option<Place>) -> String {
        let Some(place) = place else { return "none".to_owned() };
        let pid = place.pid.map_or(String::new(), |pid| format!(" in {pid}"));
        let hidden = if place.is_hidden { " hidden" } else { "" };
        let container = place.container.map_or(String::new(), |name| format!(" [{name}]"));
        format!("{}{pid}{container}{hidden}", place.path.escape_ascii())
    }

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OTHER_ID: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    #[test]
    fn a_path_within_a_file_system_is_found_below_its_mounts() {
        let places = capture(&[(
            1,
            1,
            "/",
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 /@home /home rw - btrfs b rw\n3 1 0:40 / /mnt/top rw - btrfs b rw\n\
             4 1 8:1 /srv/www /var/a\\040long\\040place/www rw - ext4 a rw\n5 2 8:2 / /home/data rw - ext4 c rw\n\
             6 5 8:3 / /home/data rw - ext4 d rw\n7 3 8:4 / /mnt/top/@home rw - ext4 e rw\n",
        )]);
        let find = |device, path: &str| shown(places.find(device, path.as_bytes()));
        assert_eq!(find((8, 1), "/etc/passwd"), "/etc/passwd");
        assert_eq!(find((8, 1), "/"), "/");
        // The shortest of several.
        assert_eq!(find((8, 1), "/srv/www/x"), "/srv/www/x");
        assert_eq!(find((0, 40), "/@home/me/x"), "/home/me/x");
        assert_eq!(find((0, 40), "/@homes/x"), "/mnt/top/@homes/x");
        // Hidden by the mounts on the directories.
        assert_eq!(find((0, 40), "/@home/data/x"), "/home/data/x hidden");
        assert_eq!(find((8, 2), "/x"), "/home/data/x hidden");
        assert_eq!(find((8, 3), "/x"), "/home/data/x");
        assert_eq!(find((8, 9), "/x"), "none");
        assert_eq!(places.locate(b"/home/me"), Some(((0, 40), b"/@home/me".to_vec())));
        assert!(places.repeats_inodes((0, 40)) && !places.repeats_inodes((8, 1)));
        let bytes = places.find((8, 1), b"/srv/\xff\n").unwrap();
        assert_eq!(bytes.path, b"/srv/\xff\n");
    }

    #[test]
    fn other_namespaces_and_containers_are_named() {
        let own = "1 0 8:1 / / rw - ext4 a rw\n";
        let docker = format!("/system.slice/docker-{ID}.scope");
        let places = capture(&[
            (1, 1, "/", own),
            (
                20,
                2,
                "/system.slice/udevd.service",
                "30 0 8:1 / / rw - ext4 a rw\n31 30 0:50 / /run/own rw - tmpfs t rw\n",
            ),
            (30, 3, &docker, "40 0 0:60 / / rw - overlay o rw\n41 40 0:61 / /data rw - tmpfs t rw\n"),
            (31, 3, &docker, "not read"),
        ]);
        let find = |device, path: &str| shown(places.find(device, path.as_bytes()));
        assert_eq!(find((0, 50), "/x"), "/run/own/x in 20 [namespace of 20 (name20)]");
        assert_eq!(find((0, 61), "/x"), "/data/x in 30 [docker:0123456789ab]");
        assert_eq!(find((8, 1), "/x"), "/x");
        assert_eq!(places.denied(), 0);
    }

    #[test]
    fn the_layers_of_a_container_belong_to_it() {
        let (one, other) = (format!("/docker/{ID}"), format!("/docker/{OTHER_ID}"));
        let overlay = |id: &str| {
            let lower = format!("lowerdir=/d/l/base:/d/{id}-image/diff::/d/data");
            format!("overlay overlay rw,{lower},upperdir=/d/{id}/diff,workdir=/d/{id}/work")
        };
        let own = format!(
            "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 /docker /d rw - ext4 b rw\n3 2 0:60 / /d/a/merged rw - {}\n\
             4 2 0:61 / /d/b/merged rw - {}\n",
            overlay("a"),
            overlay("b"),
        );
        let places = capture(&[
            (1, 1, "/", &own),
            (20, 2, &one, &format!("20 0 0:60 / / rw - {}\n", overlay("a"))),
            (30, 3, &other, &format!("30 0 0:61 / / rw - {}\n", overlay("b"))),
            // A copy of our namespace.
            (40, 4, "/", &own.replace("1 0 8", "41 0 8").replace("3 2", "43 2").replace("4 2", "44 2")),
        ]);
        let find = |device, path: &str| shown(places.find(device, path.as_bytes()));
        assert_eq!(find((8, 2), "/docker/a/diff/usr/bin/x"), "/d/a/diff/usr/bin/x [docker:0123456789ab]");
        assert_eq!(find((8, 2), "/docker/b/diff/usr/bin/x"), "/d/b/diff/usr/bin/x [docker:fedcba987654]");
        assert_eq!(find((8, 2), "/docker/b-image/diff/x"), "/d/b-image/diff/x [docker:fedcba987654]");
        assert_eq!(find((8, 2), "/docker/l/base/x"), "/d/l/base/x");
        assert_eq!(find((8, 2), "/docker/a/other/x"), "/d/a/other/x");
        assert_eq!(find((0, 60), "/usr/bin/x"), "/d/a/merged/usr/bin/x [docker:0123456789ab]");
        let paths = |list: Vec<LayerPath>| -> Vec<_> {
            list.into_iter().map(|at| (at.device, String::from_utf8(at.path).unwrap(), at.is_upper)).collect()
        };
        let (upper, base) = ("/docker/a/diff/usr/x".to_owned(), "/docker/l/base/usr/x".to_owned());
        let image = "/docker/a-image/diff/usr/x".to_owned();
        assert_eq!(
            paths(places.in_layers((0, 60), b"/usr/x")),
            [((8, 2), upper, true), ((8, 2), base, false), ((8, 2), image, false)]
        );
        assert_eq!(paths(places.in_layers((8, 2), b"/usr/x")), []);
        let x = || "/usr/x".to_owned();
        assert_eq!(paths(places.in_overlays((8, 2), b"/docker/a/diff/usr/x")), [((0, 60), x(), true)]);
        assert_eq!(
            paths(places.in_overlays((8, 2), b"/docker/l/base/usr/x")),
            [((0, 60), x(), false), ((0, 61), x(), false)]
        );
        assert_eq!(paths(places.in_overlays((8, 2), b"/docker/data/x")), []);
    }

    #[test]
    fn layers_named_from_the_directory_of_docker_are_found() {
        let options = "overlay overlay rw,lowerdir=l/A:l/B,upperdir=abc/diff,workdir=abc/work";
        let places = capture(&[(
            1,
            1,
            "/",
            &format!("1 0 8:1 / / rw - ext4 a rw\n2 1 0:60 / /var/lib/docker/overlay2/abc/merged rw - {options}\n"),
        )]);
        let layers: Vec<_> =
            places.in_layers((0, 60), b"/x").into_iter().map(|at| String::from_utf8(at.path).unwrap()).collect();
        let base = "/var/lib/docker/overlay2";
        assert_eq!(layers, [format!("{base}/abc/diff/x"), format!("{base}/l/A/x"), format!("{base}/l/B/x")]);
    }

    #[test]
    fn an_overlay_on_an_overlay_is_followed_both_ways() {
        let places = capture(&[(
            1,
            1,
            "/",
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:60 / /one rw - overlay o rw,lowerdir=/low,upperdir=/up,workdir=/w\n\
             3 1 0:61 / /two rw - overlay o rw,lowerdir=/one/sub\n",
        )]);
        let paths = |list: Vec<LayerPath>| -> Vec<_> {
            list.into_iter().map(|at| (at.device.1, String::from_utf8(at.path).unwrap())).collect()
        };
        assert_eq!(paths(places.in_layers((0, 61), b"/x")), [(1, "/up/sub/x".into()), (1, "/low/sub/x".into())]);
        assert_eq!(paths(places.in_overlays((8, 1), b"/low/sub/x")), [(60, "/sub/x".into()), (61, "/x".into())]);
    }

    /// A list of directories, by minor device number.
    fn listed(list: Vec<((u32, u32), Vec<u8>)>) -> Vec<String> {
        let mut words: Vec<_> =
            list.into_iter().map(|(device, path)| format!("{} {}", device.1, path.escape_ascii())).collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn what_is_below_a_directory_is_on_several_devices() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 /@home /home rw - btrfs b rw\n\
                      3 2 0:40 /@snapshots /home/old rw - btrfs b rw\n4 2 0:40 /@home/me/x /home/x rw - btrfs b rw\n\
                      5 2 8:2 / /home/data rw - ext4 c rw\n6 5 8:3 /part /home/data rw - ext4 d rw\n\
                      7 5 8:4 / /home/data/deep rw - ext4 e rw\n8 2 8:5 / /homes rw - ext4 f rw\n\
                      9 2 0:60 / /home/me/all rw - overlay o rw,lowerdir=/lo:/srv/lo:/home/lo,upperdir=/up,workdir=/w\n\
                      10 1 0:60 /sub /mnt rw - overlay o rw,lowerdir=/lo:/srv/lo:/home/lo,upperdir=/up,workdir=/w\n";
        let places = capture(&[
            (1, 1, "/", mounts),
            (20, 2, "/", "30 0 8:1 / / rw - ext4 a rw\n31 30 0:50 / /home/tmp rw - tmpfs t rw\n"),
        ]);
        let below = |path: &str| listed(places.below(path.as_bytes()));
        // The bind mount of a part of it adds nothing, and so does the layer that is below it; two mounts are hidden.
        let layers = ["1 /lo", "1 /srv/lo", "1 /up", "3 /part"];
        let home = [&layers[..], &["40 /@home", "40 /@snapshots", "60 /"]].concat();
        assert_eq!(below("/home"), home);
        assert_eq!(below("/home/"), home);
        assert_eq!(below("/home/data/x"), ["3 /part/x"]);
        assert_eq!(below("/home/x/y"), ["40 /@home/me/x/y"]);
        assert_eq!(
            below("/mnt/a"),
            ["1 /lo/sub/a", "1 /srv/lo/sub/a", "1 /up/sub/a", "40 /@home/lo/sub/a", "60 /sub/a"]
        );
        assert_eq!(below("/etc"), ["1 /etc"]);
        assert_eq!(below("/"), ["1 /", "3 /part", "40 /@home", "40 /@snapshots", "5 /", "60 /"]);
        assert_eq!(listed(Places::default().below(b"/")), [""; 0]);
    }

    #[test]
    fn a_path_of_another_namespace_may_mean_the_same_here() {
        let places = capture(&[
            (1, 1, "/", "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /home rw - ext4 b rw\n"),
            (20, 2, "/", "30 0 8:1 / / rw - ext4 a rw\n31 30 0:50 / /home rw - tmpfs t rw\n"),
            // Its root directory is on the same file system as ours.
            (30, 3, "/", "40 0 8:1 /srv/root / rw - ext4 a rw\n41 40 8:1 /etc /etc rw - ext4 a rw\n"),
        ]);
        let is_ours = |namespace, device, path: &str| places.is_ours(namespace, device, path.as_bytes());
        assert!(is_ours(1, (8, 2), "/home/x") && is_ours(2, (8, 1), "/usr/x") && is_ours(3, (8, 1), "/etc/x"));
        assert!(!is_ours(2, (0, 50), "/home/x"));
        assert!(!is_ours(3, (8, 1), "/usr/x"));
        assert!(!is_ours(9, (8, 1), "/usr/x") && !is_ours(1, (8, 1), "usr/x") && !is_ours(1, (8, 1), "/home/x"));
    }

    #[test]
    fn layers_named_from_an_unknown_directory_are_known_by_their_ends() {
        let places = capture(&[(
            1,
            1,
            "/",
            "1 0 8:1 / / rw - ext4 a rw\n2 1 0:60 / /a/ov rw - overlay o rw,lowerdir=lo:../b/lo:/c,upperdir=up\n",
        )]);
        let ends: Vec<_> =
            places.unplaced_layers().map(|(device, end)| (device.1, str::from_utf8(end).unwrap())).collect();
        assert_eq!(ends, [(60, "lo"), (60, "b/lo"), (60, "up")]);
        assert_eq!(places.in_layers((0, 60), b"/x").len(), 1);
    }

    #[test]
    fn several_exports_of_one_server_are_not_guessed() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 / /a rw - nfs4 s:/a rw\n3 1 0:40 / /b rw - nfs4 s:/b rw\n\
                      4 1 0:41 / /c rw - nfs4 s:/c rw\n";
        let places = capture(&[(1, 1, "/", mounts)]);
        assert_eq!(shown(places.find((0, 40), b"/x")), "none");
        assert_eq!(shown(places.find((0, 41), b"/x")), "/c/x");
    }

    #[test]
    fn an_empty_capture_has_no_places() {
        let top = tempfile::tempdir().unwrap();
        let places = Places::read(&ProcRoot::at(top.path().to_owned())).unwrap();
        assert_eq!(places.find((8, 1), b"/x"), None);
        assert!(Places::read(&ProcRoot::at(Path::new("/no/such/place").to_owned())).is_err());
    }

    #[test]
    fn a_file_of_this_machine_is_found() {
        let places = Places::read(&ProcRoot::live()).unwrap();
        let program = std::env::current_exe().unwrap();
        let typed = std::os::unix::ffi::OsStrExt::as_bytes(program.as_os_str());
        let (device, within) = places.locate(typed).unwrap();
        // It may be mounted at several directories.
        let place = places.find(device, &within).unwrap();
        assert!(!place.is_hidden && place.pid.is_none());
        let path = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&place.path);
        let identity = |path: &Path| {
            let found = fs::metadata(path).unwrap();
            (std::os::unix::fs::MetadataExt::dev(&found), std::os::unix::fs::MetadataExt::ino(&found))
        };
        assert_eq!(identity(path.as_ref()), identity(&program));
    }
}
