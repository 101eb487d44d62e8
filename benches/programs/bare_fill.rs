//! The baseline for the demo: maps a new file, fills it byte by byte, and measures nothing. The file is removed at the
//! end. Usage: `bare_fill FILE BYTES`

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]
#![allow(unsafe_code, reason = "mapping a file for writing")]

use std::fs::{File, remove_file};
use std::hint::black_box;

use memmap2::MmapOptions;
use nix::fcntl::posix_fallocate;

fn main() {
    let mut words = std::env::args().skip(1);
    let path = words.next().expect("usage: bare_fill FILE BYTES");
    let length: usize = words.next().and_then(|word| word.parse().ok()).expect("usage: bare_fill FILE BYTES");
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a new file");
    posix_fallocate(&file, 0, i64::try_from(length).expect("a length")).expect("room for the file");
    // SAFETY: the file is new, and nothing else uses it.
    let mut map = unsafe { MmapOptions::new().len(length).map_mut(&file) }.expect("the file can be mapped");
    for (place, byte) in map.iter_mut().enumerate() {
        *byte = (place % 128) as u8;
    }
    black_box(&map);
    drop(map);
    remove_file(path).expect("the file is there");
}
