//! The baseline for everything that asks about all processes: reads one file of each of them, one after the other, and
//! does nothing else. Usage: `bare_read NAME`, which reads `/proc/PID/NAME`.
//!
//! Processes that do not show it are passed over. It prints how many bytes it has read.

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]

use std::fs::{File, read_dir};
use std::io::Read;

fn main() {
    let name = std::env::args().nth(1).expect("usage: bare_read NAME");
    let mut buffer = vec![0; 64 << 10];
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
