//! What must hold for any bytes from outside: one function for each parser. `cargo test` calls it with damaged samples,
//! and the fuzzer (`fuzz/`) with whatever leads to new code. Compiled only for these two.
//!
//! A check fails by panicking. The checks of private parsers are next to them: `process`, `machine`, `join`, `kernel`,
//! `cli`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a check fails by panicking")]

pub use crate::join::checks as join;
pub use crate::machine::checks as machine;
pub use crate::process::checks as process;

#[cfg(feature = "cli")]
pub use crate::cli::checks as cli;
#[cfg(feature = "bpf")]
pub use crate::kernel::checks as kernel;

use crate::table::{ColumnList, Expression, RowKind};
use crate::units::{Bytes, Exact, Human};
use crate::views::mapping::AddressRange;
use crate::views::{directory, effect, file, mapping, part, stretch};

/// Filter expressions, over the columns of every view.
pub fn filter(bytes: &[u8]) {
    fn over<K: RowKind>(expression: &Expression, text: &str) {
        if let Err(error) = expression.over::<K>(&K::columns()) {
            assert!(text.get(error.place.clone()).is_some(), "{:?}", error.place);
            assert!(error.to_string().contains(" (at character "));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Expression>() {
        Ok(expression) => {
            over::<mapping::MappingRows>(&expression, text);
            over::<file::Files>(&expression, text);
            over::<directory::Directories>(&expression, text);
            over::<stretch::Stretches>(&expression, text);
            over::<part::Parts>(&expression, text);
            over::<effect::Effects>(&expression, text);
        }
        Err(error) => {
            assert!(text.get(error.place.clone()).is_some(), "{:?}", error.place);
            assert!(error.to_string().contains(" (at character "));
        }
    }
}

/// Sizes, ranges of addresses and lists of columns.
pub fn sizes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(size) = text.parse::<Bytes>() {
        assert_eq!(Exact(size).to_string().parse(), Ok(size));
        assert!(Human(size).to_string().parse::<Bytes>().unwrap() <= size, "it is rounded down");
    }
    if let Ok(range) = text.parse::<AddressRange>() {
        assert_eq!(format!("{:x},{:x}", range.low, range.high).parse(), Ok(range));
    }
    if let Ok(list) = text.parse::<ColumnList>() {
        assert!(!list.ids.is_empty() && list.ids.iter().all(|id| !id.is_empty() && !id.contains(',')));
        let written = format!("{}{}", if list.adds { "+" } else { "" }, list.ids.join(","));
        assert_eq!(written.parse(), Ok(list));
    }
}

#[cfg(test)]
pub(crate) use damage::damaged;

#[cfg(test)]
mod damage {
    use proptest::prelude::*;

    /// A change of a text.
    #[derive(Debug, Clone)]
    enum Change {
        /// The byte at this place.
        Set(usize, u8),
        /// Cut from here on.
        Cut(usize),
        /// Lost: where, and how many bytes.
        Lose(usize, usize),
        /// Twice: where, and how many bytes.
        Repeat(usize, usize),
        /// Another text put in.
        Put(usize, &'static [u8]),
    }

    /// What breaks parsers.
    const ODD: [&[u8]; 16] = [
        b"\n",
        b"\0",
        b" ",
        b"\r\n",
        b":",
        b"-",
        b"(",
        b")",
        b"\xff\xfe",
        b"18446744073709551615",
        b"18446744073709551616",
        b"999999999999999999999999",
        b"ffffffffffffffff",
        b"-1",
        b"\\134\\012\\999",
        b"0000000000000000000000000000001",
    ];

    /// One of the samples after up to eight changes, or any bytes.
    pub(crate) fn damaged(samples: &[&[u8]]) -> impl Strategy<Value = Vec<u8>> + use<> {
        let samples: Vec<Vec<u8>> = samples.iter().map(|sample| sample.to_vec()).collect();
        let place = any::<prop::sample::Index>;
        let change = prop_oneof![
            (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at.index(1 << 20), byte)),
            place().prop_map(|at| Change::Cut(at.index(1 << 20))),
            (place(), 1usize..40).prop_map(|(at, count)| Change::Lose(at.index(1 << 20), count)),
            (place(), 1usize..200).prop_map(|(at, count)| Change::Repeat(at.index(1 << 20), count)),
            (place(), prop::sample::select(ODD.to_vec())).prop_map(|(at, text)| Change::Put(at.index(1 << 20), text)),
        ];
        let changed = (prop::sample::select(samples), prop::collection::vec(change, 0..8))
            .prop_map(|(sample, changes)| changes.into_iter().fold(sample, apply));
        prop_oneof![9 => changed, 1 => prop::collection::vec(any::<u8>(), 0..200)]
    }

    fn apply(mut text: Vec<u8>, change: Change) -> Vec<u8> {
        let length = text.len();
        let within = |at: usize| if length == 0 { 0 } else { at % length };
        let end = |at: usize, count: usize| within(at).saturating_add(count).min(length);
        match change {
            Change::Set(at, byte) if length > 0 => text[at % length] = byte,
            Change::Set(..) => {}
            Change::Cut(at) => text.truncate(within(at)),
            Change::Lose(at, count) => drop(text.drain(within(at)..end(at, count))),
            Change::Repeat(at, count) => {
                let part = text[within(at)..end(at, count)].to_vec();
                text.splice(within(at)..within(at), part);
            }
            Change::Put(at, odd) => drop(text.splice(within(at)..within(at), odd.iter().copied())),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILTERS: [&[u8]; 4] = [
        b"rss > 10M && kind == file",
        b"(perm =~ '^rw' || deleted) && !(mapping == [heap])",
        b"size >= rss && start < 7f00 && percent <= 12.5 && mtime > 2026-01-31T12:00:00Z",
        b"is_hole || state == 'cached hole' && method != mincore && offset == 0x1000",
    ];

    const SIZES: [&[u8]; 6] = [b"1.5G", b"512MiB", b"15.9999999999E", b"0x1000,7fff", b"+size,rss", b"rss,  Pss"];

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_an_error(bytes in damaged(&FILTERS)) {
            filter(&bytes);
        }

        #[test]
        fn what_is_a_size_a_range_or_a_list_is_the_same_when_written(bytes in damaged(&SIZES)) {
            sizes(&bytes);
        }
    }
}
