//! The contract of `docs/json.md` as types that reject keys that are not in it and require those that are, and the
//! rules for every row. This file has no tests.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::common::Run;

/// A value that may be null, but whose key must exist (serde accepts a missing key for a plain `Option`).
#[derive(Deserialize, Debug, PartialEq)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

/// Hexadecimal digits in a string.
#[derive(Deserialize, Debug)]
#[serde(try_from = "String")]
pub(crate) struct Hexadecimal(pub(crate) u64);

impl TryFrom<String> for Hexadecimal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match u64::from_str_radix(&text, 16) {
            Ok(number) if plain => Ok(Hexadecimal(number)),
            _ => Err(format!("not an address: {text}")),
        }
    }
}

/// RFC 3339 in UTC.
#[derive(Deserialize, Debug)]
#[serde(try_from = "String")]
pub(crate) struct Time;

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        let fraction = shape.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z'));
        let digits = fraction.map(|fraction| fraction.trim_start_matches('.'));
        match digits {
            Some(digits) if digits.bytes().all(|byte| byte == b'0') => Ok(Time),
            _ => Err(format!("not a time: {text}")),
        }
    }
}

pub(crate) type Absent = Nullable<BTreeMap<String, String>>;

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessDocument {
    pub(crate) pid: u32,
    pub(crate) command: String,
    pub(crate) command_bytes: Nullable<String>,
    pub(crate) mappings: Vec<MappingRow>,
    pub(crate) total: MappingTotal,
}

/// The counters of kernel 6.18. An older kernel reports fewer; a newer one fails here until the contract is updated.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct MappingRow {
    pub(crate) pid: u32,
    pub(crate) start: Hexadecimal,
    pub(crate) end: Hexadecimal,
    pub(crate) perm: String,
    pub(crate) offset: u64,
    pub(crate) dev: String,
    pub(crate) inode: u64,
    pub(crate) path: Nullable<String>,
    pub(crate) kind: String,
    pub(crate) class: String,
    pub(crate) deleted: Nullable<bool>,
    pub(crate) uss: Nullable<u64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) path_bytes: Nullable<String>,
    pub(crate) size: u64,
    pub(crate) kernelpagesize: Option<u64>,
    pub(crate) mmupagesize: Option<u64>,
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) pss_dirty: Option<u64>,
    pub(crate) pss_anon: Option<u64>,
    pub(crate) pss_file: Option<u64>,
    pub(crate) pss_shmem: Option<u64>,
    pub(crate) shared_clean: Option<u64>,
    pub(crate) shared_dirty: Option<u64>,
    pub(crate) private_clean: Option<u64>,
    pub(crate) private_dirty: Option<u64>,
    pub(crate) referenced: Option<u64>,
    pub(crate) anonymous: u64,
    pub(crate) ksm: Option<u64>,
    pub(crate) lazyfree: Option<u64>,
    pub(crate) anonhugepages: Option<u64>,
    pub(crate) shmempmdmapped: Option<u64>,
    pub(crate) filepmdmapped: Option<u64>,
    pub(crate) shared_hugetlb: Option<u64>,
    pub(crate) private_hugetlb: Option<u64>,
    pub(crate) swap: Option<u64>,
    pub(crate) swappss: Option<u64>,
    pub(crate) locked: Option<u64>,
    pub(crate) thpeligible: Option<u64>,
    pub(crate) protectionkey: Option<u64>,
    pub(crate) vmflags: Option<String>,
    pub(crate) absent: Absent,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct MappingTotal {
    pub(crate) rows: u64,
    pub(crate) uss: Nullable<u64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) size: u64,
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) pss_dirty: Option<u64>,
    pub(crate) pss_anon: Option<u64>,
    pub(crate) pss_file: Option<u64>,
    pub(crate) pss_shmem: Option<u64>,
    pub(crate) shared_clean: Option<u64>,
    pub(crate) shared_dirty: Option<u64>,
    pub(crate) private_clean: Option<u64>,
    pub(crate) private_dirty: Option<u64>,
    pub(crate) referenced: Option<u64>,
    pub(crate) anonymous: u64,
    pub(crate) ksm: Option<u64>,
    pub(crate) lazyfree: Option<u64>,
    pub(crate) anonhugepages: Option<u64>,
    pub(crate) shmempmdmapped: Option<u64>,
    pub(crate) filepmdmapped: Option<u64>,
    pub(crate) shared_hugetlb: Option<u64>,
    pub(crate) private_hugetlb: Option<u64>,
    pub(crate) swap: Option<u64>,
    pub(crate) swappss: Option<u64>,
    pub(crate) locked: Option<u64>,
    pub(crate) thpeligible: Option<u64>,
    pub(crate) rows_without_figure: Nullable<BTreeMap<String, u64>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct FileRow {
    pub(crate) filename: String,
    pub(crate) size: u64,
    pub(crate) timestamp: Time,
    pub(crate) mtime: Time,
    pub(crate) pages: u64,
    pub(crate) cached: Nullable<u64>,
    pub(crate) uncached: Nullable<u64>,
    pub(crate) percent: Nullable<f64>,
    pub(crate) status: Nullable<Vec<bool>>,
    pub(crate) path: String,
    pub(crate) path_bytes: Nullable<String>,
    pub(crate) cached_bytes: Nullable<u64>,
    pub(crate) dirty_pages: Nullable<u64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) writeback_pages: Nullable<u64>,
    pub(crate) writeback: Nullable<u64>,
    pub(crate) evicted_pages: Nullable<u64>,
    pub(crate) evicted: Nullable<u64>,
    pub(crate) recently_evicted_pages: Nullable<u64>,
    pub(crate) recently_evicted: Nullable<u64>,
    pub(crate) method: Nullable<String>,
    pub(crate) page_size: u64,
    pub(crate) changed: bool,
    pub(crate) held: Nullable<String>,
    pub(crate) note: Nullable<String>,
    pub(crate) absent: Absent,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileDocument {
    pub(crate) files: Vec<FileRow>,
    pub(crate) total: FileTotal,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct FileTotal {
    pub(crate) rows: u64,
    pub(crate) size: u64,
    pub(crate) pages: u64,
    pub(crate) cached: Nullable<u64>,
    pub(crate) uncached: Nullable<u64>,
    pub(crate) percent: Nullable<f64>,
    pub(crate) cached_bytes: Nullable<u64>,
    pub(crate) dirty_pages: Nullable<u64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) writeback_pages: Nullable<u64>,
    pub(crate) writeback: Nullable<u64>,
    pub(crate) evicted_pages: Nullable<u64>,
    pub(crate) evicted: Nullable<u64>,
    pub(crate) recently_evicted_pages: Nullable<u64>,
    pub(crate) recently_evicted: Nullable<u64>,
    pub(crate) rows_without_figure: Nullable<BTreeMap<String, u64>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct StepRow {
    pub(crate) filled_percent: f64,
    pub(crate) filled: u64,
    pub(crate) pid: u32,
    pub(crate) size: u64,
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) anonymous: u64,
    pub(crate) path: String,
    pub(crate) path_bytes: Nullable<String>,
    pub(crate) file_size: u64,
    pub(crate) cached_bytes: Nullable<u64>,
    pub(crate) cached: Nullable<u64>,
    pub(crate) cached_percent: Nullable<f64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) method: Nullable<String>,
    pub(crate) in_both: Nullable<u64>,
    pub(crate) only_mapped: Nullable<u64>,
    pub(crate) only_cached: Nullable<u64>,
    pub(crate) steady: bool,
    pub(crate) page_size: u64,
    pub(crate) agree: Nullable<bool>,
    pub(crate) difference: Nullable<String>,
    pub(crate) absent: Absent,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct HoldingRow {
    pub(crate) path: String,
    pub(crate) path_bytes: Nullable<String>,
    pub(crate) pid: Nullable<u32>,
    pub(crate) user: Nullable<String>,
    pub(crate) container: Nullable<String>,
    pub(crate) cgroup: Nullable<String>,
    pub(crate) cgroup_bytes: Nullable<String>,
    pub(crate) name: String,
    pub(crate) name_bytes: Nullable<String>,
    pub(crate) command: Nullable<String>,
    pub(crate) command_bytes: Nullable<String>,
    pub(crate) how: String,
    pub(crate) size: Nullable<u64>,
    pub(crate) rss: Nullable<u64>,
    pub(crate) pss: Nullable<u64>,
    pub(crate) uss: Nullable<u64>,
    pub(crate) anonymous: Nullable<u64>,
    pub(crate) locked: Nullable<u64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) swap: Nullable<u64>,
    pub(crate) hugetlb: Nullable<u64>,
    pub(crate) mappings: u64,
    pub(crate) descriptors: u64,
    pub(crate) seen_as: Nullable<String>,
    pub(crate) seen_as_bytes: Nullable<String>,
    pub(crate) note: Nullable<String>,
    pub(crate) absent: Absent,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct HoldingTotal {
    pub(crate) rows: u64,
    pub(crate) size: Nullable<u64>,
    pub(crate) rss: Nullable<u64>,
    pub(crate) pss: Nullable<u64>,
    pub(crate) uss: Nullable<u64>,
    pub(crate) anonymous: Nullable<u64>,
    pub(crate) locked: Nullable<u64>,
    pub(crate) dirty: Nullable<u64>,
    pub(crate) swap: Nullable<u64>,
    pub(crate) hugetlb: Nullable<u64>,
    pub(crate) mappings: u64,
    pub(crate) descriptors: u64,
    pub(crate) rows_without_figure: Nullable<BTreeMap<String, u64>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "their types are what is tested")]
pub(crate) struct HeldFile {
    pub(crate) path: String,
    pub(crate) path_bytes: Nullable<String>,
    pub(crate) same_as: Nullable<String>,
    pub(crate) holder_count: u64,
    pub(crate) size: Nullable<u64>,
    pub(crate) cached: Nullable<u64>,
    pub(crate) not_up_to_date: Nullable<u64>,
    pub(crate) mapped: Nullable<u64>,
    pub(crate) mapped_at_least: Nullable<u64>,
    pub(crate) unmapped: Nullable<u64>,
    pub(crate) mapped_by: Nullable<String>,
    pub(crate) reason: Nullable<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldingDocument {
    pub(crate) holders: Vec<HoldingRow>,
    pub(crate) total: HoldingTotal,
    pub(crate) files: Vec<HeldFile>,
}

/// Reads the whole output as `T`, and checks the rules that hold for rows of any kind.
pub(crate) fn document<T: DeserializeOwned>(run: &Run) -> T {
    check_rows(&run.json());
    serde_json::from_slice(&run.out).unwrap_or_else(|error| panic!("{error} in {}", run.text()))
}

/// Figures are null exactly if `absent` gives a reason; every key is in the document that describes the contract.
pub(crate) fn check_rows(value: &Value) {
    let contract = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/json.md")).unwrap();
    match value {
        Value::Array(rows) => rows.iter().for_each(check_rows),
        Value::Object(row) => {
            for key in row.keys() {
                assert!(contract.contains(&format!("`{key}`")), "docs/json.md does not name {key}");
            }
            row.values().filter(|value| value.is_array() || value.is_object()).for_each(check_nested);
            if let Some(absent) = row.get("absent") {
                check_absent(row, absent);
            }
        }
        _ => {}
    }
}

fn check_nested(value: &Value) {
    // The keys in `absent` and `rows_without_figure` are keys of the row itself.
    match value {
        Value::Array(list) if list.first().is_some_and(Value::is_object) => check_rows(value),
        Value::Object(map) if map.contains_key("rows") => check_rows(value),
        _ => {}
    }
}

/// Keys that may be null without an absent figure, because they are only remarks.
pub(crate) const REMARKS: [&str; 12] = [
    "path",
    "path_bytes",
    "name_bytes",
    "command_bytes",
    "cgroup_bytes",
    "seen_as_bytes",
    "container",
    "note",
    "status",
    "held",
    "difference",
    "absent",
];

fn check_absent(row: &serde_json::Map<String, Value>, absent: &Value) {
    let reasons = absent.as_object().cloned().unwrap_or_default();
    assert!(absent.is_null() || !reasons.is_empty(), "empty list of reasons: {row:?}");
    let null: BTreeSet<&String> = row.keys().filter(|key| row[*key].is_null()).collect();
    let figures: BTreeSet<&String> = null.iter().copied().filter(|key| !REMARKS.contains(&key.as_str())).collect();
    assert!(figures.iter().all(|key| reasons.contains_key(*key)), "no reason for one of {figures:?}: {row:?}");
    assert!(reasons.keys().all(|key| null.contains(key)), "a reason for a figure that is known: {row:?}");
    for reason in reasons.values() {
        let reason = reason.as_str().unwrap();
        let known = ["denied", "unsupported", "vanished", "changed", "not applicable"];
        assert!(known.iter().any(|word| reason.starts_with(word)), "an unknown reason: {reason}");
    }
}
