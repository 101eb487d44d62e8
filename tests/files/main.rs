//! `rmap files` on a machine with a known load: every file of it is named, with the right bytes, holders and groups.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod account;
mod directories;
mod groups;
mod load;
mod mounts;
mod options;
mod ordinary;
mod storm;

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use common::{Run, rmap};

/// What `rmap files --jsonl` answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Value>,
    /// The lines on standard error, without those about processes that do not show what they hold even to root, and
    /// about files without a name in memory, which a machine may have.
    pub(crate) complaints: Vec<String>,
    /// Whether there was the line about processes.
    pub(crate) is_blind: bool,
    /// Whether there was the line about files without a name.
    pub(crate) has_nameless: bool,
}

/// The start of every line about the lists.
const LISTS: &str = "rmap: the kernel's lists of cached files: ";
const BLIND: &str = "what holds a file is not known for ";
/// The start of the line about processes that do not show their mounts, if there is nothing else about them.
const UNPLACED: &str = "which container a file belongs to is not known of all: ";
/// The end of the line about files without a name in memory, which a disk may have.
const NAMELESS: [&str; 2] = ["directory", "directories"];

/// The line about so many files without a name in memory, if it begins and ends so.
fn is_nameless(line: &str) -> bool {
    let said = line.strip_prefix(LISTS).and_then(|said| said.split_once(" without a name in memory "));
    said.is_some_and(|(_, end)| NAMELESS.iter().any(|word| end == format!("may be below the given {word}")))
}

impl Answer {
    pub(crate) fn of(run: &Run) -> Answer {
        let is_blind = |line: &&str| line.strip_prefix(LISTS).is_some_and(|said| said.starts_with(BLIND));
        let (blind, complaints): (Vec<&str>, Vec<&str>) = run.complaints().into_iter().partition(is_blind);
        let is_unplaced = |line: &&str| line.strip_prefix(LISTS).is_some_and(|said| said.starts_with(UNPLACED));
        let complaints: Vec<&str> = complaints.into_iter().filter(|line| !is_unplaced(line)).collect();
        let (nameless, complaints): (Vec<&str>, Vec<&str>) = complaints.into_iter().partition(|line| is_nameless(line));
        let is_incomplete = complaints.iter().any(|line| !line.ends_with(": no row matches"));
        assert_eq!(run.status, Some(i32::from(is_incomplete)), "{}", run.err);
        let complaints = complaints.into_iter().map(str::to_owned).collect();
        let (is_blind, has_nameless) = (!blind.is_empty(), !nameless.is_empty());
        Answer { rows: run.lines_of_json(), complaints, is_blind, has_nameless }
    }

    /// The one row of a file.
    #[track_caller]
    pub(crate) fn row(&self, path: &Path) -> &Value {
        self.only(|row| row["path"] == path.to_str().unwrap(), &path.display().to_string())
    }

    /// The one row of a file without a path, by its inode number; needs the column.
    #[track_caller]
    pub(crate) fn row_of_inode(&self, kind: &str, inode: u64) -> &Value {
        self.only(|row| row["kind"] == kind && row["inode"] == inode, &format!("{kind} {inode}"))
    }

    #[track_caller]
    fn only(&self, is_wanted: impl Fn(&Value) -> bool, what: &str) -> &Value {
        let found: Vec<&Value> = self.rows.iter().filter(|row| is_wanted(row)).collect();
        assert_eq!(found.len(), 1, "{what}: {found:?} of {} rows", self.rows.len());
        found[0]
    }

    /// That nobody holds the file of a row, as far as it can be known on this machine.
    #[track_caller]
    pub(crate) fn assert_held_by_nobody(&self, row: &Value) {
        assert_eq!(row["holders"], Value::Null, "{row}");
        let why = row["absent"]["holders"].as_str();
        assert_eq!(why.is_some_and(|why| why.starts_with("denied: ")), self.is_blind, "{row}");
        assert_eq!(why.is_some(), self.is_blind, "{row}");
    }

    /// The sum of a column over all rows, each of which must have it.
    #[track_caller]
    pub(crate) fn sum(&self, key: &str) -> u64 {
        self.rows.iter().map(|row| bytes(row, key)).sum()
    }
}

#[track_caller]
pub(crate) fn bytes(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// That so many bytes of the file of a row are locked. The kernel does not mark a large folio that is mapped across the
/// end of a page table (2 MiB on x86), though it is locked all the same.
#[track_caller]
pub(crate) fn assert_locked(row: &Value, expected: u64) {
    let (locked, large) = (bytes(row, "locked"), bytes(row, "large"));
    assert!(locked == expected || locked < expected && locked + large >= expected, "{expected} locked: {row}");
    assert_eq!(bytes(row, "unevictable"), locked, "{row}");
}

/// `rmap files --jsonl ARGS...` with enough time for a program that was built for debugging.
pub(crate) fn answer<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Answer {
    let mut all: Vec<std::ffi::OsString> = ["files", "--jsonl", "--budget=20"].map(Into::into).to_vec();
    all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    Answer::of(&rmap(all))
}

/// The same, repeated until nothing changed meanwhile that rmap would complain about.
#[track_caller]
pub(crate) fn complete<S: AsRef<OsStr>>(arguments: &[S]) -> Answer {
    let mut last = answer(arguments);
    for _ in 0..10 {
        if last.complaints.iter().all(|line| line.ends_with(": no row matches")) {
            return last;
        }
        last = answer(arguments);
    }
    panic!("never complete: {:?}", last.complaints);
}

/// All rows below a directory, with the columns that the tests need.
#[track_caller]
pub(crate) fn below(directory: &Path) -> Answer {
    complete(&[OsStr::new(MORE), directory.as_os_str()])
}

/// Columns that are not there by default.
pub(crate) const MORE: &str = "-o+directory,kind,inode,fs,links,locked,unevictable,unmapped,\
                               evicted,not_up_to_date,large,node,holder_count,method,device,writeback";

/// Whether rmap can read the kernel's lists here; if not, prints which tests are skipped.
pub(crate) fn has_lists(name: &str) -> bool {
    let run = rmap(["files", "--jsonl", "--budget=20", "-o", "cached,method", "--top=1"]);
    let is_read = run.lines_of_json().first().is_some_and(|row| row["method"] == "pages");
    if !is_read {
        eprintln!("SKIPPED: {name}: {}", run.err.lines().next().unwrap_or("there is no cached file"));
    }
    is_read
}

/// The figures of `rmap pcstat`, which asks `cachestat(2)`: cached, dirty and not up to date, in bytes.
pub(crate) fn by_cachestat(path: &Path) -> (u64, u64, u64) {
    let columns = "-o+dirty_pages,not_up_to_date_pages,method";
    let row =
        rmap(["pcstat".as_ref(), "--jsonl".as_ref(), columns.as_ref(), path.as_os_str()]).lines_of_json()[0].clone();
    assert_eq!(row["method"], "cachestat", "{row}");
    let figure = |key: &str| bytes(&row, key) * common::page();
    (figure("cached"), figure("dirty_pages"), figure("not_up_to_date_pages"))
}
