//! The account: how much of the page cache of the machine is named, by kind, and what is left.

use super::Method;
use crate::machine::cached::{CacheSize, Kind, Proof};
use crate::units::{Bytes, Human, counted, percent};

/// What the lists do not have.
const IN_NO_LIST: &str = "in no list: asynchronous I/O, secret memory, and pages that came meanwhile";
/// What the lists do not have, or had when they were read, of a page cache that changed meanwhile.
const IN_NO_LIST_OR_MOVED: &str = "in no list, or it came or went while the lists were read";

/// How much of `Cached + Buffers` was found.
#[derive(Debug, Clone)]
pub struct Account {
    /// What the files were found by.
    pub method: Method,
    /// `Cached + Buffers` of meminfo: of the values before, during and after the reading, the one closest to what was
    /// found.
    pub size: Option<Bytes>,
    /// What was found, by kind.
    pub(crate) kinds: Vec<(Option<Kind>, Bytes)>,
    /// What is missing, and what would be needed to see it.
    pub(super) missed: Vec<String>,
    /// A sentence that says by how much the page cache changed while it was read.
    pub(super) moved: Option<String>,
}

impl Account {
    /// The account of files that were read between these values of meminfo.
    pub(super) fn new(
        method: Method,
        Sums(kinds): Sums,
        sizes: impl IntoIterator<Item = CacheSize>,
        missed: Vec<String>,
        moved: Option<String>,
    ) -> Account {
        let mut account = Account { method, size: None, kinds, missed, moved };
        let found = account.found();
        let sizes = sizes.into_iter().map(|CacheSize(size)| size);
        account.size = sizes.min_by_key(|size| size.0.abs_diff(found.0));
        account
    }

    /// The sum of all kinds.
    pub fn found(&self) -> Bytes {
        Bytes(self.kinds.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(bytes.0)))
    }

    /// What is left: what meminfo counts and was not found.
    pub fn left(&self) -> Option<Bytes> {
        self.size.map(|size| size.saturating_sub(self.found()))
    }

    /// What is left over, as text; empty if nothing is.
    fn left_over(&self) -> String {
        let is_more = self.left().is_some_and(|left| left > Bytes(0));
        match self.moved {
            _ if !self.missed.is_empty() || !is_more => self.missed.join("; "),
            None => IN_NO_LIST.to_owned(),
            Some(_) => IN_NO_LIST_OR_MOVED.to_owned(),
        }
    }

    /// The same, and by how much the page cache changed while it was read.
    pub fn missed(&self) -> String {
        let left_over = Some(self.left_over()).filter(|words| !words.is_empty());
        let parts: Vec<String> = left_over.into_iter().chain(self.moved.clone()).collect();
        parts.join("; ")
    }

    /// The account as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let found = self.found();
        let share = self.size.and_then(|size| percent(found.0.min(size.0), size.0));
        let first = match (self.size, share) {
            (Some(size), Some(share)) => format!(
                "named {}% of Cached + Buffers ({} of {}), from {}",
                // Only all is 100 %.
                if share < 100.0 { format!("{:.2} ", (share * 100.0).floor() / 100.0) } else { "100 ".to_owned() },
                Human(Bytes(found.0.min(size.0))),
                Human(size),
                self.method.source()
            ),
            _ => format!("named {}, from {}", Human(found), self.method.source()),
        };
        let kinds = self.kinds.iter().filter(|(_, bytes)| *bytes > Bytes(0));
        let kinds: Vec<String> = kinds
            .map(|(kind, bytes)| format!("{} {}", kind.map_or("of unknown kind", Kind::plural), Human(*bytes)))
            .collect();
        let kinds = Some(kinds.join(", ")).filter(|kinds| !kinds.is_empty());
        let mut lines: Vec<String> = std::iter::once(first).chain(kinds).collect();
        let left = self.left().filter(|left| *left > Bytes(0));
        let reasons = self.left_over();
        let reasons = match left {
            Some(left) => Some(format!("{}: {reasons}", Human(left))),
            None => Some(reasons).filter(|reasons| !reasons.is_empty()),
        };
        lines.extend(reasons.map(|reasons| format!("left: {reasons}")));
        lines.extend(self.moved.clone());
        lines
    }
}

impl Kind {
    /// Its name for several of them.
    fn plural(self) -> &'static str {
        match self {
            Kind::File => "files",
            Kind::Deleted => "deleted files",
            Kind::Tmpfs => "tmpfs",
            Kind::SharedMemory => "shared memory",
            Kind::Memfd => "memfd",
            Kind::BlockDevice => "block devices",
            Kind::Metadata => "file-system metadata",
        }
    }
}

/// The sums of files by kind, in the order of [`Kind::ALL`], and of those whose kind is not known.
pub(super) struct Sums(pub(super) Vec<(Option<Kind>, Bytes)>);

impl Default for Sums {
    fn default() -> Sums {
        Sums(Kind::ALL.into_iter().map(Some).chain([None]).map(|kind| (kind, Bytes(0))).collect())
    }
}

impl Sums {
    pub(super) fn add(&mut self, kind: Option<Kind>, bytes: Bytes) {
        if let Some((_, sum)) = self.0.iter_mut().find(|(one, _)| *one == kind) {
            *sum = Bytes(sum.0.saturating_add(bytes.0));
        }
    }

    /// Adds other sums to these.
    pub(super) fn merge(&mut self, Sums(others): &Sums) {
        others.iter().for_each(|(kind, bytes)| self.add(*kind, *bytes));
    }
}

/// What the lists lack.
pub(super) fn missed_by(proof: &Proof) -> Vec<String> {
    let mut missed = Vec::new();
    if !proof.broken.is_empty() {
        missed.push(format!("lists that changed while they were read: {}", proof.broken.join(", ")));
    }
    if proof.is_late {
        missed.push("files that were not listed in time; a longer --budget lists more".to_owned());
    }
    missed
}

/// How many files were not exact.
pub(super) fn inexact(count: u64) -> String {
    format!("{} changed while being read", counted(count, "file", "files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn account(size: u64, found: u64, missed: &[&str]) -> Vec<String> {
        let missed = missed.iter().map(|text| (*text).to_owned()).collect();
        let kinds = vec![(Some(Kind::File), Bytes(found)), (Some(Kind::Memfd), Bytes(0))];
        Account { method: Method::Lists, size: Some(Bytes(size)), kinds, missed, moved: None }.lines()
    }

    #[test]
    fn only_all_of_it_is_a_hundred_percent() {
        let [all, kinds] = account(100 * MIB, 100 * MIB, &[]).try_into().unwrap();
        assert!(all.starts_with("named 100 % of Cached + Buffers (100M of 100M), from the kernel's lists"), "{all}");
        assert_eq!(kinds, "files 100M");
        let nearly = account(100_000 * MIB, 99_999 * MIB, &[]);
        assert!(nearly[0].starts_with("named 99.99 % of"), "{nearly:?}");
        assert!(nearly[2].starts_with("left: 1M: in no list"), "{nearly:?}");
    }

    #[test]
    fn the_size_is_one_that_meminfo_said_and_is_not_made_to_fit() {
        let sums = || {
            let mut sums = Sums::default();
            sums.add(Some(Kind::File), Bytes(120));
            sums.add(None, Bytes(10));
            sums
        };
        let size = |sizes: [u64; 2]| {
            let account =
                Account::new(Method::Lists, sums(), sizes.map(|size| CacheSize(Bytes(size))), Vec::new(), None);
            (account.size, account.left())
        };
        assert_eq!(size([100, 150]), (Some(Bytes(150)), Some(Bytes(20))));
        assert_eq!(size([150, 100]), (Some(Bytes(150)), Some(Bytes(20))));
        assert_eq!(size([131, 190]), (Some(Bytes(131)), Some(Bytes(1))));
    }

    #[test]
    fn what_is_missing_is_named_even_if_the_sum_is_complete() {
        assert_eq!(account(MIB, MIB, &["a", "b"])[2], "left: a; b");
        assert_eq!(account(2 * MIB, MIB, &["a"])[2], "left: 1M: a");
    }

    #[test]
    fn what_is_left_of_a_cache_that_changed_meanwhile_need_not_be_in_no_list() {
        let account = |found, missed: &[&str]| Account {
            method: Method::Lists,
            size: Some(Bytes(2 * MIB)),
            kinds: vec![(Some(Kind::File), Bytes(found))],
            missed: missed.iter().map(|text| (*text).to_owned()).collect(),
            moved: Some("it moved".to_owned()),
        };
        let lines = |account: &Account| account.lines().split_off(2);
        let none = account(2 * MIB, &[]);
        assert_eq!((lines(&none), none.missed()), (vec!["it moved".to_owned()], "it moved".to_owned()));
        let more = account(MIB, &[]);
        assert_eq!(lines(&more), [format!("left: 1M: {IN_NO_LIST_OR_MOVED}"), "it moved".to_owned()]);
        assert_eq!(more.missed(), format!("{IN_NO_LIST_OR_MOVED}; it moved"));
        assert_eq!(lines(&account(MIB, &["a"])), ["left: 1M: a", "it moved"]);
    }

    #[test]
    fn without_any_sum_there_is_no_line_of_sums() {
        let lines = account(MIB, 0, &["a"]);
        assert_eq!(lines[1..], ["left: 1M: a".to_owned()], "{lines:?}");
    }

    #[test]
    fn more_than_meminfo_says_is_not_more_than_all() {
        assert!(account(MIB, 2 * MIB, &[])[0].starts_with("named 100 % of Cached + Buffers (1M of 1M)"));
    }
}
