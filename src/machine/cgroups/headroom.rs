//! How much memory a process can still use before its control groups stop it.

use std::path::Path;

use super::hierarchy::{GroupVersion, Hierarchy};
use super::parse::{parse_ceiling, parse_number, parse_value};
use crate::process::{ProcRoot, Process};
use crate::units::Bytes;

/// The smallest headroom of our own memory control groups, up the tree; `None` if none of them is limited or visible.
pub(in crate::machine) fn read_group_headroom(root: &ProcRoot) -> Option<Bytes> {
    let group = Process::own_in(root).ok()?.read_cgroup().ok()?;
    least_headroom(&Hierarchy::of_memory(root).ok()?, &group)
}

/// The smallest headroom from this group up to the one that is mounted.
fn least_headroom(hierarchy: &Hierarchy, group: &[u8]) -> Option<Bytes> {
    // A group outside of the mounted part of the tree is not visible.
    let lowest = hierarchy.directory(group)?;
    let inside = |directory: &&Path| directory.starts_with(&hierarchy.point);
    let groups = lowest.ancestors().take_while(inside);
    groups.filter_map(|directory| hierarchy.version.read_headroom(directory)).min()
}

impl GroupVersion {
    /// The files with the limits and the usage, and the keys in `memory.stat` for the page cache that the group and
    /// those below it could give back.
    fn names(self) -> (&'static [&'static str], &'static str, [&'static [u8]; 2]) {
        match self {
            GroupVersion::One => {
                (&["memory.limit_in_bytes"], "memory.usage_in_bytes", [b"total_inactive_file", b"total_active_file"])
            }
            GroupVersion::Two => (&["memory.max", "memory.high"], "memory.current", [b"inactive_file", b"active_file"]),
        }
    }

    /// The headroom of one group; `None` if it has no limit.
    fn read_headroom(self, directory: &Path) -> Option<Bytes> {
        let (limit, usage, cache) = self.names();
        let read = |name: &str| std::fs::read(directory.join(name)).ok();
        let limits = limit.iter().filter_map(|limit| parse_ceiling(&read(limit)?)?);
        let limit = limits.min()?;
        let usage = parse_number(&read(usage)?)?;
        let stat = read("memory.stat").unwrap_or_default();
        Some(headroom(limit, usage, reclaimable(&stat, cache)))
    }
}

/// The page cache in a `memory.stat`, in bytes.
pub(in crate::machine) fn reclaimable(stat: &[u8], keys: [&[u8]; 2]) -> u64 {
    keys.iter().filter_map(|key| parse_value(stat, key)).fold(0, u64::saturating_add)
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

    fn mounted(point: &Path, root: &str) -> Hierarchy {
        Hierarchy {
            version: GroupVersion::Two,
            point: point.to_owned(),
            root: root.into(),
            namespace: None,
            is_live: false,
        }
    }

    #[test]
    fn the_tightest_group_up_the_tree_decides() {
        let top = tempfile::tempdir().unwrap();
        group(&top.path().join("a"), "5000\n", "4500\n", "inactive_file 500\nactive_file 100\nanon 9\n");
        group(&top.path().join("a/b"), "max\n", "10\n", "");
        group(&top.path().join("a/b/c"), "9000\n", "10\n", "");
        let headroom = |group: &str| least_headroom(&mounted(top.path(), "/"), group.as_bytes());
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
        let hierarchy = mounted(top.path(), "/docker/x");
        assert_eq!(least_headroom(&hierarchy, b"/docker/x"), Some(Bytes(4000)));
        assert_eq!(least_headroom(&hierarchy, b"/elsewhere"), None);
    }

    #[test]
    fn a_group_above_its_limit_has_no_headroom() {
        assert_eq!(headroom(100, 200, 0), Bytes(0));
        assert_eq!(headroom(100, 50, 80), Bytes(100));
    }
}
