//! One row per cache of small kernel objects (`rmap mem --slab`). All sizes are in bytes.

use crate::machine::{SlabCache, SlabCaches, read_page_size};
use crate::process::ProcRoot;
use crate::table::{Aggregation, Cell, Column, Cut, RowKind, Rows, Source, Stop, col};
use crate::units::{Absent, Figure, Reason, percent};

/// A column of this view.
type C = Column<SlabRows>;

/// Caches of kernel objects.
pub struct SlabRows;

impl RowKind for SlabRows {
    type Row = SlabCache;
    type Need = ();
    const ROWS: &'static str = "caches";
    const LARGEST_BY: &'static str = "size";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "name" => "cache",
            "bytes" => "size",
            other => other,
        }
    }

    fn identity(row: &SlabCache) -> Vec<u8> {
        row.name.clone()
    }
}

/// What a table shows by default.
pub const DEFAULT: &[&str] = &["cache", "size", "in_use_percent", "objects", "object_size", "what"];

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "cache", "Cache", Text, |row| Cell::Text(&row.name),
        "its name; types of the same size may share a cache, under the name of the first", naming()),
    col!(sum "size", "Size", Bytes, |row| Cell::Bytes(row.size.0), "all pages of all its slabs"),
    col!(sum "in_use", "In use", Bytes, |row| Cell::Bytes(row.used().0), "the bytes of the objects in use"),
    col!(new "in_use_percent", "% used", Percent, |row| Cell::percent(used(row)), "the same as a percentage of size",
        minor(), aggregated(Aggregation::Share(part))),
    col!(sum "objects", "Objects", Number, |row| Cell::Count(row.active_objects), "the objects in use"),
    col!(sum "capacity", "Capacity", Number, |row| Cell::Count(row.objects), "the objects that it has room for"),
    col!(new "object_size", "Each", Bytes, |row| Cell::Bytes(row.object_size.0), "the size of an object", exact()),
    col!(new "what", "What it is", Text, |row| Cell::Word(row.what().unwrap_or("no description")),
        "what the objects are, for well-known caches", cut(Cut::Never)),
];

const EMPTY: Absent = Absent::new(Reason::NotApplicable, "it has no pages");

fn part(row: &SlabCache) -> Option<(u64, u64)> {
    Some((row.used().0.min(row.size.0), row.size.0))
}

fn used(row: &SlabCache) -> Figure<f64> {
    percent(row.used().0.min(row.size.0), row.size.0).ok_or(EMPTY)
}

/// Reads the caches.
pub struct SlabSource {
    /// Where `/proc` is.
    pub root: ProcRoot,
}

impl Source for SlabSource {
    type Kind = SlabRows;

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<SlabRows>) -> Result<(), Stop> {
        let SlabCaches(caches) = SlabCaches::read(&self.root, read_page_size(&self.root))?;
        rows.rows(caches)
    }
}
