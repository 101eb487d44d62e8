//! The baseline for everything that reads `/proc`: reads files and does nothing else. `bare_read NAME` reads
//! `/proc/PID/NAME` of all processes, one after the other, and `bare_read /proc/FILE` one file.
//!
//! Processes that do not show it are passed over. It prints how many bytes it has read.

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]

use std::fs::{File, read_dir};
use std::io::Read;

/// Bytes per call.
const BUFFER: usize = 1 << 20;

fn main() {
    let name = std::env::args().nth(1).expect("usage: bare_read NAME");
    let mut buffer = vec![0; BUFFER];
    if name.starts_with('/') {
        let mut file = File::open(&name).expect("the file can be opened");
        let mut bytes = 0;
        while let count @ 1.. = file.read(&mut buffer).expect("the file can be read") {
            bytes += count;
        }
        return println!("{bytes}");
    }
    let mut bytes = 0;
    for entry in read_dir("/proc").expect("/proc can be listed").flatten() {
        if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Ok(mut file) = File::open(entry.path().join(&name)) else { continue };
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            bytes += count;
        }
    }
    println!("{bytes}");
}
