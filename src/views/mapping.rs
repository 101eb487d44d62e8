//! The row of a mapping: one VMA of a process (`rmap pid`).
//!
//! The counters are smaps' own. Their columns are in the kernel's order, and a field of a future kernel has a column, a JSON
//! key and a total without a change here; [`fields::KNOWN`] adds what people know about them.

mod cache;
mod derived;
mod fields;
mod pages;
pub mod presets;
mod source;

use std::sync::Arc;

use super::processes::Owner;
use super::shared::{self, OfProcess};
use crate::join::MappingCache;
use crate::process::{Deleted, Mapping, ProcessMappings};
use crate::table::{Cell, Column, RowKind, col};
use crate::units::{Absent, Figure, Reason};

/// A column of this view.
type C = Column<MappingRows>;

pub use source::{AddressRange, MappingSource};

/// Mappings.
pub struct MappingRows;

/// What has to be read for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingNeed {
    /// This field of smaps, or what gives the same.
    Field(&'static str),
    /// Every field of smaps.
    EveryField,
    /// Whether the file still has its name.
    Deleted,
    /// Whether a file below `/dev` is a device.
    Device,
    /// The file in the page cache.
    PageCache,
    /// The page tables.
    PageTables,
    /// The user and the control group of the process.
    Owner,
}

/// One mapping.
#[derive(Clone)]
pub struct MappingRow {
    process: Arc<ReadProcess>,
    place: u32,
}

/// A process that was read, and what was joined with its mappings, one for one.
struct ReadProcess {
    read: ProcessMappings,
    known: fields::KnownIds,
    deleted: std::collections::HashMap<u64, Deleted>,
    /// By the first address: whether the file is a device, if its name is below `/dev` and that is known.
    devices: std::collections::HashMap<u64, bool>,
    cache: Option<Vec<Figure<MappingCache>>>,
    pages: Option<pages::ProcessPages>,
    owner: Option<Owner>,
}

impl RowKind for MappingRows {
    type Row = MappingRow;
    type Need = MappingNeed;
    const ROWS: &'static str = "mappings";
    const LARGEST_BY: &'static str = "rss";
    const HAS_PROCESSES: bool = true;

    fn identity(row: &MappingRow) -> Vec<u8> {
        let Some(mapping) = row.mapping() else { return Vec::new() };
        let process = &row.process.read.identity;
        let start_time = process.start_time.unwrap_or_default().to_ne_bytes();
        [&process.pid.to_ne_bytes()[..], &start_time, &mapping.start().to_ne_bytes(), mapping.path()].concat()
    }

    fn process(row: &MappingRow) -> Option<u32> {
        Some(row.process.read.identity.pid)
    }

    fn columns_called(name: &str, table: &[Column<Self>]) -> Option<Vec<String>> {
        let fields = table.iter().filter(|column| fields::is_given(column)).map(|column| column.id().to_owned());
        (name == presets::FIELDS).then(|| fields.collect())
    }
}

impl MappingRow {
    /// The mapping itself. It is there: rows are made of the mappings that there are.
    fn mapping(&self) -> Option<Mapping<'_>> {
        self.process.read.mappings.get(self.place as usize)
    }

    /// A cell of the mapping.
    fn cell<'r>(&'r self, take: impl FnOnce(Mapping<'r>) -> Cell<'r>) -> Cell<'r> {
        self.mapping().map_or(Cell::Absent(NOT_GIVEN), take)
    }
}

impl OfProcess for MappingRow {
    fn pid(&self) -> Cell<'_> {
        Cell::Count(self.process.read.identity.pid.into())
    }
}

const NOT_GIVEN: Absent = Absent::new(Reason::Unsupported, "the kernel does not give it for this mapping");
const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");

/// The columns that come from the first line of a mapping in smaps, and from the process.
const HEAD_COLUMNS: &[Column<MappingRows>] = &[
    shared::pid(),
    col!(new "address", "Address", Address, |row| row.cell(|mapping| Cell::Address(mapping.start())),
        "its first address", on_request()),
    col!(new "start", "Start", Address, |row| row.cell(|mapping| Cell::Address(mapping.start())),
        "its first address"),
    col!(new "end", "End", Address, |row| row.cell(|mapping| Cell::Address(mapping.end())),
        "the first address behind it"),
    col!(new "perm", "Perm", Text, |row| row.cell(|mapping| Cell::Word(mapping.perm())),
        "read, write, execute; p private or s shared"),
    col!(new "offset", "Offset", Bytes, |row| row.cell(|mapping| Cell::Offset(mapping.offset())),
        "where in the file it begins"),
    col!(new "dev", "Device", Text, |row|
        row.cell(|mapping| Cell::Device(mapping.device().major, mapping.device().minor)),
        "device of the file, major:minor in hexadecimal"),
    col!(new "inode", "Inode", Number, |row| row.cell(|mapping| Cell::Count(mapping.inode())),
        "inode of the file, 0 if there is none"),
    col!(new "mapping", "Mapping", Text, |row| row.cell(|mapping| Cell::Named(mapping.path(), "[anon]")),
        "the file or name behind it; [anon] if there is none", on_request()),
    col!(new "path", "Path", Text, |row| row.cell(|mapping| Cell::Named(mapping.path(), "")),
        "the file or name behind it, as the process sees it"),
    col!(new "path_bytes", "Path bytes", RawBytes, |row| row.cell(|mapping| Cell::RawBytes(mapping.path())),
        "the path if it is not UTF-8"),
    col!(new "command", "Command", Text, |row| Cell::Text(&row.process.read.identity.command),
        "the command line of the process", on_request()),
    col!(new "user", "User", Text, |row| owned_by(row, |owner| &owner.user),
        "the user that the process runs as, from /proc/PID/status", needing(&[MappingNeed::Owner]), on_request()),
    col!(new "cgroup", "Control group", Text, |row| owned_by(row, |owner| &owner.control_group),
        "the memory control group of the process, from /proc/PID/cgroup", needing(&[MappingNeed::Owner]), on_request()),
];

fn owned_by(row: &MappingRow, take: fn(&Owner) -> &Figure<Vec<u8>>) -> Cell<'_> {
    match row.process.owner.as_ref().map(take) {
        Some(Ok(text)) => Cell::Text(text),
        Some(Err(absent)) => Cell::Absent(*absent),
        None => Cell::Absent(NOT_READ),
    }
}

/// The columns that are known before any process was read, for `--help`.
pub fn known_columns() -> Vec<Column<MappingRows>> {
    columns(&crate::process::Fields::new())
}

/// All columns if the kernel gives these fields: those of the first line, the derived ones, then the fields in the kernel's
/// order, the join and the page tables.
fn columns(fields: &crate::process::Fields) -> Vec<Column<MappingRows>> {
    let mut columns = HEAD_COLUMNS.to_vec();
    columns.extend_from_slice(derived::COLUMNS);
    columns.extend(fields::columns(fields));
    columns.extend_from_slice(cache::COLUMNS);
    columns.extend_from_slice(pages::COLUMNS);
    columns
}

pub use cache::COLUMNS as CACHE_COLUMNS;
pub use pages::COLUMNS as PAGE_COLUMNS;
