//! The default columns: rmap's own, and those of pmap's options with pmap's titles.

/// The name that stands for every field of smaps that the kernel reports, in its order.
pub const FIELDS: &str = "fields";

/// The name that stands for the column of every NUMA node.
pub const NODES: &str = "nodes";

/// What `rmap pid` shows by default.
pub const DEFAULT: &[&str] = &["address", "perm", "size", "rss", "pss", "anonymous", "swap", "mapping"];

/// What `--by` shows: only columns that can be added up.
pub const GROUPED: &[&str] = &["size", "rss", "pss", "uss", "anonymous", "dirty", "swap"];

/// What `--cache` shows: columns that fit a width of 100 together with a name.
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

/// What `--numa` shows, together with the policy and the nodes.
pub const NUMA: &[&str] = &["address", "perm", "size", "rss", "mapping"];

/// `-x`, the extended format.
pub const EXTENDED: &[&str] = &["address", "size", "rss", "dirty", "mode", "name"];

/// `-d`, the device format.
pub const DEVICE: &[&str] = &["address", "size", "mode", "offset", "dev", "name"];

/// `-X` and `-XX`: pmap leaves some fields out of the first; here it is every field that the kernel gives.
pub const EVERYTHING: &[&str] = &["address", "perm", "offset", "dev", "inode", FIELDS, "name"];

/// The titles of pmap's extended and device formats.
pub const PMAP_TITLES: &[(&str, &str)] = &[("size", "Kbytes"), ("rss", "RSS")];

/// The line that closes the device format: its labels and columns.
pub const DEVICE_TOTAL: (&[&str], &[&str]) =
    (&["mapped", "writeable/private", "shared"], &["size", "writeable_private", "shared"]);
