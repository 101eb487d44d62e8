//! Creates a sparse file with a known set of cached pages, keeps them cached, and removes the file at the end.
//!
//! `hold_pages FILE SIZE FIRST LENGTH STEP COUNT` creates a file of SIZE bytes and writes COUNT stretches of LENGTH
//! bytes: the first at offset FIRST, each following one STEP bytes after the start of the previous one. Numbers are in
//! bytes or have a suffix K, M, G or T. On a disk, the stretches are then read again and locked in memory (`mlock`), so
//! that the kernel does not reclaim them during the measurement; on tmpfs the pages stay anyway. The program prints
//! `ready` and waits for the end of its standard input.

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rmap::pagecache::{FileSystem, FileSystemKind};

const USAGE: &str = "usage: hold_pages FILE SIZE FIRST LENGTH STEP COUNT";

/// Removes the file when the program ends, even after a panic.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            eprintln!("hold_pages: {}: {error}", self.0.display());
        }
    }
}

fn main() {
    let path = PathBuf::from(std::env::args_os().nth(1).expect(USAGE));
    let [size, first, length, step, count] = [2, 3, 4, 5, 6].map(number);
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a new file");
    let _removed = Removed(path);
    file.set_len(size).expect("the file system supports files of this size");
    let stretches = || (0..count).map(|index| first + index * step);
    let block = vec![7u8; usize::try_from(length.min(1 << 20)).expect("a block fits")];
    for start in stretches() {
        for at in (start..start + length).step_by(block.len()) {
            let block = block.get(..usize::try_from(start + length - at).unwrap_or(usize::MAX)).unwrap_or(&block);
            file.write_all_at(block, at).expect("the file can be written");
        }
    }
    let locked: Vec<MmapRaw> = match FileSystem::of_file(file.as_fd()).expect("fstatfs").kind {
        FileSystemKind::Memory => Vec::new(),
        _ => read_again_and_lock(&file, size, stretches(), length),
    };
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input can be read");
    drop(locked);
}

/// Drops the written pages from the cache and reads them again, so that folios have the size that readahead gives them.
fn read_again_and_lock(file: &File, size: u64, stretches: impl Iterator<Item = u64>, length: u64) -> Vec<MmapRaw> {
    file.sync_all().expect("fsync");
    posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("posix_fadvise");
    let mut block = vec![0; 1 << 20];
    stretches
        .map(|start| {
            let end = (start + length).min(size);
            let mut at = start;
            while at < end {
                let most = block.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let part = block.get_mut(..most).expect("no longer than the block");
                at += file.read_at(part, at).expect("the file can be read") as u64;
            }
            let length = usize::try_from(end - start).expect("a large enough address space");
            let map = MmapOptions::new().offset(start).len(length).map_raw_read_only(file).expect("mmap");
            map.lock().expect("mlock: run as root, or raise `ulimit -l`");
            map
        })
        .collect()
}

fn number(place: usize) -> u64 {
    let word = std::env::args().nth(place).expect(USAGE);
    let digits = word.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match word.strip_prefix(digits) {
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        Some("T") => 40,
        _ => 0,
    };
    digits.parse::<u64>().expect(USAGE) << shift
}
