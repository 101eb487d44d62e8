//! What the kernel's lists say about cached files and their pages, whoever reads them.

use std::collections::HashMap;
use std::ops::Range;

/// An inode, as the list of inodes found it. The programs check that it is still the same one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// Its address in the kernel.
    pub(crate) address: u64,
    /// The address of its super block.
    pub(crate) super_block: u64,
    /// Its number.
    pub(crate) number: u64,
    /// Distinguishes the files that are given the same number one after the other.
    pub(crate) generation: u32,
}

/// Pages of an inode, by their place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The inode.
    pub(crate) target: Target,
    /// Which of its pages. Neither end may lie within a large folio, which is counted where it begins.
    pub(crate) pages: Range<u64>,
}

impl From<Target> for Stretch {
    /// All of its pages.
    fn from(target: Target) -> Stretch {
        Stretch { target, pages: 0..u64::MAX }
    }
}

/// The names of an inode and of the directories above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The path from the root of the file system, or from wherever the names end.
    pub(crate) path: Vec<u8>,
    /// Whether the path begins at the root of the file system.
    pub(crate) is_rooted: bool,
    /// Whether the name was removed.
    pub(crate) is_deleted: bool,
}

/// What was found out about the name of an inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    /// Its name; `None` if none is in memory.
    pub(crate) name: Option<Name>,
    /// How many names it had on disk at that instant; `None` if it was gone: being freed, or another inode already.
    pub(crate) links: Option<u32>,
}

/// What is counted of cached pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Counter {
    /// All.
    Pages,
    /// Their content was read or written completely.
    UpToDate,
    /// They must be written to disk (the tag of the tree of pages, as `cachestat(2)` counts).
    Dirty,
    /// They are being written.
    Writeback,
    /// They are on the active list.
    Active,
    /// They were referenced since the kernel last looked.
    Referenced,
    /// They are never reclaimed: locked, or of ramfs.
    Unevictable,
    /// Someone locked them with `mlock(2)`.
    Locked,
    /// They can only be written to swap: shared memory.
    SwapBacked,
    /// They are part of a large folio.
    Large,
    /// Someone maps them.
    Mapped,
    /// They are part of a large folio of which this kernel does not say how much is mapped.
    MappedUnknown,
}

/// How many counters there are.
pub(crate) const COUNTERS: usize = 12;

/// Counts of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts(pub(crate) [u64; COUNTERS]);

impl Counts {
    /// One of the counts.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Counts) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(count);
        }
    }
}

/// The cached pages of one file that are charged to one group and lie on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The number of the group in [`Groups`]; `None` if there are too many groups.
    pub(crate) group: Option<u32>,
    /// The NUMA node.
    pub(crate) node: u32,
    /// The counts.
    pub(crate) counts: Counts,
}

/// The result for one file, or a stretch of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FilePages {
    /// `nrpages` before it was read.
    pub(crate) before: u64,
    /// `nrpages` after it was read.
    pub(crate) after: u64,
    /// Its length in bytes after it was read.
    pub(crate) size: u64,
    /// Whether it had another length before.
    pub(crate) is_resized: bool,
    /// How many pages were evicted and are remembered; of shared memory: how many are in swap.
    pub(crate) evicted: u64,
    /// How many folios left the file while they were read.
    pub(crate) raced: u32,
    /// Whether it was read; otherwise it is another inode now, or the time was over.
    pub(crate) is_read: bool,
    /// Whether it is another inode now.
    pub(crate) is_gone: bool,
    /// Its pages.
    pub(crate) parts: Vec<Part>,
}

impl FilePages {
    /// Adds another stretch of the same file.
    pub(crate) fn add(&mut self, other: FilePages) {
        // The least and the most, so that the whole has changed if a piece has.
        let all = [self.before, self.after, other.before, other.after];
        let bounds = all.into_iter().fold((u64::MAX, 0), |(least, most), one| (least.min(one), most.max(one)));
        (self.before, self.after) = bounds;
        self.is_resized |= other.is_resized || self.size != other.size;
        self.size = other.size;
        self.evicted = self.evicted.saturating_add(other.evicted);
        self.raced = self.raced.saturating_add(other.raced);
        self.is_read &= other.is_read;
        self.is_gone |= other.is_gone;
        other.parts.into_iter().for_each(|part| self.add_part(part));
    }

    /// Adds pages to those of the same group and node.
    pub(crate) fn add_part(&mut self, part: Part) {
        match self.parts.iter_mut().find(|other| (other.group, other.node) == (part.group, part.node)) {
            Some(other) => other.counts.add(&part.counts),
            None => self.parts.push(part),
        }
    }

    /// The sums over all parts.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.parts.iter().for_each(|part| sum.add(&part.counts));
        sum
    }
}

/// A memory control group that pages are charged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// What its pages are charged to, an address in the kernel, with the lowest bit set: no other group has it.
    pub(crate) key: u64,
    /// The inode number of its directory.
    pub(crate) id: u64,
    /// Its path as `/proc/PID/cgroup` shows it to this process, from the root of its namespace; `None` if it could not
    /// be read, or pages are charged to nobody.
    pub(crate) path: Option<Vec<u8>>,
    /// Whether it was removed.
    pub(crate) is_removed: bool,
}

/// The groups that were met, by number.
pub(crate) type Groups = HashMap<u32, Group>;

/// Pages of one file in a row that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRun {
    /// The first page.
    pub(crate) index: u64,
    /// How many.
    pub(crate) pages: u64,
    /// The number of the group; `None` if there are too many groups.
    pub(crate) group: Option<u32>,
    /// The NUMA node.
    pub(crate) node: u32,
    /// How many of the pages are mapped.
    pub(crate) mapped: u64,
    /// A bit for each counter that they count for.
    pub(crate) flags: u32,
}

impl PageRun {
    /// Whether the pages are not cached any more: only that they were is remembered.
    pub(crate) fn is_evicted(&self) -> bool {
        self.flags & 1 << Counter::Pages as u32 != 0
    }

    /// Whether the pages count for `counter`.
    pub(crate) fn is(&self, counter: Counter) -> bool {
        self.flags >> counter as u32 & 1 != 0
    }
}

/// The path of a group as `/proc` shows it to a process whose namespace has this root: for a group that is not below
/// the root, with a `..` for each group that the kernel goes up first.
pub(crate) fn seen_from(root: &[u8], path: &[u8]) -> Vec<u8> {
    let common = names(root).zip(names(path)).take_while(|(one, other)| one == other).count();
    let up = names(root).skip(common).map(|_| &b".."[..]);
    let seen: Vec<u8> = up.chain(names(path).skip(common)).flat_map(|name| [b"/", name].concat()).collect();
    if seen.is_empty() { b"/".to_vec() } else { seen }
}

/// The path from the root of all groups of what such a process calls so; `None` if it leads further up.
pub(crate) fn from_top(root: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let up = names(path).take_while(|name| *name == b"..").count();
    let kept = names(root).count().checked_sub(up)?;
    let path: Vec<u8> =
        names(root).take(kept).chain(names(path).skip(up)).flat_map(|name| [b"/", name].concat()).collect();
    Some(if path.is_empty() { b"/".to_vec() } else { path })
}

/// The path of a group as `/proc` shows it to such a process, for one that may go up further than is needed.
pub(crate) fn shortest_from(root: &[u8], path: &[u8]) -> Vec<u8> {
    from_top(root, path).map_or_else(|| path.to_vec(), |path| seen_from(root, &path))
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_from_the_root_of_the_namespace() {
        for (root, path, expected) in [
            ("/", "/", "/"),
            ("/", "/a/b", "/a/b"),
            ("/a/b", "/a/b", "/"),
            ("/a/b", "/a/b/c/d", "/c/d"),
            ("/a/b", "/a/bc", "/../bc"),
            ("/a/b", "/", "/../.."),
            ("/a/b", "/x/b", "/../../x/b"),
        ] {
            let seen = seen_from(root.as_bytes(), path.as_bytes());
            assert_eq!(seen.escape_ascii().to_string(), expected, "{path} from {root}");
            assert_eq!(from_top(root.as_bytes(), &seen).unwrap(), path.as_bytes(), "{path} from {root}");
        }
        for (path, expected) in [
            ("/../../a/b/c", "/c"),
            ("/../..", "/../.."),
            ("/../b", "/"),
            ("/../x", "/../x"),
            ("/../../../x", "/../../../x"),
        ] {
            let shortest = shortest_from(b"/a/b", path.as_bytes());
            assert_eq!(shortest.escape_ascii().to_string(), expected, "{path}");
        }
    }
}
