//! Checks of what is read about the whole machine (see `tests/checks/mod.rs`).

use super::meminfo::{parse_meminfo, reclaimable};

/// `meminfo`, and the `memory.stat` of a control group.
pub fn meminfo(text: &[u8]) {
    if let Some(total) = parse_meminfo(text, b"MemTotal") {
        let written = format!("MemTotal:  {} kB\n", total.kib());
        assert_eq!(parse_meminfo(written.as_bytes(), b"MemTotal"), Some(total));
    }
    let _ = parse_meminfo(text, b"MemAvailable");
    let _ = reclaimable(&String::from_utf8_lossy(text), ["inactive_file", "active_file"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::damaged;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn meminfo_is_the_same_when_written(
            text in damaged(&[include_bytes!("seeds/meminfo/meminfo.txt")]),
        ) {
            meminfo(&text);
        }
    }
}
