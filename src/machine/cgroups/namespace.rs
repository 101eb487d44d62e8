//! Which of the mounted groups `/proc` calls `/`, in a control group namespace whose mount shows more than its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::parse::parse_pids;
use crate::process::{Directory, ListedPids, ProcRoot, listed_pids, read_memory_group};
use crate::units::rest_below;

/// The path of that group below the one with the path `mounted`, which is mounted at `point`. `None` if the mount shows
/// nothing else, or if no process tells: the kernel says only how many groups are above it, and a process in it is
/// called so in both places.
pub(super) fn root_below(root: &ProcRoot, point: &Path, mounted: &[u8]) -> Option<Vec<u8>> {
    let up = levels_up(mounted).filter(|_| root.is_live() && listed_pids(root) != ListedPids::Others)?;
    let mut next = vec![(Vec::new(), 0)];
    while let Some((path, depth)) = next.pop() {
        let below: &[u8] = path.strip_prefix(b"/").unwrap_or(&path);
        let Ok(directory) = Directory::open(&point.join(Path::new(OsStr::from_bytes(below)))) else {
            continue;
        };
        if let Some(found) = told_in(root, &directory, &path, up).filter(|_| depth >= up) {
            return Some(found);
        }
        let names = directory.read_directories().unwrap_or_default();
        next.extend(names.iter().map(|name| ([&path, &b"/"[..], name.as_bytes()].concat(), depth + 1)));
    }
    None
}

/// How many groups a path leads upwards, if it does nothing else.
fn levels_up(path: &[u8]) -> Option<usize> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    (!names.is_empty() && names.iter().all(|name| *name == b"..")).then_some(names.len())
}

/// What the tasks of a group with this path below the mount tell.
fn told_in(root: &ProcRoot, group: &Directory, path: &[u8], up: usize) -> Option<Vec<u8>> {
    // Threads of one process may be in several groups of version 1.
    let list = if group.has_file("tasks") { "tasks" } else { "cgroup.procs" };
    let read = || group.read_file(list, 1 << 20).map(|text| parse_pids(&text)).unwrap_or_default();
    let told = |task: &u32| namespace_root(path, &read_memory_group(root, *task)?, up);
    // One that was moved meanwhile tells nothing.
    read().into_iter().filter(|task| *task > 0).find_map(|task| told(&task).filter(|_| read().contains(&task)))
}

/// The path of the root that is `up` groups below the mount, if a group with this path below the mount is called `seen`
/// from there.
fn namespace_root(path: &[u8], seen: &[u8], up: usize) -> Option<Vec<u8>> {
    let seen = if seen == b"/" { b"" } else { seen };
    let root = path.strip_suffix(seen).filter(|_| rest_below(seen, b"/..").is_none())?;
    (root.iter().filter(|byte| **byte == b'/').count() == up).then(|| root.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_namespace_is_as_far_below_the_mount_as_the_kernel_says() {
        assert_eq!([levels_up(b"/"), levels_up(b"/../.."), levels_up(b"/../x")], [None, Some(2), None]);
        let found = |path: &str, seen: &str| namespace_root(path.as_bytes(), seen.as_bytes(), 2);
        assert_eq!(found("/a/b", "/"), Some(b"/a/b".to_vec()));
        assert_eq!(found("/a/b/c", "/c"), Some(b"/a/b".to_vec()));
        for (path, seen) in [("/a", "/"), ("/a/b/c", "/"), ("/a/b/c", "/d"), ("/a/x", "/../x"), ("/a/..", "/..")] {
            assert_eq!(found(path, seen), None, "{path} {seen}");
        }
    }
}
