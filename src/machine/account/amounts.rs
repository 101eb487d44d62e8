//! The account as a value: how much memory has each use.

use super::others::SystemV;
use super::uses::MemoryUse;
use crate::units::{Absent, Bytes, Figure, PageSize, Reason};

/// The kernel does not count it.
pub(super) const UNCOUNTED: Absent = Absent::new(Reason::Unsupported, "this kernel does not count it");

/// How much memory has one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAmount {
    /// The use.
    pub of: MemoryUse,
    /// How much.
    pub bytes: Figure<Bytes>,
    /// The places that it is a part of, and that have counted it; none if it is a place itself.
    pub part_of: &'static [MemoryUse],
    /// The fields or files that it is calculated from, by their names in the kernel.
    pub source: &'static str,
}

impl MemoryAmount {
    pub(super) fn new(of: MemoryUse, bytes: Figure<Bytes>, source: &'static str) -> MemoryAmount {
        MemoryAmount { of, bytes, part_of: of.part_of(), source }
    }

    /// Whether it is a place: counted once, and a part of the sum.
    pub fn is_place(&self) -> bool {
        self.part_of.is_empty()
    }
}

/// What the places of these are together.
pub(super) fn sum_of_places(amounts: &[MemoryAmount]) -> Bytes {
    amounts.iter().filter(|amount| amount.is_place()).filter_map(|amount| amount.bytes.ok()).sum()
}

/// The memory of a machine, or of one of its nodes, by what it is used for.
#[derive(Debug, Clone)]
pub struct MemoryAccount {
    /// Its node; `None` for the whole machine.
    pub node: Option<u32>,
    /// The size of a page of the machine.
    pub page_size: PageSize,
    /// `MemTotal`: all memory that the kernel can hand out.
    pub total: Bytes,
    /// Every use that is known here, in the order of [`MemoryUse::ALL`]. The places that are known add up to `total`,
    /// or to `total` and `excess`.
    pub amounts: Vec<MemoryAmount>,
    /// By how much the places are more than `total`: the counters were not read at one instant.
    pub excess: Bytes,
    /// What the zones manage, if `zoneinfo` could be read.
    pub managed: Figure<Bytes>,
    /// What the zones have and do not manage: reserved when the machine started, and not a part of `total`.
    pub reserved: Figure<Bytes>,
    /// Memory that was given back to the host of a virtual machine (`Balloon`). Whether it is a part of `total` depends
    /// on the driver, so no place has it.
    pub balloon: Figure<Bytes>,
    /// The System V segments of the machine, if they are known.
    pub system_v: Option<SystemV>,
}

impl MemoryAccount {
    /// How much memory has this use.
    pub fn get(&self, of: MemoryUse) -> Figure<Bytes> {
        self.amounts.iter().find(|amount| amount.of == of).map_or(Err(UNCOUNTED), |amount| amount.bytes)
    }

    /// The sum of all places: `total`, unless there is an `excess`.
    pub fn sum(&self) -> Bytes {
        sum_of_places(&self.amounts)
    }
}
