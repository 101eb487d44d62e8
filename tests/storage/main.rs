//! The behaviour of rmap on file systems that a test creates: full disks, small blocks, btrfs, tmpfs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with other tests")]
mod common;
mod mounts;
