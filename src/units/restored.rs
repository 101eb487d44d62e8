//! Reasons that come from a file, and not from this program: those of a capture.

use std::collections::HashSet;
use std::sync::Mutex;

use super::{Absent, Reason};

/// How many different texts are kept. rmap itself has some hundred.
const MOST: usize = 1000;

/// The longest text that is kept, in characters.
const LONGEST: usize = 300;

const TOO_MANY: &str = "the capture gives more reasons than rmap has";

static TEXTS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// A text that lives as long as the program. Each is kept once; a text that rmap would not write is cut.
pub(crate) fn lasting(text: &str) -> &'static str {
    let mut texts = TEXTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    let clean: String = text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
    match texts.get(&clean[..]) {
        Some(known) => known,
        None if texts.len() >= MOST => TOO_MANY,
        None => {
            let new: &'static str = Box::leak(clean.into_boxed_str());
            texts.insert(new);
            new
        }
    }
}

impl Absent {
    /// The reason with this word and text, as a capture has them.
    pub(crate) fn restored(word: &str, why: &str) -> Absent {
        let reason = Reason::ALL.into_iter().find(|reason| reason.word() == word);
        Absent::new(reason.unwrap_or(Reason::Unsupported), lasting(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_same_after_it_was_written_and_read() {
        for reason in Reason::ALL {
            let absent = Absent::new(reason, "it was not read");
            assert_eq!(Absent::restored(absent.reason.word(), absent.why), absent);
        }
        assert_eq!(Absent::restored("odd", "a\u{1b}[2Jb\n").why, "a[2Jb");
        assert_eq!(lasting("same").as_ptr(), lasting("same").as_ptr());
    }
}
