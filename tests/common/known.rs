//! Files with known cached pages.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::page;

/// A sparse file with a known set of cached pages, which are locked if the kernel could reclaim them.
pub(crate) struct KnownFile {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) cached: u64,
    _locked: Vec<MmapRaw>,
}

/// A new file of `size` bytes with only the pages of `runs` (first, count) cached.
pub(crate) fn known_file(path: &Path, size: u64, runs: &[(u64, u64)]) -> KnownFile {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(size).unwrap();
    let locked = runs.iter().map(|(first, count)| {
        let start = first * page();
        let length = (count * page()).min(size - start) as usize;
        file.write_all_at(&vec![7; length], start).unwrap();
        let map = MmapOptions::new().offset(start).len(length).map_raw_read_only(&file).unwrap();
        // Otherwise a fault may read ahead and cache other pages.
        map.advise(Advice::Random).unwrap();
        map.lock().unwrap_or_else(|error| panic!("cannot lock {length} bytes (ulimit -l): {error}"));
        map
    });
    let locked = locked.collect();
    KnownFile { path: path.to_owned(), size, cached: runs.iter().map(|(_, count)| count).sum(), _locked: locked }
}
