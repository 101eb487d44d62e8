//! The totals of a process alone: `/proc/PID/smaps_rollup`, or the sums of its smaps.

use crate::error::Result;
use crate::process::fields::{FieldId, FieldUnit, Fields, Wanted};
use crate::process::identity::Process;
use crate::process::mapping::Mappings;
use crate::process::read::read_from;
use crate::process::root::{ProcRoot, ProcessDir};
use crate::process::source::Source;
use crate::units::Bytes;

/// A process and the sums over all its mappings.
#[derive(Debug, Clone)]
pub struct ProcessTotals {
    /// Who it is.
    pub process: Process,
    /// [`Source::Rollup`], whose `Pss` the kernel divides once for the whole process; or [`Source::Smaps`], whose `Pss`
    /// is cut to KiB in each mapping, so that its sum is up to 1 KiB a mapping less.
    pub source: Source,
    /// One mapping of everything (rollup), or all of them.
    mappings: Mappings,
}

/// Reads the totals of a process, of the counters that are wanted: with one look at its page tables and no row of text
/// per mapping. `Size` is not among them: it is address space and not memory, and the kernel does not sum it.
///
/// # Errors
/// As for [`crate::process::read_smaps`].
pub fn read_totals(root: &ProcRoot, pid: u32, fields: &mut Fields, wanted: &Wanted) -> Result<ProcessTotals> {
    let directory = ProcessDir::open(root, pid)?;
    let found = read_from(Source::Rollup, root, &directory, fields, wanted)?;
    Ok(ProcessTotals { process: found.process, source: found.source, mappings: found.mappings })
}

impl ProcessTotals {
    /// The sum of a counter; absent where the kernel gives none, where it was not wanted, and for what is no amount of
    /// memory or not of the kind that adds up (page sizes, `Size`).
    pub fn bytes(&self, fields: &Fields, field: FieldId) -> Option<Bytes> {
        if fields.unit(field) != FieldUnit::Bytes || DO_NOT_ADD.contains(&fields.name(field)) {
            return None;
        }
        let mut values = self.mappings.iter().filter_map(|mapping| mapping.bytes(field)).peekable();
        values.peek()?;
        Some(values.sum())
    }
}

/// What smaps gives in kB and smaps_rollup does not give.
const DO_NOT_ADD: &[&str] = &["Size", "KernelPageSize", "MMUPageSize"];
