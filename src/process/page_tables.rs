//! Reads a process by its `maps` and its page tables, where that gives what smaps would give.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use nix::sys::sysinfo::sysinfo;
use nix::sys::utsname::uname;

use crate::kernel::dax::is_dax;
use crate::kernel::pagemap_scan;
use crate::process::fields::{Fields, Wanted};
use crate::process::mapping::{Mapping, Mappings};
use crate::process::resident::{Tally, may_be_shared_memory};
use crate::process::root::ProcessDir;
use crate::process::source::{FROM_PAGE_TABLES, enter_fields};
use crate::process::status::read_status_in;
use crate::units::Bytes;

/// No address of a process is as high; x86's `[vsyscall]` is, which belongs to no process and has no page to count.
const KERNEL_ADDRESSES: u64 = 1 << 63;

/// As much of `maps` as is compared at a time.
const CHUNK: usize = 128 << 10;

/// Sets the counters of [`FROM_PAGE_TABLES`] that are wanted; says whether it could prove them. `pagemap` and `maps` are
/// open files of the process.
pub(super) fn fill_counters(
    directory: &ProcessDir,
    pagemap: &File,
    mappings: &mut Mappings,
    fields: &mut Fields,
    wanted: &Wanted,
) -> io::Result<bool> {
    if swap_is_used() && !has_nothing_in_swap(directory, mappings, wanted) {
        return Ok(false);
    }
    let Some(rss) = read_rss(directory, pagemap, mappings)? else { return Ok(false) };
    enter_fields(FROM_PAGE_TABLES, fields, wanted);
    let sizes = mappings.iter().map(|mapping| mapping.size().0).collect();
    // An entry that may be swap would not have been proven.
    let swap = vec![0; mappings.len()];
    for (name, values) in FROM_PAGE_TABLES.iter().zip([sizes, rss, swap]) {
        if let Some(field) = fields.find_exact(name.as_bytes()).filter(|_| wanted.keeps(name)) {
            mappings.fill(field, values);
        }
    }
    Ok(true)
}

/// `Rss` of each mapping; absent where it cannot be proven to be what smaps says.
fn read_rss(directory: &ProcessDir, pagemap: &File, mappings: &Mappings) -> io::Result<Option<Vec<u64>>> {
    let low = || mappings.iter().filter(|mapping| mapping.end() <= KERNEL_ADDRESSES);
    let (Some(first), Some(last)) = (low().next(), low().next_back()) else {
        return Ok(Some(vec![0; mappings.len()]));
    };
    let mut tally = Tally::new(mappings, tells_huge_zero_page());
    match pagemap_scan::scan(pagemap, first.start()..last.end(), |range| tally.add(&range)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(error),
    }
    if !tally.files().all(|mapping| is_regular_without_dax(directory, &mapping)) {
        return Ok(None);
    }
    Ok(tally.into_rss())
}

/// Whether the page tables will do while other processes have memory in swap.
fn has_nothing_in_swap(directory: &ProcessDir, mappings: &Mappings, wanted: &Wanted) -> bool {
    // What is in swap would end the scan as not proven: better not to begin it.
    let none_itself = read_status_in(directory).is_ok_and(|status| status.swap == Ok(Bytes(0)));
    // What smaps calls Swap of shared memory is what its file has in swap, in whatever process.
    none_itself && !(wanted.keeps("Swap") && mappings.iter().any(|mapping| may_be_shared_memory(&mapping)))
}

/// Whether anything of this machine is in swap. Not from `/proc/meminfo`, which a container may see forged (lxcfs).
fn swap_is_used() -> bool {
    sysinfo().map_or(true, |found| found.swap_total() > found.swap_free())
}

/// Whether `PAGEMAP_SCAN` calls the huge zero page a zero page. Before, it looked like any other huge page.
///
/// A newer kernel than the one it was seen on is trusted, an older one that may have it too is not.
fn tells_huge_zero_page() -> bool {
    let release = uname().ok().and_then(|found| parse_release(found.release().to_str()?));
    release.is_some_and(|release| release >= (6, 18))
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether the file behind a mapping is certainly a regular one whose pages are all in the page cache. Nothing is
/// opened for reading: the descriptor is only a name (`O_PATH`).
fn is_regular_without_dax(directory: &ProcessDir, mapping: &Mapping<'_>) -> bool {
    let exact = format!("map_files/{:x}-{:x}", mapping.start(), mapping.end());
    // The first is for root alone; the second names the same file, or another inode.
    let found = directory.open_name(exact.as_ref()).or_else(|_| directory.open_name(&path_below_root(mapping)));
    found.is_ok_and(|(name, stat)| {
        let regular = nix::sys::stat::SFlag::from_bits_truncate(stat.st_mode) & nix::sys::stat::SFlag::S_IFMT
            == nix::sys::stat::SFlag::S_IFREG;
        regular && stat.st_ino == mapping.inode() && !is_dax(std::os::fd::AsFd::as_fd(&name))
    })
}

/// `root/usr/bin/cat`: the path as the process sees it.
fn path_below_root(mapping: &Mapping<'_>) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::OsStr::from_bytes(mapping.path().strip_prefix(b"/").unwrap_or_default());
    std::path::Path::new("root").join(path)
}

/// The whole text of an open file.
pub(super) fn read_text(mut file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Whether the file, read again, says the same.
pub(super) fn says_the_same(mut file: &File, text: &[u8]) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut chunk = vec![0; CHUNK];
    let mut rest = text;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(rest.is_empty()),
            Ok(count) => match rest.strip_prefix(chunk.get(..count).unwrap_or_default()) {
                Some(after) => rest = after,
                None => return Ok(false),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_a_kernel_is_two_numbers() {
        assert_eq!(parse_release("6.18.44-fc"), Some((6, 18)));
        assert_eq!(parse_release("7.0-rc1"), Some((7, 0)));
        assert_eq!(parse_release("10.2+"), Some((10, 2)));
        assert_eq!(parse_release("linux"), None);
    }

    #[test]
    fn a_text_that_changed_is_noticed() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&b"line\n".repeat(100_000)).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let text = read_text(&file).unwrap();
        assert!(says_the_same(&file, &text).unwrap());
        file.write_all(b"more").unwrap();
        assert!(!says_the_same(&file, &text).unwrap());
        assert!(!says_the_same(&file, b"").unwrap());
    }
}
