//! Files with known cached pages.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rmap::pagecache::Engine;
use rmap::units::{PageRuns, PageSize, Run};
use tempfile::{NamedTempFile, TempDir};

/// A directory on tmpfs, where pages stay until the file is removed.
pub(crate) fn memory() -> PathBuf {
    PathBuf::from("/dev/shm")
}

/// A directory next to the test program, which is on a disk if the sources are.
pub(crate) fn disk() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A sparse file with exactly the given pages cached.
pub(crate) struct Known {
    pub(crate) file: NamedTempFile,
    pub(crate) runs: PageRuns,
    _locked: Vec<MmapRaw>,
}

/// The page size of the running kernel.
pub(crate) fn page_size() -> PageSize {
    Engine::detect().page_size()
}

/// A new file of `size` bytes with only `runs` cached. The last page may be partial.
pub(crate) fn known_file(folder: &Path, size: u64, runs: PageRuns) -> Known {
    let file = NamedTempFile::new_in(folder).unwrap();
    file.as_file().set_len(size).unwrap();
    for run in &runs {
        write_run(file.as_file(), size, *run);
    }
    Known { file, runs, _locked: Vec::new() }
}

/// The same, with the pages locked in memory, so that the kernel cannot reclaim them. If this user may not lock enough
/// memory, prints SKIPPED and returns `None`.
pub(crate) fn locked_file(folder: &Path, size: u64, runs: PageRuns) -> Option<Known> {
    let mut known = known_file(folder, size, runs);
    match known.runs.iter().map(|run| lock(known.file.as_file(), *run)).collect() {
        Ok(locked) => known._locked = locked,
        Err(error) => {
            eprintln!("SKIPPED: cannot lock {} pages: {error}", known.runs.cached().0);
            return None;
        }
    }
    Some(known)
}

fn write_run(file: &File, size: u64, run: Run) {
    let page = page_size().bytes();
    let length = (run.count * page).min(size - run.first * page);
    file.write_all_at(&vec![7; length as usize], run.first * page).unwrap();
}

fn lock(file: &File, run: Run) -> std::io::Result<MmapRaw> {
    let page = page_size().bytes();
    let length = usize::try_from(run.count * page).unwrap();
    let map = MmapOptions::new().offset(run.first * page).len(length).map_raw_read_only(file)?;
    // Otherwise a fault may read ahead and cache other pages.
    map.advise(Advice::Random)?;
    map.lock()?;
    Ok(map)
}

/// The runs of a file as pairs, for readable test failures.
pub(crate) fn pairs(runs: &PageRuns) -> Vec<(u64, u64)> {
    runs.iter().map(|run| (run.first, run.count)).collect()
}

/// Pages `first .. first + count` for each pair.
pub(crate) fn runs(list: &[(u64, u64)]) -> PageRuns {
    list.iter().map(|(first, count)| Run { first: *first, count: *count }).collect()
}
