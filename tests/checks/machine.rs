//! Checks of what is read about the whole machine (see `tests/checks/mod.rs`).

use super::cgroups::parse::{parse_ceiling, parse_number, parse_pids, parse_pressure, parse_value};
use super::fields::Fields;

/// `meminfo`, and the files of a control group.
pub fn meminfo(text: &[u8]) {
    if let Some(total) = Fields::parse(text).bytes("MemTotal") {
        let written = format!("MemTotal:  {} kB\n", total.kib());
        assert_eq!(Fields::parse(written.as_bytes()).bytes("MemTotal"), Some(total));
    }
    let _ = Fields::parse(text).bytes("MemAvailable");
    let number = parse_number(text);
    assert!(parse_ceiling(text).flatten().is_none_or(|limit| Some(limit) == number));
    assert!(parse_pressure(text, b"some").is_none_or(|share| (0.0..=100.0).contains(&share)));
    assert!(parse_pids(text).len() <= text.len());
    let _ = parse_value(text, b"inactive_file");
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
