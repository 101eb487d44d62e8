//! One control group in words: what counts towards its limit, and what of that the kernel can take back.

mod files;
mod reclaim;

use super::GroupRow;
use crate::error::Error;
use crate::join::GroupFiles;
use crate::machine::{GroupAbove, GroupAmount, GroupCount, GroupLimit, GroupVersion, SwapSpace};
use crate::table::escape::escaped;
use crate::table::write_brief_share;
use crate::units::{Bytes, Human, Reason, percent};

/// What stands around a group.
pub(super) struct Around<'g> {
    /// The groups above it.
    pub(super) above: Vec<GroupAbove>,
    /// The groups below it.
    pub(super) below: &'g [GroupRow],
    /// The swap of the machine.
    pub(super) swap: Option<SwapSpace>,
    /// Whether its swappiness is 0.
    pub(super) is_never_swapped: bool,
    /// Its cached files, or why they are not known.
    pub(super) files: Result<GroupFiles, Error>,
}

/// So many groups are named.
const NAMED_GROUPS: usize = 3;

/// Why page cache counts as its own.
const FIRST_TOUCH: &str = "Page cache counts as its own because the kernel charges a page to the group of the process \
                           that read or wrote it first, and leaves it there, whoever uses it later, until the page is \
                           reclaimed.";

/// The group in words, one paragraph a line.
pub(super) fn lines(row: &GroupRow, around: &Around<'_>) -> Vec<String> {
    let mut lines = vec![usage(row, &around.above)];
    lines.extend(parts(row));
    lines.push(FIRST_TOUCH.to_owned());
    lines.extend(reclaim::lines(row, &around.above, around.swap, around.is_never_swapped));
    lines.extend(kubelet(row));
    lines.extend(history(row, around.below));
    lines.extend(files::lines(&around.files));
    lines
}

/// The parts that are known, with their names.
fn known(row: &GroupRow, amounts: &[(GroupAmount, &str)]) -> Vec<String> {
    let known = amounts.iter().filter_map(|(part, name)| Some((row.known(*part)?, name)));
    known.map(|(bytes, name)| format!("{name} {}", Human(bytes))).collect()
}

/// How near it is to the limit.
fn usage(row: &GroupRow, above: &[GroupAbove]) -> String {
    let path = escaped(&row.group.path);
    let mut text = match (row.group.figures.amount(GroupAmount::Usage), row.group.figures.limit(GroupLimit::Memory)) {
        (Err(absent), _) => format!("{path}: its usage is not known: {}.", absent.why),
        (Ok(usage), Ok(Some(limit))) => {
            let share = percent(usage.0, limit.0).map_or_else(String::new, |of| format!(" ({} %)", brief(of)));
            format!("{path} uses {} of its limit of {}{share}.", Human(usage), Human(limit))
        }
        (Ok(usage), Ok(None)) => format!("{path} uses {}, and has no limit of its own.", Human(usage)),
        (Ok(usage), Err(absent)) => format!("{path} uses {}; its limit is not known: {}.", Human(usage), absent.why),
    };
    if let Ok(Some(high)) = row.group.figures.limit(GroupLimit::High) {
        text += &format!(" Above {} (memory.high) it is reclaimed from, and slowed down.", Human(high));
    }
    let used = |group: &GroupAbove| group.figures.amount(GroupAmount::Usage).ok();
    let limited = |group: &GroupAbove, limit| group.figures.limit(limit).ok().flatten();
    let limits = above.iter().filter_map(|group| {
        let limit = limited(group, GroupLimit::Memory)?;
        Some((escaped(&group.path), limit, limit.saturating_sub(used(group)?)))
    });
    if let Some((path, limit, left)) = limits.min_by_key(|(_, _, left)| *left) {
        text += &format!(" {path} above it has a limit of {}, of which {} are left.", Human(limit), Human(left));
    }
    for group in above {
        let high = limited(group, GroupLimit::High).zip(used(group));
        if let Some((high, used)) = high.filter(|(high, used)| used > high) {
            text += &format!(
                " {} above it uses {}, more than its memory.high of {}: all groups below it are reclaimed from, and \
                 slowed down.",
                escaped(&group.path),
                Human(used),
                Human(high)
            );
        }
    }
    text
}

/// What counts towards the limit.
fn parts(row: &GroupRow) -> Option<String> {
    let shared = row.known(GroupAmount::Shmem).filter(|shared| *shared > Bytes(0));
    let shared = shared.map_or_else(String::new, |shared| format!(" (of it shared memory {})", Human(shared)));
    let slab = row.known(GroupAmount::Slab).map_or_else(String::new, |slab| format!(" (of it slab {})", Human(slab)));
    let mut parts = known(row, &[(GroupAmount::Anonymous, "anonymous memory"), (GroupAmount::File, "page cache")]);
    if let Some(cache) = parts.last_mut().filter(|_| row.known(GroupAmount::File).is_some()) {
        *cache += &shared;
    }
    // The root of version 1 is not charged for it.
    if !(row.group.is_root && row.group.version == GroupVersion::One) {
        parts.extend(known(row, &[(GroupAmount::Kernel, "memory of the kernel")]).into_iter().map(|text| text + &slab));
    }
    // Version 1 limits it separately.
    if row.group.version == GroupVersion::Two {
        parts.extend(known(row, &[(GroupAmount::Sockets, "sockets")]));
    }
    parts.extend(rest(row).map(|rest| {
        // What of the swap cache is mapped is anonymous memory.
        match row.known(GroupAmount::SwapCached).map_or(Bytes(0), |cached| cached.min(rest)) {
            Bytes(0) => format!("other {} (such as pages kept ready for each processor)", Human(rest)),
            cached if cached == rest => format!("other {} (up to all of it swap cache)", Human(rest)),
            cached => format!(
                "other {} (up to {} of it swap cache; and such as pages kept ready for each processor)",
                Human(rest),
                Human(cached)
            ),
        }
    }));
    (!parts.is_empty()).then(|| format!("What counts: {}.", parts.join(", ")))
}

/// What its usage has besides the parts that are known; `None` if nothing is left, or if not all of them are.
fn rest(row: &GroupRow) -> Option<Bytes> {
    let of_kernel: &[GroupAmount] = match row.group.version {
        GroupVersion::One => &[GroupAmount::Kernel],
        GroupVersion::Two => &[GroupAmount::Kernel, GroupAmount::Sockets],
    };
    let parts = [GroupAmount::Anonymous, GroupAmount::File].iter().chain(of_kernel);
    let parts = parts.map(|part| row.known(*part)).sum::<Option<Bytes>>()?;
    let rest = row.known(GroupAmount::Usage).filter(|_| !row.group.is_root)?.saturating_sub(parts);
    Some(rest).filter(|rest| *rest > Bytes(0))
}

/// What the kubelet makes of it.
fn kubelet(row: &GroupRow) -> Option<String> {
    let working_set = Human(row.known(GroupAmount::WorkingSet)?);
    Some(format!(
        "The kubelet counts {working_set} (the working set: the usage without the inactive list), and evicts pods by \
         that figure if the node runs short. The limit is the kernel's: it counts the whole usage, and kills \
         only if nothing can be taken back."
    ))
}

/// What happened at the limit.
fn history(row: &GroupRow, below: &[GroupRow]) -> Option<String> {
    let count = |count| row.group.figures.count(count).ok();
    let times = |count: u64| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let mut said = Vec::new();
    let kills = count(GroupCount::OomKill);
    match row.group.figures.count(GroupCount::Max) {
        Err(absent) if absent.reason == Reason::NotApplicable => return None,
        Err(absent) => {
            said.push(format!(
                "How often a limit of it or of a group below it was reached is not known: {}",
                absent.why
            ));
        }
        // Version 1 forgets the counts of groups that were removed.
        Ok(0) if row.group.version == GroupVersion::Two && kills.is_none_or(|kills| kills == 0) => {
            said.push("No limit of it or of a group below it was ever reached".to_owned());
        }
        Ok(0) => {
            said.push("The kernel has not counted a reached limit in it or in a group below it".to_owned());
        }
        Ok(max) => {
            let known = reached(below);
            let named = known.iter().take(NAMED_GROUPS);
            let named: Vec<String> = named.map(|(path, count)| format!("{} {count}", escaped(path))).collect();
            let named = if named.is_empty() { String::new() } else { format!(" (of these {})", named.join(", ")) };
            said.push(format!("A limit of it or of a group below it was reached {}{named}", times(max)));
        }
    }
    if let Some(oom) = count(GroupCount::Oom).filter(|oom| *oom > 0) {
        said.push(format!("memory could not be found {}", times(oom)));
    }
    if let Some(kills) = kills {
        said.push(match kills {
            0 => "no process is counted as killed for lack of memory".to_owned(),
            kills => {
                let were = if kills == 1 { "was" } else { "were" };
                format!(
                    "{kills} of its processes {were} killed for lack of memory: its own, that of a group \
                         above it, or the machine's"
                )
            }
        });
    }
    let mut text = said.join("; ") + ".";
    let pressure = row.group.figures.pressure();
    if let (Ok(some), Ok(full)) = (pressure.some, pressure.full) {
        text += &format!(
            " In the last 10 s a process waited for memory {} % of the time, all at once {} %.",
            brief(some),
            brief(full)
        );
    }
    Some(text)
}

/// The groups of which the limit was reached, and how often, the most frequent first: the count of each without those
/// of the groups below it.
fn reached(below: &[GroupRow]) -> Vec<(&[u8], u64)> {
    let count = |row: &GroupRow| row.group.figures.count(GroupCount::Max).unwrap_or(0);
    let of_below = |row: &GroupRow| {
        let is_below = |other: &&GroupRow| other.group.above == Some(row.group.place);
        below.iter().filter(is_below).map(count).fold(0, u64::saturating_add)
    };
    let own = below.iter().map(|row| (&row.group.path[..], count(row).saturating_sub(of_below(row))));
    let mut own: Vec<_> = own.filter(|(_, count)| *count > 0).collect();
    own.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    own
}

fn brief(share: f64) -> String {
    let mut text = Vec::new();
    write_brief_share(share, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
