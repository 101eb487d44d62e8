//! What the kernel can take back of a control group, in words.
//!
//! `memory.stat` counts the kinds of memory and the lengths of the lists, but not how much of a kind is on a list. Page
//! cache that is locked is on no list of files, though it may be dirty. Where both are counted, only a range is known.

use std::fmt;

use crate::machine::{GroupAmount, GroupLimit};
use crate::units::{Bytes, Human};
use crate::views::control_group::GroupRow;

/// What the kernel can take back.
pub(super) fn lines(row: &GroupRow, swap: Option<Bytes>) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(FileLists::of(row).map(|lists| lists.line(row)));
    if let Some(of_swap) = of_swap(row) {
        let limit = row.group.figures.limit(GroupLimit::Swap);
        let where_to = match (swap, limit) {
            (Some(Bytes(0)), _) => "which this machine does not have".to_owned(),
            (_, Ok(Some(Bytes(0)))) => "which its limit forbids".to_owned(),
            (_, Ok(Some(limit))) => format!("up to its limit of {}", Human(limit)),
            (Some(swap), _) => format!("of which this machine has {}", Human(swap)),
            (None, _) => "as far as there is any".to_owned(),
        };
        lines.push(format!("{of_swap} memory can only go to swap, {where_to}."));
    }
    if let Some(unevictable) = row.known(GroupAmount::Unevictable).filter(|bytes| *bytes > Bytes(0)) {
        lines.push(format!("{} cannot be taken: locked (mlock), or of ramfs.", Human(unevictable)));
    }
    lines
}

/// An amount of which only the bounds are known.
#[derive(Debug, Clone, Copy)]
struct Range {
    least: Bytes,
    most: Bytes,
}

impl Range {
    /// The kernel collects its counters one after the other: bounds that contradict each other are none.
    fn new(least: Bytes, most: Bytes) -> Range {
        Range { least: least.min(most), most }
    }

    /// What is left of so much.
    fn rest_of(self, whole: Bytes) -> Range {
        Range { least: whole.saturating_sub(self.most), most: whole.saturating_sub(self.least) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (Human(self.least).to_string(), Human(self.most).to_string());
        match self.least {
            _ if least == most => formatter.write_str(&most),
            Bytes(0) => write!(formatter, "up to {most}"),
            _ => write!(formatter, "{least} to {most}"),
        }
    }
}

/// The active and the inactive list of files: page cache, and anonymous memory that was freed with `MADV_FREE`.
struct FileLists {
    inactive: Bytes,
    /// What was freed.
    freed: Range,
    /// The page cache that can be taken without writing it to disk.
    clean: Range,
    /// What of both has to be written to disk before it can be taken.
    unwritten: Range,
    /// Everything else.
    at_once: Range,
}

impl FileLists {
    fn of(row: &GroupRow) -> Option<FileLists> {
        let amount = |part| row.known(part);
        let inactive = amount(GroupAmount::InactiveFile)?;
        let all = amount(GroupAmount::ActiveFile)? + inactive;
        let (dirty, writeback) = (amount(GroupAmount::Dirty)?, amount(GroupAmount::Writeback)?);
        let locked = amount(GroupAmount::Unevictable);
        // Page cache is on these lists, or locked. Shared memory is on those of anonymous memory.
        let cache = amount(GroupAmount::File).zip(amount(GroupAmount::Shmem));
        let cache = cache.map(|(file, shared)| file.saturating_sub(shared));
        let listed = Range {
            least: cache.zip(locked).map_or(Bytes(0), |(cache, locked)| cache.saturating_sub(locked)),
            most: cache.unwrap_or(all),
        };
        let Range { least, most } = listed.rest_of(all);
        let anonymous = amount(GroupAmount::Anonymous).unwrap_or(all);
        let freed = Range::new(least.min(anonymous), most.min(anonymous));
        // A page that is being written may be dirty again.
        let least = dirty.max(writeback).saturating_sub(locked.unwrap_or(dirty + writeback));
        let unwritten = Range::new(least, freed.rest_of(all).most.min(dirty + writeback));
        let at_once = unwritten.rest_of(all);
        let clean =
            Range { least: at_once.least.saturating_sub(freed.most), most: at_once.most.saturating_sub(freed.least) };
        Some(FileLists { inactive, freed, clean, unwritten, at_once })
    }

    /// What can be taken of it.
    fn line(&self, row: &GroupRow) -> String {
        let begin = format!("(it begins with the inactive list, which has {})", Human(self.inactive));
        let mut text = match (self.at_once.most, self.freed.most) {
            (Bytes(0), _) => "The kernel can take back no clean page cache at once".to_owned(),
            (_, Bytes(0)) => {
                format!("The kernel can take back {} of clean page cache at once {begin}", self.at_once)
            }
            _ => format!(
                "The kernel can take back {} at once {begin}: {} of clean page cache, and {} of memory that processes \
                 have freed (MADV_FREE) and not written to again",
                self.at_once, self.clean, self.freed
            ),
        };
        if self.unwritten.most > Bytes(0) {
            text += &format!(", and {} of page cache after it is written to disk", self.unwritten);
        }
        if let Some(slab) = row.known(GroupAmount::SlabReclaimable).filter(|slab| *slab > Bytes(0)) {
            text += &format!(", and some of {} of cached names and inodes", Human(slab));
        }
        text + "."
    }
}

/// What can only go to swap, in words: what is locked cannot. `None` if there is nothing, or if it is not known.
fn of_swap(row: &GroupRow) -> Option<String> {
    let parts = [(GroupAmount::Anonymous, "anonymous"), (GroupAmount::Shmem, "shared")];
    let known = parts.map(|(part, name)| row.known(part).map(|bytes| (bytes, name)));
    let is_whole = known.iter().all(Option::is_some);
    let parts: Vec<(Bytes, &str)> = known.into_iter().flatten().filter(|(bytes, _)| *bytes > Bytes(0)).collect();
    let all: Bytes = parts.iter().map(|(bytes, _)| *bytes).sum();
    let listed = row.known(GroupAmount::ActiveAnonymous).zip(row.known(GroupAmount::InactiveAnonymous));
    let listed = listed.map(|(active, inactive)| active + inactive);
    let names = || parts.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" and ");
    let each = || parts.iter().map(|(bytes, name)| format!("{} of {name}", Human(*bytes))).collect::<Vec<_>>();
    match listed {
        _ if parts.is_empty() => None,
        Some(Bytes(0)) => None,
        Some(listed) if listed < all || !is_whole && listed > all => Some(format!("{} of {}", Human(listed), names())),
        None if row.known(GroupAmount::Unevictable) != Some(Bytes(0)) => {
            Some(format!("Up to {}", each().join(" and ")))
        }
        _ => Some(each().join(" and ")),
    }
}
