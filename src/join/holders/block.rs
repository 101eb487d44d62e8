//! Who has a block device open.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Holder, Holders};
use crate::kernel::mount_table::parts;
use crate::machine::Places;

impl Holders {
    /// The processes that have a block device open by its name below `/dev`, `rdev` being its device number. Its pages
    /// belong to an inode of its own (file system `bdev`), which no process has open. Those that opened it by another
    /// node are missing, and so are the file systems on it. Empty in a capture.
    ///
    /// Only the node in `/dev` is looked at, which no device or server answers for.
    pub fn of_block_device(&self, places: &Places, rdev: (u32, u32)) -> Vec<Holder> {
        let find = || {
            let node = device_node(rdev)?;
            let (device, within) = places.locate(&node.path)?;
            Some(self.of(places, device, node.inode, &within))
        };
        if self.is_live { find().unwrap_or_default() } else { Vec::new() }
    }
}

/// The node of a block device.
struct Node {
    path: Vec<u8>,
    inode: u64,
}

/// The node below `/dev` of the block device with this number.
fn device_node(rdev: (u32, u32)) -> Option<Node> {
    let text = fs::read(format!("/sys/dev/block/{}:{}/uevent", rdev.0, rdev.1)).ok()?;
    let name = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"DEVNAME="))?;
    let path = [b"/dev/", name].concat();
    let found = fs::symlink_metadata(Path::new(OsStr::from_bytes(&path))).ok()?;
    let is_it = found.file_type().is_block_device() && parts(found.rdev()) == rdev;
    is_it.then(|| Node { path, inode: found.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_that_of_its_device() {
        for entry in fs::read_dir("/sys/dev/block").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let (major, minor) = name.to_str().unwrap().split_once(':').unwrap();
            let number = (major.parse().unwrap(), minor.parse().unwrap());
            if let Some(node) = device_node(number) {
                let found = fs::metadata(OsStr::from_bytes(&node.path)).unwrap();
                assert_eq!((parts(found.rdev()), found.ino()), (number, node.inode));
            }
        }
        assert!(device_node((4095, 1 << 19)).is_none());
    }
}
