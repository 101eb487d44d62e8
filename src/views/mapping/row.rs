//! A row: one mapping, with the process that was read and what was joined with its mappings.

use std::sync::Arc;

use super::presets;
use super::strips::ProcessPages;
use crate::join::MappingCache;
use crate::process::{Deleted, FieldId, Mapping, ProcessMappings};
use crate::table::{Cell, Column, RowKind};
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
    pub(super) cache: Option<Vec<Figure<MappingCache>>>,
    pub(super) pages: Option<Figure<ProcessPages>>,
    pub(super) owner: Option<Owner>,
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
        let fields = table.iter().filter(|column| is_given(column)).map(|column| column.id().to_owned());
        (name == presets::FIELDS).then(|| fields.collect())
    }
}

impl MappingRow {
    /// The mapping itself. It always exists, because rows are made from existing mappings.
    pub(super) fn mapping(&self) -> Option<Mapping<'_>> {
        self.process.read.mappings.get(self.place as usize)
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
}

pub(super) const NOT_GIVEN: Absent = Absent::new(Reason::Unsupported, "the kernel does not report it for this mapping");
pub(super) const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");

/// Whether this is the column of a field that the kernel reports.
fn is_given(column: &Column<MappingRows>) -> bool {
    !column.is_on_request
        && match column.needs {
            [MappingNeed::Field(name)] => name.eq_ignore_ascii_case(column.id()),
            [MappingNeed::EveryField] => true,
            _ => false,
        }
}
