//! What is made of a block device, and what is mounted from it, as `/sys` and the list of mounts tell.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::kernel::mount_table::{self, Mount, parts};
use crate::process::ProcRoot;

/// The number of a device, major and minor.
type Number = (u32, u32);

/// A block device that is a part of another one, or is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Above {
    pub(super) number: Number,
    /// Its name below `/dev`.
    pub(super) name: String,
    pub(super) is_partition: bool,
}

/// All block devices above one: its partitions, those that are made of it or of a part (LVM, RAID, encryption), their
/// partitions, and so on, each once.
pub(super) fn all_above(root: &ProcRoot, device: Number) -> Vec<Above> {
    let (mut found, mut seen): (Vec<Above>, HashSet<Number>) = (Vec::new(), [device].into());
    let mut add = |below: Number, found: &mut Vec<Above>| {
        let place = format!("dev/block/{}:{}", below.0, below.1);
        let is_partition = |name: &String| root.read_system_file(&format!("{place}/{name}/partition")).is_ok();
        let partitions = names_in(root, &place).into_iter().filter(is_partition);
        let made_of_it = names_in(root, &format!("{place}/holders"));
        for (name, is_partition) in
            partitions.map(|name| (name, true)).chain(made_of_it.into_iter().map(|name| (name, false)))
        {
            let above = if is_partition { place.clone() } else { "class/block".to_owned() };
            let number = number_in(root, &format!("{above}/{name}/dev"));
            if let Some(number) = number.filter(|number| seen.insert(*number)) {
                found.push(Above { number, name: name.replace('!', "/"), is_partition });
            }
        }
    };
    add(device, &mut found);
    let mut next = 0;
    while let Some(below) = found.get(next).map(|above| above.number) {
        add(below, &mut found);
        next += 1;
    }
    found
}

/// Where file systems of a device are mounted, as this process sees it.
pub(super) fn mounts_of(root: &ProcRoot, device: Number) -> Vec<Vec<u8>> {
    let table = mount_table::own();
    let mut members = None;
    let mut is_on_it = |mount: &Mount| match HAVE_OWN_NUMBERS.contains(&&mount.kind[..]) {
        false => mount.device == device,
        true => {
            let members = members.get_or_insert_with(|| members_of(root, device));
            let mut sources = mount.source.split(|byte| *byte == b':').filter_map(|path| number_at(root, path));
            sources.any(|source| members.contains(&source))
        }
    };
    table.mounts().iter().filter(|mount| is_on_it(mount)).map(|mount| mount.point.clone()).collect()
}

/// File systems on block devices that do not have the number of one.
const HAVE_OWN_NUMBERS: [&[u8]; 2] = [b"btrfs", b"bcachefs"];

/// The devices of the file system that a device is a part of; at least itself.
fn members_of(root: &ProcRoot, device: Number) -> HashSet<Number> {
    let in_system = |uuid: &String| -> HashSet<Number> {
        let place = format!("fs/btrfs/{uuid}/devices");
        names_in(root, &place).iter().filter_map(|name| number_in(root, &format!("{place}/{name}/dev"))).collect()
    };
    let mut systems = names_in(root, "fs/btrfs").into_iter().map(|uuid| in_system(&uuid));
    systems.find(|members| members.contains(&device)).unwrap_or_else(|| [device].into())
}

/// The number of the block device at a path below `/dev`. No other path is looked at: its file system may not answer.
pub(super) fn number_at(root: &ProcRoot, path: &[u8]) -> Option<Number> {
    let below = path.strip_prefix(b"/dev/")?;
    let node = fs::metadata(OsStr::from_bytes(path)).ok().filter(|found| found.file_type().is_block_device());
    // There may be no such node here.
    let known = || number_in(root, &format!("class/block/{}/dev", str::from_utf8(below).ok()?.replace('/', "!")));
    node.map(|found| parts(found.rdev())).or_else(known)
}

/// The names in a directory of `/sys` that are text, sorted.
fn names_in(root: &ProcRoot, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(root.system_path().join(directory)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The number of a device in a file of `/sys`.
pub(super) fn number_in(root: &ProcRoot, file: &str) -> Option<Number> {
    parse_number(&root.read_system_file(file).ok()?)
}

/// `7:0`, as in `/sys/block/loop0/dev`.
fn parse_number(text: &[u8]) -> Option<Number> {
    let (major, minor) = str::from_utf8(text.trim_ascii()).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_two_numbers() {
        assert_eq!(parse_number(b"7:12\n"), Some((7, 12)));
        for text in [&b""[..], b"7", b"7:", b"7:x\n"] {
            assert_eq!(parse_number(text), None);
        }
    }

    #[test]
    fn what_is_made_of_a_device_and_of_its_parts_is_found_once() {
        let top = tempfile::tempdir().unwrap();
        let add = |number: &str, name: &str, partitions: &[(&str, &str)], holders: &[&str]| {
            let place = top.path().join("sys/dev/block").join(number);
            fs::create_dir_all(place.join("holders")).unwrap();
            holders.iter().for_each(|name| fs::write(place.join("holders").join(name), "").unwrap());
            for (name, number) in partitions {
                fs::create_dir_all(place.join(name)).unwrap();
                fs::write(place.join(name).join("partition"), "1\n").unwrap();
                fs::write(place.join(name).join("dev"), format!("{number}\n")).unwrap();
            }
            fs::create_dir_all(top.path().join("sys/class/block").join(name)).unwrap();
            fs::write(top.path().join("sys/class/block").join(name).join("dev"), format!("{number}\n")).unwrap();
        };
        add("104:0", "cciss!c0d0", &[("cciss!c0d0p1", "104:1"), ("queue", "0:0")], &[]);
        fs::remove_file(top.path().join("sys/dev/block/104:0/queue/partition")).unwrap();
        add("104:1", "cciss!c0d0p1", &[], &["md0"]);
        // Two volumes on one array, of which one is on the other, too.
        add("9:0", "md0", &[("md0p1", "259:0")], &["dm-0", "dm-1"]);
        add("259:0", "md0p1", &[], &[]);
        add("253:0", "dm-0", &[], &["dm-1"]);
        add("253:1", "dm-1", &[], &["dm-0"]);
        let root = ProcRoot::at(top.path().join("proc"));
        let found: Vec<_> = all_above(&root, (104, 0))
            .into_iter()
            .map(|above| (above.name, above.number, above.is_partition))
            .collect();
        let is = |name: &str, number, is_partition| (name.to_owned(), number, is_partition);
        let part = is("cciss/c0d0p1", (104, 1), true);
        let of_array = [is("md0p1", (259, 0), true), is("dm-0", (253, 0), false), is("dm-1", (253, 1), false)];
        assert_eq!(found, [&[part, is("md0", (9, 0), false)][..], &of_array].concat());
        assert_eq!(all_above(&root, (253, 1)), [Above { number: (253, 0), name: "dm-0".into(), is_partition: false }]);
        assert_eq!(all_above(&root, (8, 0)), []);
        // `/dev` does not have this node.
        assert_eq!(number_at(&root, b"/dev/cciss/c0d0p1"), Some((104, 1)));
        assert_eq!((number_at(&root, b"/elsewhere/md0"), number_at(&root, b"/dev/md1")), (None, None));
    }
}
