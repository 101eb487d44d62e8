//! Reads the tree of control groups.
//!
//! Groups come and go while it is read. One that is gone is left out and is no failure; what was read of it is not
//! mixed with a new group of the same name, because its directory is held open.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::libc;

use super::above::parent;
use super::figures::{GroupFigures, GroupFile, NOT_READ};
use super::group::ControlGroup;
use super::hierarchy::{GroupVersion, Hierarchy};
use super::parse::parse_pids;
use crate::error::{Error, Result, Subject};
use crate::process::{Directory, GroupChoice, ListedPids, ProcRoot, listed_pids};
use crate::units::{Absent, Figure, Reason};

/// The most that is read of a file; `cgroup.procs` has a line of up to 11 bytes for each process.
const LONGEST: u64 = 1 << 26;

const ROOT_HAS_NONE: Absent = Absent::new(Reason::NotApplicable, "the kernel does not keep it for the root group");
const NO_FILE: Absent = Absent::new(Reason::Unsupported, "this kernel does not report it");
const UNLISTED: Absent = Absent::new(Reason::Unsupported, "version 1 may not list those of other pid namespaces here");
const NOT_CAPTURED: Absent = Absent::new(Reason::Unsupported, "it is not in the capture");
const SWITCHED_OFF: Absent = Absent::new(Reason::Unsupported, "the kernel was started without it");
const DENIED: Absent = Absent::new(Reason::Denied, "its file cannot be read by this user");
const FAILED: Absent = Absent::new(Reason::Unsupported, "its file cannot be read");

/// Reads these files of the groups that are chosen, and of those below them; of all if nothing is chosen. A directory
/// that cannot be read is passed to `fail`.
///
/// # Errors
/// No control groups that account for memory are mounted, or the one that is mounted cannot be read.
pub fn read_groups(
    root: &ProcRoot,
    choice: &GroupChoice,
    files: &[GroupFile],
    fail: &mut dyn FnMut(Error),
) -> Result<Vec<ControlGroup>> {
    let hierarchy = Hierarchy::of_memory(root)?;
    let listed = if files.contains(&GroupFile::Processes) { listed_pids(root) } else { ListedPids::All };
    let mut walk = Walk { hierarchy, choice, files, listed, groups: Vec::new() };
    // Groups that are still to be read, the next one last. None of them is open yet: there may be thousands.
    let top = Place { point: walk.hierarchy.point.clone(), below: b"/".to_vec(), depth: 0, above: None };
    let mut next = vec![top];
    while let Some(place) = next.pop() {
        let directory = match Directory::open(&place.point).map_err(io::Error::from) {
            Ok(directory) => directory,
            Err(error) if place.depth == 0 => return Err(Error::io(Subject::Path(place.point), &error)),
            Err(error) if is_gone(&error) => continue,
            Err(error) => {
                fail(Error::io(Subject::Path(place.point), &error));
                continue;
            }
        };
        let found = Found { directory, place };
        let above = match walk.add(&found) {
            Added::Gone => continue,
            Added::Row(place) => Some(place),
            Added::None => found.place.above,
        };
        let mut names = match found.directory.read_directories() {
            Ok(names) => names,
            Err(error) if is_gone(&error) => continue,
            Err(error) => {
                fail(Error::io(Subject::Path(found.place.point), &error));
                continue;
            }
        };
        names.sort_unstable_by(|one, other| other.cmp(one));
        next.extend(names.into_iter().map(|name| found.place.below(name, above)));
    }
    Ok(walk.finish())
}

/// The same groups, named as in `/proc/PID/cgroup` although they were named by paths below a mount that shows more.
pub(crate) fn as_named_groups(root: &ProcRoot, choice: &GroupChoice) -> GroupChoice {
    let namespace = Hierarchy::of_memory(root).ok().and_then(|hierarchy| hierarchy.namespace);
    namespace.map_or_else(|| choice.clone(), |namespace| choice.shortest_from(&namespace))
}

/// The inode number of the group with this path, or that there is none; `None` if that is not known.
pub(crate) fn group_inode(root: &ProcRoot, path: &[u8]) -> Option<Option<u64>> {
    let directory = Hierarchy::of_memory(root).ok()?.directory(path)?;
    match std::fs::symlink_metadata(directory) {
        Ok(found) => Some(Some(found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}

/// Where a group is. `above` is the place in the list of the group above it, if that is in the list.
struct Place {
    point: PathBuf,
    /// Its path below the mounted group.
    below: Vec<u8>,
    depth: u64,
    above: Option<usize>,
}

impl Place {
    fn below(&self, name: OsString, above: Option<usize>) -> Place {
        let below = [self.below.strip_suffix(b"/").unwrap_or(&self.below), b"/", name.as_bytes()].concat();
        Place { point: self.point.join(name), below, depth: self.depth + 1, above }
    }
}

/// A group whose directory is open.
struct Found {
    directory: Directory,
    place: Place,
}

struct Walk<'w> {
    hierarchy: Hierarchy,
    choice: &'w GroupChoice,
    files: &'w [GroupFile],
    /// Which processes the groups list.
    listed: ListedPids,
    groups: Vec<ControlGroup>,
}

/// What became of a directory.
enum Added {
    /// It was removed meanwhile.
    Gone,
    /// A group at this place of the list.
    Row(usize),
    /// Nothing: it is not chosen, or has no memory control.
    None,
}

impl Walk<'_> {
    fn add(&mut self, found: &Found) -> Added {
        let path = self.hierarchy.path_of(&found.place.below);
        if !self.choice.is_empty() && !self.choice.has_memory_group(&path) {
            return Added::None;
        }
        let is_gone = Cell::new(false);
        let read = |file: GroupFile| self.read(found, file, &is_gone);
        let pids = match self.files.contains(&GroupFile::Processes) {
            true => read(GroupFile::Processes).and_then(|text| self.pids(&text)),
            false => Err(NOT_READ),
        };
        let has_memory = self.has_memory(found);
        let figures = has_memory.then(|| GroupFigures::read(self.hierarchy.version, self.files, &read));
        if is_gone.get() || !has_memory && self.is_removed(found) {
            return Added::Gone;
        }
        let Some(figures) = figures else {
            // Version 2 without memory control: what its processes use is charged to the group above.
            if let Some(Ok(above)) =
                found.place.above.and_then(|above| self.groups.get_mut(above)).map(|above| &mut above.pids)
            {
                above.extend(pids.unwrap_or_default());
            }
            return Added::None;
        };
        let place = self.groups.len();
        self.groups.push(ControlGroup {
            path,
            parent: parent(&found.place.below).map(|above| self.hierarchy.path_of(above)),
            depth: found.place.depth,
            place,
            above: found.place.above,
            size: 1,
            includes_below: self.hierarchy.version.includes_below(&found.directory),
            is_root: self.is_root(found),
            version: self.hierarchy.version,
            figures,
            pids,
            all_pids: Err(NOT_READ),
        });
        Added::Row(place)
    }

    /// The processes of a group, as the root of the processes has them.
    fn pids(&self, text: &[u8]) -> Figure<Vec<u32>> {
        let pids = parse_pids(text);
        match (self.listed, self.hierarchy.version) {
            (ListedPids::All, _) | (ListedPids::Some, GroupVersion::Two) => Ok(pids),
            // Each is one, but which of those that are seen is not known.
            (ListedPids::Others, GroupVersion::Two) => Ok(vec![0; pids.len()]),
            (ListedPids::Some | ListedPids::Others, GroupVersion::One) => Err(UNLISTED),
        }
    }

    /// The text of a file of a group.
    fn read(&self, found: &Found, file: GroupFile, is_gone: &Cell<bool>) -> Figure<Vec<u8>> {
        let name = file.name(self.hierarchy.version).ok_or(NO_FILE)?;
        found.directory.read_file(name, LONGEST).map_err(|error| match error.raw_os_error() {
            Some(libc::ENODEV | libc::ENOENT) if self.is_removed(found) => {
                is_gone.set(true);
                NOT_READ
            }
            Some(libc::ENOENT) if self.hierarchy.version == GroupVersion::Two && self.is_root(found) => ROOT_HAS_NONE,
            Some(libc::ENOENT) if !self.hierarchy.is_live => NOT_CAPTURED,
            Some(libc::ENOENT) => NO_FILE,
            Some(libc::EACCES | libc::EPERM) => DENIED,
            Some(libc::EOPNOTSUPP) => SWITCHED_OFF,
            _ => FAILED,
        })
    }

    /// Whether a directory of a running kernel was removed: every group has a list of processes.
    fn is_removed(&self, found: &Found) -> bool {
        self.hierarchy.is_live && !found.directory.has_file("cgroup.procs")
    }

    /// Whether the group accounts for memory. In version 2 each group decides that for those directly below it.
    fn has_memory(&self, found: &Found) -> bool {
        self.hierarchy.version == GroupVersion::One
            || found.directory.has_file("memory.current")
            || found.directory.has_file("memory.stat")
    }

    /// Whether it is the root of all groups, and not only of those that a namespace or a mount shows.
    fn is_root(&self, found: &Found) -> bool {
        let has = |name| found.directory.has_file(name);
        found.place.depth == 0
            && match self.hierarchy.version {
                GroupVersion::One => has("release_agent") || has("cgroup.sane_behavior"),
                GroupVersion::Two => !has("memory.current"),
            }
    }

    /// The groups, with what the kernel counts for each group alone added up.
    fn finish(self) -> Vec<ControlGroup> {
        let mut groups = self.groups;
        super::own::add_below(&mut groups);
        groups
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) || error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_error_about_a_removed_group_is_told_apart() {
        for code in [libc::ENOENT, libc::ENODEV] {
            assert!(is_gone(&io::Error::from_raw_os_error(code)));
        }
        assert!(!is_gone(&io::Error::from_raw_os_error(libc::EACCES)));
        let error = Error::io(Subject::Words(String::new()), &io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
}
