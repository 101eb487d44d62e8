//! Checks of what the user writes (see `tests/checks/mod.rs`).

#![allow(clippy::unwrap_used, reason = "a check fails by panicking")]

use super::answer::Interval;
use super::chosen::parse_range;
use super::config;

/// The configuration file: any text is accepted, or an error of one line that names a line of it.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Err(error) = config::parse_text(text, super::SUBCOMMANDS) else { return };
    let said = crate::table::escape::error_line(&error);
    let number = said.strip_prefix("config.toml:").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    let lines = text.split('\n').count().max(1);
    assert!(number.is_some_and(|number| (1..=lines).contains(&number)), "{said}");
    assert!(!said.contains('\n'), "{said}");
}

/// `--range` and `-w`.
pub fn ranges(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(range) = parse_range(text) {
        let length = if text.contains(',') { format!(",{}", range.length) } else { String::new() };
        assert_eq!(parse_range(&format!("{}{length}", range.offset)), Ok(range));
    }
    if let Ok(interval) = text.parse::<Interval>() {
        assert!(!interval.0.is_zero());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::damaged;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mistake_in_the_configuration_is_one_line(
            text in damaged(&[include_bytes!("seeds/configuration/config.toml")]),
        ) {
            configuration(&text);
        }

        #[test]
        fn a_range_is_the_same_when_written(text in damaged(&[b"1G,64M", b"4096", b"0.5", b"2"])) {
            ranges(&text);
        }
    }
}
