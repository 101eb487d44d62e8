//! Files that the kernel itself holds: swap files and the files behind loop devices. Only their paths are known.

use std::fs;

use super::{FoundFile, Hold, Holders, Known};
use crate::kernel::mount_table::unescape;
use crate::machine::Places;
use crate::process::ProcRoot;

/// Adds the files that the kernel holds.
pub(super) fn add(root: &ProcRoot, places: &Places, holders: &mut Holders) {
    let files: Vec<Vec<u8>> = swaps(root).into_iter().filter(|swap| !swap.is_partition).map(|swap| swap.path).collect();
    add_files(places, holders, b"swap", &files);
    for (name, file) in loop_devices(root) {
        add_files(places, holders, &name, &[file]);
    }
}

/// A swap file or partition that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::join) struct Swap {
    pub(in crate::join) path: Vec<u8>,
    pub(in crate::join) is_partition: bool,
}

/// What is in use as swap, from `/proc/swaps`; nothing if that cannot be read.
pub(in crate::join) fn swaps(root: &ProcRoot) -> Vec<Swap> {
    let text = root.read_file("swaps").unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(parse_swap).collect()
}

fn add_files(places: &Places, holders: &mut Holders, name: &[u8], files: &[Vec<u8>]) {
    let Ok(process) = u32::try_from(holders.processes.len()) else { return };
    let mut is_new = true;
    for file in files {
        // The path may be one that this process cannot reach.
        let Some((device, path)) = places.locate(file) else { continue };
        if std::mem::take(&mut is_new) {
            holders.processes.push(Known { pid: None, command: name.into() });
        }
        let hold = Hold { process, is_mapped: false, is_open: true };
        holders.add(
            &FoundFile { device, inode: None, generation: None, path: &path, is_within: true, is_stacked: false },
            hold,
        );
    }
}

/// A line of `/proc/swaps`: `/swap\040file  file  1048572  0  -2`.
fn parse_swap(line: &[u8]) -> Option<Swap> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let path = fields.next().filter(|path| path.starts_with(b"/"))?;
    let is_partition = match fields.next()? {
        b"file" => false,
        b"partition" => true,
        _ => return None,
    };
    Some(Swap { path: unescape(path), is_partition })
}

/// The loop devices that are in use, with the paths of their files: `block/loopN/loop/backing_file` in `/sys`.
pub(in crate::join) fn loop_devices(root: &ProcRoot) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entries = fs::read_dir(root.system_path().join("block")).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = entries
        .filter_map(|entry| {
            // In a capture it may be anything, such as a link that leads out of it.
            let is_directory = |path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
            let is_device = root.is_live() || is_directory(entry.path()) && is_directory(entry.path().join("loop"));
            let name = entry.file_name();
            let name = name.to_str().filter(|name| is_device && name.starts_with("loop"))?;
            let mut path = root.read_system_file(&format!("block/{name}/loop/backing_file")).ok()?;
            path.truncate(path.strip_suffix(b"\n").unwrap_or(&path).len());
            Some((name.as_bytes().to_vec(), path))
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_files_are_told_from_partitions() {
        let line = b"/var/swap\\040file                    file\t\t1048572\t\t0\t\t-2";
        let found = parse_swap(line).unwrap();
        assert_eq!((&found.path[..], found.is_partition), (&b"/var/swap file"[..], false));
        let found = parse_swap(b"/dev/zram0                              partition\t1\t0\t5").unwrap();
        assert_eq!((&found.path[..], found.is_partition), (&b"/dev/zram0"[..], true));
        for line in [&b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"[..], b"", b"/x"] {
            assert_eq!(parse_swap(line), None);
        }
    }

    #[test]
    fn only_loop_devices_in_use_have_a_file() {
        let top = tempfile::tempdir().unwrap();
        let devices = top.path().join("sys/block");
        for name in ["loop1/loop", "loop0/loop", "loop2", "vda/loop", "loop3/loop"] {
            fs::create_dir_all(devices.join(name)).unwrap();
        }
        for (name, file) in [("loop1", "/a b\n"), ("loop0", "/c (deleted)\n"), ("vda", "/d\n")] {
            fs::write(devices.join(name).join("loop/backing_file"), file).unwrap();
        }
        // Links lead out of a capture.
        std::os::unix::fs::symlink("/etc/hostname", devices.join("loop3/loop/backing_file")).unwrap();
        std::os::unix::fs::symlink(devices.join("loop1"), devices.join("loop4")).unwrap();
        let found = loop_devices(&ProcRoot::at(top.path().join("proc")));
        assert_eq!(found, [(b"loop0".to_vec(), b"/c (deleted)".to_vec()), (b"loop1".to_vec(), b"/a b".to_vec())]);
    }
}
