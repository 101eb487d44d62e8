//! The names of memory control groups, by the inode number of their directories, as `kpagecgroup` has it.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::machine::cgroups::Hierarchy;
use crate::process::ProcRoot;

/// How deep groups are looked for. The kernel allows more, and nobody uses it.
const DEEPEST: usize = 64;

/// The groups that this process can see.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupNames(HashMap<u64, Vec<u8>>);

impl GroupNames {
    /// Reads the directories of all groups. In a capture the numbers of directories say nothing.
    pub(super) fn read(root: &ProcRoot) -> GroupNames {
        let mut names = GroupNames::default();
        if !root.is_live() {
            return names;
        }
        // Without a hierarchy no group is charged for anything.
        if let Ok(hierarchy) = Hierarchy::of_memory(root) {
            names.walk(&hierarchy, &hierarchy.point, b"", 0);
        }
        names
    }

    /// Adds the group of a directory, and those below it.
    fn walk(&mut self, hierarchy: &Hierarchy, directory: &Path, below: &[u8], depth: usize) {
        let Ok(found) = std::fs::symlink_metadata(directory) else { return };
        self.0.insert(found.ino(), hierarchy.path_of(if below.is_empty() { b"/" } else { below }));
        let Ok(listed) = std::fs::read_dir(directory) else { return };
        for entry in listed.flatten().filter(|_| depth < DEEPEST) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let own = entry.file_name().into_vec();
                self.walk(hierarchy, &entry.path(), &[below, b"/", &own].concat(), depth + 1);
            }
        }
    }

    /// The path of a group, as `/proc/PID/cgroup` has it.
    pub(super) fn name(&self, inode: u64) -> Vec<u8> {
        self.0.get(&inode).cloned().unwrap_or_else(|| format!("[inode {inode}, not visible here]").into_bytes())
    }
}
