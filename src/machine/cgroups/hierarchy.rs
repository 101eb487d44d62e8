//! Where the control groups that account for memory are mounted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::namespace::root_below;
use super::parse::parse_number;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::cached::{from_top, seen_from};
use crate::kernel::mount_table::Mount;
use crate::process::{Directory, ProcRoot, read_mounts};
use crate::units::rest_below;

/// The two kinds of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupVersion {
    /// `memory.usage_in_bytes`
    One,
    /// `memory.current`
    Two,
}

/// A mounted hierarchy of memory control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: GroupVersion,
    /// The directory of the group that is mounted; in a capture below it.
    pub(crate) point: PathBuf,
    /// The path of that group in `/proc/PID/cgroup`: not `/` in a container whose mount shows only its own groups.
    pub(crate) root: Vec<u8>,
    /// If the mount shows more than the control group namespace: the path below the mounted group of the one that is
    /// called `/` there.
    pub(crate) namespace: Option<Vec<u8>>,
    /// Whether it is read from a running kernel.
    pub(crate) is_live: bool,
}

impl GroupVersion {
    /// Its number.
    pub fn number(self) -> u64 {
        match self {
            GroupVersion::One => 1,
            GroupVersion::Two => 2,
        }
    }

    /// Whether a group is charged for those below it. In version 1 it may not be.
    pub(super) fn includes_below(self, group: &Directory) -> bool {
        let setting = || group.read_file("memory.use_hierarchy", 16).ok();
        self == GroupVersion::Two || setting().is_none_or(|text| parse_number(&text) != Some(0))
    }

    /// The version of a mount that may account for memory.
    fn of_mount(mount: &Mount) -> Option<GroupVersion> {
        let version = if mount.kind == b"cgroup2" { GroupVersion::Two } else { GroupVersion::One };
        mount.may_have_memory_groups().then_some(version)
    }
}

impl Hierarchy {
    /// The hierarchy that accounts for memory. If several of its groups are mounted, the one that shows the most.
    ///
    /// # Errors
    /// None is mounted where this process sees it, or in the capture.
    pub(crate) fn of_memory(root: &ProcRoot) -> Result<Hierarchy> {
        let mounts = read_mounts(root);
        let mut found: Vec<Hierarchy> = mounts.iter().filter_map(|mount| Hierarchy::of_mount(root, mount)).collect();
        if mounts.is_empty() && !root.is_live() {
            found = Hierarchy::usual(root);
        }
        found.retain(Hierarchy::has_memory);
        // Stable: the first of equal ones.
        found.sort_by_key(|hierarchy| (hierarchy.version.number(), hierarchy.root.len()));
        let mut found = found.into_iter().next().ok_or_else(|| none(root))?;
        found.namespace = root_below(root, &found.point, &found.root);
        Ok(found)
    }

    /// What is mounted there, with the directory in which to read it.
    fn of_mount(root: &ProcRoot, mount: &Mount) -> Option<Hierarchy> {
        let version = GroupVersion::of_mount(mount)?;
        let point = Path::new(OsStr::from_bytes(&mount.point)).strip_prefix("/").ok()?.to_owned();
        let (point, root_path) = (top(root).join(point), mount.root.clone());
        Some(Hierarchy { version, point, root: root_path, namespace: None, is_live: root.is_live() })
    }

    /// Where hierarchies are usually mounted, for a capture that has no list of mounts.
    fn usual(root: &ProcRoot) -> Vec<Hierarchy> {
        let at = |version, place| Hierarchy {
            version,
            point: root.system_path().join(place),
            root: b"/".to_vec(),
            namespace: None,
            is_live: root.is_live(),
        };
        vec![at(GroupVersion::One, "fs/cgroup/memory"), at(GroupVersion::Two, "fs/cgroup")]
    }

    /// Whether it accounts for memory: version 2 has the controller only if version 1 has not.
    fn has_memory(&self) -> bool {
        match self.version {
            GroupVersion::One => self.point.join("memory.stat").is_file(),
            GroupVersion::Two => {
                let listed = self.point.join("cgroup.controllers");
                let listed = Some(listed).filter(|path| path.is_file()).and_then(|path| std::fs::read(path).ok());
                listed.is_some_and(|text| text.trim_ascii().split(|byte| *byte == b' ').any(|name| name == b"memory"))
                    || self.point.join("memory.stat").is_file() && !self.is_live
            }
        }
    }

    /// The directory of the group with this path in `/proc/PID/cgroup`; `None` if it is not below the mounted one.
    pub(crate) fn directory(&self, group: &[u8]) -> Option<PathBuf> {
        let below = self.below(group)?;
        let below = Path::new(OsStr::from_bytes(&below)).strip_prefix("/").ok()?;
        Some(if below.as_os_str().is_empty() { self.point.clone() } else { self.point.join(below) })
    }

    /// The path below the mounted group of the one with this path in `/proc/PID/cgroup`; `None` if it is not there.
    pub(super) fn below(&self, group: &[u8]) -> Option<Vec<u8>> {
        match &self.namespace {
            Some(namespace) => from_top(namespace, group),
            None => {
                let below = rest_below(group, &self.root).filter(|below| rest_below(below, b"/..").is_none())?;
                Some(if below.is_empty() { b"/".to_vec() } else { below.to_vec() })
            }
        }
    }

    /// The path in `/proc/PID/cgroup` of the group with this path below the mounted one, which is `/`.
    pub(crate) fn path_of(&self, below: &[u8]) -> Vec<u8> {
        let root = self.root.strip_suffix(b"/").unwrap_or(&self.root);
        match &self.namespace {
            Some(namespace) => seen_from(namespace, below),
            None if below == b"/" => self.root.clone(),
            None => [root, below].concat(),
        }
    }
}

/// The directory that is `/`: of this machine, or of the captured one.
fn top(root: &ProcRoot) -> PathBuf {
    let system = root.system_path();
    system.parent().map_or_else(|| system.clone(), Path::to_owned)
}

fn none(root: &ProcRoot) -> Error {
    let why = "no control groups that account for memory are mounted";
    let error = Error::new(Subject::Words("control groups".to_owned()), ErrorKind::Unsupported, why);
    match root.is_live() {
        true if !root.system_path().join("kernel").is_dir() => {
            let why = "it is not mounted, so no control groups can be read";
            Error::path(&root.system_path(), ErrorKind::Unsupported, why)
                .with_advice("mount it: mount -t sysfs sysfs /sys")
        }
        true => error.with_advice("mount them: mount -t cgroup2 none /sys/fs/cgroup"),
        false => {
            let why = "it has no control groups that account for memory";
            Error::new(Subject::Words("the capture".to_owned()), ErrorKind::NotFound, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mount_table::parse_mount;

    /// A capture in which process 1 has this list of mounts.
    fn captured(mounts: &str, files: &[&str]) -> (tempfile::TempDir, ProcRoot) {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("proc/1")).unwrap();
        std::fs::write(top.path().join("proc/1/mountinfo"), mounts).unwrap();
        for file in files {
            let path = top.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "cpu memory pids\n").unwrap();
        }
        let root = ProcRoot::at(top.path().join("proc"));
        (top, root)
    }

    #[test]
    fn the_controller_is_found_wherever_it_is_mounted() {
        let co_mounted = "30 1 0:9 / /dev/groups rw - cgroup none rw,cpu,memory\n31 1 0:8 / /u rw - cgroup2 none rw\n";
        let (top, root) = captured(co_mounted, &["dev/groups/memory.stat", "u/cgroup.controllers"]);
        let found = Hierarchy::of_memory(&root).unwrap();
        assert_eq!((found.version, found.point), (GroupVersion::One, top.path().join("dev/groups")));

        // Of two mounts of one hierarchy, the one that shows more.
        let parts = "30 1 0:9 /docker/x /a rw - cgroup2 none rw\n31 1 0:9 / /b\\040c rw - cgroup2 none rw\n";
        let (top, root) = captured(parts, &["a/cgroup.controllers", "b c/cgroup.controllers"]);
        let found = Hierarchy::of_memory(&root).unwrap();
        assert_eq!((found.version, found.point), (GroupVersion::Two, top.path().join("b c")));

        // Version 2 beside version 1 without the controller.
        let (_top, root) = captured("31 1 0:9 / /b rw - cgroup2 none rw\n", &["b/x"]);
        assert_eq!(Hierarchy::of_memory(&root).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_mount_may_show_only_a_part_of_the_tree() {
        let mount = parse_mount(b"41 31 0:38 /docker/x /m rw - cgroup2 cgroup2 rw").unwrap();
        let hierarchy = Hierarchy::of_mount(&ProcRoot::at("/capture/proc".into()), &mount).unwrap();
        assert_eq!(hierarchy.directory(b"/docker/x"), Some("/capture/m".into()));
        assert_eq!(hierarchy.directory(b"/docker/x/y"), Some("/capture/m/y".into()));
        assert_eq!(hierarchy.directory(b"/docker/xy"), None);
        assert_eq!(hierarchy.directory(b"/docker/x/../y"), None);
    }

    #[test]
    fn a_mount_may_show_more_than_the_namespace() {
        let mount = parse_mount(b"41 31 0:38 /.. /m rw - cgroup2 cgroup2 rw").unwrap();
        let hierarchy = Hierarchy::of_mount(&ProcRoot::at("/capture/proc".into()), &mount).unwrap();
        let inside = Hierarchy { namespace: Some(b"/x".to_vec()), ..hierarchy };
        for (group, directory, below) in
            [("/", "/capture/m/x", "/x"), ("/y", "/capture/m/x/y", "/x/y"), ("/..", "/capture/m", "/")]
        {
            assert_eq!(inside.directory(group.as_bytes()), Some(directory.into()));
            assert_eq!(inside.path_of(below.as_bytes()), group.as_bytes());
        }
        assert_eq!(inside.directory(b"/../.."), None);
    }
}
