//! What is mounted below some directories: regular files (`mount --bind FILE FILE`, as containers do with
//! `/etc/resolv.conf`) and overlays.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is mounted at the places for which `wanted` returned true.
pub(crate) struct Mounted {
    /// Device and inode of each regular file that is a mount point.
    pub(crate) files: Vec<(u64, u64)>,
    /// Whether there is an overlay.
    pub(crate) has_overlay: bool,
}

/// Reads `/proc/self/mountinfo`; `None` if that fails. Only wanted mount points are looked up, because `stat` blocks if
/// the server of a mount does not answer.
pub(crate) fn read_mounted(wanted: impl Fn(&Path) -> bool) -> Option<Mounted> {
    let text = std::fs::read("/proc/self/mountinfo").ok()?;
    let lines = || text.split(|byte| *byte == b'\n');
    let points = lines().filter_map(parse_bind_mount).filter(|point| wanted(point));
    let files = points.filter_map(|point| point.symlink_metadata().ok()).filter(|found| found.is_file());
    let files = files.map(|found| (found.dev(), found.ino())).collect();
    let has_overlay = lines().filter_map(parse_overlay).any(|point| wanted(&point));
    Some(Mounted { files, has_overlay })
}

/// The mount point in a line of mountinfo, if an overlay is mounted there.
fn parse_overlay(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    (kind == b"overlay").then(|| PathBuf::from(OsString::from_vec(unescape(point))))
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

    #[test]
    fn overlays_are_found_by_their_type() {
        let line = b"68 65 0:40 / /all rw,relatime - overlay overlay rw,lowerdir=low,upperdir=up,workdir=work";
        assert_eq!(parse_overlay(line), Some(PathBuf::from("/all")));
        assert_eq!(parse_overlay(b"36 35 98:0 / /overlay rw - ext4 /dev/root rw"), None);
    }
}
