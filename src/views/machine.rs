//! The memory of the whole machine in one row with a strip (`rmap` alone).
//!
//! All sizes are in bytes. Each place of the [account](MemoryAccount) belongs to one column, so that the columns add up
//! to `MemTotal`; `available` is the kernel's estimate and lies across them.

use crate::machine::{MemoryAccount, MemoryUse, read_available_memory};
use crate::process::ProcRoot;
use crate::table::{Cell, Colour, Column, Mark, RowKind, Rows, Source, Stop, StripCell, col};
use crate::units::{Absent, Bytes, Figure, Reason};

/// A column of this view.
type C = Column<Machine>;

/// The machine.
pub struct Machine;

/// Its memory.
pub struct MachineRow {
    account: MemoryAccount,
    available: Figure<Bytes>,
    strip: Vec<StripCell>,
}

/// What the strip tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Anonymous,
    Cache,
    Shared,
    Kernel,
    Huge,
    Other,
    Free,
}

const ANONYMOUS: Mark = Mark { letter: 'A', colour: Colour::Red, meaning: "anonymous" };
const CACHE: Mark = Mark { letter: 'C', colour: Colour::Green, meaning: "page cache" };
const SHARED: Mark = Mark { letter: 'S', colour: Colour::Magenta, meaning: "shared memory" };
const KERNEL: Mark = Mark { letter: 'K', colour: Colour::Yellow, meaning: "kernel" };
const HUGE: Mark = Mark { letter: 'H', colour: Colour::Blue, meaning: "huge pages" };
const OTHER: Mark = Mark { letter: 'O', colour: Colour::Cyan, meaning: "other" };

impl Part {
    /// All of them, in the order of the strip.
    const ALL: [Part; 7] =
        [Part::Anonymous, Part::Shared, Part::Huge, Part::Kernel, Part::Other, Part::Cache, Part::Free];

    /// The part that a place belongs to.
    fn of(place: MemoryUse) -> Part {
        match place {
            MemoryUse::Free | MemoryUse::Kept => Part::Free,
            MemoryUse::Anonymous => Part::Anonymous,
            MemoryUse::PageCache => Part::Cache,
            MemoryUse::SharedMemory => Part::Shared,
            MemoryUse::HugePages => Part::Huge,
            MemoryUse::Slab
            | MemoryUse::SlabReclaimable
            | MemoryUse::SlabUnreclaimable
            | MemoryUse::KernelReclaimable
            | MemoryUse::PageTables
            | MemoryUse::KernelStacks
            | MemoryUse::Vmalloc
            | MemoryUse::PerCpu => Part::Kernel,
            _ => Part::Other,
        }
    }

    /// How a cell of the strip shows it; free memory is empty.
    fn mark(self) -> Option<Mark> {
        match self {
            Part::Anonymous => Some(ANONYMOUS),
            Part::Cache => Some(CACHE),
            Part::Shared => Some(SHARED),
            Part::Kernel => Some(KERNEL),
            Part::Huge => Some(HUGE),
            Part::Other => Some(OTHER),
            Part::Free => None,
        }
    }

    /// How much memory is in it. A use that this kernel does not count is in `Other`, with what has no name.
    fn size(self, account: &MemoryAccount) -> Bytes {
        let places = account.amounts.iter().filter(|amount| amount.is_place() && Part::of(amount.of) == self);
        places.filter_map(|amount| amount.bytes.ok()).sum()
    }
}

impl RowKind for Machine {
    type Row = MachineRow;
    type Need = ();
    const ROWS: &'static str = "memory";
    const LARGEST_BY: &'static str = "";

    fn columns() -> Vec<C> {
        COLUMNS.to_vec()
    }

    fn identity(_: &MachineRow) -> Vec<u8> {
        Vec::new()
    }
}

/// What the screen shows.
pub const DEFAULT: &[&str] = &[
    "total",
    "available",
    "anonymous",
    "page_cache",
    "shared_memory",
    "kernel",
    "huge_pages",
    "other",
    "free",
    "parts",
];

const COLUMNS: &[C] = &[
    col!(new "total", "Memory", Bytes, |row| Cell::Bytes(row.account.total.0), "MemTotal"),
    col!(new "available", "Available", Bytes, |row| Cell::bytes(row.available),
        "what programs can still get without swap, as the kernel estimates it (MemAvailable, or less in a group)"),
    col!(new "anonymous", "Anonymous", Bytes, |row| size(row, Part::Anonymous), "heaps, stacks, own copies"),
    col!(new "page_cache", "Page cache", Bytes, |row| size(row, Part::Cache), "pages of files and disks"),
    col!(new "shared_memory", "Shared", Bytes, |row| size(row, Part::Shared), "tmpfs, memfd, IPC"),
    col!(new "kernel", "Kernel", Bytes, |row| size(row, Part::Kernel), "slab, page tables, stacks, vmalloc, per-CPU"),
    col!(new "huge_pages", "Huge", Bytes, |row| size(row, Part::Huge), "reserved for hugetlbfs", minor()),
    col!(new "other", "Other", Bytes, |row| size(row, Part::Other), "everything else", minor()),
    col!(new "free", "Free", Bytes, |row| size(row, Part::Free), "used by nobody"),
    col!(new "parts", "Parts", Strip(&[ANONYMOUS, SHARED, HUGE, KERNEL, OTHER, CACHE]), |row| Cell::Strip(&row.strip),
        "the same as a strip"),
];

const NO_ESTIMATE: Absent = Absent::new(Reason::Unsupported, "this kernel does not estimate it");

fn size(row: &MachineRow, part: Part) -> Cell<'_> {
    Cell::Bytes(part.size(&row.account).0)
}

/// Reads the memory of the machine.
pub struct MachineSource {
    /// The machine.
    pub root: ProcRoot,
    /// The number of cells of the strip.
    pub cells: usize,
}

impl Source for MachineSource {
    type Kind = Machine;

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<Machine>) -> Result<(), Stop> {
        let account = MemoryAccount::read(&self.root)?;
        let sizes = Part::ALL.map(|part| (part, part.size(&account).0));
        let available = read_available_memory(&self.root).map_err(|_| NO_ESTIMATE);
        rows.row(MachineRow { strip: strip(&sizes, self.cells), account, available })
    }
}

/// Cells for sizes, as many for each as its share says. What is left by rounding goes to the largest remainders.
fn strip(sizes: &[(Part, u64)], cells: usize) -> Vec<StripCell> {
    let whole: u128 = sizes.iter().map(|(_, size)| u128::from(*size)).sum::<u128>().max(1);
    let scaled = |size: u64| u128::from(size) * cells as u128;
    let mut counts: Vec<usize> = sizes.iter().map(|(_, size)| (scaled(*size) / whole) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sizes.get(*index).map_or(0, |(_, size)| scaled(*size) % whole)));
    let left = cells.saturating_sub(counts.iter().sum());
    for index in order.into_iter().take(left) {
        if let Some(count) = counts.get_mut(index) {
            *count += 1;
        }
    }
    let cell = |part: Part| {
        let mark = part.mark();
        StripCell { share: Some(if mark.is_some() { 1.0 } else { 0.0 }), mark, offset: None }
    };
    sizes.iter().zip(counts).flat_map(|((part, _), count)| std::iter::repeat_n(cell(*part), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_of_a_strip_are_divided_as_the_memory_is() {
        let letters = |sizes: &[(Part, u64)], cells| -> String {
            strip(sizes, cells).iter().map(|cell| cell.mark.map_or('.', |mark| mark.letter)).collect()
        };
        let (anonymous, cache, free) = (Part::Anonymous, Part::Cache, Part::Free);
        assert_eq!(letters(&[(anonymous, 1), (cache, 2), (free, 1)], 8), "AACCCC..");
        assert_eq!(letters(&[(anonymous, 1), (cache, 98), (free, 1)], 10), "CCCCCCCCCC");
        assert_eq!(letters(&[(anonymous, 4), (cache, 4), (free, 2)], 3), "AC.");
        assert_eq!(letters(&[(anonymous, u64::MAX), (cache, u64::MAX)], 4), "AACC");
    }
}
