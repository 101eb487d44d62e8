//! The columns of `--map`: the page tables behind a mapping.

use super::{MappingNeed, MappingRow, MappingRows, NOT_READ};
use crate::process::{TablePart, TableParts};
use crate::table::{Cell, Colour, Column, Mark, StripCell, col};
use crate::units::{Absent, Bytes, Figure, Reason, percent};

/// A column of this view.
type C = Column<MappingRows>;

const TABLES: &[MappingNeed] = &[MappingNeed::PageTables];

const SWAPPED: Mark = Mark { letter: 'S', colour: Colour::Red, meaning: "in swap" };
const MARKED: Mark = Mark { letter: 'M', colour: Colour::Yellow, meaning: "marked, no page" };
const HUGE: Mark = Mark { letter: 'H', colour: Colour::Magenta, meaning: "huge" };
const ZERO: Mark = Mark { letter: 'Z', colour: Colour::Blue, meaning: "zero page" };
const FILE: Mark = Mark { letter: 'F', colour: Colour::Green, meaning: "of a file or shared" };

/// The page tables behind the mappings of a process.
pub(super) struct ProcessPages {
    mappings: Vec<MappingPages>,
    /// Whether the kernel reports zero pages and huge pages.
    knows_kinds: bool,
}

/// The page tables behind one mapping.
struct MappingPages {
    strip: Vec<StripCell>,
    sum: TablePart,
    swapped: Figure<Bytes>,
}

impl ProcessPages {
    pub(super) fn new(parts: TableParts) -> ProcessPages {
        let mappings = parts.mappings.iter().zip(parts.swapped).map(|(parts, swapped)| {
            let mut sum = TablePart::default();
            parts.iter().for_each(|part| sum.add(part));
            let strip = parts.iter().map(|part| StripCell { share: present_share(part), mark: mark(part) }).collect();
            MappingPages { strip, sum, swapped }
        });
        ProcessPages { mappings: mappings.collect(), knows_kinds: parts.knows_kinds }
    }
}

/// How much of a part is present, from 0 to 1.
fn present_share(part: &TablePart) -> Option<f64> {
    percent(part.present.0, part.size.0).map(|share| share / 100.0)
}

/// What is most worth knowing about a part; plain anonymous pages have no mark.
fn mark(part: &TablePart) -> Option<Mark> {
    let marks =
        [(part.swapped, SWAPPED), (part.marked, MARKED), (part.zero, ZERO), (part.huge, HUGE), (part.file, FILE)];
    marks.into_iter().find(|(amount, _)| amount.0 > 0).map(|(_, mark)| mark)
}

/// The columns of the page tables.
pub const COLUMNS: &[Column<MappingRows>] = &[
    col!(sum "map_present", "Present", Bytes, |row| amount(row, |sum| sum.present),
        "in RAM and in the page tables, zero pages too, from --map (PAGEMAP_SCAN or pagemap)",
        needing(TABLES), on_request()),
    col!(sum "map_swapped", "Swapped", Bytes, |row|
        Cell::bytes(pages(row).and_then(|(_, pages)| pages.swapped)),
        "in swap, from --map; markers of the kernel are not counted", needing(TABLES), on_request()),
    col!(sum "map_file", "File-backed", Bytes, |row| amount(row, |sum| sum.file),
        "present, and of a file or of shared memory, from --map", needing(TABLES), on_request()),
    col!(sum "map_zero", "Zero page", Bytes, |row| amount_of_kind(row, |sum| sum.zero),
        "present, and the zero page, which costs no memory, from --map", needing(TABLES), on_request()),
    col!(sum "map_huge", "Huge", Bytes, |row| amount_of_kind(row, |sum| sum.huge),
        "present, and mapped by huge page table entries, from --map", needing(TABLES), on_request()),
    col!(new "page_map", "Page map", Strip(&[FILE, HUGE, ZERO, SWAPPED, MARKED]), |row| strip(row),
        "a character for each part: . not present, 1 to 9 tenths of it, # all of it, from --map",
        needing(TABLES), on_request()),
];

const NOT_KNOWN: Absent = Absent::new(Reason::Unsupported, "this kernel has no PAGEMAP_SCAN, which reports it");

fn pages(row: &MappingRow) -> Figure<(&ProcessPages, &MappingPages)> {
    let process = row.process.pages.as_ref().ok_or(NOT_READ)?;
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

fn strip(row: &MappingRow) -> Cell<'_> {
    pages(row).map_or_else(Cell::Absent, |(_, pages)| Cell::Strip(&pages.strip))
}
