//! One file for each kind of row: its column table, its presets, and what its total may add.
//!
//! Nothing here reads the system. A new column is a new entry in one of these tables; `--help`, `-o`, tables, JSON and CSV
//! follow by themselves.

pub mod demo_step;
pub mod directory;
pub mod effect;
pub mod file;
pub mod group;
pub mod mapping;
pub mod run;
pub mod summary;
