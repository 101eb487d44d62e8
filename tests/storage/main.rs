//! What rmap does and reports on file systems that a test makes: full disks, small blocks, btrfs, tmpfs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod limits;
mod mounts;
