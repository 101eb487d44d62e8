//! Files that the kernel itself holds: swap files and the files behind loop devices. Only their paths are known.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::{FoundFile, Hold, Holders, Known};
use crate::kernel::mount_table::unescape;
use crate::machine::Places;
use crate::process::ProcRoot;

/// Where the devices are; a capture of `/proc` does not have them.
const BLOCK_DEVICES: &str = "/sys/block";

/// Adds the files that the kernel holds.
pub(super) fn add(root: &ProcRoot, places: &Places, holders: &mut Holders) {
    if let Ok(text) = root.read_file("swaps") {
        let files: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').filter_map(parse_swap_file).collect();
        add_files(places, holders, b"swap", &files);
    }
    if root.is_live() {
        for (name, file) in loop_devices(Path::new(BLOCK_DEVICES)) {
            add_files(places, holders, &name, &[file]);
        }
    }
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
        holders.add(&FoundFile { device, inode: None, path: &path, is_within: true, is_stacked: false }, hold);
    }
}

/// The path in a line of `/proc/swaps`, `/swap\040file  file  1048572  0  -2`, if it is not a partition.
fn parse_swap_file(line: &[u8]) -> Option<Vec<u8>> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let path = fields.next().filter(|path| path.starts_with(b"/"))?;
    (fields.next()? == b"file").then(|| unescape(path))
}

/// The loop devices that are in use, with the paths of their files: `loop/backing_file` below each of them.
fn loop_devices(devices: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str().filter(|name| name.starts_with("loop"))?;
            let mut path = fs::read(entry.path().join("loop/backing_file")).ok()?;
            path.truncate(path.strip_suffix(b"\n").unwrap_or(&path).len());
            Some((OsStr::as_encoded_bytes(&name).to_vec(), path))
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
        assert_eq!(parse_swap_file(line), Some(b"/var/swap file".to_vec()));
        for line in [
            &b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"[..],
            b"/dev/zram0                              partition\t1\t0\t5",
            b"",
            b"/x",
        ] {
            assert_eq!(parse_swap_file(line), None);
        }
    }

    #[test]
    fn only_loop_devices_in_use_have_a_file() {
        let top = tempfile::tempdir().unwrap();
        for name in ["loop1/loop", "loop0/loop", "loop2", "vda/loop"] {
            fs::create_dir_all(top.path().join(name)).unwrap();
        }
        for (name, file) in [("loop1", "/a b\n"), ("loop0", "/c (deleted)\n"), ("vda", "/d\n")] {
            fs::write(top.path().join(name).join("loop/backing_file"), file).unwrap();
        }
        let found = loop_devices(top.path());
        assert_eq!(found, [(b"loop0".to_vec(), b"/c (deleted)".to_vec()), (b"loop1".to_vec(), b"/a b".to_vec())]);
    }
}
