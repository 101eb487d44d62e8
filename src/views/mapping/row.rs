//! A row: one mapping, with the process that was read and what was joined with its mappings.

use std::collections::HashMap;
use std::sync::Arc;

use super::nodes::ProcessNodes;
use super::strips::ProcessPages;
use crate::join::MappingCache;
use crate::process::class::Classes;
use crate::process::{Deleted, FieldId, Mapping, ProcessMappings};
use crate::table::Cell;
use crate::units::{Absent, Figure, Reason};
use crate::views::processes::Owner;
use crate::views::shared::OfProcess;

/// Mappings.
pub struct MappingRows;

/// What has to be read for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingNeed {
    /// This field of smaps, or another source for the same figure.
    Field(&'static str),
    /// Every field of smaps.
    EveryField,
    /// Whether the name of the file still exists.
    Deleted,
    /// Whether a file below `/dev` is a device.
    Device,
    /// What made its memory.
    Class,
    /// The file in the page cache.
    PageCache,
    /// The page tables.
    PageTables,
    /// `numa_maps`.
    Numa,
    /// The user and the control group of the process.
    Owner,
}

/// One mapping.
#[derive(Clone)]
pub struct MappingRow {
    pub(super) process: Arc<ReadProcess>,
    pub(super) place: u32,
}

/// A process that was read, and the data joined with each of its mappings.
pub(super) struct ReadProcess {
    pub(super) read: ProcessMappings,
    /// Where each of the known fields is in the dictionary of the reading.
    pub(super) known: Vec<Option<FieldId>>,
    pub(super) deleted: Vec<Deleted>,
    /// Whether the file of each mapping is a device, if that was examined.
    pub(super) devices: Vec<Option<bool>>,
    pub(super) classes: Option<Classes>,
    pub(super) cache: Option<Vec<Figure<MappingCache>>>,
    pub(super) pages: Option<Figure<ProcessPages>>,
    pub(super) numa: Option<Figure<ProcessNodes>>,
    pub(super) owner: Option<Owner>,
    /// The number of the file of each mapping, if files of the same name are told apart.
    pub(super) files: Vec<u64>,
    /// The number of its address space, which other ids may share.
    pub(super) memory: Option<u64>,
    /// The names that smaps does not print as they are.
    pub(super) names: HashMap<u32, Vec<u8>>,
}

impl MappingRow {
    /// The mapping itself. It always exists, because rows are made from existing mappings.
    pub(super) fn mapping(&self) -> Option<Mapping<'_>> {
        self.process.read.mappings.get(self.place as usize)
    }

    /// Its name, as far as that is known; with the text `\012` for each newline if it is not.
    pub(super) fn name<'r>(&'r self, mapping: &Mapping<'r>) -> &'r [u8] {
        self.process.names.get(&self.place).map_or(mapping.path(), Vec::as_slice)
    }

    /// A cell of the mapping.
    pub(super) fn cell<'r>(&'r self, take: impl FnOnce(Mapping<'r>) -> Cell<'r>) -> Cell<'r> {
        self.mapping().map_or(Cell::Absent(NOT_GIVEN), take)
    }
}

impl OfProcess for MappingRow {
    fn pid(&self) -> Cell<'_> {
        Cell::Count(self.process.read.identity.pid.into())
    }

    fn owner(&self) -> Option<&Owner> {
        self.process.owner.as_ref()
    }

    fn command(&self) -> Cell<'_> {
        Cell::Text(&self.process.read.identity.command)
    }
}

pub(super) const NOT_GIVEN: Absent = Absent::new(Reason::Unsupported, "the kernel does not report it for this mapping");
pub(super) const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");
