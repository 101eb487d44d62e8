//! Regular files that are mount points (`mount --bind FILE FILE`, as containers do with `/etc/resolv.conf`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode of each regular file that is a mount point and for which `wanted` returns true.
///
/// Reads `/proc/self/mountinfo`; returns nothing if that fails. Only wanted mount points are looked up, because `stat`
/// blocks if the server of a mount does not answer.
pub(crate) fn read_mounted_files(wanted: impl Fn(&Path) -> bool) -> Vec<(u64, u64)> {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points = text.split(|byte| *byte == b'\n').filter_map(parse_bind_mount).filter(|point| wanted(point));
    let files = points.filter_map(|point| point.symlink_metadata().ok()).filter(|found| found.is_file());
    files.map(|found| (found.dev(), found.ino())).collect()
}

/// The mount point in a line of mountinfo (`36 35 98:0 /root /point rw - ext4 /dev/sda rw`), if a part of a file system
/// is mounted there. Only such a mount can be a single file.
fn parse_bind_mount(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ').skip(3);
    let root = fields.next()?;
    let point = fields.next()?;
    (root != b"/").then(|| PathBuf::from(OsString::from_vec(unescape(point))))
}

/// Decodes the kernel's octal escapes: `\040` is a space.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, others @ ..] = rest {
        rest = others;
        match others {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => plain.push(*first),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_a_part_of_a_file_system_are_listed() {
        let line = br"36 35 98:0 /hosts /mnt\040a/b\134c rw,noatime master:1 - ext4 /dev/root rw";
        assert_eq!(parse_bind_mount(line), Some(PathBuf::from(r"/mnt a/b\c")));
        assert_eq!(parse_bind_mount(b"36 35 98:0 / /mnt rw - ext4 /dev/root rw"), None);
        assert_eq!(parse_bind_mount(b""), None);
        assert_eq!(parse_bind_mount(b"1 2 3:4 /only"), None);
    }
}
