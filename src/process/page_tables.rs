//! Reads a process from its `maps` and its page tables, if the figures are the same as in smaps.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::iter::once;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Builder};

use memchr::memrchr;
use nix::sys::sysinfo::sysinfo;

use crate::kernel::pagemap_scan;
use crate::kernel::release::is_at_least;
use crate::process::directory::Directory;
use crate::process::feed::{Stop, join};
use crate::process::fields::{Fields, Wanted};
use crate::process::handle::Process;
use crate::process::interface::{FROM_PAGE_TABLES, enter_fields};
use crate::process::mapped_file::{Place, open_mapped};
use crate::process::mapping::{Mapping, Mappings};
use crate::process::maps::add_lines;
use crate::process::resident::{ResidentSums, may_be_shared_memory};
use crate::units::Bytes;

/// No process has addresses this high. x86's `[vsyscall]` is there, but belongs to no process and has no page to count.
const KERNEL_ADDRESSES: u64 = 1 << 63;

/// How much of `maps` is read at a time. A process with less is read in this thread alone: starting threads would take
/// longer.
const CHUNK: usize = 64 << 10;

/// How much text has to be there before it is compared.
const COMPARED: usize = CHUNK / 2;

/// Chunks on their way between two threads: so many that a thread hardly ever waits for the next one to take them.
const CHUNKS: usize = 32;

/// The page tables of a process.
pub(super) struct Tables<'p> {
    pub(super) process: &'p Process,
    /// The directory that shows its memory.
    pub(super) directory: &'p Directory,
    pub(super) pagemap: &'p File,
}

/// The mappings so far, and what the page tables say of them.
struct Tally<'t> {
    tables: &'t Tables<'t>,
    mappings: Mappings,
    sums: ResidentSums,
    /// Whether shared memory may have pages in swap, which would have to be counted.
    may_lack_swap: bool,
    lines: u64,
    /// The beginning of a line whose end has not come yet.
    cut: Vec<u8>,
}

impl Tables<'_> {
    /// Reads `maps`, which was opened just now, with the wanted ones of [`FROM_PAGE_TABLES`].
    ///
    /// A mapping and its page tables belong together if `maps` has the same line before and after the page tables are
    /// read. Of a process with many mappings, three threads follow each other in the order of addresses: one reads the
    /// lines, this one the page tables behind them, and the last one the lines again.
    pub(super) fn gather(&self, maps: &File, fields: &mut Fields, wanted: &Wanted) -> Result<Mappings, Stop> {
        let swap_is_used = swap_is_used();
        // The scan would stop at the first page in swap, so it is better not to start it.
        if swap_is_used && !self.process.read_status().is_ok_and(|status| status.swap == Ok(Bytes(0))) {
            return Err(Stop::Unproven);
        }
        let mut tally = Tally {
            tables: self,
            mappings: Mappings::new(),
            sums: ResidentSums::new(recognizes_huge_zero_page()),
            may_lack_swap: swap_is_used && wanted.keeps("Swap"),
            lines: 0,
            cut: Vec::new(),
        };
        let first = read_chunk(maps).map_err(Stop::Read)?;
        let in_parallel = if first.len() < CHUNK { None } else { tally.take_in_parallel(maps, &first)? };
        let is_unchanged = match in_parallel {
            Some(is_unchanged) => is_unchanged,
            None => tally.take_in_turn(maps, first)?,
        };
        if is_unchanged { Ok(tally.finish(fields, wanted)) } else { Err(Stop::Moved) }
    }

    /// Whether the file behind a mapping is certainly a regular one whose pages are all in the page cache.
    fn is_regular_without_dax(&self, mapping: &Mapping<'_>) -> bool {
        let file = open_mapped(self.directory, &Place::of(mapping));
        file.is_ok_and(|file| file.is_regular() && !file.is_dax())
    }
}

impl Tally<'_> {
    /// Takes all of `maps`, which begins with `text`; says whether it is the same afterwards.
    fn take_in_turn(&mut self, mut maps: &File, mut text: Vec<u8>) -> Result<bool, Stop> {
        if text.len() >= CHUNK {
            maps.read_to_end(&mut text).map_err(Stop::Read)?;
        }
        let lines = self.take(&text)?;
        maps.seek(SeekFrom::Start(0)).map_err(Stop::Read)?;
        is_unchanged(maps, once(lines)).map_err(Stop::Read)
    }

    /// The same on three threads. None, with nothing taken, if they cannot be started.
    fn take_in_parallel(&mut self, maps: &File, first: &[u8]) -> Result<Option<bool>, Stop> {
        let Ok(again) = &self.tables.directory.open_file("maps") else { return Ok(None) };
        let (read_in, read_out) = sync_channel(CHUNKS);
        let (taken_in, taken_out) = sync_channel(CHUNKS);
        let named = |name: &str| Builder::new().name(name.to_owned());
        thread::scope(|scope| {
            let comparer = named("compare").spawn_scoped(scope, move || is_unchanged(again, taken_out.into_iter()));
            let Ok(comparer) = comparer else { return Ok(None) };
            let reader = named("maps").spawn_scoped(scope, move || read_chunks(maps, &read_in));
            let Ok(reader) = reader else { return Ok(None) };
            let mut goes_on = taken_in.send(self.take(first)?).is_ok();
            for chunk in read_out {
                goes_on = goes_on && taken_in.send(self.take(&chunk)?).is_ok();
                if !goes_on {
                    // The comparing thread has ended and will say why.
                    break;
                }
            }
            drop(taken_in);
            join(reader)?;
            join(comparer).map(Some)
        })
    }

    /// Takes the next lines of `maps` and reads the page tables behind them. Returns the lines that are whole.
    fn take(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Stop> {
        let mut text = std::mem::take(&mut self.cut);
        text.extend_from_slice(chunk);
        self.cut = text.split_off(memrchr(b'\n', &text).map_or(0, |end| end + 1));
        let (known, end) = (self.mappings.len(), self.mappings.last_end());
        self.lines = add_lines(&mut self.mappings, self.lines, &text).map_err(Stop::Parse)?;
        let last_known = known.checked_sub(1).and_then(|last| self.mappings.get(last));
        if last_known.map_or(0, |last| last.end()) != end {
            // One of the new mappings has replaced it.
            return Err(Stop::Moved);
        }
        let added = || (known..self.mappings.len()).filter_map(|place| self.mappings.get(place));
        if self.may_lack_swap && added().any(|mapping| may_be_shared_memory(&mapping)) {
            return Err(Stop::Unproven);
        }
        let low = || added().filter(|mapping| mapping.end() <= KERNEL_ADDRESSES);
        if let (Some(first), Some(last)) = (low().next(), low().next_back()) {
            let addresses = first.start()..last.end();
            let scanned = pagemap_scan::scan(self.tables.pagemap, addresses, pagemap_scan::Question::All, |range| {
                self.sums.add(&self.mappings, &range)
            });
            scanned.map_err(|error| match error.kind() {
                io::ErrorKind::Unsupported => Stop::Unproven,
                _ => Stop::Read(error),
            })?;
        }
        let files = self.sums.take_files();
        let mut files = files.into_iter().filter_map(|place| self.mappings.get(place));
        let is_proven = self.sums.is_proven() && files.all(|file| self.tables.is_regular_without_dax(&file));
        if is_proven { Ok(text) } else { Err(Stop::Unproven) }
    }

    fn finish(self, fields: &mut Fields, wanted: &Wanted) -> Mappings {
        let mut mappings = self.mappings;
        enter_fields(FROM_PAGE_TABLES, fields, wanted);
        let sizes = mappings.iter().map(|mapping| mapping.size().0).collect();
        let rss = self.sums.into_rss(mappings.len());
        // With an entry that may be in swap, Rss would not have been proven.
        let swap = vec![0; mappings.len()];
        for (name, values) in FROM_PAGE_TABLES.iter().zip([sizes, rss, swap]) {
            if let Some(field) = fields.find_exact(name.as_bytes()).filter(|_| wanted.keeps(name)) {
                mappings.fill(field, values);
            }
        }
        mappings.set_keys(fields, wanted);
        mappings
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
    is_at_least(6, 18)
}

/// The next 64 KiB of an open file; less at its end.
fn read_chunk(file: &File) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    file.take(CHUNK as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// Sends the rest of an open file, until nobody receives it any more.
fn read_chunks(file: &File, chunks: &SyncSender<Vec<u8>>) -> io::Result<()> {
    loop {
        let chunk = read_chunk(file)?;
        let is_last = chunk.len() < CHUNK;
        if chunks.send(chunk).is_err() || is_last {
            return Ok(());
        }
    }
}

/// Whether the file has the same text as these parts, which may still be coming: nothing is read before what it is
/// compared with has come.
///
/// The kernel returns all lines that it has formatted, unless they fill the buffer. What it then returns next may be
/// older than it has to be, and proves nothing.
fn is_unchanged(mut file: &File, mut parts: impl Iterator<Item = Vec<u8>>) -> io::Result<bool> {
    let (mut text, mut at, mut more) = (Vec::new(), 0, true);
    let mut chunk = vec![0; COMPARED];
    loop {
        while more && text.len() - at < COMPARED {
            text.drain(..at);
            at = 0;
            match parts.next() {
                Some(part) => text.extend_from_slice(&part),
                None => more = false,
            }
        }
        let rest = text.get(at..).unwrap_or_default();
        match file.read(&mut chunk) {
            Ok(0) => return Ok(rest.is_empty()),
            Ok(count) if more && count == chunk.len() => return Ok(false),
            Ok(count) if rest.starts_with(chunk.get(..count).unwrap_or_default()) => at += count,
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_text_that_changed_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        let text = b"line\n".repeat(5000);
        file.write_all(&text).unwrap();
        let mut is_same = |parts: &[&[u8]]| {
            file.rewind().unwrap();
            is_unchanged(&file, parts.iter().map(|part| part.to_vec())).unwrap()
        };
        assert!(is_same(&[&text]));
        assert!(is_same(&[&text[..7], &text[7..20_000], b"", &text[20_000..]]));
        for other in [&[&text[..], b"more\n"][..], &[&text[5..]], &[b""], &[]] {
            assert!(!is_same(other));
        }
    }

    #[test]
    fn a_text_that_may_have_been_ready_too_early_proves_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        let text = vec![b'x'; 2 * COMPARED];
        file.write_all(&text).unwrap();
        file.rewind().unwrap();
        assert!(!is_unchanged(&file, once(text)).unwrap());
    }
}
