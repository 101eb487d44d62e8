//! The rows of a file: itself, or its parts.

use std::sync::Arc;

use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{FoundChoice, FoundFile, Split};
use crate::machine::cached::Counter;
use crate::process::GroupChoice;
use crate::units::{Absent, Bytes, Figure, Pages, Reason};

const NOT_DIVIDED: Absent =
    Absent::new(Reason::Unsupported, "which group or node a page belonged to is not known after it was reclaimed");

impl PagesOfFile {
    /// Whether one of these groups is charged for them.
    fn is_of(&self, groups: &GroupChoice) -> bool {
        is_one_of(groups, self.group.as_deref(), &self.groups)
    }

    fn row(&self, whole: &FoundFile, name: &Figure<Vec<u8>>) -> FoundFile {
        let amount = |counter| Ok(Pages(self.counts.get(counter)).bytes(whole.page_size));
        FoundFile {
            part: name.clone().unwrap_or_default(),
            cached: amount(Counter::Pages),
            dirty: amount(Counter::Dirty),
            writeback: amount(Counter::Writeback),
            evicted: whole.evicted.and_then(|evicted| if evicted == Bytes(0) { Ok(evicted) } else { Err(NOT_DIVIDED) }),
            nodes: self.nodes.clone(),
            groups: self.groups.clone(),
            counts: Ok(self.counts),
            ..whole.clone()
        }
    }
}

impl HolderOfFile {
    fn row(&self, whole: &FoundFile) -> FoundFile {
        let (part, holders) = (self.program.clone(), Ok(self.program.clone()));
        FoundFile { part, holders, holder_count: Ok(self.processes), ..whole.clone() }
    }
}

/// Whether a group with this path is among the chosen ones. A removed one may be named as it is `shown`.
pub(super) fn is_one_of(chosen: &GroupChoice, path: Option<&[u8]>, shown: &Figure<Vec<u8>>) -> bool {
    let names = [path, shown.as_deref().ok()];
    names.into_iter().flatten().any(|name| chosen.has_memory_group(name))
}

/// Adds the chosen rows of a file: itself, or its parts.
pub(super) fn add_rows(whole: FoundFile, parts: Parts, choice: &FoundChoice, rows: &mut Vec<FoundFile>) {
    if !choice.matches_mapped(&whole) {
        return;
    }
    let mut add = |row: FoundFile| rows.extend(Some(row).filter(|row| choice.matches(row)));
    if choice.keeps_parts {
        return add(FoundFile { parts: Some(Arc::new(parts)), ..whole });
    }
    let is_wanted = |part: &&PagesOfFile| choice.groups.is_empty() || part.is_of(&choice.groups);
    match choice.split {
        Some(Split::Groups) if whole.counts.is_ok() => {
            parts.groups.iter().filter(is_wanted).for_each(|part| add(part.row(&whole, &part.groups)));
        }
        // Whether it is charged for them is not known.
        Some(Split::Groups) if !choice.groups.is_empty() => {}
        Some(Split::Nodes) if whole.counts.is_ok() => {
            parts.nodes.iter().for_each(|part| add(part.row(&whole, &part.nodes)));
        }
        Some(Split::Holders) if !parts.holders.is_empty() => {
            parts.holders.iter().for_each(|part| add(part.row(&whole)));
        }
        _ => add(whole),
    }
}
