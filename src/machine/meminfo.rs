//! How much memory can still be used without swapping or being killed: `MemAvailable` of the machine, or less if the
//! control groups of this process limit it. It is an estimate to reject what cannot fit, not a guarantee that the rest
//! fits.

use std::path::PathBuf;

use super::cgroups::read_group_headroom;
use super::fields::Fields;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::{ProcRoot, not_mounted};
use crate::units::Bytes;

/// The memory that this process can still use: `MemAvailable` of `/proc/meminfo`, or less if one of its memory control
/// groups (version 1 or 2, or one above) allows less. Page cache that a group could give back counts as available. For
/// a capture only `MemAvailable` is used.
///
/// # Errors
/// `meminfo` cannot be read; [`ErrorKind::Malformed`]: it is not in the kernel's format; [`ErrorKind::Unsupported`]:
/// it has no `MemAvailable` (kernels before 3.14).
pub fn read_available_memory(root: &ProcRoot) -> Result<Bytes> {
    let (path, fields) = read_meminfo(root)?;
    let machine = fields
        .bytes("MemAvailable")
        .ok_or_else(|| Error::path(&path, ErrorKind::Unsupported, "it has no MemAvailable (new in Linux 3.14)"))?;
    let groups = if root.is_live() { read_group_headroom(root) } else { None };
    Ok(groups.map_or(machine, |groups| machine.min(groups)))
}

/// The fields of `meminfo`, and its path.
pub(super) fn read_meminfo(root: &ProcRoot) -> Result<(PathBuf, Fields)> {
    let path = root.path().join("meminfo");
    let text = root
        .read_file("meminfo")
        .map_err(|error| not_mounted(root).unwrap_or_else(|| Error::io(Subject::Path(path.clone()), &error)))?;
    let fields = Fields::parse(&text);
    if fields.bytes("MemTotal").is_none() {
        return Err(Error::path(&path, ErrorKind::Malformed, "it is not in the kernel's format"));
    }
    Ok((path, fields))
}

/// Several amounts of `/proc/meminfo` at one instant, such as `Cached`.
///
/// # Errors
/// `meminfo` cannot be read, or is not in the kernel's format; [`ErrorKind::Unsupported`]: the kernel does not have one
/// of them.
pub(super) fn read_amounts<const COUNT: usize>(root: &ProcRoot, keys: [&str; COUNT]) -> Result<[Bytes; COUNT]> {
    let (path, fields) = read_meminfo(root)?;
    let mut amounts = [Bytes(0); COUNT];
    for (amount, key) in amounts.iter_mut().zip(keys) {
        let missing = || Error::path(&path, ErrorKind::Unsupported, format!("it has no {key}"));
        *amount = fields.bytes(key).ok_or_else(missing)?;
    }
    Ok(amounts)
}

/// The swap of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapSpace {
    /// How much there is, used or not: `SwapTotal` of `/proc/meminfo`.
    pub size: Bytes,
    /// How much of it is free: `SwapFree`; `None` if the kernel does not say so.
    pub free: Option<Bytes>,
}

/// The swap of the machine.
///
/// # Errors
/// `meminfo` cannot be read, or is not in the kernel's format.
pub fn read_swap_space(root: &ProcRoot) -> Result<SwapSpace> {
    let (path, fields) = read_meminfo(root)?;
    let missing = || Error::path(&path, ErrorKind::Unsupported, "it has no SwapTotal");
    let size = fields.bytes("SwapTotal").ok_or_else(missing)?;
    Ok(SwapSpace { size, free: fields.bytes("SwapFree") })
}

/// The size of the huge pages that `mmap(2)` uses by default: `Hugepagesize` of `/proc/meminfo`.
///
/// # Errors
/// `meminfo` cannot be read; [`ErrorKind::Unsupported`]: the kernel has none.
pub fn read_huge_page_size(root: &ProcRoot) -> Result<Bytes> {
    let path = root.path().join("meminfo");
    let text = root.read_file("meminfo").map_err(|error| Error::io(Subject::Path(path.clone()), &error))?;
    Fields::parse(&text)
        .bytes("Hugepagesize")
        .ok_or_else(|| Error::path(&path, ErrorKind::Unsupported, "this kernel has no huge pages"))
}

/// How many huge pages of this size there are, and how many of them are neither in use nor promised to a mapping:
/// `HugePages_Total`, `HugePages_Free` and `HugePages_Rsvd` of `/proc/meminfo`.
///
/// # Errors
/// `meminfo` cannot be read; [`ErrorKind::Unsupported`]: the kernel has none.
pub fn read_huge_pages(root: &ProcRoot) -> Result<(u64, u64)> {
    let (path, fields) = read_meminfo(root)?;
    let none = || Error::path(&path, ErrorKind::Unsupported, "this kernel has no huge pages");
    let count = |key| fields.count(key).ok_or_else(none);
    let free = count("HugePages_Free")?.saturating_sub(count("HugePages_Rsvd")?);
    Ok((count("HugePages_Total")?, free))
}

/// Whether this machine has huge pages of any size for hugetlbfs, or may make some when they are asked for.
pub fn has_huge_pages() -> bool {
    let sizes = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let has = |path: &std::path::Path| std::fs::read_to_string(path).is_ok_and(|count| count.trim() != "0");
    let counts = ["nr_hugepages", "nr_overcommit_hugepages"];
    sizes.map(|size| size.path()).any(|size| counts.iter().any(|count| has(&size.join(count))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_available_memory() {
        let available = read_available_memory(&ProcRoot::live()).unwrap();
        assert!(available.0 > 1 << 20, "{available:?}");
    }

    #[test]
    fn meminfo_of_any_bytes_is_no_panic() {
        let total = |text: &[u8]| Fields::parse(text).bytes("MemTotal");
        assert_eq!(total(b"A: 1 kB\nMemTotal:       16 kB\n"), Some(Bytes(16384)));
        for text in
            [&b""[..], b"MemTotal:", b"MemTotal: kB", b"MemTotal: \xff kB", b"MemTotal: 18446744073709551615 kB"]
        {
            assert_eq!(total(text), None);
        }
    }

    #[test]
    fn a_capture_without_meminfo_is_an_error_about_that_file() {
        let empty = tempfile::tempdir().unwrap();
        let error = read_available_memory(&ProcRoot::at(empty.path().to_owned())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().ends_with("meminfo: no such file"), "{error}");
    }
}
