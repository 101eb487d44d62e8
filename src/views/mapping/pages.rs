//! The columns of `--map`: the page tables behind a mapping.

use super::row::{MappingNeed, MappingRow, MappingRows, NOT_READ};
use super::strips::{FILE, GUARD, HUGE, MARKED, MappingPages, ProcessPages, SWAPPED, ZERO};
use crate::process::TablePart;
use crate::table::{Cell, Column, col};
use crate::units::{Absent, Bytes, Figure, Reason};

/// A column of this view.
type C = Column<MappingRows>;

const TABLES: &[MappingNeed] = &[MappingNeed::PageTables];

/// The columns of the page tables.
pub const COLUMNS: &[Column<MappingRows>] = &[
    col!(sum "map_present", "Present", Bytes, |row| amount(row, |sum| sum.present),
        "in RAM and in the page tables, including zero pages, from --map (PAGEMAP_SCAN or pagemap)",
        needing(TABLES), on_request()),
    col!(sum "map_swapped", "Swapped", Bytes, |row| Cell::bytes(pages(row).and_then(|(_, pages)| pages.swapped)),
        "in swap, without the kernel's markers, from --map", needing(TABLES), on_request()),
    col!(sum "map_file", "File-backed", Bytes, |row| amount(row, |sum| sum.file),
        "present, and part of a file or of shared memory, from --map", needing(TABLES), on_request()),
    col!(sum "map_zero", "Zero page", Bytes, |row| amount_of_kind(row, |sum| sum.zero),
        "present, and the zero page, which costs no memory, from --map", needing(TABLES), on_request()),
    col!(sum "map_huge", "Huge", Bytes, |row| amount_of_kind(row, |sum| sum.huge),
        "present and mapped with huge page table entries, from --map", needing(TABLES), on_request()),
    col!(sum "map_guard", "Guard", Bytes, |row| guards(row),
        "guard pages (MADV_GUARD_INSTALL): no memory, and no access, from --map", needing(TABLES), on_request()),
    col!(new "page_map", "Page map", Strip(&[FILE, HUGE, ZERO, GUARD, SWAPPED, MARKED]), |row| strip(row),
        "one character per part: . not present, 1 to 9 tenths present, # all present, from --map",
        needing(TABLES), on_request()),
];

const NOT_KNOWN: Absent = Absent::new(
    Reason::Unsupported,
    "only PAGEMAP_SCAN reports it, which this kernel does not have or this sandbox does not allow",
);

const NO_GUARDS: Absent =
    Absent::new(Reason::Unsupported, "this kernel does not report guard pages (new in Linux 6.15)");

fn pages(row: &MappingRow) -> Figure<(&ProcessPages, &MappingPages)> {
    let process = row.process.pages.as_ref().ok_or(NOT_READ)?.as_ref().map_err(|absent| *absent)?;
    Ok((process, process.mappings.get(row.place as usize).ok_or(NOT_READ)?))
}

fn amount(row: &MappingRow, take: fn(&TablePart) -> Bytes) -> Cell<'_> {
    Cell::bytes(pages(row).map(|(_, pages)| take(&pages.sum)))
}

fn amount_of_kind(row: &MappingRow, take: fn(&TablePart) -> Bytes) -> Cell<'_> {
    match pages(row) {
        Ok((process, _)) if !process.knows_kinds => Cell::Absent(NOT_KNOWN),
        _ => amount(row, take),
    }
}

fn guards(row: &MappingRow) -> Cell<'_> {
    match pages(row) {
        Ok((process, _)) if !process.knows_guards => Cell::Absent(NO_GUARDS),
        _ => amount(row, |sum| sum.guard),
    }
}

fn strip(row: &MappingRow) -> Cell<'_> {
    pages(row).map_or_else(Cell::Absent, |(_, pages)| Cell::Strip(&pages.strip))
}
