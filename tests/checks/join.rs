//! Checks of lists of names (see `tests/checks/mod.rs`).

#![allow(clippy::unwrap_used, reason = "a check fails by panicking")]

use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::names::NameList;

/// Names that end in a newline, or in NUL: they are the parts of the text, up to the first error.
pub fn names(text: &[u8]) {
    for null in [false, true] {
        let list = NameList::new(PathBuf::from("x"), Box::new(Cursor::new(text.to_vec())), null);
        let found: Vec<_> = list.into_names().collect();
        let end = if null { 0 } else { b'\n' };
        let mut expected = text.split(|byte| *byte == end).filter(|name| !name.is_empty());
        for (place, name) in found.iter().enumerate() {
            match name {
                Ok(name) => assert_eq!(Some(name.as_os_str().as_bytes()), expected.next()),
                Err(_) => assert_eq!(place + 1, found.len(), "nothing follows an error"),
            }
        }
        assert!(found.last().is_some_and(Result::is_err) || expected.next().is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::damaged;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_the_parts_of_the_text(text in damaged(&[b"/a\n/b c\n\n\xff", b"/a\0/b\nc\0\0d"])) {
            names(&text);
        }
    }
}
