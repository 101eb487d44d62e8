//! The laboratory: memory that rmap itself maps and fills, so that both views can be seen to agree on a known state.
//!
//! This is one of the few places that change the machine. It makes a file, maps it and writes to it; what it made it removes
//! again, however it ends, unless the whole container or machine ends with it. It stands on the floor of
//! [`crate::join`], whose comparison it puts to the test, and prints nothing.

pub mod demo;
pub mod guard;
pub mod place;
