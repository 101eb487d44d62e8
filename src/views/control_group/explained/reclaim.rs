//! What the kernel can take back of a control group, in words.
//!
//! `memory.stat` counts the kinds of memory and the lengths of the lists, but not how much of a kind is on a list. Page
//! cache that is locked is on no list of files, though it may be dirty. Where both are counted, only a range is known.

use std::fmt;

use crate::machine::{GroupAbove, GroupAmount, GroupFigures, GroupLimit, SwapSpace};
use crate::table::escape::escaped;
use crate::units::{Bytes, Human};
use crate::views::control_group::GroupRow;

/// What the kernel can take back.
pub(super) fn lines(row: &GroupRow, above: &[GroupAbove], swap: Option<SwapSpace>) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(FileLists::of(row).map(|lists| lists.line(row)));
    if let Some(of_swap) = of_swap(row) {
        let where_to = where_to(row, above, swap);
        let cached = row.known(GroupAmount::SwapCached).filter(|cached| *cached > Bytes(0));
        // What is locked may be there too.
        let cached = cached.map_or_else(String::new, |cached| {
            format!(" Up to {} of it is in the swap cache, and has its place there already.", Human(cached))
        });
        lines.push(format!("{of_swap} memory can only go to swap, {where_to}.{cached}"));
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
        // A page that is being written may be dirty again, and memory that is written to swap is no page cache.
        let to_swap = amount(GroupAmount::SwapCached).unwrap_or(writeback);
        let least = dirty.max(writeback.saturating_sub(to_swap)).saturating_sub(locked.unwrap_or(dirty + writeback));
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

/// How much swap a group may use, and how much of that it does not use yet.
struct SwapLimit {
    limit: Bytes,
    left: Bytes,
    /// Whether swap is limited together with memory (version 1). The kernel does not swap to stay below such a limit.
    is_of_both: bool,
}

impl SwapLimit {
    /// `None` if there is none.
    fn of(figures: &GroupFigures) -> Option<SwapLimit> {
        let limit = |limit| figures.limit(limit).ok().flatten();
        let of_both = || limit(GroupLimit::MemoryAndSwap).zip(limit(GroupLimit::Memory));
        let both = || of_both().map(|(both, memory)| (both.saturating_sub(memory), true));
        let (limit, is_of_both) = limit(GroupLimit::Swap).map(|limit| (limit, false)).or_else(both)?;
        let used = figures.amount(GroupAmount::Swap).unwrap_or(Bytes(0));
        Some(SwapLimit { limit, left: limit.saturating_sub(used), is_of_both })
    }
}

/// How much can go to swap, in words.
fn where_to(row: &GroupRow, above: &[GroupAbove], swap: Option<SwapSpace>) -> String {
    if swap.is_some_and(|swap| swap.size == Bytes(0)) {
        return "which this machine does not have".to_owned();
    }
    let free = swap.and_then(|swap| swap.free);
    let own = SwapLimit::of(&row.group.figures).map(|limit| (limit, "its limit".to_owned()));
    let above = above.iter().filter_map(|group| {
        Some((SwapLimit::of(&group.figures)?, format!("the limit of {} above it", escaped(&group.path))))
    });
    let tightest = own.into_iter().chain(above).min_by_key(|(limit, _)| (limit.left, limit.limit));
    match (tightest.filter(|(limit, _)| free.is_none_or(|free| limit.left <= free)), swap) {
        (Some((SwapLimit { limit: Bytes(0), is_of_both: false, .. }, whose)), _) => format!("which {whose} forbids"),
        (Some((SwapLimit { limit: Bytes(0), is_of_both: true, .. }, whose)), _) => {
            format!("but not for {whose}, which is that of memory and swap together too")
        }
        (Some((SwapLimit { limit, left, is_of_both }, whose)), _) => {
            let of_both = if is_of_both { ": that of memory and swap together, without that of memory" } else { "" };
            format!("of which {whose} ({}{of_both}) leaves {}", Human(limit), Human(left))
        }
        (None, Some(SwapSpace { size, free: Some(free) })) => {
            format!("of which {} of this machine's {} are free", Human(free), Human(size))
        }
        (None, Some(SwapSpace { size, free: None })) => format!("of which this machine has {}", Human(size)),
        (None, None) => "as far as there is any".to_owned(),
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
    let is_cached = row.known(GroupAmount::SwapCached).is_some_and(|cached| cached > Bytes(0));
    let names = || match &parts[..] {
        // The swap cache may be of either.
        parts if !is_cached && !parts.is_empty() => {
            parts.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" and ")
        }
        _ => "anonymous and shared".to_owned(),
    };
    let each = || parts.iter().map(|(bytes, name)| format!("{} of {name}", Human(*bytes))).collect::<Vec<_>>();
    match listed {
        Some(Bytes(0)) => None,
        // Swap cache that is not mapped is on these lists, and is neither part.
        Some(listed) if listed < all || (is_cached || !is_whole) && listed > all => {
            Some(format!("{} of {}", Human(listed), names()))
        }
        _ if parts.is_empty() => None,
        None if row.known(GroupAmount::Unevictable) != Some(Bytes(0)) => {
            Some(format!("Up to {}", each().join(" and ")))
        }
        _ => Some(each().join(" and ")),
    }
}
