//! One row per mapping: one VMA of a process (`rmap pid`).
//!
//! The counters come from smaps, and their columns are in the kernel's order. A field that a future kernel adds gets a
//! column, a JSON key and a total without a change here; `fields::KNOWN` describes the known fields.

mod cache;
mod derived;
mod fields;
mod nodes;
mod numa;
mod pages;
pub mod presets;
mod range;
mod row;
mod source;
mod strips;

use super::shared;
use crate::process::Fields;
use crate::table::{Cell, Column, RowKind, col};

/// A column of this view.
type C = Column<MappingRows>;

pub use cache::COLUMNS as CACHE_COLUMNS;
pub use numa::COLUMNS as NUMA_COLUMNS;
pub use pages::COLUMNS as PAGE_COLUMNS;
pub use range::AddressRange;
pub use row::{MappingNeed, MappingRow, MappingRows};
pub use source::MappingSource;

impl RowKind for MappingRows {
    type Row = MappingRow;
    type Need = MappingNeed;
    const ROWS: &'static str = "mappings";
    const LARGEST_BY: &'static str = "rss";
    const HAS_PROCESSES: bool = true;

    fn columns() -> Vec<Column<MappingRows>> {
        columns(&Fields::new())
    }

    fn identity(row: &MappingRow) -> Vec<u8> {
        let Some(mapping) = row.mapping() else { return Vec::new() };
        let process = &row.process.read.identity;
        let start_time = MappingRows::start_time(row).unwrap_or_default().to_ne_bytes();
        [&process.pid.to_ne_bytes()[..], &start_time, &mapping.start().to_ne_bytes(), mapping.path()].concat()
    }

    fn process(row: &MappingRow) -> Option<u32> {
        Some(row.process.read.identity.pid)
    }

    fn start_time(row: &MappingRow) -> Option<u64> {
        row.process.read.identity.start_time
    }

    fn thing(row: &MappingRow, column: &str) -> Option<u64> {
        let is_whole_name = matches!(column, "mapping" | "path");
        row.process.files.get(row.place as usize).copied().filter(|_| is_whole_name)
    }

    fn memory(row: &MappingRow) -> Option<u64> {
        row.process.memory
    }

    fn part(row: &MappingRow) -> std::ops::Range<u64> {
        row.mapping().map_or(0..0, |mapping| mapping.start()..mapping.end())
    }

    const IS_OF_MEMORY: bool = true;

    fn columns_called(name: &str, table: &[Column<Self>]) -> Option<Vec<String>> {
        let is_meant: fn(&Column<Self>) -> bool = match name {
            presets::FIELDS => is_given,
            presets::NODES => numa::is_node,
            _ => return None,
        };
        Some(table.iter().filter(|column| is_meant(column)).map(|column| column.id().to_owned()).collect())
    }
}

/// The columns that come from the first line of a mapping in smaps, and from the process.
const HEAD_COLUMNS: &[Column<MappingRows>] = &[
    shared::pid(),
    col!(new "address", "Address", Address, |row| row.cell(|mapping| Cell::Address(mapping.start())),
        "its first address", on_request()),
    col!(new "start", "Start", Address, |row| row.cell(|mapping| Cell::Address(mapping.start())),
        "its first address"),
    col!(new "end", "End", Address, |row| row.cell(|mapping| Cell::Address(mapping.end())),
        "the first address after it"),
    col!(new "perm", "Perm", Text, |row| row.cell(|mapping| Cell::Word(mapping.perm())),
        "read, write, execute; p private or s shared", minor(), one_of(|| PERMISSIONS.to_vec())),
    col!(new "offset", "Offset", Bytes, |row| row.cell(|mapping| Cell::Offset(mapping.offset())),
        "where in the file it begins"),
    col!(new "dev", "Device", Text, |row|
        row.cell(|mapping| Cell::Device(mapping.device().major, mapping.device().minor)),
        "device of the file, major:minor in hexadecimal"),
    col!(new "inode", "Inode", Number, |row| row.cell(|mapping| Cell::Count(mapping.inode())),
        "inode of the file, 0 if there is none", identifier()),
    col!(new "mapping", "Mapping", Text, |row| row.cell(|mapping| Cell::Named(row.name(&mapping), "[anon]")),
        "the file or name behind it; [anon] if there is none", on_request(), naming()),
    col!(new "path", "Path", Text, |row| row.cell(|mapping| Cell::Named(row.name(&mapping), "")),
        "the file or name behind it, as the process sees it", naming()),
    col!(new "path_bytes", "Path bytes", RawBytes, |row| row.cell(|mapping| Cell::RawBytes(row.name(&mapping))),
        "the path if it is not UTF-8"),
    shared::command(),
    shared::user().needing(&[MappingNeed::Owner]),
    shared::control_group().needing(&[MappingNeed::Owner]),
];

/// The permissions that `maps` can print.
const PERMISSIONS: [&str; 16] = [
    "---p", "--xp", "-w-p", "-wxp", "r--p", "r-xp", "rw-p", "rwxp", "---s", "--xs", "-w-s", "-wxs", "r--s", "r-xs",
    "rw-s", "rwxs",
];

/// All columns for the fields that the kernel reports: the first line, the derived columns, the fields in the kernel's
/// order, the join and the page tables.
fn columns(fields: &Fields) -> Vec<Column<MappingRows>> {
    let mut columns = HEAD_COLUMNS.to_vec();
    columns.extend_from_slice(derived::COLUMNS);
    columns.extend(fields::columns(fields));
    columns.extend_from_slice(cache::COLUMNS);
    columns.extend_from_slice(pages::COLUMNS);
    columns.extend_from_slice(numa::COLUMNS);
    columns
}

/// Whether this is the column of a field that the kernel reports.
fn is_given(column: &Column<MappingRows>) -> bool {
    !column.is_on_request
        && match column.needs {
            [MappingNeed::Field(name)] => name.eq_ignore_ascii_case(column.id()),
            [MappingNeed::EveryField] => true,
            _ => false,
        }
}
