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

    /// How much memory is in it. A place that this kernel does not count is in `Other`, with what has no name; one that
    /// is not known for another reason makes the part unknown.
    fn size(self, account: &MemoryAccount) -> Figure<Bytes> {
        let places = account.amounts.iter().filter(|amount| amount.is_place() && Part::of(amount.of) == self);
        let is_counted = |bytes: &Figure<Bytes>| !matches!(bytes, Err(absent) if absent.reason == Reason::Unsupported);
        let sizes: Vec<Figure<Bytes>> = places.map(|place| place.bytes).collect();
        match sizes.iter().any(is_counted) {
            true => sizes.into_iter().filter(is_counted).sum(),
            false => sizes.first().copied().unwrap_or(Err(NO_PLACE)),
        }
    }
}

const NO_PLACE: Absent = Absent::new(Reason::Unsupported, "this kernel does not count it");

impl RowKind for Machine {
    type Row = MachineRow;
    type Need = ();
    const ROWS: &'static str = "memory";
    const LARGEST_BY: &'static str = "";
    const COLUMNS: &'static [C] = COLUMNS;

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
    Cell::bytes(part.size(&row.account))
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
        let sizes = Part::ALL.map(|part| part.size(&account).unwrap_or(Bytes(0)).0);
        let known: u64 = sizes.iter().fold(0, |sum, size| sum.saturating_add(*size));
        let parts = Part::ALL.into_iter().map(Some).zip(sizes);
        let sizes: Vec<_> = parts.chain([(None, account.total.0.saturating_sub(known))]).collect();
        let available = read_available_memory(&self.root).map_err(|_| NO_ESTIMATE);
        rows.row(MachineRow { strip: strip(&sizes, self.cells), account, available })
    }
}

/// Cells for sizes, as many for each as its share says. What is left by rounding goes to the largest remainders. What
/// is in no part has a use that is not known.
fn strip(sizes: &[(Option<Part>, u64)], cells: usize) -> Vec<StripCell> {
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
    let cell = |part: Option<Part>| {
        let mark = part.and_then(Part::mark);
        StripCell { share: part.map(|_| if mark.is_some() { 1.0 } else { 0.0 }), mark, offset: None }
    };
    sizes.iter().zip(counts).flat_map(|((part, _), count)| std::iter::repeat_n(cell(*part), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_of_a_strip_are_divided_as_the_memory_is() {
        let letters = |sizes: &[(Part, u64)], unknown, cells| -> String {
            let parts = sizes.iter().map(|(part, size)| (Some(*part), *size));
            let sizes: Vec<_> = parts.chain([(None, unknown)]).collect();
            let letter = |cell: &StripCell| match (cell.share, cell.mark) {
                (None, _) => '?',
                (_, mark) => mark.map_or('.', |mark| mark.letter),
            };
            strip(&sizes, cells).iter().map(letter).collect()
        };
        let (anonymous, cache, free) = (Part::Anonymous, Part::Cache, Part::Free);
        assert_eq!(letters(&[(anonymous, 1), (cache, 2), (free, 1)], 0, 8), "AACCCC..");
        assert_eq!(letters(&[(anonymous, 1), (cache, 98), (free, 1)], 0, 10), "CCCCCCCCCC");
        assert_eq!(letters(&[(anonymous, 4), (cache, 4), (free, 2)], 0, 3), "AC.");
        assert_eq!(letters(&[(anonymous, u64::MAX), (cache, u64::MAX)], 0, 4), "AACC");
        assert_eq!(letters(&[(anonymous, 1), (free, 1)], 2, 8), "AA..????");
    }

    #[test]
    fn a_part_whose_place_is_not_known_is_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        let text = "MemTotal: 1000 kB\nMemFree: 600 kB\nAnonPages: 500 kB\nCached: 10 kB\nShmem: 20 kB\n";
        std::fs::write(folder.path().join("meminfo"), text).unwrap();
        let account = MemoryAccount::read(&ProcRoot::at(folder.path().to_owned())).unwrap();
        assert_eq!(Part::Cache.size(&account).map_err(|absent| absent.reason), Err(Reason::Changed));
        assert_eq!(Part::Huge.size(&account).map_err(|absent| absent.reason), Err(Reason::Unsupported));
        assert_eq!(Part::Anonymous.size(&account), Ok(Bytes(500 << 10)));
    }
}
