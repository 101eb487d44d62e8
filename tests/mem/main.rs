//! `rmap mem`: every byte of `MemTotal` in one place once, by the counters of kernels of several generations, by
//! physical page, and under a known load.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod counters;
mod generations;
mod live;
mod load;
mod pages;
mod slab;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use common::{Run, rmap};

/// A captured machine: a folder with `proc` and `sys`.
pub(crate) struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// One with this `meminfo`, and with zones that fit it if it has none of its own.
    pub(crate) fn new(meminfo: &str) -> Machine {
        let machine = Machine { folder: tempfile::tempdir().unwrap() };
        machine.with("proc/meminfo", meminfo)
    }

    /// The same with another file.
    pub(crate) fn with(self, name: &str, text: impl AsRef<[u8]>) -> Machine {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn proc(&self) -> PathBuf {
        self.folder.path().join("proc")
    }

    /// `rmap mem --proc-root PROC ARGS...`
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let proc = self.proc();
        rmap([&["mem", "--proc-root", proc.to_str().unwrap()], arguments].concat())
    }

    /// The account as a JSON document with a total.
    #[track_caller]
    pub(crate) fn account(&self, arguments: &[&str]) -> Account {
        Account(self.run(&[&["--json", "--total"], arguments].concat()).good().json())
    }
}

/// `rmap mem --json --total`
#[derive(Debug)]
pub(crate) struct Account(pub(crate) Value);

impl Account {
    pub(crate) fn rows(&self) -> &Vec<Value> {
        self.0["uses"].as_array().unwrap()
    }

    #[track_caller]
    pub(crate) fn row(&self, place: &str) -> &Value {
        let found: Vec<_> = self.rows().iter().filter(|row| row["place"] == place).collect();
        assert_eq!(found.len(), 1, "{place}: {found:?}");
        found[0]
    }

    /// The size of a use in bytes.
    #[track_caller]
    pub(crate) fn size(&self, place: &str) -> u64 {
        let row = self.row(place);
        row["size"].as_u64().unwrap_or_else(|| panic!("{row}"))
    }

    /// The same in KiB.
    #[track_caller]
    pub(crate) fn kib(&self, place: &str) -> u64 {
        self.size(place) / 1024
    }

    /// Why a use has no size.
    #[track_caller]
    pub(crate) fn absent(&self, place: &str) -> &str {
        let row = self.row(place);
        assert_eq!(row["size"], Value::Null, "{row}");
        row["absent"]["size"].as_str().unwrap()
    }

    /// The sum of all places.
    pub(crate) fn sum(&self) -> u64 {
        let places = self.rows().iter().filter(|row| row["part_of"].is_null());
        places.filter_map(|row| row["size"].as_u64()).sum()
    }

    /// A figure of the whole account.
    #[track_caller]
    pub(crate) fn whole(&self, key: &str) -> u64 {
        self.0["account"][key].as_u64().unwrap_or_else(|| panic!("{key} of {}", self.0["account"]))
    }

    /// That the places, the total and the account are one sum, which is `MemTotal`.
    #[track_caller]
    pub(crate) fn assert_adds_up(&self) {
        assert_eq!(self.sum(), self.whole("sum"), "{}", self.0);
        assert_eq!(self.sum(), self.whole("total") + self.whole("excess"), "{}", self.0["account"]);
        assert_eq!(self.0["total"]["size"], self.sum(), "{}", self.0["total"]);
    }
}

/// A zone of 4 KiB pages as `zoneinfo` writes it.
pub(crate) fn zone(node: u32, name: &str, first: u64, spanned: u64, managed: u64, free: u64) -> String {
    format!(
        "Node {node}, zone {name:>8}\n  pages free     {free}\n        min    10\n        spanned  {spanned}\n        \
         present  {spanned}\n        managed  {managed}\n        cma      0\n  pagesets\n    cpu: 0\n              \
         count:    0\n  start_pfn:           {first}\n"
    )
}

/// The directory of the fixtures.
pub(crate) fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new("tests/mem/fixtures").join(name)).unwrap()
}
