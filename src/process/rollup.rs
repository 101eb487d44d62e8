//! The totals of a process: `/proc/PID/smaps_rollup`, or the sums of its smaps.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::process::fields::{FieldId, FieldUnit, Fields, Wanted};
use crate::process::handle::Process;
use crate::process::identity::Identity;
use crate::process::interface::Interface;
use crate::process::mapping::Mappings;
use crate::process::read::ProcessMappings;
use crate::units::{Absent, Bytes, Figure, Reason};

/// A process and the sums over all its mappings.
#[derive(Debug, Clone)]
pub struct ProcessTotals {
    /// The process.
    pub identity: Identity,
    /// [`Interface::Rollup`], whose `Pss` the kernel rounds once for the whole process; or [`Interface::Smaps`], whose
    /// `Pss` is rounded down to KiB in each mapping, so that the sum is up to 1 KiB per mapping less.
    pub interface: Interface,
    /// A single mapping with the sums (rollup), or all mappings.
    mappings: Mappings,
}

const NOT_A_SUM: Absent = Absent::new(Reason::NotApplicable, "it cannot be added up");
const NOT_REPORTED: Absent = Absent::new(Reason::Unsupported, "the kernel does not report it");

/// Keys that smaps reports in kB and smaps_rollup does not have.
const DO_NOT_ADD: &[&str] = &["Size", "KernelPageSize", "MMUPageSize"];

impl Process {
    /// Reads the totals of the wanted counters: the kernel walks the page tables once and writes no text per mapping.
    /// `Size` is not among them, because it is address space and not memory, and the kernel does not add it up.
    ///
    /// # Errors
    /// As for [`Process::read_smaps`].
    pub fn read_totals(&self, fields: &mut Fields, wanted: &Wanted) -> Result<ProcessTotals> {
        ProcessTotals::of(self.read_from(Interface::Rollup, fields, wanted)?)
    }
}

impl ProcessMappings {
    /// An error if mappings are missing because the text broke off: sums would be too small.
    pub(super) fn require_whole(&self) -> Result<()> {
        match self.mappings.torn() {
            Some(torn) => {
                let why = format!("invalid smaps file: {torn}; without the rest there is no sum");
                Err(match self.identity.pid {
                    // There is only the text of a file.
                    0 => Error::path(Path::new(OsStr::from_bytes(&self.identity.command)), ErrorKind::Malformed, why),
                    pid => Error::pid(pid, ErrorKind::Malformed, why),
                })
            }
            None => Ok(()),
        }
    }
}

impl ProcessTotals {
    /// The sums over these mappings; an error if some are missing.
    pub(super) fn of(found: ProcessMappings) -> Result<ProcessTotals> {
        found.require_whole()?;
        Ok(ProcessTotals { identity: found.identity, interface: found.interface, mappings: found.mappings })
    }

    /// The mappings, or the one of smaps_rollup.
    pub(super) fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// The sum of the counter called `name` (`Rss`, in any mix of cases).
    ///
    /// # Errors
    /// The kernel does not report it, it was not among the counters that were read, or it cannot be added up.
    pub fn figure(&self, name: &str) -> Figure<Bytes> {
        let field = self.mappings.find_bytes(name)?;
        let adds_up = !DO_NOT_ADD.contains(&self.mappings.fields().name(field));
        if adds_up { self.sum(field).unwrap_or(Err(NOT_REPORTED)) } else { Err(NOT_A_SUM) }
    }

    /// The sum of a counter, without a lookup by name. None if the kernel does not report it, if it was not wanted, or
    /// if it cannot be added up (page sizes, `Size`, or a sum that does not fit into 64 bits).
    pub fn bytes(&self, fields: &Fields, field: FieldId) -> Option<Bytes> {
        let adds_up = fields.unit(field) == FieldUnit::Bytes && !DO_NOT_ADD.contains(&fields.name(field));
        if adds_up { self.sum(field)?.ok() } else { None }
    }

    fn sum(&self, field: FieldId) -> Option<Figure<Bytes>> {
        let mut values = self.mappings.iter().filter_map(|mapping| mapping.bytes(field)).peekable();
        values.peek()?;
        Some(Bytes::sum_of(values.map(Ok)))
    }
}
