//! The words for files, groups and nodes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::kernel::cached::{Groups, Name, Part};
use crate::machine::cached::{CachedFile, Counter, Kind};
use crate::units::{Absent, Figure, Reason};

/// What files were found and measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The kernel's lists of inodes and pages.
    Lists,
    /// The files that processes map or have open, measured by cachestat or mincore.
    Processes,
    /// A walk over directories, measured likewise.
    Walk,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 3] = [Method::Lists, Method::Processes, Method::Walk];

    /// Its name in the column.
    pub fn word(self) -> &'static str {
        match self {
            Method::Lists => "pages",
            Method::Processes => "processes",
            Method::Walk => "walk",
        }
    }

    /// The source in a sentence.
    pub fn source(self) -> &'static str {
        match self {
            Method::Lists => "the kernel's lists of inodes and pages (BPF)",
            Method::Processes => "the files that processes map or have open",
            Method::Walk => "a walk over directories",
        }
    }
}

/// The name of a device below `/dev`, from sysfs.
pub(super) fn device_name((major, minor): (u32, u32)) -> Option<Vec<u8>> {
    let text = std::fs::read(format!("/sys/dev/block/{major}:{minor}/uevent")).ok()?;
    let name = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"DEVNAME="))?;
    Some([b"/dev/", name].concat())
}

/// Words for a file on a device that is mounted nowhere.
pub(super) fn within((major, minor): (u32, u32), path: &[u8]) -> Vec<u8> {
    [format!("[{major}:{minor}] ").as_bytes(), path].concat()
}

/// Words for memory without a file, by the name that the kernel gave it.
pub(super) fn memory(kind: Kind, name: &[u8]) -> Vec<u8> {
    let name = name.strip_prefix(b"/").unwrap_or(name);
    if kind == Kind::Memfd { name.to_vec() } else { [b"shared memory ", name].concat() }
}

/// Words for a file that has no path: what it is, and the name that the kernel gave it.
pub(super) fn words(file: &CachedFile, kind: Kind, name: Option<&Name>) -> Vec<u8> {
    let (major, minor) = file.file_system.device;
    let place = || format!("{} {major}:{minor}", file.file_system.kind);
    match (kind, name) {
        (Kind::BlockDevice, _) => device_name(file.device)
            .unwrap_or_else(|| format!("block device {}:{}", file.device.0, file.device.1).into_bytes()),
        (Kind::Memfd | Kind::SharedMemory, Some(name)) => memory(kind, &name.path),
        (_, Some(name)) => [format!("[{}] ", place()).as_bytes(), &name.path].concat(),
        (_, None) => format!("[{}] inode {}", place(), file.number).into_bytes(),
    }
}

const NO_GROUP: Absent = Absent::new(Reason::Unsupported, "there are more control groups than can be read at once");
const NO_GROUP_NAME: Absent = Absent::new(Reason::Unsupported, "the kernel does not tell which group is charged");

/// What stands before the path of a group that was removed. Every path of a group begins with `/`, so none is like it.
pub(super) const REMOVED: &[u8] = b"(removed) ";

/// The path of a group, after a remark if it was removed.
pub(super) fn group_name(number: Option<u32>, groups: &Groups) -> Figure<Vec<u8>> {
    let group = groups.get(&number.ok_or(NO_GROUP)?).ok_or(NO_GROUP_NAME)?;
    let path = group.path.clone().ok_or(NO_GROUP_NAME)?;
    Ok(if group.is_removed { [REMOVED, &path].concat() } else { path })
}

/// The largest of several amounts, by name: `a, b and 2 more`.
fn largest_first<N: PartialEq>(
    parts: &[Part],
    key: impl Fn(&Part) -> N,
    name: impl Fn(&N) -> Figure<Vec<u8>>,
) -> Figure<Vec<u8>> {
    let mut sums: Vec<(N, u64)> = Vec::new();
    for part in parts {
        let (key, pages) = (key(part), part.counts.get(Counter::Pages));
        match sums.iter_mut().find(|(one, _)| *one == key) {
            Some((_, sum)) => *sum = sum.saturating_add(pages),
            None => sums.push((key, pages)),
        }
    }
    sums.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let names: Vec<Vec<u8>> = sums.iter().take(SHOWN).map(|(key, _)| name(key)).collect::<Result<_, _>>()?;
    Ok(joined(&names, sums.len()))
}

/// The groups that are charged for pages, most pages first.
pub(crate) fn group_names(parts: &[Part], groups: &Groups) -> Figure<Vec<u8>> {
    largest_first(parts, |part| part.group, |group| group_name(*group, groups))
}

/// The nodes that pages are on, most pages first.
pub(crate) fn node_names(parts: &[Part]) -> Figure<Vec<u8>> {
    largest_first(parts, |part| part.node, |node| Ok(node.to_string().into_bytes()))
}

/// How many names of several are shown.
pub(super) const SHOWN: usize = 3;

/// Names as a list, of which there are `count` in all.
pub(super) fn joined(names: &[Vec<u8>], count: usize) -> Vec<u8> {
    let mut text = names.join(&b", "[..]);
    if count > names.len() {
        text.extend_from_slice(format!(" and {} more", count - names.len()).as_bytes());
    }
    text
}

/// The path in a process's mount namespace as this process can type it.
pub(crate) fn through(pid: u32, path: &[u8]) -> Vec<u8> {
    let root = format!("/proc/{pid}/root");
    Path::new(&root).as_os_str().as_bytes().iter().chain(path).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cached::{Counts, Group};

    fn part(group: u32, pages: u64) -> Part {
        let mut counts = Counts::default();
        counts.0[Counter::Pages as usize] = pages;
        Part { group: Some(group), node: 0, counts }
    }

    #[test]
    fn groups_are_named_by_how_much_they_are_charged_for() {
        let group = |path: &str, is_removed| Group { key: 1, id: 1, path: Some(path.into()), is_removed };
        let groups: Groups = [(1, group("/a", false)), (2, group("/b", true)), (3, group("/c", false))].into();
        let names = |parts: &[Part]| String::from_utf8(group_names(parts, &groups).unwrap()).unwrap();
        assert_eq!(names(&[part(1, 5), part(2, 9), part(1, 3)]), "(removed) /b, /a");
        assert_eq!(names(&[]), "");
        let unknown = group_names(&[part(1, 1), part(9, 1)], &groups);
        assert!(unknown.is_err(), "a group without a name must not be left out: {unknown:?}");
    }

    #[test]
    fn only_the_largest_of_many_are_named() {
        let names: Vec<Vec<u8>> = ["a", "b", "c"].map(|name| name.as_bytes().to_vec()).to_vec();
        assert_eq!(joined(&names, 3), b"a, b, c");
        assert_eq!(joined(&names, 5), b"a, b, c and 2 more");
    }
}
