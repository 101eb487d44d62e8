//! Files from the kernel's lists of inodes and pages.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::account::{Sums, inexact, missed_by};
use super::context::{Context, HeldBy};
use super::described::{self, Method, group_name, group_names, node_names};
use super::divide::{ChosenGroups, add_rows};
use super::measured::unread_file;
use super::nameless::Nameless;
use super::parts::{PagesOfFile, Parts};
use super::{Account, Facts, FoundChoice, FoundFile, MachineFiles, NOT_READ, Split};
use crate::error::Result;
use crate::kernel::cached::{FilePages, Groups, Name, Naming, Part};
use crate::machine::cached::{CacheSize, CachedFile, Counter, Counts, Kind, LATE, Listed, Lists, Proof};
use crate::process::{GroupChoice, ProcRoot};
use crate::units::{Absent, Bytes, Figure, Human, PageSize, Pages, Reason};

const CHANGED: Absent = Absent::new(Reason::Changed, "its pages do not add up, because they changed while being read");
const NOT_IN_TIME: &str = "not everything about these files was read in time";
const HAS_CHANGED: &str = "its pages or its length changed while they were read";
const BEYOND_END: &str = "it has pages beyond its end: reserved, or its length changed while they were read";
const GONE: Absent = Absent::new(Reason::Vanished, "the file was removed from memory before its pages were read");
const UNNAMED: Absent = Absent::new(Reason::Vanished, "the file was removed from memory before its name was read");
const NO_NAME: Absent = Absent::new(Reason::Unsupported, "the kernel has no name of it in memory that could be read");
const DISAGREES: Absent = Absent::new(Reason::Unsupported, "the states of pages differ from those in /proc/kpageflags");
const NO_LENGTH: Absent = Absent::new(Reason::NotApplicable, "the pages of a file system's trees have no length");
const MAPPED_UNKNOWN: &str = "this kernel does not tell how much of large folios is mapped";

/// What one round found.
pub(crate) struct Found {
    /// The rows.
    pub(crate) files: Vec<FoundFile>,
    /// What they are of all.
    pub(crate) account: Account,
    /// Whether the answer lacks something, and why.
    pub(crate) incomplete: Vec<String>,
    /// A message about the processes that could not be asked what they hold.
    pub(crate) unseen: Option<String>,
    /// A message about files of which it is not known whether they are below the chosen directories.
    pub(crate) nameless: Option<String>,
    /// The chosen control groups, as they were named, to which nothing that was read is charged.
    pub(crate) uncharged: Vec<(Vec<u8>, GroupChoice)>,
    /// Whether the pages of all files were read.
    pub(crate) is_whole: bool,
}

impl MachineFiles {
    /// Control groups, named as in the rows.
    pub(crate) fn as_named(&self, groups: &GroupChoice) -> GroupChoice {
        let root = self.lists.as_ref().and_then(Lists::group_root);
        root.map_or_else(|| groups.clone(), |root| groups.shortest_from(root))
    }

    /// Reads the kernel's lists. Only the `first` largest files are chosen, if that is not `None`.
    ///
    /// # Errors
    /// The lists cannot be used here: see [`Lists::load`].
    pub(crate) fn read_lists(
        &mut self,
        choice: &FoundChoice,
        facts: Facts,
        first: Option<usize>,
        budget: Duration,
    ) -> Result<Found> {
        let until = Instant::now() + budget;
        let facts = facts.needed_by(choice);
        let needs_names = facts.path || facts.holders;
        let page = crate::kernel::page_size();
        let empty = &mut self.lists;
        let (listed, context) = std::thread::scope(|scope| {
            let context = scope.spawn(|| Context::read(choice, facts, Some(until)));
            let listed = list(empty, facts.pages, until);
            // A thread that panicked has said why.
            (listed, context.join().unwrap_or(Ok(None)))
        });
        let (lists, listed, kinds) = listed?;
        let context = context?;
        let mut proof = listed.proof;
        let most = first.filter(|_| choice.is_everything()).unwrap_or(usize::MAX);
        let has_number =
            |file: &CachedFile| choice.number.is_none_or(|number| number == (file.file_system.device, file.number));
        let is_chosen = |file: &&CachedFile| (!choice.deleted || file.is_deleted()) && has_number(file);
        let mut chosen: Vec<&CachedFile> = listed.files.iter().filter(is_chosen).take(most).collect();
        let mut names = match needs_names {
            true => lists.read_names(&chosen, until, &mut proof)?,
            false => Vec::new(),
        };
        let mut nameless = Nameless::default();
        if let (Some(context), false) = (&context, choice.below.is_empty()) {
            // Pages are read only of what is shown.
            let named = chosen.into_iter().zip(names).filter(|(file, naming)| {
                let is_below = context.is_below(choice, file, &naming.name);
                if is_below.is_none() {
                    nameless = nameless.with(Nameless::of(Ok(file.pages.bytes(page))));
                }
                is_below == Some(true)
            });
            (chosen, names) = named.unzip();
        }
        let pages = match facts.pages {
            true => lists.read_pages(&chosen, until, &mut proof)?,
            false => Vec::new(),
        };
        let (groups, is_trusted) = (lists.groups(), proof.agrees());
        let root = ProcRoot::live();
        let named_groups = self.as_named(&choice.groups);
        let chosen_groups = ChosenGroups::new(&named_groups, &root);
        let reader = RowReader { groups, choice, chosen_groups, page, is_trusted, facts, context: context.as_ref() };
        let mut files = Vec::with_capacity(chosen.len());
        let (mut names, mut states) = (names.into_iter(), pages.iter().map(Option::as_ref));
        for file in &chosen {
            reader.add_rows(file, names.next(), states.next().flatten(), &mut files);
        }
        if proof.is_late || proof.is_cut {
            files.extend(unread_files(choice, &files, context.as_ref()));
        }
        let read = chosen.iter().copied().zip(pages.iter().map(Option::as_ref));
        let (sums, changed) = reader.sums(&listed.files, &kinds, read);
        let (before, after) = proof.sizes.unzip();
        let last = if facts.pages { CacheSize::read(&ProcRoot::live()).ok() } else { None };
        let sizes = [before, after, last];
        let missed = missed_by(&proof);
        let mut incomplete = [&missed[..], &doubts(&proof, choice, page)].concat();
        incomplete.extend(context.iter().flat_map(Context::unlisted));
        let moved = moved(sizes, changed, page);
        let account = Account::new(Method::Lists, sums, sizes.into_iter().flatten(), missed, moved);
        let unseen = context.as_ref().and_then(Context::unknown);
        let is_uncharged = |group: &GroupChoice| !is_charged(&ChosenGroups::new(group, &root), &reader.groups);
        let named = choice.groups.each().zip(named_groups.each()).filter(|(_, (_, group))| is_uncharged(group));
        let uncharged = named.map(|((name, group), _)| (name.to_vec(), group)).collect();
        let is_whole = chosen.len() == listed.files.len() && proof.is_complete() && !proof.is_cut;
        let nameless = nameless.may_be_below(choice);
        Ok(Found { files, account, incomplete, unseen, nameless, uncharged, is_whole })
    }
}

/// Whether pages of one of the groups are charged to a chosen one.
fn is_charged(chosen: &ChosenGroups<'_>, groups: &Groups) -> bool {
    groups.iter().any(|(number, group)| chosen.has(&group_name(Some(*number), groups), Some(group.id)))
}

/// That two sums differ: in bytes if they are the same when they are rounded.
fn unequal(listed: Bytes, size: Bytes) -> String {
    let (rounded, other) = (Human(listed).to_string(), Human(size).to_string());
    if rounded == other {
        return format!("they add up to {} bytes, not to {}, which meminfo says", listed.0, size.0);
    }
    format!("they add up to {rounded}, not to {other}, which meminfo says")
}

/// Why the rows may not be what the lists have, besides what the lists themselves lack.
fn doubts(proof: &Proof, choice: &FoundChoice, page: PageSize) -> Vec<String> {
    let mut doubts = Vec::new();
    if let (false, Some((listed, size))) = (proof.adds_up(page), proof.sizes(page)) {
        doubts.push(unequal(listed, size));
    }
    if proof.is_cut {
        let rows = if choice.is_everything() { "" } else { ", so rows may be missing" };
        doubts.push(format!("{NOT_IN_TIME}{rows}; a longer --budget reads more"));
    }
    if proof.unequal > 0 {
        doubts.push(inexact(proof.unequal));
    }
    if !proof.agrees() {
        doubts.push(DISAGREES.why.to_owned());
    }
    doubts
}

/// By how much the page cache moved while it was read, if by more than sums are exact: its size, or its files, some of
/// which may grow while others shrink.
fn moved(sizes: [Option<CacheSize>; 3], changed: Bytes, page: PageSize) -> Option<String> {
    let (low, high) = (sizes.iter().flatten().min()?, sizes.iter().flatten().max()?);
    let moved = high.0.saturating_sub(low.0).max(changed);
    (moved > high.tolerance(page)).then(|| format!("the page cache changed by {} while it was read", Human(moved)))
}

/// Loads the programs, if this is the first round, and lists all files, with the kind of each.
fn list(lists: &mut Option<Lists>, pages: bool, until: Instant) -> Result<(&mut Lists, Listed, Vec<Option<Kind>>)> {
    let lists = match lists {
        Some(lists) => lists,
        empty => empty.insert(Lists::load(pages)?),
    };
    let listed = lists.list(&ProcRoot::live(), until)?;
    let mut kinds = Vec::with_capacity(listed.files.len());
    lists.kinds(&listed.files, until, |kind| kinds.push(kind))?;
    Ok((lists, listed, kinds))
}

/// The chosen files that were named, and of which nothing was found before the time was over.
fn unread_files(choice: &FoundChoice, found: &[FoundFile], context: Option<&Context>) -> Vec<FoundFile> {
    // Whether other conditions are met is not known.
    let is_chosen = FoundChoice { below: Vec::new(), ..choice.clone() }.is_everything();
    let paths = choice.below.iter().filter(|_| is_chosen);
    let unread = paths.filter(|path| !found.iter().any(|file| file.path == path.as_os_str().as_bytes()));
    let row = |path: &PathBuf| {
        let file = unread_file(path, Method::Lists, LATE)?;
        // The lists have the device of the file system, which on btrfs is not that of `stat`.
        let device = context.and_then(|context| context.device_of(&file.path)).unwrap_or(file.device);
        Some(FoundFile { device, ..file })
    };
    unread.filter_map(row).collect()
}

/// Makes rows of what was read.
struct RowReader<'c> {
    groups: Groups,
    choice: &'c FoundChoice,
    chosen_groups: ChosenGroups<'c>,
    page: PageSize,
    is_trusted: bool,
    facts: Facts,
    context: Option<&'c Context>,
}

impl RowReader<'_> {
    fn add_rows(
        &self,
        file: &CachedFile,
        naming: Option<Naming>,
        pages: Option<&FilePages>,
        rows: &mut Vec<FoundFile>,
    ) {
        let states = self.states(pages);
        if states.is_ok_and(|pages| pages.counts().get(Counter::Pages) == 0) {
            // Nothing of it is cached any more. The account says how much went.
            return;
        }
        let mut whole = self.named_row(file, naming.as_ref(), &states);
        let name = naming.and_then(|naming| naming.name);
        if let Some(context) = self.context {
            context.place(self.choice, &mut whole, name.as_ref());
        }
        let path = name.as_ref().map_or(&[][..], |name| &name.path);
        let device = file.file_system.device;
        let programs = match self.context {
            None => Err(NOT_READ),
            // Processes open its node, which is another inode than the one that has the pages.
            Some(context) if whole.kind == Ok(Kind::BlockDevice) => context.held_device(file.device),
            Some(context) if whole.kind == Ok(Kind::SharedMemory) => {
                context.nameless_held_by((device, file.number), Some(file.generation), path)
            }
            // The number of a segment proves nothing, and only its name says that it is one.
            Some(context) => match whole.kind {
                Err(absent) if context.is_nameless(device) => Err(absent),
                _ => context.held_by(device, file.number, path),
            },
        };
        let is_held = |programs: &Vec<HeldBy>| programs.iter().any(|program| program.has_any(&self.choice.holders));
        if !self.choice.holders.is_empty() && !programs.as_ref().is_ok_and(is_held) {
            return;
        }
        if let Some(context) = self.context {
            let is_in_place = !matches!(whole.kind, Ok(Kind::BlockDevice | Kind::Memfd | Kind::SharedMemory));
            context.hold(&mut whole, &programs, Some((device, path)).filter(|_| is_in_place));
        }
        let needs = |split| self.choice.keeps_parts || self.choice.split == Some(split);
        let states = states.ok();
        let of_pages = |split, key: fn(&Part) -> (Option<u32>, u32)| match states.filter(|_| needs(split)) {
            Some(pages) => divided(&pages.parts, key).iter().map(|part| self.part_of(part)).collect(),
            None => Vec::new(),
        };
        let programs = programs.into_iter().flatten().filter(|_| needs(Split::Holders));
        let parts = Parts {
            groups: of_pages(Split::Groups, |part| (part.group, 0)),
            nodes: of_pages(Split::Nodes, |part| (None, part.node)),
            holders: programs.map(|program| program.part()).collect(),
        };
        add_rows(whole, parts, self.choice, &self.chosen_groups, rows);
    }

    fn named_row(&self, file: &CachedFile, naming: Option<&Naming>, states: &Figure<&FilePages>) -> FoundFile {
        let mut file = file.clone();
        // How many names it has is of the same instant as the name.
        file.links = naming.and_then(|naming| naming.links).unwrap_or(file.links);
        let name = naming.and_then(|naming| naming.name.as_ref());
        let mut row = self.row(&file, name, states);
        if file.needs_name() && name.is_none() {
            row.kind = Err(match naming {
                Some(naming) if naming.links.is_none() => UNNAMED,
                Some(_) => NO_NAME,
                None if self.facts.path => LATE,
                None => NOT_READ,
            });
        }
        let is_gone = naming.is_some_and(|naming| naming.links.is_none());
        row.note = row.note.or(is_gone.then_some(UNNAMED.why));
        row
    }

    /// The sums by kind of what the rows say, and how much came or went between the lists and the rows. Of the listed
    /// files some were `read`, in the same order.
    fn sums<'f>(
        &self,
        listed: &'f [CachedFile],
        kinds: &[Option<Kind>],
        read: impl Iterator<Item = (&'f CachedFile, Option<&'f FilePages>)>,
    ) -> (Sums, Bytes) {
        let (mut sums, mut changed, mut read) = (Sums::default(), Pages(0), read.peekable());
        for (file, kind) in listed.iter().zip(kinds) {
            let pages = read.next_if(|(one, _)| std::ptr::eq(*one, file)).and_then(|(_, pages)| pages);
            let said = cached(file, &self.states(pages));
            sums.add(*kind, said.bytes(self.page));
            let is_left = if pages.is_some_and(|pages| pages.is_gone) { Pages(0) } else { said };
            changed = Pages(changed.0.saturating_add(is_left.0.abs_diff(file.pages.0)));
        }
        (sums, changed.bytes(self.page))
    }

    /// The pages of a file, if they prove themselves.
    fn states<'p>(&self, pages: Option<&'p FilePages>) -> Figure<&'p FilePages> {
        match pages {
            _ if !self.facts.pages => Err(NOT_READ),
            None => Err(LATE),
            Some(pages) if pages.is_gone => Err(GONE),
            Some(pages) if !pages.adds_up() => Err(CHANGED),
            Some(_) if !self.is_trusted => Err(DISAGREES),
            Some(pages) => Ok(pages),
        }
    }

    /// Why the pages and the length may be those of two instants.
    fn doubt(&self, file: &CachedFile, pages: &FilePages) -> Option<&'static str> {
        match () {
            () if pages.has_changed() => Some(HAS_CHANGED),
            () if file.is_beyond_end(pages, self.page) => Some(BEYOND_END),
            () => None,
        }
    }

    fn row(&self, file: &CachedFile, name: Option<&Name>, states: &Figure<&FilePages>) -> FoundFile {
        let kind = file.kind(name);
        let bytes = |pages: u64| Pages(pages).bytes(self.page);
        let counts = states.map(FilePages::counts);
        let amount = |counter| counts.map(|counts| bytes(counts.get(counter)));
        let parts = states.map(|pages| &pages.parts[..]);
        // Of the same instant as its pages.
        let size = states.map_or(file.size, |pages| Bytes(pages.size));
        FoundFile {
            id: file.id(),
            part: Vec::new(),
            path: described::words(file, kind, name),
            is_deleted: file.is_deleted() && matches!(kind, Kind::Deleted | Kind::Tmpfs),
            kind: Ok(kind),
            file_system: Ok(file.file_system.kind.as_str().into()),
            device: file.file_system.device,
            inode: file.number,
            links: Ok(file.links.into()),
            size: if file.is_btree() { Err(NO_LENGTH) } else { Ok(size) },
            cached: Ok(cached(file, states).bytes(self.page)),
            dirty: amount(Counter::Dirty),
            writeback: amount(Counter::Writeback),
            evicted: states.map(|pages| bytes(pages.evicted)),
            nodes: parts.and_then(node_names),
            groups: parts.and_then(|parts| group_names(parts, &self.groups)),
            container: if self.facts.path { Ok(None) } else { Err(NOT_READ) },
            holders: Err(NOT_READ),
            holder_count: Err(NOT_READ),
            method: Method::Lists,
            note: note(&counts).or_else(|| self.doubt(file, states.ok()?)),
            counts,
            page_size: self.page,
            parts: None,
        }
    }

    /// A part of the pages, all of one group or of one node.
    fn part_of(&self, part: &[Part]) -> PagesOfFile {
        let mut counts = Counts::default();
        part.iter().for_each(|one| counts.add(&one.counts));
        let group = part.first().and_then(|part| self.groups.get(&part.group?));
        PagesOfFile {
            group: group.and_then(|group| group.path.clone()),
            group_inode: group.map(|group| group.id),
            groups: group_names(part, &self.groups),
            nodes: node_names(part),
            counts,
        }
    }
}

/// How much of a file is cached: when its pages were read, or else when it was listed.
fn cached(file: &CachedFile, states: &Figure<&FilePages>) -> Pages {
    states.map_or(file.pages, |pages| Pages(pages.counts().get(Counter::Pages)))
}

/// The parts with the same key, together.
fn divided<N: PartialEq>(parts: &[Part], key: impl Fn(&Part) -> N) -> Vec<Vec<Part>> {
    let mut divided: Vec<Vec<Part>> = Vec::new();
    for part in parts {
        let is_like = |other: &&mut Vec<Part>| other.first().is_some_and(|first| key(first) == key(part));
        match divided.iter_mut().find(is_like) {
            Some(like) => like.push(*part),
            None => divided.push(vec![*part]),
        }
    }
    divided
}

fn note(counts: &Figure<Counts>) -> Option<&'static str> {
    match counts {
        Ok(counts) if counts.get(Counter::MappedUnknown) > 0 => Some(MAPPED_UNKNOWN),
        Err(absent) if *absent != NOT_READ => Some(absent.why),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_differ_are_not_written_as_equal() {
        let line = unequal(Bytes(4_200_000_000), Bytes(4_200_000_512));
        assert_eq!(line, "they add up to 4200000000 bytes, not to 4200000512, which meminfo says");
        let line = unequal(Bytes(1 << 30), Bytes(2 << 30));
        assert_eq!(line, "they add up to 1G, not to 2G, which meminfo says");
    }
}
