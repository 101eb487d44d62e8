//! The columns of `--map`: the page tables behind a mapping.

use crate::output::column::Column;
use crate::output::heat::shade;
use crate::output::{Cell, Kind, Sum};
use crate::process::TablePart;
use crate::units::{Absent, Bytes, Figure, Reason};

use super::{MappingRow, MappingRows};

/// The page tables behind one mapping.
#[derive(Debug, Clone)]
pub struct MappingPages {
    /// Its cells, in the order of their addresses.
    pub cells: Vec<TablePart>,
    /// All of them together.
    pub sum: TablePart,
    /// Whether the kernel told zero pages and huge pages.
    pub tells_kinds: bool,
    /// A character a cell: how much of it is present.
    line: String,
}

impl MappingPages {
    /// The page tables of a mapping in cells.
    pub fn new(cells: Vec<TablePart>, tells_kinds: bool) -> MappingPages {
        let mut sum = TablePart::default();
        cells.iter().for_each(|cell| sum.add(cell));
        let line = cells.iter().map(|cell| shade(present_share(cell), false)).collect();
        MappingPages { cells, sum, tells_kinds, line }
    }
}

/// How much of a cell is present, from 0 to 1.
pub fn present_share(cell: &TablePart) -> Option<f64> {
    crate::units::percent(cell.present.0, cell.size.0).map(|share| share / 100.0)
}

/// The columns of the page tables.
pub const PAGE_COLUMNS: &[Column<MappingRows>] = &[
    Column::new(
        "map_present",
        "Present",
        Kind::Bytes,
        Sum::Add,
        |row, _| amount(row, |pages| Ok(pages.sum.present)),
        "in RAM and in the page tables, zero pages too, from --map (PAGEMAP_SCAN or pagemap)",
    ),
    Column::new(
        "map_swapped",
        "Swapped",
        Kind::Bytes,
        Sum::Add,
        |row, _| amount(row, |pages| Ok(pages.sum.swapped)),
        "with an entry that is no page: in swap, or being migrated, from --map",
    ),
    Column::new(
        "map_file",
        "File-backed",
        Kind::Bytes,
        Sum::Add,
        |row, _| amount(row, |pages| Ok(pages.sum.file)),
        "present, and of a file or of shared memory, from --map",
    ),
    Column::new(
        "map_zero",
        "Zero page",
        Kind::Bytes,
        Sum::Add,
        |row, _| amount(row, |pages| told(pages, pages.sum.zero)),
        "present, and the zero page, which costs no memory, from --map",
    ),
    Column::new(
        "map_huge",
        "Huge",
        Kind::Bytes,
        Sum::Add,
        |row, _| amount(row, |pages| told(pages, pages.sum.huge)),
        "present, and mapped by huge page table entries, from --map",
    ),
    Column::new(
        "page_map",
        "Page map",
        Kind::Text,
        Sum::Nothing,
        |row, _| row.pages.map_or(Cell::Absent(NOT_ASKED), |pages| Cell::Word(&pages.line)),
        "a character for each part: . not present, 1 to 9 tenths of it, # all of it, from --map",
    ),
];

const NOT_ASKED: Absent = Absent::new(Reason::NotApplicable, "the page tables are read with --map only");
const NOT_TOLD: Absent = Absent::new(Reason::Unsupported, "this kernel has no PAGEMAP_SCAN, which tells it");

fn amount<'r>(row: &MappingRow<'r>, take: impl Fn(&MappingPages) -> Figure<Bytes>) -> Cell<'r> {
    Cell::bytes(row.pages.ok_or(NOT_ASKED).and_then(take))
}

fn told(pages: &MappingPages, amount: Bytes) -> Figure<Bytes> {
    if pages.tells_kinds { Ok(amount) } else { Err(NOT_TOLD) }
}
