//! What grew and what shrank between two states of a machine, each a capture or the running machine: processes, their
//! mappings, cached files and control groups.
//!
//! Two figures are only compared if they mean the same. What one side could not know is absent with its reason; what is
//! said to be new or gone did not exist on the other side, and is not just unknown there.

mod change;
mod comparison;
mod files;
mod groups;
mod mappings;
mod processes;

pub use change::{Change, ChangedFigure, ChangedKind, ChangedStatus};
pub use comparison::{Comparison, Hear};

/// Compares the two, kind by kind.
pub fn compare_machines(comparison: &Comparison, hear: &mut dyn Hear) {
    let compares = |kind| comparison.kinds.contains(&kind);
    if compares(ChangedKind::Process) || compares(ChangedKind::Mapping) {
        processes::compare(comparison, hear);
    }
    if compares(ChangedKind::Cgroup) && hear.check().is_continue() {
        groups::compare(comparison, hear);
    }
    if compares(ChangedKind::File) && hear.check().is_continue() {
        files::compare(comparison, hear);
    }
}
