//! A command after its options, such as `rmap --json ps`: what to type.
//!
//! It is not run as if it came first: a word may be the value of an option as well, and some commands change the
//! machine.

use std::ffi::OsString;

use super::demo::shell_word;

/// The line for a command after its options. `takes` says whether rmap takes these words.
pub(super) fn late(command: &str, words: &[OsString], takes: &dyn Fn(&[&OsString]) -> bool) -> String {
    in_order(command, words, takes)
        .unwrap_or_else(|| format!("{command}: a command comes before its options; see `rmap {command} --help`"))
}

/// The same line with what to type; `None` if the command does not take these words either.
pub(super) fn in_order(command: &str, words: &[OsString], takes: &dyn Fn(&[&OsString]) -> bool) -> Option<String> {
    let moved = |place: usize| -> Vec<&OsString> {
        let (before, after) = words.split_at(place);
        after.iter().take(1).chain(before).chain(after.iter().skip(1)).collect()
    };
    let places = words.iter().enumerate().filter(|(_, word)| *word == command);
    let typed = places.map(|(place, _)| moved(place)).find(|typed| takes(typed))?;
    let typed: Vec<String> = typed.into_iter().map(|word| shell_word(word.as_encoded_bytes())).collect();
    Some(format!("{command}: a command comes before its options; type `rmap {}`", typed.join(" ")))
}
