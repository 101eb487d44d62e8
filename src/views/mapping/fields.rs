//! The columns of the fields of smaps.

use std::borrow::Cow;

use super::row::{MappingNeed, MappingRow, MappingRows, NOT_GIVEN};
use crate::process::{FieldId, FieldUnit, Fields};
use crate::table::{Aggregation, Cell, Column, ColumnKind, Getter};
use crate::units::{Bytes, Figure};

/// A column of this view.
type C = Column<MappingRows>;

/// A known field of smaps: the kernel's name and what it means.
pub(super) struct KnownField {
    name: &'static str,
    help: &'static str,
    kind: ColumnKind,
    adds: bool,
    needs: [MappingNeed; 1],
}

const fn bytes(name: &'static str, help: &'static str) -> KnownField {
    other(name, help, ColumnKind::Bytes, true)
}

const fn other(name: &'static str, help: &'static str, kind: ColumnKind, adds: bool) -> KnownField {
    KnownField { name, help, kind, adds, needs: [MappingNeed::Field(name)] }
}

/// The fields of `/proc/PID/smaps` as of kernel 6.18, in its order.
pub(super) static KNOWN: [KnownField; 28] = [
    bytes("Size", "length of the mapping: address space, not memory"),
    other("KernelPageSize", "page size that the kernel uses for it", ColumnKind::Bytes, false),
    other("MMUPageSize", "page size that the hardware uses for it", ColumnKind::Bytes, false),
    bytes("Rss", "how much of it is in RAM and mapped here (without hugetlb pages)"),
    bytes("Pss", "the same with shared pages divided by the number of mappings that have them"),
    bytes("Pss_Dirty", "the dirty part of Pss"),
    bytes("Pss_Anon", "the anonymous part of Pss"),
    bytes("Pss_File", "the file part of Pss"),
    bytes("Pss_Shmem", "the shared memory part of Pss"),
    bytes("Shared_Clean", "resident, unmodified, also in another mapping of this process or another one"),
    bytes("Shared_Dirty", "resident, modified, also in another mapping of this process or another one"),
    bytes("Private_Clean", "resident, unmodified, in no other mapping"),
    bytes("Private_Dirty", "resident, modified, in no other mapping"),
    bytes("Referenced", "resident and marked as accessed"),
    bytes("Anonymous", "resident and not in a file: lost without swap"),
    bytes("KSM", "resident and merged with equal pages (kernel samepage merging)"),
    bytes("LazyFree", "freed with MADV_FREE and not reclaimed yet"),
    bytes("AnonHugePages", "anonymous memory in transparent huge pages"),
    bytes("ShmemPmdMapped", "shared memory in huge pages"),
    bytes("FilePmdMapped", "file pages in huge pages"),
    bytes("Shared_Hugetlb", "hugetlb pages that are also in another mapping (not in Rss)"),
    bytes("Private_Hugetlb", "hugetlb pages that are in no other mapping (not in Rss)"),
    bytes("Swap", "anonymous memory in swap"),
    bytes("SwapPss", "the same divided by the number of processes that share it"),
    bytes("Locked", "resident and locked (mlock), with shared pages divided as in Pss"),
    other("THPeligible", "1 if it may get transparent huge pages", ColumnKind::Number, true),
    other("ProtectionKey", "memory protection key", ColumnKind::Number, false),
    other("VmFlags", "flags of the VMA, two letters each", ColumnKind::Text, false),
];

/// The position of each known field in the dictionary of a reading.
pub(super) fn known_ids(fields: &Fields) -> Vec<Option<FieldId>> {
    KNOWN.iter().map(|known| fields.find(known.name.as_bytes())).collect()
}

/// The places of some known fields, so that no row looks for a name.
pub(super) const KERNEL_PAGE_SIZE: u32 = 1;
pub(super) const RSS: u32 = 3;
pub(super) const SHARED_DIRTY: u32 = 10;
pub(super) const PRIVATE_CLEAN: u32 = 11;
pub(super) const PRIVATE_DIRTY: u32 = 12;
pub(super) const ANONYMOUS: u32 = 14;
pub(super) const SWAP: u32 = 22;

/// A known field of a mapping that is an amount of memory.
pub(super) fn figure(row: &MappingRow, place: u32) -> Figure<Bytes> {
    let id = known_id(row, place).ok_or(NOT_GIVEN)?;
    row.mapping().and_then(|mapping| mapping.bytes(id)).ok_or(NOT_GIVEN)
}

/// `VmFlags` of a mapping.
pub(super) fn flags(row: &MappingRow) -> Option<&[u8]> {
    let id = known_id(row, (KNOWN.len() - 1) as u32)?;
    row.mapping()?.text(id)
}

fn known_id(row: &MappingRow, place: u32) -> Option<FieldId> {
    *row.process.known.get(place as usize)?
}

/// The columns of the fields that the kernel reports, in its order, followed by known fields that it does not report,
/// which are absent. If nothing has been read yet, the columns of all known fields.
pub(super) fn columns(fields: &Fields) -> Vec<Column<MappingRows>> {
    if fields.is_empty() {
        return KNOWN.iter().enumerate().map(|(place, known)| known_column(place, known)).collect();
    }
    let given = fields.in_order().map(|id| {
        let known = KNOWN.iter().enumerate().find(|(_, known)| known.name == fields.name(id));
        known.map_or_else(|| future_column(fields, id), |(place, known)| known_column(place, known))
    });
    let is_missing = |(_, known): &(usize, &KnownField)| fields.find(known.name.as_bytes()).is_none();
    let missing = KNOWN.iter().enumerate().filter(is_missing);
    given.chain(missing.map(|(place, known)| known_column(place, known).on_request())).collect()
}

/// The field that stays on a narrow terminal.
const MAIN: &str = "Rss";
/// The fields that go last.
const MINOR: [&str; 2] = ["Size", "Pss"];

fn known_column(place: usize, known: &'static KnownField) -> Column<MappingRows> {
    let get: Getter<MappingRows> = match known.kind {
        ColumnKind::Bytes => |row, place| bytes_cell(row, known_id(row, place)),
        ColumnKind::Number => |row, place| count_cell(row, known_id(row, place)),
        _ => |row, place| text_cell(row, known_id(row, place)),
    };
    let mut column = C::new("", known.name, known.kind, get, known.help).needing(&known.needs);
    column.head.id = Cow::Owned(known.name.to_ascii_lowercase());
    column.argument = place as u32;
    let column = match known.name {
        MAIN => column,
        name if MINOR.contains(&name) => column.minor(),
        _ => column.least(),
    };
    // A size of pages or a key is not an amount.
    if known.adds { column.aggregated(Aggregation::Sum) } else { column.identifier() }
}

/// The column of an unknown field.
fn future_column(fields: &Fields, id: FieldId) -> Column<MappingRows> {
    let (kind, get): (ColumnKind, Getter<MappingRows>) = match fields.unit(id) {
        FieldUnit::Bytes => (ColumnKind::Bytes, |row, id| bytes_cell(row, Some(FieldId::from_number(id)))),
        FieldUnit::Count => (ColumnKind::Number, |row, id| count_cell(row, Some(FieldId::from_number(id)))),
        FieldUnit::Text => (ColumnKind::Text, |row, id| text_cell(row, Some(FieldId::from_number(id)))),
    };
    let mut column = C::new("", "", kind, get, "a field of a newer kernel").needing(&[MappingNeed::EveryField]);
    column.head.id = Cow::Owned(fields.key(id).to_owned());
    column.head.title = Cow::Owned(fields.name(id).to_owned());
    column.argument = id.number();
    // Only a field in kB is certain to be an amount.
    if kind == ColumnKind::Bytes { column.aggregated(Aggregation::Sum) } else { column }
}

fn bytes_cell(row: &MappingRow, id: Option<FieldId>) -> Cell<'_> {
    let bytes = id.and_then(|id| row.mapping()?.bytes(id));
    bytes.map_or(Cell::Absent(NOT_GIVEN), |bytes| Cell::Bytes(bytes.0))
}

fn count_cell(row: &MappingRow, id: Option<FieldId>) -> Cell<'_> {
    id.and_then(|id| row.mapping()?.count(id)).map_or(Cell::Absent(NOT_GIVEN), Cell::Count)
}

fn text_cell(row: &MappingRow, id: Option<FieldId>) -> Cell<'_> {
    id.and_then(|id| row.mapping()?.text(id)).map_or(Cell::Absent(NOT_GIVEN), Cell::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_those_of_the_names() {
        let places = [KERNEL_PAGE_SIZE, RSS, SHARED_DIRTY, PRIVATE_CLEAN, PRIVATE_DIRTY, ANONYMOUS, SWAP];
        let names = ["KernelPageSize", "Rss", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Anonymous", "Swap"];
        assert_eq!(places.map(|place| KNOWN[place as usize].name), names);
    }
}
