//! Control groups: the same ones by their paths.

use std::collections::BTreeMap;

use super::change::{Change, ChangedFigure, ChangedKind};
use super::comparison::{Comparison, Hear};
use crate::error::Error;
use crate::machine::{GroupAmount, GroupFile, read_groups, subtract_below};
use crate::process::{GroupChoice, ProcRoot};
use crate::units::{Bytes, Figure};

/// The usage of groups, by their paths.
type Usages = BTreeMap<Vec<u8>, Figure<Bytes>>;

/// What the usage of a group needs; `KernelUsage` is for the root of version 1, whose usage lacks it.
const FILES: &[GroupFile] = &[GroupFile::Current, GroupFile::KernelUsage];

pub(super) fn compare(comparison: &Comparison, hear: &mut dyn Hear) {
    let (before, after) = (read(comparison, &comparison.before, hear), read(comparison, &comparison.after, hear));
    let (Some((before, has_all_before)), Some((mut after, has_all_after))) = (before, after) else { return };
    let mut tell = |path: Vec<u8>, before, after| {
        let change = Change::of(ChangedKind::Cgroup, ChangedFigure::Usage, before, after);
        comparison.tell(change.map(|change| Change { name: path, ..change }), hear);
    };
    for (path, usage) in before {
        let now = after.remove(&path);
        // Below a directory that could not be read there may be any group.
        if now.is_some() || has_all_after {
            tell(path, Some(usage), now);
        }
    }
    after.into_iter().filter(|_| has_all_before).for_each(|(path, usage)| tell(path, None, Some(usage)));
}

/// The usage of each group of one side, and whether these are all.
fn read(comparison: &Comparison, root: &ProcRoot, hear: &mut dyn Hear) -> Option<(Usages, bool)> {
    let mut has_all = true;
    let groups = read_groups(root, &GroupChoice::default(), FILES, &mut |error: Error| {
        has_all = false;
        hear.failure(error);
    });
    let mut groups = match groups {
        Ok(groups) => groups,
        Err(error) => {
            hear.failure(error);
            return None;
        }
    };
    if comparison.divides {
        subtract_below(&mut groups);
    }
    let usage = |group: crate::machine::ControlGroup| (group.path, group.figures.amount(GroupAmount::Usage));
    Some((groups.into_iter().map(usage).collect(), has_all))
}
