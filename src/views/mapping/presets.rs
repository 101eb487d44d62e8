//! Which columns are shown where `-o` names none: rmap's own, and those of pmap's letters with pmap's titles.

use crate::output::column::Column;
use crate::process::Fields;

use super::{MappingRows, counter_ids};

/// What `rmap pid` shows where nothing else is asked for.
pub const DEFAULT: &[&str] = &["address", "perm", "size", "rss", "pss", "anonymous", "swap", "mapping"];

/// What `--by` shows: only what can be added up makes a column of a group.
pub const GROUPED: &[&str] = &["size", "rss", "pss", "uss", "anonymous", "dirty", "swap"];

/// What `--cache` shows: what fits 100 columns beside a name.
pub const CACHED: &[&str] = &[
    "address",
    "perm",
    "rss",
    "cache_range",
    "cache_cached",
    "cache_mapped",
    "cache_unmapped",
    "cache_method",
    "name",
];

/// `-x`, the extended format.
const EXTENDED: &[&str] = &["address", "size", "rss", "dirty", "mode", "name"];

/// `-d`, the device format.
const DEVICE: &[&str] = &["address", "size", "mode", "offset", "dev", "name"];

/// What stands before the counters in `-X`, in pmap's order.
const EVERYTHING_BEFORE: &[&str] = &["address", "perm", "offset", "dev", "inode"];

/// What stands before the counters in machine formats.
const MACHINE_BEFORE: &[&str] =
    &["pid", "start", "end", "perm", "offset", "dev", "inode", "path", "path_bytes", "kind", "deleted", "uss", "dirty"];

/// One of pmap's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `-x`
    Extended,
    /// `-d`
    Device,
    /// `-X`, and `-XX`: pmap leaves some fields out of the first; here it is every field that the kernel gives.
    Everything,
}

impl Preset {
    /// The columns' names; of the fields, those that were seen.
    pub fn ids(self, fields: &Fields) -> Vec<&str> {
        match self {
            Preset::Extended => EXTENDED.to_vec(),
            Preset::Device => DEVICE.to_vec(),
            Preset::Everything => with_counters(fields),
        }
    }

    /// The columns' names before anything was read; none where the fields that the kernel gives decide.
    pub fn known_ids(self) -> Option<&'static [&'static str]> {
        match self {
            Preset::Extended => Some(EXTENDED),
            Preset::Device => Some(DEVICE),
            Preset::Everything => None,
        }
    }

    /// Gives the columns the titles that pmap gives them in this format.
    pub fn rename(self, columns: &mut [Column<MappingRows>]) {
        if !matches!(self, Preset::Extended | Preset::Device) {
            return;
        }
        for column in columns {
            match column.id.as_ref() {
                "size" => column.title = "Kbytes".into(),
                "rss" => column.title = "RSS".into(),
                _ => {}
            }
        }
    }
}

fn with_counters(fields: &Fields) -> Vec<&str> {
    EVERYTHING_BEFORE.iter().copied().chain(counter_ids(fields)).chain(["name"]).collect()
}

/// What machine formats hold: everything, each figure once.
pub fn machine(fields: &Fields) -> Vec<&str> {
    MACHINE_BEFORE.iter().copied().chain(counter_ids(fields)).collect()
}
