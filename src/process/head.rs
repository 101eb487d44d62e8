//! The head line of a mapping, as `maps` and `smaps` share it:
//! `5642b5d6a000-5642b5d6c000 r--p 00000000 fe:00 247030                     /usr/bin/cat`
//!
//! Written by `show_vma_header_prefix` and `show_map_vma` in the kernel's `fs/proc/task_mmu.c`: everything except the
//! inode is hexadecimal, one space separates the first five fields, then spaces up to column 73 and the name, if any.

use std::fmt;

/// The device of a mapped file as smaps prints it. `stat` of the same file may give another one (btrfs, overlayfs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl Device {
    /// Both numbers.
    pub(crate) fn numbers(self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// Whether a mapping with this device and inode number has a file: the kernel prints one of them only if there is.
    /// The number alone may be 0: it is the id of a System V segment, and the first of an IPC namespace has id 0.
    pub(crate) fn has_file(self, inode: u64) -> bool {
        inode != 0 || self != Device::default()
    }
}

impl fmt::Display for Device {
    /// As smaps prints it: `fe:00`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02x}:{:02x}", self.major, self.minor)
    }
}

/// One head line, its name borrowed from the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'t> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) perm: [u8; 4],
    pub(super) offset: u64,
    pub(super) device: Device,
    pub(super) inode: u64,
    /// The name, which may contain any byte except a newline; empty if the mapping has none.
    pub(super) name: &'t [u8],
}

impl Head<'_> {
    /// Whether there is a file behind it.
    pub(super) fn has_file(&self) -> bool {
        self.device.has_file(self.inode)
    }
}

/// Whether `line` begins like a head: hexadecimal digits in lower case, then `-`.
///
/// A key of smaps begins with a capital letter in every kernel so far. One in lower case would still not be mistaken
/// for a head, because its colon comes first.
pub(super) fn is_head(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
    digits > 0 && line.get(digits) == Some(&b'-')
}

/// Parses one head line without its newline. The error is the reason why it is not one.
pub(super) fn parse_head(line: &[u8]) -> Result<Head<'_>, &'static str> {
    let (start, rest) = hex(line, b'-').ok_or("the start address is not a hexadecimal number")?;
    let (end, rest) = hex(rest, b' ').ok_or("the end address is not a hexadecimal number")?;
    let (perm, rest) = parse_perm(rest).ok_or("the permissions are not of the form rwxp")?;
    let (offset, rest) = hex(rest, b' ').ok_or("the offset is not a hexadecimal number")?;
    let (major, rest) = hex(rest, b':').ok_or("the device is not of the form major:minor")?;
    let (minor, rest) = hex(rest, b' ').ok_or("the device is not of the form major:minor")?;
    let device = device(major, minor).ok_or("the device number is too large")?;
    let (inode, rest) = decimal(rest).ok_or("the inode is not a number")?;
    let name = match rest {
        [] | [b' ', ..] => trim_padding(rest),
        _ => return Err("the inode is not a number"),
    };
    if start >= end {
        return Err("the mapping ends before it starts");
    }
    Ok(Head { start, end, perm, offset, device, inode, name })
}

/// Removes the padding, which is spaces only: a name may begin with a tab.
fn trim_padding(text: &[u8]) -> &[u8] {
    let padding = text.iter().take_while(|byte| **byte == b' ').count();
    text.get(padding..).unwrap_or_default()
}

/// `rwxp` and a space.
fn parse_perm(text: &[u8]) -> Option<([u8; 4], &[u8])> {
    match text {
        [r @ (b'r' | b'-'), w @ (b'w' | b'-'), x @ (b'x' | b'-'), s @ (b's' | b'p'), b' ', rest @ ..] => {
            Some(([*r, *w, *x, *s], rest))
        }
        _ => None,
    }
}

fn device(major: u64, minor: u64) -> Option<Device> {
    Some(Device { major: u32::try_from(major).ok()?, minor: u32::try_from(minor).ok()? })
}

/// A hexadecimal number of 64 bits in lower case and the rest of the text after `stop`, which must follow it.
fn hex(text: &[u8], stop: u8) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (place, byte) in text.iter().enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ if *byte == stop && place > 0 => return Some((value, text.get(place + 1..)?)),
            _ => return None,
        };
        if value >> 60 != 0 {
            return None;
        }
        value = value << 4 | u64::from(digit);
    }
    None
}

/// A decimal number of 64 bits and the rest of the text; `None` if there is no digit or the number does not fit.
pub(super) fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    let mut place = 0;
    while let Some(byte @ b'0'..=b'9') = text.get(place) {
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        place += 1;
    }
    if place == 0 {
        return None;
    }
    Some((value, text.get(place..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(line: &[u8]) -> Vec<u8> {
        parse_head(line).unwrap().name.to_vec()
    }

    #[test]
    fn a_head_is_split_into_its_fields() {
        let line = b"5642b5d6c000-5642b5d71000 r-xp 00002000 fe:01 247030                     /usr/bin/cat";
        let head = parse_head(line).unwrap();
        assert_eq!((head.start, head.end), (0x5642_b5d6_c000, 0x5642_b5d7_1000));
        assert_eq!((&head.perm, head.offset, head.inode), (b"r-xp", 0x2000, 247_030));
        assert_eq!(head.device, Device { major: 0xfe, minor: 1 });
        assert_eq!(head.name, b"/usr/bin/cat");
    }

    #[test]
    fn anonymous_mappings_have_no_name_with_or_without_the_trailing_space() {
        assert_eq!(name_of(b"08048000-08049000 rw-p 00000000 00:00 0 "), b"");
        assert_eq!(name_of(b"08048000-08049000 rw-p 00000000 00:00 0"), b"");
    }

    #[test]
    fn a_name_keeps_every_byte_that_is_not_padding() {
        for name in [
            &b"/tmp/a b  c"[..],
            b"/tmp/trailing ",
            b"/tmp/tab\there",
            b"/tmp/\xff\xfe",
            b"/tmp/\x1b[31mred",
            b"/tmp/line\\012break",
            b"/tmp/x (deleted)",
            b"/tmp/00400000-0040b000 r-xp 00000000 fe:00 1 /bin/sh",
            b"Rss:                   8 kB",
            b"/memfd: (deleted)",
            b"[anon:a name]",
        ] {
            let mut line = b"7f0000000000-7f0000001000 rw-s 00000000 00:01 1024                       ".to_vec();
            line.extend_from_slice(name);
            assert_eq!(name_of(&line), name);
        }
    }

    #[test]
    fn the_highest_mapping_of_all_is_read() {
        let head = parse_head(b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]");
        assert_eq!(head.unwrap().end, 0xffff_ffff_ff60_1000);
    }

    #[test]
    fn other_lines_are_rejected() {
        for line in [
            &b""[..],
            b"-",
            b"1000-",
            b"1000-2000",
            b"1000-2000 ",
            b"2000-1000 r-xp 00000000 00:00 0 ",
            b"1000-1000 r-xp 00000000 00:00 0 ",
            b"1000-2000 r-x 00000000 00:00 0 ",
            b"1000-2000 wrxp 00000000 00:00 0 ",
            b"1000-2000 r-xp 0000000g 00:00 0 ",
            b"1000-2000 r-xp 00000000 00 0 ",
            b"1000-2000 r-xp 00000000 100000000:00 0 ",
            b"1000-2000 r-xp 00000000 00:00 x",
            b"1000-2000 r-xp 00000000 00:00 0/bin/sh",
            b"1000-2000 r-xp 00000000 00:00 99999999999999999999 ",
            b"11111111111111111-22222222222222222 r-xp 00000000 00:00 0 ",
        ] {
            assert!(parse_head(line).is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn heads_are_recognized() {
        assert!(is_head(b"00400000-0040b000 r-xp"));
        assert!(!is_head(b"Rss: 8 kB"));
        assert!(!is_head(b"cafe: 8-9 kB"));
        assert!(!is_head(b"-1000"));
        assert!(!is_head(b""));
    }
}
