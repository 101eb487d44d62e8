//! The smaps parser allocates nothing per line or mapping, and holds far less than the text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use rmap::process::{Fields, SmapsParser, Wanted};

/// The text of this many mappings in the format of Linux 6.1.
fn text_of(mappings: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..mappings {
        let start = 0x7f00_0000_0000 + number * 0x4000;
        let head = format!("{start:x}-{:x} rw-p 00000000 fe:00 {number} ", start + 0x2000);
        let name = if number % 3 == 0 { "" } else { "/usr/lib/x86_64-linux-gnu/libc.so.6" };
        text.extend_from_slice(format!("{head:<73}{name}\nSize:                  8 kB\n").as_bytes());
        for key in 0..22 {
            text.extend_from_slice(format!("Counter_Of_{key:<4}:{:8} kB\n", number % 100).as_bytes());
        }
        text.extend_from_slice(b"VmFlags: rd wr mr mw me ac \n");
    }
    text
}

/// The number of allocations and the peak memory when parsing `text` in reads of one page.
fn allocated(text: &[u8], wanted: &Wanted) -> (u64, u64) {
    let info = allocation_counter::measure(|| {
        let mut fields = Fields::new();
        let mut parser = SmapsParser::new(&mut fields, wanted);
        text.chunks(4000).for_each(|chunk| parser.feed(chunk).unwrap());
        let mappings = parser.finish().unwrap();
        assert!(mappings.len() >= 1000);
    });
    (info.count_total, info.bytes_max)
}

#[test]
fn ten_times_the_mappings_take_a_few_more_allocations() {
    let (some, many) = (text_of(1000), text_of(10_000));
    let (few, _) = allocated(&some, &Wanted::Everything);
    let (more, bytes) = allocated(&many, &Wanted::Everything);
    // Each of the 24 columns doubles four times, and so do the heads and pools.
    assert!(more - few <= 4 * 28, "{few} allocations for 1,000 mappings, {more} for 10,000");
    assert!(bytes < many.len() as u64, "{bytes} bytes for {} of text", many.len());
}

#[test]
fn unwanted_keys_take_no_memory() {
    let text = text_of(10_000);
    let (_, bytes) = allocated(&text, &Wanted::Only(vec!["Counter_Of_3   ".into()]));
    assert!(bytes < text.len() as u64 / 5, "{bytes} bytes for {} of text", text.len());
}
