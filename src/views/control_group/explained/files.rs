//! The cached files of a control group, in words.

use crate::error::Error;
use crate::join::GroupFiles;
use crate::table::escape::escaped;
use crate::units::{Human, counted};

/// So many files are named.
const NAMED: usize = 5;

/// The cached files.
pub(super) fn lines(files: &Result<GroupFiles, Error>) -> Vec<String> {
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            let why = escaped(error.why().as_bytes());
            return vec![format!("Which cached files it is charged for is not known: {why}.")];
        }
    };
    let mut lines = charged(files);
    lines.extend(others(files));
    lines
}

/// What it is charged for.
fn charged(files: &GroupFiles) -> Vec<String> {
    let sum = Human(files.charged.iter().map(|file| file.cached).sum());
    let number = counted(files.charged.len() as u64, "cached file", "cached files");
    let first = match (files.charged.is_empty(), files.charged_lack.is_empty()) {
        (true, true) => "It is charged for no cached file.".to_owned(),
        (true, false) => "No cached file that it is charged for was found.".to_owned(),
        (false, is_whole) => {
            let least = if is_whole { "" } else { "at least " };
            format!("It is charged for {least}{sum} of {number}, the largest first:")
        }
    };
    let named = files.charged.iter().take(NAMED);
    let named =
        named.map(|file| format!("- {} {}{}", Human(file.cached), escaped(&file.path), deleted(file.is_deleted)));
    std::iter::once(first).chain(named).chain(lacks(&files.charged_lack)).collect()
}

/// What its processes hold and others are charged for.
fn others(files: &GroupFiles) -> Vec<String> {
    let others = match &files.others {
        Ok(others) => others,
        Err(absent) => {
            let what = "Which files of other groups its processes hold is not known";
            return vec![format!("{what}: {}.", absent.why)];
        }
    };
    let sum = Human(others.iter().map(|file| file.cached).sum());
    let first = match (others.is_empty(), files.others_lack.is_empty()) {
        (true, true) => "Its processes hold no file that another group is charged for.".to_owned(),
        (true, false) => "No file was found that its processes hold and another group is charged for.".to_owned(),
        (false, is_whole) => {
            let least = if is_whole { "" } else { "at least " };
            format!("Other groups are charged for {least}{sum} of files that its processes hold, the largest first:")
        }
    };
    let named = others.iter().take(NAMED).map(|file| {
        let group = file.groups.first().map_or(&[][..], |(group, _)| group);
        let more = match file.groups.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let deleted = deleted(file.is_deleted);
        format!("- {} {}{deleted}: {}{more}", Human(file.cached), escaped(&file.path), escaped(group))
    });
    std::iter::once(first).chain(named).chain(lacks(&files.others_lack)).collect()
}

/// What is said after the name of a file that was deleted.
fn deleted(is_deleted: bool) -> &'static str {
    if is_deleted { " (deleted)" } else { "" }
}

/// What a list may lack.
fn lacks(lack: &[String]) -> Vec<String> {
    lack.iter().map(|why| format!("This list may lack something: {}.", escaped(why.as_bytes()))).collect()
}
