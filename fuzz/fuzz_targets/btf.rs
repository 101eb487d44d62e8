//! Feeds arbitrary bytes to what cuts down the kernel's description of its structures (BTF).

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rmap::checks::kernel::btf(bytes));
