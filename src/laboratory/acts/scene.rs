//! The situation in which an act happened: the memory, what was done to it before, and the figures before and after.

use super::figures::Figures;
use super::request::Manner;
use super::script::{Act, Kind};

/// Everything that the prediction and the sentence about an act depend on.
pub(super) struct Scene<'s> {
    pub(super) act: Act,
    pub(super) kind: Kind,
    pub(super) manner: Manner,
    /// The length of the memory in whole pages; of blocks of the heap, to the byte.
    pub(super) length: u64,
    /// How much was touched by filling since it was mapped.
    pub(super) touched: u64,
    pub(super) page: u64,
    pub(super) huge_page: u64,
    pub(super) is_on_disk: bool,
    /// Whether the file system only passes on what is written to another one, which cannot be seen from here and may be
    /// in memory.
    pub(super) is_layer_unseen: bool,
    /// Whether zeros were written to the file, because its file system cannot allocate blocks.
    pub(super) wrote_zeros: bool,
    /// Whether the memory was written to since it was mapped: then `fork` copies its page tables.
    pub(super) was_written: bool,
    pub(super) is_mapped: bool,
    /// The size of the blocks of the heap, and what of them is filled.
    pub(super) block: u64,
    pub(super) before: &'s Figures,
    pub(super) after: &'s Figures,
}
