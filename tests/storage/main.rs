//! The behaviour of rmap on file systems that a test creates: full disks, small blocks, btrfs, tmpfs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod limits;
mod mounts;
