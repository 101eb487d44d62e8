//! The laboratory: memory that rmap itself maps and fills, to show that both views agree on a known state.
//!
//! This changes the machine: it creates a file, maps it and writes to it. The file is removed however the program ends,
//! unless the whole container or machine ends with it. Nothing here prints.
//!
//! [`trace`] runs somebody else's program instead, and follows what it maps.

pub mod acts;
pub mod demo;
pub mod guard;
mod named;
pub mod place;
pub mod trace;
