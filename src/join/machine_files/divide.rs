//! The rows of a file: itself, or its parts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::described::REMOVED;
use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{FoundChoice, FoundFile, Split};
use crate::machine::cached::Counter;
use crate::machine::group_exists;
use crate::process::{GroupChoice, ProcRoot};
use crate::units::{Absent, Bytes, Figure, Pages, Reason};

const NOT_DIVIDED: Absent =
    Absent::new(Reason::Unsupported, "which group or node a page belonged to is not known after it was reclaimed");

impl PagesOfFile {
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

/// The chosen control groups, of which some may have been removed.
pub(super) struct ChosenGroups<'c> {
    chosen: &'c GroupChoice,
    root: &'c ProcRoot,
    /// Whether no group is called so now, by the paths that removed groups had.
    free: RefCell<HashMap<Vec<u8>, bool>>,
}

impl<'c> ChosenGroups<'c> {
    pub(super) fn new(chosen: &'c GroupChoice, root: &'c ProcRoot) -> ChosenGroups<'c> {
        ChosenGroups { chosen, root, free: RefCell::default() }
    }

    /// Whether a group with this path is among them. A removed one may be named as it is `shown`, or as it was called
    /// if no other group is called so now.
    pub(super) fn has(&self, path: Option<&[u8]>, shown: &Figure<Vec<u8>>) -> bool {
        let shown = shown.as_deref().ok();
        let has = |name: Option<&[u8]>| name.is_some_and(|name| self.chosen.has_memory_group(name));
        // A path may be named without its first slash, which the name of a removed group does not have.
        let removed = shown.filter(|name| name.starts_with(REMOVED)).map(|name| [b"/", name].concat());
        has(removed.as_deref().or(shown)) || path != shown && has(path) && path.is_none_or(|path| self.is_free(path))
    }

    /// Whether certainly no group has this path.
    fn is_free(&self, path: &[u8]) -> bool {
        if let Some(is_free) = self.free.borrow().get(path) {
            return *is_free;
        }
        let is_free = group_exists(self.root, path) == Some(false);
        self.free.borrow_mut().insert(path.to_vec(), is_free);
        is_free
    }
}

/// Adds the chosen rows of a file: itself, or its parts.
pub(super) fn add_rows(
    whole: FoundFile,
    parts: Parts,
    choice: &FoundChoice,
    chosen: &ChosenGroups<'_>,
    rows: &mut Vec<FoundFile>,
) {
    if !choice.matches_mapped(&whole) {
        return;
    }
    let mut add = |row: FoundFile| rows.extend(Some(row).filter(|row| choice.matches(row)));
    if choice.keeps_parts {
        return add(FoundFile { parts: Some(Arc::new(parts)), ..whole });
    }
    let is_wanted = |part: &&PagesOfFile| choice.groups.is_empty() || chosen.has(part.group.as_deref(), &part.groups);
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
