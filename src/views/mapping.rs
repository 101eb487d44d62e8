//! The row of a mapping: one VMA of a process (`rmap pid`).
//!
//! The counters are smaps' own. Their columns are made from what the kernel at hand gives, in its order, so that a field of a
//! future kernel has a column, a JSON key and a total without a change here; [`KNOWN_FIELDS`] adds what people know of them.

mod cache;
mod derived;
mod pages;
pub mod presets;

use std::borrow::Cow;

use crate::join::MappingCache;
use crate::output::column::{Argument, Column};
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::process::{Deleted, FieldId, FieldUnit, Fields, Mapping};
use crate::units::{Absent, Figure, Reason};

pub use cache::CACHE_COLUMNS;
pub use derived::Known;
pub use pages::{MappingPages, PAGE_COLUMNS, present_share};

/// Mappings.
pub struct MappingRows;

impl RowKind for MappingRows {
    type Row<'r> = MappingRow<'r>;
}

/// One mapping as the columns look at it.
#[derive(Clone, Copy)]
pub struct MappingRow<'r> {
    /// The process.
    pub pid: u32,
    /// The mapping.
    pub mapping: Mapping<'r>,
    /// The fields of smaps that derived columns are made of.
    pub known: &'r Known,
    /// Whether the name of its file was removed.
    pub deleted: Deleted,
    /// The file behind it in the page cache, where that was asked for.
    pub cache: Option<&'r Figure<MappingCache>>,
    /// The page tables behind it, where that was asked for.
    pub pages: Option<&'r MappingPages>,
}

/// The columns that come from a mapping's first line in smaps.
const HEAD_COLUMNS: &[Column<MappingRows>] = &[
    Column::new("pid", "PID", Kind::Number, Sum::Nothing, |row, _| Cell::Count(row.pid.into()), "the process"),
    Column::new(
        "address",
        "Address",
        Kind::Address,
        Sum::Nothing,
        |row, _| Cell::Address(row.mapping.start()),
        "its first address",
    ),
    Column::new(
        "start",
        "Start",
        Kind::Address,
        Sum::Nothing,
        |row, _| Cell::Address(row.mapping.start()),
        "its first address",
    ),
    Column::new(
        "end",
        "End",
        Kind::Address,
        Sum::Nothing,
        |row, _| Cell::Address(row.mapping.end()),
        "the first address behind it",
    ),
    Column::new(
        "perm",
        "Perm",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Word(row.mapping.perm()),
        "read, write, execute; p private or s shared",
    ),
    Column::new(
        "offset",
        "Offset",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Offset(row.mapping.offset()),
        "where in the file it begins",
    ),
    Column::new(
        "dev",
        "Device",
        Kind::Text,
        Sum::Nothing,
        |row, _| device(row),
        "device of the file, major:minor in hexadecimal",
    ),
    Column::new(
        "inode",
        "Inode",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.mapping.inode()),
        "inode of the file, 0 where there is none",
    ),
    Column::new(
        "mapping",
        "Mapping",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Named(row.mapping.path(), "[anon]"),
        "the file or name behind it; [anon] where there is none",
    ),
    Column::new(
        "path",
        "Path",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Named(row.mapping.path(), ""),
        "the file or name behind it, as the process sees it",
    ),
    Column::new(
        "path_bytes",
        "Path bytes",
        Kind::RawBytes,
        Sum::Nothing,
        |row, _| Cell::RawBytes(row.mapping.path()),
        "the path where it is not UTF-8",
    ),
];

/// A counter of smaps that people know: the kernel's name and what it means.
pub struct KnownField {
    /// The kernel's name.
    pub name: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a total may add it.
    pub adds: bool,
}

const fn bytes(name: &'static str, help: &'static str) -> KnownField {
    KnownField { name, help, kind: Kind::Bytes, adds: true }
}

const fn other(name: &'static str, help: &'static str, kind: Kind, adds: bool) -> KnownField {
    KnownField { name, help, kind, adds }
}

/// The counters of `/proc/PID/smaps` as of kernel 6.18, in its order.
pub const KNOWN_FIELDS: &[KnownField] = &[
    bytes("Size", "length of the mapping: address space, not memory"),
    other("KernelPageSize", "page size that the kernel uses for it", Kind::Bytes, false),
    other("MMUPageSize", "page size that the hardware uses for it", Kind::Bytes, false),
    bytes("Rss", "what of it is in RAM and mapped here (without hugetlb pages)"),
    bytes("Pss", "the same with shared pages divided by the number of processes that map them"),
    bytes("Pss_Dirty", "the dirty part of Pss"),
    bytes("Pss_Anon", "the anonymous part of Pss"),
    bytes("Pss_File", "the file part of Pss"),
    bytes("Pss_Shmem", "the shared memory part of Pss"),
    bytes("Shared_Clean", "resident, mapped by others too, unmodified"),
    bytes("Shared_Dirty", "resident, mapped by others too, modified"),
    bytes("Private_Clean", "resident, mapped here alone, unmodified"),
    bytes("Private_Dirty", "resident, mapped here alone, modified"),
    bytes("Referenced", "resident and marked as accessed"),
    bytes("Anonymous", "resident and in no file: lost without swap"),
    bytes("KSM", "resident and merged with equal pages (kernel samepage merging)"),
    bytes("LazyFree", "freed with MADV_FREE and not reclaimed yet"),
    bytes("AnonHugePages", "anonymous memory in transparent huge pages"),
    bytes("ShmemPmdMapped", "shared memory in huge pages"),
    bytes("FilePmdMapped", "file pages in huge pages"),
    bytes("Shared_Hugetlb", "hugetlb pages mapped by others too (not in Rss)"),
    bytes("Private_Hugetlb", "hugetlb pages mapped here alone (not in Rss)"),
    bytes("Swap", "anonymous memory in swap"),
    bytes("SwapPss", "the same divided by the number of processes that share it"),
    bytes("Locked", "resident and locked (mlock)"),
    other("THPeligible", "1 where it may get transparent huge pages", Kind::Number, true),
    other("ProtectionKey", "memory protection key", Kind::Number, false),
    other("VmFlags", "flags of the VMA, two letters each", Kind::Text, false),
];

/// All columns for what these fields hold: those of the first line, then the counters in the kernel's order.
pub fn columns(fields: &Fields) -> Vec<Column<MappingRows>> {
    let mut columns = HEAD_COLUMNS.to_vec();
    columns.extend(derived::COLUMNS.iter().map(|derived| derived.column.clone()));
    columns.extend_from_slice(CACHE_COLUMNS);
    columns.extend_from_slice(PAGE_COLUMNS);
    columns.extend(fields.in_order().map(|id| field_column(fields, id)));
    // A counter that this kernel does not give has a column all the same: absent, with the reason.
    columns.extend(KNOWN_FIELDS.iter().filter(|known| fields.find(known.name.as_bytes()).is_none()).map(absent_column));
    columns
}

/// The columns that can be told before any process was read, for `--help`.
pub fn known_columns() -> Vec<Column<MappingRows>> {
    columns(&Fields::new())
}

/// The names of the counters that were read, in the kernel's order.
pub fn counter_ids(fields: &Fields) -> Vec<&str> {
    fields.in_order().map(|id| fields.key(id)).collect()
}

/// The fields of smaps, by their kernel names, that the column called `id` is made of; none where it may be a field of a
/// newer kernel, which only reading can tell.
pub fn fields_behind(id: &str) -> Option<Vec<&'static str>> {
    if let Some(derived) = derived::COLUMNS.iter().find(|derived| derived.column.id == id) {
        return Some(derived.fields.to_vec());
    }
    if CACHE_COLUMNS.iter().any(|column| column.id == id) {
        return Some(cache::FIELDS.to_vec());
    }
    if HEAD_COLUMNS.iter().chain(PAGE_COLUMNS).any(|column| column.id == id) {
        return Some(Vec::new());
    }
    KNOWN_FIELDS.iter().map(|known| known.name).find(|name| name.eq_ignore_ascii_case(id)).map(|name| vec![name])
}

fn field_column(fields: &Fields, id: FieldId) -> Column<MappingRows> {
    let known = KNOWN_FIELDS.iter().find(|known| known.name == fields.name(id));
    let (kind, get): (Kind, crate::output::column::Getter<MappingRows>) = match fields.unit(id) {
        FieldUnit::Bytes => (Kind::Bytes, |row, field| bytes_cell(row, field)),
        FieldUnit::Count => (Kind::Number, |row, field| count_cell(row, field)),
        FieldUnit::Text => (Kind::Text, |row, field| text_cell(row, field)),
    };
    // Of a field that nobody here knows, only what is in kB is sure to be an amount.
    let adds = known.map_or(kind == Kind::Bytes, |known| known.adds);
    Column {
        id: Cow::Owned(fields.key(id).to_owned()),
        title: Cow::Owned(fields.name(id).to_owned()),
        help: Cow::Borrowed(known.map_or("a field of a newer kernel", |known| known.help)),
        kind,
        sum: if adds { Sum::Add } else { Sum::Nothing },
        get,
        argument: id.number(),
    }
}

fn absent_column(known: &KnownField) -> Column<MappingRows> {
    Column {
        id: Cow::Owned(known.name.to_ascii_lowercase()),
        title: Cow::Borrowed(known.name),
        help: Cow::Borrowed(known.help),
        kind: known.kind,
        sum: if known.adds { Sum::Add } else { Sum::Nothing },
        get: |_, _| Cell::Absent(NOT_GIVEN),
        argument: 0,
    }
}

const NOT_GIVEN: Absent = Absent::new(Reason::Unsupported, "the kernel does not give it for this mapping");

type Row<'r> = MappingRow<'r>;

fn device<'r>(row: &Row<'r>) -> Cell<'r> {
    let device = row.mapping.device();
    Cell::Device(device.major, device.minor)
}

fn bytes_cell<'r>(row: &Row<'r>, field: Argument<'r>) -> Cell<'r> {
    row.mapping.bytes(FieldId::from_number(field.0)).map_or(Cell::Absent(NOT_GIVEN), |bytes| Cell::Bytes(bytes.0))
}

fn count_cell<'r>(row: &Row<'r>, field: Argument<'r>) -> Cell<'r> {
    row.mapping.count(FieldId::from_number(field.0)).map_or(Cell::Absent(NOT_GIVEN), Cell::Count)
}

fn text_cell<'r>(row: &Row<'r>, field: Argument<'r>) -> Cell<'r> {
    row.mapping.text(FieldId::from_number(field.0)).map_or(Cell::Absent(NOT_GIVEN), Cell::Text)
}
