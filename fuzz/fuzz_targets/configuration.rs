//! Feeds arbitrary bytes to the parser of the configuration file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::cli::configuration(bytes));
