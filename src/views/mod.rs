//! One file per kind of row: its columns, and the source that reads its rows.
//!
//! A new column is one new entry in one of these tables; `--help`, `-o`, tables, JSON and CSV use it automatically.

pub mod demo_step;
pub mod directory;
pub mod effect;
pub mod file;
pub mod mapping;
pub mod part;
pub mod processes;
mod shared;
pub mod stretch;

/// The names of all columns of every view, which `docs/json.md` describes.
pub fn all_ids() -> Vec<String> {
    fn ids<K: crate::table::RowKind>(table: &[crate::table::Column<K>]) -> impl Iterator<Item = String> + '_ {
        table.iter().map(|column| column.id().to_owned())
    }
    ids(file::COLUMNS)
        .chain(ids(directory::COLUMNS))
        .chain(ids(stretch::COLUMNS))
        .chain(ids(effect::COLUMNS))
        .chain(ids(demo_step::COLUMNS))
        .chain(ids(part::COLUMNS))
        .chain(ids(&mapping::known_columns()))
        .collect()
}
