//! One file per kind of row: its columns, and the source that reads its rows.
//!
//! A new column is one new entry in one of these tables; `--help`, `-o`, tables, JSON and CSV use it automatically.

pub mod act;
pub mod cached_file;
pub mod changed;
pub mod control_group;
pub mod demo_step;
pub mod directory;
pub mod effect;
pub mod file;
pub mod machine;
pub mod mapping;
pub mod memory;
pub mod part;
pub mod process;
pub mod processes;
mod shared;
pub mod slab_cache;
pub mod stretch;
pub mod traced;
pub mod who;
