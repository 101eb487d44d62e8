//! Whole trees and processes through the command: what a user sees for files in a known state.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail like tests")]

mod command;
#[path = "../common/mod.rs"]
mod common;
mod counted_once;
mod leases;
mod mounts;
mod odd;
mod process;
mod selection;
mod sums;
