//! The yardstick of the page map: `mincore` over a whole file and nothing else. `bare_mincore FILE`
//!
//! It keeps no answer; it prints how many pages are cached, so that nothing is optimised away.

#![allow(clippy::expect_used, reason = "a program of the benchmark ends where it cannot go on")]

use std::fs::File;
use std::os::fd::AsFd;

use rmap::kernel::mincore::Window;
use rmap::kernel::page_size;

/// Pages a call: the answer is 64 KiB, and stays in the processor's cache.
const PAGES: usize = 1 << 16;

fn main() {
    let path = std::env::args_os().nth(1).expect("usage: bare_mincore FILE");
    let file = File::open(path).expect("the file can be opened");
    let length = usize::try_from(file.metadata().expect("fstat").len()).expect("an address space as large");
    let page = usize::try_from(page_size().bytes()).expect("a page size");
    let window = Window::map(file.as_fd(), 0, length, page).expect("the file can be mapped");
    let mut answer = vec![0; PAGES];
    let mut cached = 0usize;
    for first in (0..window.pages()).step_by(PAGES) {
        let count = PAGES.min(window.pages() - first);
        let answer = answer.get_mut(..count).expect("as long as a call");
        window.cached(first, answer).expect("mincore");
        cached += answer.iter().map(|byte| usize::from(byte & 1)).sum::<usize>();
    }
    println!("{cached}");
}
