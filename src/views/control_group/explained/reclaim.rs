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
pub(super) fn lines(
    row: &GroupRow,
    above: &[GroupAbove],
    swap: Option<SwapSpace>,
    is_never_swapped: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(FileLists::of(row).map(|lists| lists.line(row)));
    let of_both = of_both(row, above);
    if let Some(of_swap) = of_swap(row) {
        let where_to = where_to(row, above, swap);
        let cached = row.known(GroupAmount::SwapCached).filter(|cached| *cached > Bytes(0));
        // What is locked may be there too.
        let cached = cached.map_or_else(String::new, |cached| {
            format!(" Up to {} of it is in the swap cache, and has its place there already.", Human(cached))
        });
        let has_shared = row.known(GroupAmount::Shmem).is_some_and(|shared| shared > Bytes(0));
        let locked = if has_shared { " Shared memory locked with SHM_LOCK cannot be swapped out." } else { "" };
        let has_swap = swap.is_none_or(|swap| swap.size > Bytes(0));
        let never = if is_never_swapped && has_swap { NEVER_SWAPPED } else { "" };
        lines.push(format!("{of_swap} memory can only go to swap{where_to}.{never}{cached}{locked}"));
        lines.extend(of_both);
    }
    if let Some(unevictable) = row.known(GroupAmount::Unevictable).filter(|bytes| *bytes > Bytes(0)) {
        // The kernel moves a large folio off the lists only if all of it is locked.
        lines.push(format!(
            "At least {} cannot be taken: locked (mlock), or of ramfs. What shares a large folio with locked pages \
             cannot either, and is counted above as if it could.",
            Human(unevictable)
        ));
    }
    lines
}

/// What a swappiness of 0 means for the reclaim of a group: that of the whole machine still swaps as a last resort.
const NEVER_SWAPPED: &str = " But swappiness is 0, so to stay below a limit the kernel swaps none of it; if the whole \
                             machine is short of memory, at most as a last resort.";

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
    /// What was freed. It stays on the list if it is written to again, until the kernel looks at it.
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
        // Dirty pages are page cache too, locked or not.
        let most = cache.filter(|_| freed.most > Bytes(0)).map_or(at_once.most, |cache| cache.saturating_sub(dirty));
        let clean =
            Range::new(at_once.least.saturating_sub(freed.most), most.min(at_once.most.saturating_sub(freed.least)));
        Some(FileLists { inactive, freed, clean, unwritten, at_once: Range::new(clean.least, at_once.most) })
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
                "The kernel can take back {} at once {begin}: {} of clean page cache, and up to {} that processes \
                 freed with MADV_FREE, unless written to again",
                self.at_once,
                self.clean,
                Human(self.freed.most)
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

/// A limit, and how much of it is not used yet.
struct Room {
    limit: Bytes,
    /// Anything up to the limit if the usage is not known.
    left: Range,
}

impl Room {
    fn of(figures: &GroupFigures, limit: GroupLimit, used: &[GroupAmount]) -> Option<Room> {
        let limit = figures.limit(limit).ok().flatten()?;
        let used = used.iter().map(|amount| figures.amount(*amount).ok()).sum::<Option<Bytes>>();
        let left = limit.saturating_sub(used.unwrap_or(Bytes(0)));
        Some(Room { limit, left: Range { least: used.map_or(Bytes(0), |_| left), most: left } })
    }
}

/// The tightest limit of the group and of those above it, with the path of the one that has it, if it is above.
fn tightest<'a>(
    row: &GroupRow,
    above: &'a [GroupAbove],
    room: impl Fn(&GroupFigures) -> Option<Room>,
) -> Option<(Room, Option<&'a [u8]>)> {
    let own = room(&row.group.figures).map(|room| (room, None));
    let above = above.iter().filter_map(|group| Some((room(&group.figures)?, Some(&group.path[..]))));
    let rooms: Vec<_> = own.into_iter().chain(above).collect();
    // One whose usage is not known may be the tightest.
    let least = rooms.iter().map(|(room, _)| room.left.least).min()?;
    let (room, path) = rooms.into_iter().min_by_key(|(room, _)| (room.left.most, room.limit))?;
    Some((Room { left: Range { least, ..room.left }, ..room }, path))
}

/// Where a limit is.
fn place(path: Option<&[u8]>) -> String {
    path.map_or_else(String::new, |path| format!(" of {} above it", escaped(path)))
}

/// What a limit of memory and swap together (version 1) leaves, in words. What goes to swap counts there as before, so
/// that such a limit keeps nothing in memory, and the kernel does not swap to stay below it.
fn of_both(row: &GroupRow, above: &[GroupAbove]) -> Option<String> {
    let used = [GroupAmount::Usage, GroupAmount::Swap];
    let (room, path) = tightest(row, above, |figures| Room::of(figures, GroupLimit::MemoryAndSwap, &used))?;
    Some(format!(
        "Memory and swap together can grow by {}: the limit{} on both is {}, and swapping does not help to stay below \
         it.",
        room.left,
        place(path),
        Human(room.limit)
    ))
}

/// How much can go to swap, in words that follow the word swap.
fn where_to(row: &GroupRow, above: &[GroupAbove], swap: Option<SwapSpace>) -> String {
    if swap.is_some_and(|swap| swap.size == Bytes(0)) {
        return ", which this machine does not have".to_owned();
    }
    let free = swap.and_then(|swap| swap.free);
    let tightest = tightest(row, above, |figures| Room::of(figures, GroupLimit::Swap, &[GroupAmount::Swap]));
    match (tightest.filter(|(room, _)| free.is_none_or(|free| room.left.most <= free)), swap) {
        (Some((Room { limit: Bytes(0), .. }, None)), _) => ", which its limit forbids".to_owned(),
        (Some((Room { limit: Bytes(0), .. }, path)), _) => format!(", which the limit{} forbids", place(path)),
        (Some((Room { limit, left }, None)), _) => format!("; its limit of {} leaves {left}", Human(limit)),
        (Some((Room { limit, left }, path)), _) => {
            format!("; the limit{}, {}, leaves {left}", place(path), Human(limit))
        }
        (None, Some(SwapSpace { size, free: Some(free) })) => {
            format!(", of which {} of this machine's {} are free", Human(free), Human(size))
        }
        (None, Some(SwapSpace { size, free: None })) => format!(", of which this machine has {}", Human(size)),
        (None, None) => ", as far as there is any".to_owned(),
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
        parts if is_whole && !is_cached && !parts.is_empty() => {
            parts.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" and ")
        }
        _ => "anonymous and shared".to_owned(),
    };
    let each = || parts.iter().map(|(bytes, name)| format!("{} of {name}", Human(*bytes))).collect::<Vec<_>>();
    match listed {
        Some(Bytes(0)) => None,
        // Swap cache that is not mapped is on these lists, and is neither part; nor is a part that is not known.
        Some(listed) if listed < all || is_cached && listed > all || !is_whole => {
            Some(format!("{} of {}", Human(listed), names()))
        }
        _ if parts.is_empty() => None,
        None if row.known(GroupAmount::Unevictable) != Some(Bytes(0)) => {
            Some(format!("Up to {}", each().join(" and ")))
        }
        _ => Some(each().join(" and ")),
    }
}
