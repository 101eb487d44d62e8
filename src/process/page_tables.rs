//! Reads a process from its `maps` and its page tables, if the figures are the same as in smaps.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use nix::sys::sysinfo::sysinfo;
use nix::sys::utsname::uname;

use crate::kernel::pagemap_scan;
use crate::process::directory::Directory;
use crate::process::fields::{Fields, Wanted};
use crate::process::handle::Process;
use crate::process::interface::{FROM_PAGE_TABLES, enter_fields};
use crate::process::mapped_file::{Place, open_mapped};
use crate::process::mapping::{Mapping, Mappings};
use crate::process::resident::{ResidentSums, may_be_shared_memory};
use crate::units::Bytes;

/// No process has addresses this high. x86's `[vsyscall]` is there, but belongs to no process and has no page to count.
const KERNEL_ADDRESSES: u64 = 1 << 63;

/// How much of `maps` is compared at a time.
const CHUNK: usize = 128 << 10;

/// The page tables of a process.
pub(super) struct Tables<'p> {
    pub(super) process: &'p Process,
    /// The directory that shows its memory.
    pub(super) directory: &'p Directory,
    pub(super) pagemap: &'p File,
}

impl Tables<'_> {
    /// Sets the wanted ones of [`FROM_PAGE_TABLES`]. False, with nothing set, if they may differ from those of smaps.
    pub(super) fn fill_counters(
        &self,
        mappings: &mut Mappings,
        fields: &mut Fields,
        wanted: &Wanted,
    ) -> io::Result<bool> {
        if swap_is_used() && !self.has_nothing_in_swap(mappings, wanted) {
            return Ok(false);
        }
        let Some(rss) = self.read_rss(mappings)? else { return Ok(false) };
        enter_fields(FROM_PAGE_TABLES, fields, wanted);
        let sizes = mappings.iter().map(|mapping| mapping.size().0).collect();
        // With an entry that may be in swap, Rss would not have been proven.
        let swap = vec![0; mappings.len()];
        for (name, values) in FROM_PAGE_TABLES.iter().zip([sizes, rss, swap]) {
            if let Some(field) = fields.find_exact(name.as_bytes()).filter(|_| wanted.keeps(name)) {
                mappings.fill(field, values);
            }
        }
        Ok(true)
    }

    /// `Rss` of each mapping; `None` if it may differ from that of smaps.
    fn read_rss(&self, mappings: &Mappings) -> io::Result<Option<Vec<u64>>> {
        let low = || mappings.iter().filter(|mapping| mapping.end() <= KERNEL_ADDRESSES);
        let (Some(first), Some(last)) = (low().next(), low().next_back()) else {
            return Ok(Some(vec![0; mappings.len()]));
        };
        let mut sums = ResidentSums::new(mappings, recognizes_huge_zero_page());
        match pagemap_scan::scan(self.pagemap, first.start()..last.end(), |range| sums.add(&range)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
            Err(error) => return Err(error),
        }
        if !sums.files().all(|mapping| self.is_regular_without_dax(&mapping)) {
            return Ok(None);
        }
        Ok(sums.into_rss())
    }

    /// Whether the process has nothing in swap, while others may.
    fn has_nothing_in_swap(&self, mappings: &Mappings, wanted: &Wanted) -> bool {
        // The scan would stop at the first page in swap, so it is better not to start it.
        let none_itself = self.process.read_status().is_ok_and(|status| status.swap == Ok(Bytes(0)));
        // For shared memory, Swap in smaps counts all pages of the file in swap, independent of the process.
        none_itself && !(wanted.keeps("Swap") && mappings.iter().any(|mapping| may_be_shared_memory(&mapping)))
    }

    /// Whether the file behind a mapping is certainly a regular one whose pages are all in the page cache.
    fn is_regular_without_dax(&self, mapping: &Mapping<'_>) -> bool {
        let file = open_mapped(self.directory, &Place::of(mapping));
        file.is_ok_and(|file| file.is_regular() && !file.is_dax())
    }
}

/// Whether this machine has anything in swap. Not from `/proc/meminfo`, which is emulated in some containers (lxcfs).
fn swap_is_used() -> bool {
    sysinfo().map_or(true, |found| found.swap_total() > found.swap_free())
}

/// Whether `PAGEMAP_SCAN` reports the huge zero page as a zero page. In older kernels it looks like any other huge
/// page.
///
/// Kernels older than the one that it was tested on are assumed not to.
fn recognizes_huge_zero_page() -> bool {
    let release = uname().ok().and_then(|found| parse_release(found.release().to_str()?));
    release.is_some_and(|release| release >= (6, 18))
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The whole text of an open file.
pub(super) fn read_text(mut file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Whether the file, read again, has the same text.
pub(super) fn is_unchanged(mut file: &File, text: &[u8]) -> io::Result<bool> {
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
        assert!(is_unchanged(&file, &text).unwrap());
        file.write_all(b"more").unwrap();
        assert!(!is_unchanged(&file, &text).unwrap());
        assert!(!is_unchanged(&file, b"").unwrap());
    }
}
