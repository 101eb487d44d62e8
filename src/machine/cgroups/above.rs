//! The limits of the groups above one: they limit it too.

use std::path::Path;

use super::figures::{GroupAmount, GroupFigures, GroupFile, GroupLimit, NOT_READ};
use super::hierarchy::Hierarchy;
use crate::process::{Directory, ProcRoot};
use crate::units::Bytes;

/// A group with a limit, above another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitAbove {
    /// Its path, as in `/proc/PID/cgroup`.
    pub path: Vec<u8>,
    /// Its usage.
    pub usage: Bytes,
    /// Its limit.
    pub limit: Bytes,
}

impl LimitAbove {
    /// How much is left.
    pub fn left(&self) -> Bytes {
        self.limit.saturating_sub(self.usage)
    }
}

/// The groups above the one with this path that have a limit, the closest first. One that cannot be read is left out.
pub fn read_limits_above(root: &ProcRoot, path: &[u8]) -> Vec<LimitAbove> {
    let Ok(hierarchy) = Hierarchy::of_memory(root) else { return Vec::new() };
    let above = std::iter::successors(parent(path), |path| parent(path));
    above.filter_map(|path| read_limit(&hierarchy, path)).collect()
}

/// The path without its last part.
fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = memchr::memrchr(b'/', path).filter(|_| path.len() > 1)?;
    path.get(..slash.max(1))
}

fn read_limit(hierarchy: &Hierarchy, path: &[u8]) -> Option<LimitAbove> {
    let directory: &Path = &hierarchy.directory(path)?;
    let directory = Directory::open(directory).ok()?;
    let read = |file: GroupFile| {
        let name = file.name(hierarchy.version).ok_or(NOT_READ)?;
        directory.read_file(name, 4096).map_err(|_| NOT_READ)
    };
    let figures = GroupFigures::read(hierarchy.version, &[GroupFile::Current, GroupFile::Max], &read);
    let (usage, limit) = (figures.amount(GroupAmount::Usage).ok()?, figures.limit(GroupLimit::Memory).ok()??);
    Some(LimitAbove { path: path.to_vec(), usage, limit })
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
