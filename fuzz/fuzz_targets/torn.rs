//! Feeds arbitrary bytes to the parser of a smaps text that was attached to a report and may break off (`--smaps`).

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::process::torn(bytes));
