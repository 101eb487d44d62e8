//! The residency engine on the real kernel: what a user sees for files in a known state.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail like tests")]

#[path = "../common/mod.rs"]
mod common;
mod known;
mod methods;
mod mounts;
mod odd_files;
mod other_users;
