//! The baseline for `rmap mem --pages`: reads a file once from its beginning to its end and does nothing else. Usage:
//! `read_once FILE`
//!
//! It prints the number of bytes.

#![allow(clippy::expect_used, reason = "a benchmark program may stop if anything fails")]

use std::fs::File;
use std::io::Read;

/// Bytes per call.
const BUFFER: usize = 1 << 20;

fn main() {
    let path = std::env::args_os().nth(1).expect("usage: read_once FILE");
    let mut file = File::open(path).expect("the file can be opened");
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer).expect("the file can be read") {
            0 => break,
            more => bytes += more,
        }
    }
    println!("{bytes}");
}
