//! The rows of a file: itself, or its parts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::described::REMOVED;
use super::parts::{HolderOfFile, PagesOfFile, Parts};
use super::{FoundChoice, FoundFile, Split};
use crate::machine::cached::Counter;
use crate::machine::group_inode;
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

/// The path that a removed group had, and the inode number of its directory.
type RemovedGroup = (Vec<u8>, Option<u64>);

/// The chosen control groups, of which some may have been removed.
pub(crate) struct ChosenGroups<'c> {
    chosen: &'c GroupChoice,
    root: &'c ProcRoot,
    /// Which removed groups are among them.
    removed: RefCell<HashMap<RemovedGroup, bool>>,
}

impl<'c> ChosenGroups<'c> {
    pub(crate) fn new(chosen: &'c GroupChoice, root: &'c ProcRoot) -> ChosenGroups<'c> {
        ChosenGroups { chosen, root, removed: RefCell::default() }
    }

    /// Whether the group that is `shown` so is among them. A removed one, whose directory had this inode number, may be
    /// named as it is shown, or as it was called if no other group is called so now.
    pub(crate) fn has(&self, shown: &Figure<Vec<u8>>, inode: Option<u64>) -> bool {
        let Ok(shown) = shown else { return false };
        match shown.strip_prefix(REMOVED) {
            None => self.chosen.has_memory_group(shown),
            Some(path) => self.chosen.has_removed_group(shown) || self.has_removed(path, inode),
        }
    }

    fn has_removed(&self, path: &[u8], inode: Option<u64>) -> bool {
        let key = (path.to_vec(), inode);
        if let Some(has) = self.removed.borrow().get(&key) {
            return *has;
        }
        let is_below = |choice: &GroupChoice| choice.highest(path).is_some_and(|named| self.is_of(named, path, inode));
        let has = self.chosen.each().any(|(_, choice)| is_below(&choice));
        self.removed.borrow_mut().insert(key, has);
        has
    }

    /// Whether a removed group was the one that is called `named`, or below it, and not one of the same name.
    fn is_of(&self, named: &[u8], path: &[u8], inode: Option<u64>) -> bool {
        match group_inode(self.root, named) {
            Some(None) => true,
            // Numbers only grow: a group is older than those below it.
            Some(Some(above)) => named != path && inode.is_none_or(|inode| above < inode),
            None => named != path,
        }
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
    let is_wanted = |part: &&PagesOfFile| choice.groups.is_empty() || chosen.has(&part.groups, part.group_inode);
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
