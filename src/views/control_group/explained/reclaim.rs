//! What the kernel can take back of a control group, in words.

use super::{GroupRow, amount};
use crate::machine::{GroupAmount, GroupLimit};
use crate::units::{Bytes, Human};

/// What the kernel can take back.
pub(super) fn lines(row: &GroupRow, swap: Option<Bytes>) -> Vec<String> {
    let mut lines = Vec::new();
    let listed = amount(row, GroupAmount::ActiveFile).zip(amount(row, GroupAmount::InactiveFile));
    let unwritten = amount(row, GroupAmount::Dirty).zip(amount(row, GroupAmount::Writeback));
    if let (Some((active, inactive)), Some((dirty, writeback))) = (listed, unwritten) {
        let unwritten = dirty + writeback;
        let clean = (active + inactive).saturating_sub(unwritten);
        let mut text = match clean {
            Bytes(0) => "The kernel can take back no clean page cache at once".to_owned(),
            clean => format!(
                "The kernel can take back {} of clean page cache at once (it begins with the inactive list, which \
                 has {})",
                Human(clean),
                Human(inactive)
            ),
        };
        if unwritten > Bytes(0) {
            text += &format!(", and {} of page cache after it is written to disk", Human(unwritten));
        }
        if let Some(slab) = amount(row, GroupAmount::SlabReclaimable).filter(|slab| *slab > Bytes(0)) {
            text += &format!(", and some of {} of cached names and inodes", Human(slab));
        }
        lines.push(text + ".");
    }
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
    if let Some(unevictable) = amount(row, GroupAmount::Unevictable).filter(|bytes| *bytes > Bytes(0)) {
        lines.push(format!("{} cannot be taken: locked (mlock), or of ramfs.", Human(unevictable)));
    }
    lines
}

/// What can only go to swap, in words: what is locked cannot. `None` if there is nothing, or if it is not known.
fn of_swap(row: &GroupRow) -> Option<String> {
    let parts = [(GroupAmount::Anonymous, "anonymous"), (GroupAmount::Shmem, "shared")];
    let known = parts.map(|(part, name)| amount(row, part).map(|bytes| (bytes, name)));
    let is_whole = known.iter().all(Option::is_some);
    let parts: Vec<(Bytes, &str)> = known.into_iter().flatten().filter(|(bytes, _)| *bytes > Bytes(0)).collect();
    let all: Bytes = parts.iter().map(|(bytes, _)| *bytes).sum();
    let listed = amount(row, GroupAmount::ActiveAnonymous).zip(amount(row, GroupAmount::InactiveAnonymous));
    let listed = listed.map(|(active, inactive)| active + inactive);
    let names = || parts.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" and ");
    let each = || parts.iter().map(|(bytes, name)| format!("{} of {name}", Human(*bytes))).collect::<Vec<_>>();
    match listed {
        _ if parts.is_empty() => None,
        Some(Bytes(0)) => None,
        Some(listed) if listed < all || !is_whole && listed > all => Some(format!("{} of {}", Human(listed), names())),
        None if amount(row, GroupAmount::Unevictable) != Some(Bytes(0)) => {
            Some(format!("Up to {}", each().join(" and ")))
        }
        _ => Some(each().join(" and ")),
    }
}
