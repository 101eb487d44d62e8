//! The mounts that a process sees: `/proc/PID/mountinfo`. No mounted file system is accessed.

use crate::process::directory::Directory;
use crate::process::head::Device;

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its number, in digits.
    pub(super) number: Vec<u8>,
    /// The device of its file system, as `maps` prints it too.
    pub(super) device: Device,
    /// The directory of the file system that is mounted.
    pub(super) root: Vec<u8>,
    /// Where it is mounted.
    pub(super) point: Vec<u8>,
    /// The file system: `ext4`.
    pub(super) kind: Vec<u8>,
    source: Vec<u8>,
    options: Vec<u8>,
}

impl Mount {
    /// The options of the file system.
    pub(super) fn options(&self) -> impl Iterator<Item = &[u8]> {
        self.options.split(|byte| *byte == b',')
    }

    /// Whether its files may be in DAX mode: by an option of the mount, or because it is on persistent memory.
    pub(super) fn may_be_dax(&self) -> bool {
        let asks = |option: &[u8]| option.starts_with(b"dax") && option != b"dax=never";
        self.source.starts_with(b"/dev/pmem") || self.options().any(asks)
    }
}

/// The mounts that the process sees, in the order in which they were mounted; none if they cannot be read.
pub(super) fn mounts(directory: &Directory) -> Vec<Mount> {
    let text = directory.read_file("mountinfo", u64::MAX).unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(parse_mount).collect()
}

/// Parses `36 35 98:0 / /mnt rw master:1 - ext4 /dev/sda rw`.
pub(super) fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (number, device) = (fields.next()?.to_vec(), parse_device(fields.nth(1)?)?);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1).map(<[u8]>::to_vec);
    Some(Mount { number, device, root, point, kind: rest.next()?, source: rest.next()?, options: rest.next()? })
}

fn parse_device(text: &[u8]) -> Option<Device> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some(Device { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// A path with its spaces, tabs, newlines and backslashes, which the kernel writes as three octal digits.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..] if *first == b'\\' => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = behind;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mount() {
        let line = br"36 35 0:27 /subvolume /mnt/a\040b rw,noatime master:1 - btrfs /dev/root rw,dax=always";
        let mount = parse_mount(line).unwrap();
        assert_eq!((&mount.number[..], mount.device), (&b"36"[..], Device { major: 0, minor: 27 }));
        assert_eq!(
            (&mount.root[..], &mount.point[..], &mount.kind[..]),
            (&b"/subvolume"[..], &b"/mnt/a b"[..], &b"btrfs"[..])
        );
        assert!(mount.may_be_dax());
        assert_eq!(parse_mount(b"36 35"), None);
        assert_eq!(parse_mount(b"36 35 0:27 / /mnt rw"), None);
    }
}
