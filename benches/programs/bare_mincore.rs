//! The baseline for the page map: calls `mincore` for a whole file and does nothing else. Usage: `bare_mincore FILE`
//!
//! It does not keep the results. It prints the number of cached pages, so that nothing is optimised away.

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]
#![allow(unsafe_code, reason = "mincore takes addresses; nix has no wrapper for it")]

use std::fs::File;

use memmap2::MmapOptions;
use nix::libc;
use rmap::pagecache::Engine;

/// Pages per call: the result is 64 KiB and fits into the processor's cache.
const PAGES: usize = 1 << 16;

fn main() {
    let path = std::env::args_os().nth(1).expect("usage: bare_mincore FILE");
    let file = File::open(path).expect("the file can be opened");
    let length = usize::try_from(file.metadata().expect("fstat").len()).expect("a large enough address space");
    let page = usize::try_from(Engine::detect().page_size().bytes()).expect("a page size");
    let map = MmapOptions::new().len(length).map_raw_read_only(&file).expect("the file can be mapped");
    let mut answer = vec![0u8; PAGES];
    let mut cached = 0usize;
    for first in (0..length.div_ceil(page)).step_by(PAGES) {
        let count = PAGES.min(length.div_ceil(page) - first);
        let start = map.as_ptr().wrapping_add(first * page).cast_mut();
        // SAFETY: the range lies in `map`, and the kernel writes `count` bytes, at most the length of `answer`.
        let status = unsafe { libc::mincore(start.cast(), count * page, answer.as_mut_ptr()) };
        assert_eq!(status, 0, "mincore");
        cached += answer.iter().take(count).map(|byte| usize::from(byte & 1)).sum::<usize>();
    }
    println!("{cached}");
}
