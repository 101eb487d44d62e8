//! What limits a group besides its own figures: the groups above it, and how readily the kernel swaps.

use std::path::Path;

use super::figures::{GroupFigures, GroupFile, NOT_READ};
use super::hierarchy::{GroupVersion, Hierarchy};
use super::parse::parse_number;
use crate::process::{Directory, ProcRoot};

/// A group above another one.
#[derive(Debug, Clone)]
pub struct GroupAbove {
    /// Its path, as in `/proc/PID/cgroup`.
    pub path: Vec<u8>,
    /// Its usage, its swap, and the limits of both.
    pub figures: GroupFigures,
}

const FILES: &[GroupFile] = &[
    GroupFile::Current,
    GroupFile::Max,
    GroupFile::High,
    GroupFile::SwapCurrent,
    GroupFile::SwapMax,
    GroupFile::MemorySwapMax,
    // Version 1 has its swap there.
    GroupFile::Stat,
];

/// The groups above the one with this path whose limits are also its own, the closest first, up to one that cannot be
/// read.
pub fn read_groups_above(root: &ProcRoot, path: &[u8]) -> Vec<GroupAbove> {
    let Ok(hierarchy) = Hierarchy::of_memory(root) else { return Vec::new() };
    let below = hierarchy.below(path).unwrap_or_default();
    let above = std::iter::successors(parent(&below), |path| parent(path));
    above.map_while(|below| read_group(&hierarchy, &hierarchy.path_of(below))).collect()
}

/// How readily the kernel swaps out memory of the group with this path, from 0 to 200: `memory.swappiness` in version
/// 1, `/proc/sys/vm/swappiness` in version 2; `None` if that cannot be read.
pub fn read_swappiness(root: &ProcRoot, path: &[u8]) -> Option<u64> {
    let hierarchy = Hierarchy::of_memory(root).ok()?;
    parse_number(&match hierarchy.version {
        GroupVersion::One => std::fs::read(hierarchy.directory(path)?.join("memory.swappiness")).ok()?,
        GroupVersion::Two => root.read_file("sys/vm/swappiness").ok()?,
    })
}

/// The path without its last part.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = memchr::memrchr(b'/', path).filter(|_| path.len() > 1)?;
    path.get(..slash.max(1))
}

/// `None` if it cannot be read, and for one that is not charged for those below it, as version 1 can have them.
fn read_group(hierarchy: &Hierarchy, path: &[u8]) -> Option<GroupAbove> {
    let directory: &Path = &hierarchy.directory(path)?;
    let directory = Directory::open(directory).ok()?;
    if !hierarchy.version.includes_below(&directory) {
        return None;
    }
    let read = |file: GroupFile| {
        let name = file.name(hierarchy.version).ok_or(NOT_READ)?;
        directory.read_file(name, 1 << 16).map_err(|_| NOT_READ)
    };
    Some(GroupAbove { path: path.to_vec(), figures: GroupFigures::read(hierarchy.version, FILES, &read) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_above_end_at_the_root() {
        let above: Vec<&[u8]> = std::iter::successors(parent(b"/a/b/c"), |path| parent(path)).collect();
        assert_eq!(above, [&b"/a/b"[..], b"/a", b"/"]);
        assert_eq!(parent(b"/"), None);
    }
}
