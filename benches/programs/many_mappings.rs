//! A process with many mappings, to be inspected. Usage: `many_mappings COUNT`
//!
//! Each mapping has one page. File mappings and anonymous mappings alternate, so that the kernel cannot merge
//! neighbours. Half of the anonymous ones are written to. The program prints its pid and waits for the end of its
//! standard input.

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use memmap2::{MmapMut, MmapOptions};
use rmap::pagecache::Engine;

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("usage: many_mappings COUNT");
    let page = usize::try_from(Engine::detect().page_size().bytes()).expect("a page size");
    let file = memory(page * 2);
    let mut shared = Vec::new();
    let mut private = Vec::new();
    for index in 0..count {
        if index % 2 == 0 {
            let map = MmapOptions::new().len(page).map_raw_read_only(&file).expect("mmap (vm.max_map_count?)");
            shared.push(map);
        } else {
            let mut map: MmapMut = MmapOptions::new().len(page).map_anon().expect("mmap (vm.max_map_count?)");
            if index % 4 == 1 {
                map.fill(1);
            }
            private.push(map);
        }
    }
    println!("{}", std::process::id());
    io::stdout().flush().expect("standard output can be written");
    io::stdin().read_to_end(&mut Vec::new()).expect("standard input can be read");
}

fn memory(length: usize) -> File {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let file = File::from(memfd_create(c"many-mappings", MFdFlags::MFD_CLOEXEC).expect("memfd_create"));
    file.set_len(length as u64).expect("ftruncate");
    file.write_all_at(&[1], 0).expect("pwrite");
    file
}
