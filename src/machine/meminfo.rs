//! How much memory can still be used without swapping or being killed: `MemAvailable` of the machine, or less if the
//! control groups of this process limit it. It is an estimate to reject what cannot fit, not a guarantee that the rest
//! fits.

use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, MountInfos};
use procfs::{FromRead, ProcessCGroups};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::{ProcRoot, not_mounted};
use crate::units::Bytes;

/// The memory that this process can still use: `MemAvailable` of `/proc/meminfo`, or less if one of its memory control
/// groups (version 1 or 2, or one above) allows less. Page cache that a group could give back counts as available. For
/// a capture only `MemAvailable` is used.
///
/// # Errors
/// `meminfo` cannot be read; [`ErrorKind::Malformed`]: it is not in the kernel's format; [`ErrorKind::Unsupported`]:
/// it has no `MemAvailable` (kernels before 3.14).
pub fn read_available_memory(root: &ProcRoot) -> Result<Bytes> {
    let (path, text) = read_meminfo(root)?;
    let machine = parse_meminfo(&text, b"MemAvailable")
        .ok_or_else(|| Error::path(&path, ErrorKind::Unsupported, "it has no MemAvailable (new in Linux 3.14)"))?;
    let groups = if root.is_live() { read_group_headroom(root) } else { None };
    Ok(groups.map_or(machine, |groups| machine.min(groups)))
}

/// The text of `meminfo`, and its path.
fn read_meminfo(root: &ProcRoot) -> Result<(PathBuf, Vec<u8>)> {
    let path = root.path().join("meminfo");
    let text = root
        .read_file("meminfo")
        .map_err(|error| not_mounted(root).unwrap_or_else(|| Error::io(Subject::Path(path.clone()), &error)))?;
    if parse_meminfo(&text, b"MemTotal").is_none() {
        return Err(Error::path(&path, ErrorKind::Malformed, "it is not in the kernel's format"));
    }
    Ok((path, text))
}

/// Several amounts of `/proc/meminfo` at one instant, such as `Cached`.
///
/// # Errors
/// `meminfo` cannot be read, or is not in the kernel's format; [`ErrorKind::Unsupported`]: the kernel does not have one
/// of them.
pub(super) fn read_amounts<const COUNT: usize>(root: &ProcRoot, keys: [&str; COUNT]) -> Result<[Bytes; COUNT]> {
    let (path, text) = read_meminfo(root)?;
    let mut amounts = [Bytes(0); COUNT];
    for (amount, key) in amounts.iter_mut().zip(keys) {
        let missing = || Error::path(&path, ErrorKind::Unsupported, format!("it has no {key}"));
        *amount = parse_meminfo(&text, key.as_bytes()).ok_or_else(missing)?;
    }
    Ok(amounts)
}

/// The size of the huge pages that `mmap(2)` uses by default: `Hugepagesize` of `/proc/meminfo`.
///
/// # Errors
/// `meminfo` cannot be read; [`ErrorKind::Unsupported`]: the kernel has none.
pub fn read_huge_page_size(root: &ProcRoot) -> Result<Bytes> {
    let path = root.path().join("meminfo");
    let text = root.read_file("meminfo").map_err(|error| Error::io(Subject::Path(path.clone()), &error))?;
    parse_meminfo(&text, b"Hugepagesize")
        .ok_or_else(|| Error::path(&path, ErrorKind::Unsupported, "this kernel has no huge pages"))
}

/// The value of a line of meminfo, `MemTotal:       16384 kB`.
pub(super) fn parse_meminfo(text: &[u8], key: &[u8]) -> Option<Bytes> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))?.trim_ascii();
    let number = std::str::from_utf8(value.strip_suffix(b" kB")?).ok()?;
    Bytes::from_kib(number.trim().parse().ok()?)
}

/// The smallest headroom of our own memory control groups, up the tree; `None` if none of them is limited or visible.
fn read_group_headroom(root: &ProcRoot) -> Option<Bytes> {
    let groups = ProcessCGroups::from_file(root.path().join("self/cgroup")).ok()?;
    let MountInfos(mounts) = MountInfos::from_file(root.path().join("self/mountinfo")).ok()?;
    let mut least = None;
    for group in groups {
        let version = match &group.controllers[..] {
            [] => Version::Two,
            controllers if controllers.iter().any(|name| name == "memory") => Version::One,
            _ => continue,
        };
        for mount in mounts.iter().filter(|mount| version.is_mounted_by(mount)) {
            let headroom = read_tree_headroom(mount, Path::new(&group.pathname), version);
            least = least.into_iter().chain(headroom).min();
        }
    }
    least
}

/// The smallest headroom from the group `group` up to the root of `mount`.
fn read_tree_headroom(mount: &MountInfo, group: &Path, version: Version) -> Option<Bytes> {
    // In a container the mount may show only a part of the tree: then the root of the mount is a prefix of the group's
    // path. A group outside of it is not visible.
    let below = group.strip_prefix(&mount.root).ok()?;
    let lowest = mount.mount_point.join(below);
    let inside = |directory: &&Path| directory.starts_with(&mount.mount_point);
    lowest.ancestors().take_while(inside).filter_map(|directory| version.read_headroom(directory)).min()
}

/// The two kinds of control groups.
#[derive(Debug, Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Version {
    fn is_mounted_by(self, mount: &MountInfo) -> bool {
        match self {
            Version::One => mount.fs_type == "cgroup" && mount.super_options.contains_key("memory"),
            Version::Two => mount.fs_type == "cgroup2",
        }
    }

    /// The files with the limits and the usage, and the keys in `memory.stat` for the page cache that the group and
    /// those below it could give back.
    fn names(self) -> (&'static [&'static str], &'static str, [&'static str; 2]) {
        match self {
            Version::One => {
                (&["memory.limit_in_bytes"], "memory.usage_in_bytes", ["total_inactive_file", "total_active_file"])
            }
            Version::Two => (&["memory.max", "memory.high"], "memory.current", ["inactive_file", "active_file"]),
        }
    }

    /// The headroom of one group; `None` if it has no limit.
    fn read_headroom(self, directory: &Path) -> Option<Bytes> {
        let (limit, usage, cache) = self.names();
        let limits = limit.iter().filter_map(|limit| read_number(directory.join(limit)));
        let limit = limits.min()?;
        let usage = read_number(directory.join(usage))?;
        let stat = std::fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
        Some(headroom(limit, usage, reclaimable(&stat, cache)))
    }
}

/// The number in a file; `None` for `max` or if it cannot be read.
fn read_number(path: PathBuf) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The page cache in a `memory.stat`, in bytes.
pub(super) fn reclaimable(stat: &str, keys: [&str; 2]) -> u64 {
    let lines = stat.lines().filter_map(|line| line.split_once(' '));
    let wanted = lines.filter(|(key, _)| keys.contains(key));
    wanted.filter_map(|(_, value)| value.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

fn headroom(limit: u64, usage: u64, reclaimable: u64) -> Bytes {
    Bytes(limit.saturating_sub(usage.saturating_sub(reclaimable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(directory: &Path, max: &str, current: &str, stat: &str) {
        std::fs::create_dir_all(directory).unwrap();
        for (name, text) in [("memory.max", max), ("memory.current", current), ("memory.stat", stat)] {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }

    fn mount(at: &Path, root: &str) -> MountInfo {
        MountInfo::from_line(&format!("41 31 0:38 {root} {} rw - cgroup2 cgroup2 rw", at.display())).unwrap()
    }

    #[test]
    fn the_tightest_group_up_the_tree_decides() {
        let top = tempfile::tempdir().unwrap();
        group(&top.path().join("a"), "5000\n", "4500\n", "inactive_file 500\nactive_file 100\nanon 9\n");
        group(&top.path().join("a/b"), "max\n", "10\n", "");
        group(&top.path().join("a/b/c"), "9000\n", "10\n", "");
        let headroom = |group: &str| read_tree_headroom(&mount(top.path(), "/"), Path::new(group), Version::Two);
        assert_eq!(headroom("/a/b/c"), Some(Bytes(1100)));
        assert_eq!(headroom("/a/b"), Some(Bytes(1100)));
        assert_eq!(headroom("/"), None);
        // A group above memory.high is slowed down until it stands still.
        std::fs::write(top.path().join("a/b/memory.high"), "400\n").unwrap();
        assert_eq!(headroom("/a/b/c"), Some(Bytes(390)));
    }

    #[test]
    fn a_mount_may_show_only_a_part_of_the_tree() {
        let top = tempfile::tempdir().unwrap();
        group(top.path(), "5000\n", "1000\n", "");
        let mount = mount(top.path(), "/docker/x");
        assert_eq!(read_tree_headroom(&mount, Path::new("/docker/x"), Version::Two), Some(Bytes(4000)));
        assert_eq!(read_tree_headroom(&mount, Path::new("/elsewhere"), Version::Two), None);
    }

    #[test]
    fn a_group_above_its_limit_has_no_headroom() {
        assert_eq!(headroom(100, 200, 0), Bytes(0));
        assert_eq!(headroom(100, 50, 80), Bytes(100));
    }

    #[test]
    fn this_machine_has_available_memory() {
        let available = read_available_memory(&ProcRoot::live()).unwrap();
        assert!(available.0 > 1 << 20, "{available:?}");
    }

    #[test]
    fn meminfo_of_any_bytes_is_no_panic() {
        assert_eq!(parse_meminfo(b"A: 1 kB\nMemTotal:       16 kB\n", b"MemTotal"), Some(Bytes(16384)));
        for text in
            [&b""[..], b"MemTotal:", b"MemTotal: kB", b"MemTotal: \xff kB", b"MemTotal: 18446744073709551615 kB"]
        {
            assert_eq!(parse_meminfo(text, b"MemTotal"), None);
        }
    }

    #[test]
    fn a_capture_without_meminfo_is_an_error_about_that_file() {
        let empty = tempfile::tempdir().unwrap();
        let error = read_available_memory(&ProcRoot::at(empty.path().to_owned())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().ends_with("meminfo: no such file"), "{error}");
    }
}
