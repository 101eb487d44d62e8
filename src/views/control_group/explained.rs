//! One control group in words: what counts towards its limit, and what of that the kernel can take back.

use super::GroupRow;
use crate::error::Error;
use crate::join::GroupFiles;
use crate::machine::{GroupAmount, GroupCount, GroupLimit, GroupVersion, LimitAbove};
use crate::table::escape::escaped;
use crate::table::write_brief_share;
use crate::units::{Bytes, Human, counted, percent};

/// What stands around a group.
pub(super) struct Around<'g> {
    /// The limits of the groups above it.
    pub(super) above: Vec<LimitAbove>,
    /// The groups below it.
    pub(super) below: &'g [GroupRow],
    /// How much swap the machine has.
    pub(super) swap: Option<Bytes>,
    /// Its cached files, or why they are not known.
    pub(super) files: Result<GroupFiles, Error>,
}

/// So many files are named.
const NAMED: usize = 5;

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
    lines.extend(reclaim(row, around.swap));
    lines.extend(kubelet(row));
    lines.extend(history(row, around.below));
    lines.extend(files(around));
    lines
}

fn amount(row: &GroupRow, amount: GroupAmount) -> Option<Bytes> {
    row.group.figures.amount(amount).ok()
}

/// The parts that are known, with their names.
fn known(row: &GroupRow, amounts: &[(GroupAmount, &str)]) -> Vec<String> {
    let known = amounts.iter().filter_map(|(part, name)| Some((amount(row, *part)?, name)));
    known.map(|(bytes, name)| format!("{name} {}", Human(bytes))).collect()
}

/// How near it is to the limit.
fn usage(row: &GroupRow, above: &[LimitAbove]) -> String {
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
    if let Some(tightest) = above.iter().min_by_key(|above| above.left()) {
        text += &format!(
            " {} above it has a limit of {}, of which {} are left.",
            escaped(&tightest.path),
            Human(tightest.limit),
            Human(tightest.left())
        );
    }
    text
}

/// What counts towards the limit.
fn parts(row: &GroupRow) -> Option<String> {
    let shared = amount(row, GroupAmount::Shmem).filter(|shared| *shared > Bytes(0));
    let shared = shared.map_or_else(String::new, |shared| format!(" (of it shared memory {})", Human(shared)));
    let slab = amount(row, GroupAmount::Slab).map_or_else(String::new, |slab| format!(" (of it slab {})", Human(slab)));
    let mut parts = known(row, &[(GroupAmount::Anonymous, "anonymous memory"), (GroupAmount::File, "page cache")]);
    if let Some(cache) = parts.last_mut().filter(|_| amount(row, GroupAmount::File).is_some()) {
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
    parts.extend(rest(row).map(|rest| format!("other {} (such as pages kept ready for each processor)", Human(rest))));
    (!parts.is_empty()).then(|| format!("What counts: {}.", parts.join(", ")))
}

/// What its usage has besides the parts that are known; `None` if nothing is left, or if not all of them are.
fn rest(row: &GroupRow) -> Option<Bytes> {
    let of_kernel: &[GroupAmount] = match row.group.version {
        GroupVersion::One => &[GroupAmount::Kernel],
        GroupVersion::Two => &[GroupAmount::Kernel, GroupAmount::Sockets],
    };
    let parts = [GroupAmount::Anonymous, GroupAmount::File].iter().chain(of_kernel);
    let parts = parts.map(|part| amount(row, *part)).sum::<Option<Bytes>>()?;
    let rest = amount(row, GroupAmount::Usage).filter(|_| !row.group.is_root)?.saturating_sub(parts);
    Some(rest).filter(|rest| *rest > Bytes(0))
}

/// What the kernel can take back.
fn reclaim(row: &GroupRow, swap: Option<Bytes>) -> Vec<String> {
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

/// What the kubelet makes of it.
fn kubelet(row: &GroupRow) -> Option<String> {
    let working_set = Human(amount(row, GroupAmount::WorkingSet)?);
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
    match count(GroupCount::Max)? {
        0 => said.push("No limit of it or of a group below it was ever reached".to_owned()),
        max => {
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
    if let Some(kills) = count(GroupCount::OomKill) {
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

/// The cached files.
fn files(around: &Around<'_>) -> Vec<String> {
    let files = match &around.files {
        Ok(files) => files,
        Err(error) => {
            let why = escaped(error.why().as_bytes());
            return vec![format!("Which cached files it is charged for is not known: {why}.")];
        }
    };
    let mut lines = charged(files);
    lines.extend(others(files));
    lines
}

/// What it is charged for.
fn charged(files: &GroupFiles) -> Vec<String> {
    let sum = Human(files.charged.iter().map(|file| file.cached).sum());
    let number = counted(files.charged.len() as u64, "cached file", "cached files");
    let first = match (files.charged.is_empty(), files.charged_lack.is_empty()) {
        (true, true) => "It is charged for no cached file.".to_owned(),
        (true, false) => "No cached file that it is charged for was found.".to_owned(),
        (false, is_whole) => {
            let least = if is_whole { "" } else { "at least " };
            format!("It is charged for {least}{sum} of {number}, the largest first:")
        }
    };
    let named = files.charged.iter().take(NAMED);
    let named =
        named.map(|file| format!("- {} {}{}", Human(file.cached), escaped(&file.path), deleted(file.is_deleted)));
    std::iter::once(first).chain(named).chain(lacks(&files.charged_lack)).collect()
}

/// What its processes hold and others are charged for.
fn others(files: &GroupFiles) -> Vec<String> {
    let others = match &files.others {
        Ok(others) => others,
        Err(absent) => {
            let what = "Which files of other groups its processes hold is not known";
            return vec![format!("{what}: {}.", absent.why)];
        }
    };
    let sum = Human(others.iter().map(|file| file.cached).sum());
    let first = match (others.is_empty(), files.others_lack.is_empty()) {
        (true, true) => "Its processes hold no file that another group is charged for.".to_owned(),
        (true, false) => "No file was found that its processes hold and another group is charged for.".to_owned(),
        (false, is_whole) => {
            let least = if is_whole { "" } else { "at least " };
            format!("Other groups are charged for {least}{sum} of files that its processes hold, the largest first:")
        }
    };
    let named = others.iter().take(NAMED).map(|file| {
        let group = file.groups.first().map_or(&[][..], |(group, _)| group);
        let more = match file.groups.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let deleted = deleted(file.is_deleted);
        format!("- {} {}{deleted}: {}{more}", Human(file.cached), escaped(&file.path), escaped(group))
    });
    std::iter::once(first).chain(named).chain(lacks(&files.others_lack)).collect()
}

/// What is said after the name of a file that was deleted.
fn deleted(is_deleted: bool) -> &'static str {
    if is_deleted { " (deleted)" } else { "" }
}

/// What a list may lack.
fn lacks(lack: &[String]) -> Vec<String> {
    lack.iter().map(|why| format!("This list may lack something: {}.", escaped(why.as_bytes()))).collect()
}
