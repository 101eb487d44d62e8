//! What is true of the whole machine: files of `/proc`, control groups, NUMA nodes, and the settings of memory.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::entry::{Entry, is_denied};
use crate::process::{ProcRoot, Process};

/// Files of `/proc`.
const MACHINE: &[&str] = &[
    "buddyinfo",
    "filesystems",
    "loadavg",
    "locks",
    "meminfo",
    "pressure/cpu",
    "pressure/io",
    "pressure/memory",
    "slabinfo",
    "swaps",
    "sys/fs/inode-nr",
    "sys/kernel/osrelease",
    "sys/kernel/random/boot_id",
    "sys/vm/max_map_count",
    "sys/vm/min_free_kbytes",
    "sys/vm/overcommit_memory",
    "sys/vm/overcommit_ratio",
    "sys/vm/swappiness",
    "sysvipc/shm",
    "uptime",
    "version",
    "vmstat",
    "zoneinfo",
];

/// Directories of `/sys`, which of their files, and how deep.
const SYSTEM: &[(&str, &[&str], usize)] = &[
    ("devices/system/node", &["meminfo", "numastat", "vmstat", "distance", "cpulist", "online", "possible"], 1),
    ("kernel/mm/ksm", &[""], 0),
    ("kernel/mm/transparent_hugepage", &[""], 1),
    ("kernel/mm/hugepages", &[""], 1),
    ("kernel/mm/lru_gen", &[""], 0),
    ("module/zswap/parameters", &[""], 0),
    // The files behind loop devices, and memory that is a disk.
    ("block", &["backing_file", "mm_stat", "disksize"], 2),
];

/// Files of control groups begin with one of these.
const OF_GROUPS: &[&str] = &["memory.", "cgroup.", "hugetlb."];

/// Files of control groups that are not for reading, or say what other files do.
const NOT_OF_GROUPS: &[&str] = &["cgroup.event_control", "cgroup.threads", "memory.pressure_level"];

/// How deep control groups are nested at most.
const DEEPEST: usize = 64;

/// No file here is longer.
const LONGEST: u64 = 64 << 20;

/// Passes on each file of the machine.
///
/// # Errors
/// What `add` returns.
pub(super) fn read<E>(root: &ProcRoot, mut add: impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
    for name in MACHINE {
        file(&root.path().join(name), format!("proc/{name}").into_bytes(), &mut add)?;
    }
    let system = root.system_path();
    for (below, names, depth) in SYSTEM {
        let is_wanted = |name: &str| names.contains(&"") || names.contains(&name);
        directory(&system.join(below), &system, *depth, &is_wanted, &mut add)?;
    }
    let is_wanted =
        |name: &str| OF_GROUPS.iter().any(|start| name.starts_with(start)) && !NOT_OF_GROUPS.contains(&name);
    for top in memory_groups(root).iter().filter(|top| top.starts_with(&system)) {
        directory(top, &system, DEEPEST, &is_wanted, &mut add)?;
    }
    Ok(())
}

/// Where the hierarchies of control groups with the memory controller are mounted.
fn memory_groups(root: &ProcRoot) -> Vec<PathBuf> {
    let mounts = Process::own_in(root).and_then(|own| own.read_mounts()).unwrap_or_default();
    let point = |mount: &crate::kernel::mount_table::Mount| {
        PathBuf::from(<std::ffi::OsStr as OsStrExt>::from_bytes(&mount.point))
    };
    let mut points: Vec<PathBuf> = mounts.iter().filter(|mount| mount.may_have_memory_groups()).map(point).collect();
    points.sort();
    points.dedup();
    points
}

/// Adds the wanted files of a directory and of those below it. Links are not followed, except those in `block`, which
/// are the devices themselves.
fn directory<E>(
    path: &Path,
    system: &Path,
    depth: usize,
    is_wanted: &dyn Fn(&str) -> bool,
    add: &mut impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    let are_links = path.strip_prefix(system).is_ok_and(|below| below == Path::new("block"));
    for entry in entries {
        let found = if are_links { fs::metadata(&entry) } else { fs::symlink_metadata(&entry) };
        let (Ok(found), Ok(below)) = (found, entry.strip_prefix(system)) else { continue };
        let name = entry.file_name().and_then(|name| name.to_str());
        if found.is_dir() && depth > 0 {
            directory(&entry, system, depth - 1, is_wanted, add)?;
        } else if found.is_file() && found.mode() & 0o444 != 0 && name.is_some_and(is_wanted) {
            file(&entry, [b"sys/", below.as_os_str().as_bytes()].concat(), add)?;
        }
    }
    Ok(())
}

/// Adds a file, if there is one.
fn file<E>(path: &Path, name: Vec<u8>, add: &mut impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
    match read_file(path) {
        Ok(text) => add(Entry::File(name, text)),
        Err(error) if is_denied(&error) => add(Entry::denied(name)),
        Err(_) => Ok(()),
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_entry() {
        let text = include_str!("../../docs/capture.md");
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        let words: Vec<&str> = table.iter().flat_map(|line| line.split([' ', '`', '|'])).collect();
        let of_system = SYSTEM.iter().flat_map(|(_, names, _)| names.iter().copied());
        let directories = SYSTEM.iter().map(|(below, _, _)| *below);
        for name in MACHINE.iter().chain(NOT_OF_GROUPS).copied().chain(of_system).filter(|name| !name.is_empty()) {
            assert!(words.contains(&name.strip_prefix("sys/").unwrap_or(name)), "{name}");
        }
        for name in directories {
            assert!(words.iter().any(|word| word.trim_start_matches("sys/").trim_end_matches('/') == name), "{name}");
        }
    }
}
