//! A row of a control group.

use crate::machine::{ControlGroup, GroupAmount, GroupLimit, GroupVersion, container_name};
use crate::table::Cell;
use crate::units::{Absent, Bytes, Figure, Piece, Reason, percent};

/// A memory control group.
#[derive(Debug, Clone)]
pub struct GroupRow {
    /// The group.
    pub group: ControlGroup,
    /// Its name, indented by how many groups of the answer are above it.
    pub(super) indented: Vec<u8>,
    /// The container that it belongs to.
    pub container: Option<String>,
    /// The memory of its processes and of those below it.
    pub pss: Figure<Piece>,
    pub(super) note: Option<&'static str>,
}

const ALONE: &str = "without the groups below it (memory.use_hierarchy is 0)";
const ROOT_OF_VERSION_1: &str = "its usage is without the memory of the kernel";
const NO_LIMIT: Absent = Absent::new(Reason::NotApplicable, "there is no limit");
const TOP: Absent = Absent::new(Reason::NotApplicable, "it is the topmost group");

impl GroupRow {
    /// The row of a group that has so many groups of the answer above it.
    pub(super) fn new(group: ControlGroup, above: usize, pss: Figure<Piece>) -> GroupRow {
        let name = if above == 0 { &group.path } else { group.name() };
        GroupRow {
            indented: [&b"  ".repeat(above)[..], name].concat(),
            container: container_name(&group.path),
            note: match () {
                () if !group.includes_below && group.size > 1 => Some(ALONE),
                () if group.is_root && group.version == GroupVersion::One => Some(ROOT_OF_VERSION_1),
                () => None,
            },
            pss,
            group,
        }
    }

    pub(super) fn parent(&self) -> Cell<'_> {
        self.group.parent.as_deref().map_or(Cell::Absent(TOP), Cell::Text)
    }

    /// An amount, if it is known.
    pub(super) fn known(&self, amount: GroupAmount) -> Option<Bytes> {
        self.group.figures.amount(amount).ok()
    }

    pub(super) fn pss(&self) -> Cell<'_> {
        self.pss.as_ref().map_or_else(|absent| Cell::Absent(*absent), |pss| Cell::Bytes(pss.figure))
    }

    pub(super) fn share_of_limit(&self) -> Figure<f64> {
        let limit = self.group.figures.limit(GroupLimit::Memory)?.ok_or(NO_LIMIT)?;
        let usage = self.group.figures.amount(GroupAmount::Usage)?;
        percent(usage.0, limit.0).ok_or(NO_LIMIT)
    }
}
