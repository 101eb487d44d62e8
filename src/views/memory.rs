//! One row per use of the machine's memory (`rmap mem`): the places, which add up to `MemTotal`, and attributes of
//! parts of them.
//!
//! All sizes are in bytes. A total counts memory once: the row of an attribute adds nothing to the places that it is a
//! part of.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::machine::{
    MemoryAccount, MemoryAmount, MemoryUse, PageAccount, PageNeeds, Reclaim, SlabCaches, Swap, SystemV, container_name,
};
use crate::process::{ProcRoot, run_as_root};
use crate::table::escape::escaped;
use crate::table::{Aggregation, Cell, Closing, Colour, Column, Cut, OwnedCell, RowKind, Rows, Source, Stop, col};
use crate::units::{Absent, Bytes, Counted, Figure, Human, PageRuns, Pages, Piece, Reason, Run, percent};

/// A column of this view.
type C = Column<Memory>;

/// Uses of memory.
pub struct Memory;

/// What has to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryNeed {
    /// The nodes.
    Nodes,
    /// The control groups that are charged.
    Groups,
}

/// One use of memory, of the machine or of a part of it.
pub struct MemoryRow {
    node: Figure<u32>,
    group: Figure<Vec<u8>>,
    container: Option<String>,
    amount: MemoryAmount,
    title: String,
    part_of: String,
    /// `MemTotal` of the machine.
    whole: Bytes,
    /// Its bytes, if all places lie one behind the other: so a total knows what it has counted already. For an
    /// attribute, those of the places that it is a part of.
    among: Arc<PageRuns>,
    note: Option<String>,
}

impl RowKind for Memory {
    type Row = MemoryRow;
    type Need = MemoryNeed;
    const ROWS: &'static str = "uses";
    const CALLED: &'static str = "the rows of the account";
    const LARGEST_BY: &'static str = "size";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "bytes" => "size",
            "use" => "place",
            "group" => "cgroup",
            other => other,
        }
    }

    fn identity(row: &MemoryRow) -> Vec<u8> {
        let node = row.node.map_or(-1, i64::from).to_ne_bytes();
        let group = row.group.as_deref().unwrap_or_default();
        [&node[..], row.amount.of.word().as_bytes(), b"\0", group].concat()
    }
}

/// What a table shows by default.
pub const DEFAULT: &[&str] = &["title", "size", "percent", "bar", "reclaim", "what"];

/// What a repeated table shows by default: each use on one line, with its changes.
pub const DEFAULT_REPEATED: &[&str] = &["title", "size", "percent", "bar"];

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "title", "Memory", Text, |row| Cell::Word(&row.title),
        "the place in words; attributes are indented below their places, unless rows are selected or sorted",
        on_request(), cut(Cut::Whole)),
    col!(new "place", "Place", Text, |row| Cell::Word(row.amount.of.word()), "what the memory is used for",
        one_of(|| MemoryUse::ALL.iter().map(|one| one.word()).collect())),
    col!(new "size", "Size", Bytes, |row| Cell::bytes(row.amount.bytes),
        "how much it is; the places add up to MemTotal", aggregated(Aggregation::Union(piece))),
    col!(new "percent", "Percent", Percent, |row| Cell::percent(share(row)), "the same as a percentage of MemTotal",
        least(), aggregated(Aggregation::Part(piece, whole))),
    col!(new "bar", "", Text, |row| Cell::bar(share(row)), "the same as a bar", on_request(), coloured(Colour::Green)),
    col!(new "part_of", "Part of", Text, |row| Cell::Remark(Some(&row.part_of[..]).filter(|words| !words.is_empty())),
        "the places that have counted it, for an attribute; places have none"),
    col!(new "reclaim", "Reclaim", Text, |row| Cell::Word(row.amount.of.reclaim().word()),
        "whether the kernel can take it back: free, yes, swap (if there is room in swap), partly, no or unknown",
        one_of(|| Reclaim::ALL.map(Reclaim::word).to_vec())),
    col!(new "what", "What it is", Text, |row| Cell::Word(row.amount.of.what()), "what it is, in a few words",
        cut(Cut::Never)),
    col!(new "source", "Source", Text, |row| Cell::Word(row.amount.source),
        "what it is calculated from: fields of /proc/meminfo, or other files"),
    col!(new "node", "Node", Number, |row| row.node.map_or_else(Cell::Absent, |node| Cell::Count(node.into())),
        "the NUMA node that it is on; if named, each node has rows of its own", on_request(),
        needing(&[MemoryNeed::Nodes]), identifier()),
    col!(new "cgroup", "Control group", Text, |row| group(row),
        "the memory control group that is charged; if named, each group has rows of its own (root: --pages)",
        naming(), on_request(), needing(&[MemoryNeed::Groups])),
    col!(new "cgroup_bytes", "Control group bytes", RawBytes,
        |row| row.group.as_ref().map_or(Cell::Remark(None), |name| Cell::RawBytes(name)),
        "the control group if it is not UTF-8", on_request(), needing(&[MemoryNeed::Groups])),
    col!(new "container", "Container", Text, |row| container(row),
        "the container of that group", naming(), on_request(), needing(&[MemoryNeed::Groups])),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.note.as_deref()), "what else is known about it"),
];

fn group(row: &MemoryRow) -> Cell<'_> {
    row.group.as_ref().map_or_else(|absent| Cell::Absent(*absent), |name| Cell::Named(name, "none"))
}

fn share(row: &MemoryRow) -> Figure<f64> {
    percent(row.amount.bytes?.0, row.whole.0).ok_or(NOTHING)
}

/// What the percentages are of: `MemTotal`.
fn whole(row: &MemoryRow) -> u64 {
    row.whole.0
}

/// What a row adds to a total: a place all of its bytes, and an attribute so many of those of its places, which a total
/// with these places has counted already. It is at most what they have: more cannot be in them, whatever the counters
/// say.
fn piece(row: &MemoryRow, _: u32) -> Figure<Piece> {
    let Pages(room) = row.among.cached();
    let figure = match row.amount.bytes {
        Ok(Bytes(bytes)) => Some(bytes.min(room)),
        Err(_) if room == 0 && !row.amount.is_place() => Some(0),
        // Nothing is missing if the places that it is among are counted.
        Err(absent) if !row.amount.is_place() || absent.reason == Reason::Unsupported => None,
        Err(absent) => return Err(absent),
    };
    let counted = match (!row.amount.is_place(), figure) {
        (false, Some(_)) => Counted::All,
        _ => Counted::Among(Arc::clone(&row.among), figure),
    };
    let runs = || row.among.iter();
    let first = runs().map(|run| run.first).min().unwrap_or_default();
    let looked = Run { first, count: runs().map(|run| run.end()).max().unwrap_or(first).saturating_sub(first) };
    Ok(Piece { of: 0, looked, figure: figure.unwrap_or_default(), each: 1, counted })
}

/// The columns by which an attribute is in the same group as its places, which counts memory once, or in a group of its
/// own name. In groups by another column it would count memory that another group has: they have places only.
const WITH_ATTRIBUTES: &[&str] = &["place", "title", "what", "part_of", "node", "cgroup", "container"];

const PLACES_ONLY: &str = "attributes are left out of these groups: they are parts of places that other groups have";

const NOTHING: Absent = Absent::new(Reason::NotApplicable, "there is no memory");
const NO_NODE: Absent = Absent::new(Reason::NotApplicable, "only the whole machine has it");
const NOT_ASKED: Absent = Absent::new(Reason::NotApplicable, "not told apart");

/// A table for a screen has at most this many rows.
const SCREEN: usize = 17;

/// With the lines below it, it has at most this many: a screen of 24 lines without the header and the next prompt.
const SCREEN_WITH_LINES: usize = 21;

/// The attributes for a screen, the most important ones first.
const TELLING: &[MemoryUse] = &[
    MemoryUse::CacheMapped,
    MemoryUse::Mapped,
    MemoryUse::Dirty,
    MemoryUse::Kept,
    MemoryUse::Zswap,
    MemoryUse::Compressed,
    MemoryUse::ActiveFile,
    MemoryUse::InactiveFile,
    MemoryUse::Unevictable,
    MemoryUse::SystemV,
    MemoryUse::FreeHuge,
    MemoryUse::SlabReclaimable,
    MemoryUse::CacheUnmapped,
    MemoryUse::SharedMapped,
    MemoryUse::SharedUnmapped,
    MemoryUse::Unmapped,
    MemoryUse::Clean,
    MemoryUse::KernelStacks,
    MemoryUse::Vmalloc,
    MemoryUse::PerCpu,
    MemoryUse::Writeback,
    MemoryUse::Merged,
    MemoryUse::AnonymousHuge,
];

/// Reads the account of the machine's memory.
pub struct MemorySource {
    /// Where `/proc` is.
    pub root: ProcRoot,
    /// Whether every page frame is looked at.
    pub pages: bool,
    /// Whether only what fits a screen is shown: what is not zero, and the most telling attributes.
    pub brief: bool,
    /// The column by which the rows are grouped, if they are.
    pub by: Option<String>,
    /// Whether only some of the rows are shown. The sum of all of them would then look like theirs, and is left out.
    pub selects: bool,
    /// Whether the rows are sorted. An attribute is then not below its place.
    pub sorts: bool,
    /// What is said after the rows.
    said: Closing,
}

impl MemorySource {
    /// The account by the counters of the kernel.
    pub fn new(root: ProcRoot) -> MemorySource {
        MemorySource {
            root,
            pages: false,
            brief: false,
            by: None,
            selects: false,
            sorts: false,
            said: Closing::default(),
        }
    }

    /// The rows of the account by counters.
    fn count(&mut self, nodes: bool) -> Result<Vec<MemoryRow>, Error> {
        let account = MemoryAccount::read(&self.root)?;
        let mut making = Making::of(&account, self.keeps_order());
        if nodes {
            for node in MemoryAccount::read_nodes(&self.root)? {
                // What is only counted for the whole machine has no row: a node has it as unnamed.
                let counted: Vec<_> = node.amounts.into_iter().filter(|amount| amount.bytes.is_ok()).collect();
                making.add(node.node, None, &counted);
            }
            let is_gap =
                |amount: &&MemoryAmount| amount.of == MemoryUse::Unmanaged && amount.bytes.is_ok_and(|gap| gap.0 > 0);
            making.add(None, None, &account.amounts.iter().filter(is_gap).copied().collect::<Vec<_>>());
        } else {
            making.add(None, None, &account.amounts);
        }
        self.said = closing(&self.root, &account, (account.sum(), account.excess), None, self.selects);
        Ok(making.rows)
    }

    /// Whether each attribute is shown below its place.
    fn keeps_order(&self) -> bool {
        !self.selects && !self.sorts && self.by.is_none()
    }

    /// The rows of the account by physical page.
    fn look(&mut self, needs: PageNeeds, rows: &mut dyn Rows<Memory>) -> Result<Vec<MemoryRow>, Stop> {
        let mut stop = Ok(());
        let read = PageAccount::read(&self.root, needs, &mut || {
            stop = rows.check();
            stop.is_ok()
        });
        stop?;
        let Some(account) = read.map_err(Stop::Failed)? else { return Ok(Vec::new()) };
        let mut making = Making::of(&account.counted, self.keeps_order());
        for part in &account.parts {
            making.add(part.node, part.group.as_deref(), &part.amounts);
        }
        let sums = (account.sum(), account.excess);
        self.said = closing(&self.root, &account.counted, sums, Some(account.offline), self.selects);
        Ok(making.rows)
    }
}

/// The sum of all places. More than there is makes every figure doubtful.
fn sum_line(account: &MemoryAccount, sum: Bytes, excess: Bytes) -> String {
    let (sum, total) = (Human(sum), account.total.kib());
    match excess {
        Bytes(0) => format!("sum: {sum}, all of MemTotal ({total} kB)"),
        more => format!(
            "sum: {sum}, {} more than MemTotal ({total} kB): the counters were not taken at one instant, or do not fit",
            Human(more)
        ),
    }
}

/// Makes rows, one place behind the other.
struct Making {
    whole: Bytes,
    system_v: Option<SystemV>,
    /// Whether each attribute is shown below its place: its title is short then.
    in_order: bool,
    next: u64,
    rows: Vec<MemoryRow>,
}

impl Making {
    fn of(account: &MemoryAccount, in_order: bool) -> Making {
        Making { whole: account.total, system_v: account.system_v, in_order, next: 0, rows: Vec::new() }
    }

    fn add(&mut self, node: Option<u32>, group: Option<&[u8]>, amounts: &[MemoryAmount]) {
        let (mut places, first) = (HashMap::new(), self.next);
        for amount in amounts.iter().filter(|amount| amount.is_place()) {
            let Ok(Bytes(size)) = amount.bytes else { continue };
            places.insert(amount.of, Run { first: self.next, count: size });
            self.next = self.next.saturating_add(size);
        }
        // The memory of a place that is not counted is among what cannot be named.
        let all = Run::between(first, self.next);
        let unnamed = places.get(&MemoryUse::Unnamed).copied().unwrap_or(all);
        let place = |of: &MemoryUse| places.get(of).copied().unwrap_or(unnamed);
        for amount in amounts {
            let among = if amount.is_place() { &[amount.of][..] } else { amount.part_of };
            let words: Vec<&str> = amount.part_of.iter().map(|place| place.word()).collect();
            let title = match (self.in_order, amount.is_place()) {
                (true, true) => amount.of.title().to_owned(),
                (true, false) => format!("  {}", amount.of.title()),
                (false, _) => amount.of.word().to_owned(),
            };
            self.rows.push(MemoryRow {
                node: node.ok_or(NO_NODE),
                group: group.map(<[u8]>::to_vec).ok_or(NOT_ASKED),
                container: group.and_then(container_name),
                amount: *amount,
                title,
                part_of: words.join(", "),
                whole: self.whole,
                among: Arc::new(among.iter().map(place).collect()),
                note: self.note(amount),
            });
        }
    }

    fn note(&self, amount: &MemoryAmount) -> Option<String> {
        match (amount.of, self.system_v, amount.bytes) {
            (MemoryUse::SystemV, Some(found), _) if found.swapped.0 > 0 => {
                Some(format!("and {} in swap", Human(found.swapped)))
            }
            (_, _, Err(absent)) => Some(absent.why.to_owned()),
            _ => None,
        }
    }
}

fn container(row: &MemoryRow) -> Cell<'_> {
    let name = |_| Cell::Named(row.container.as_deref().unwrap_or_default().as_bytes(), "none");
    row.group.as_ref().map_or_else(|absent| Cell::Absent(*absent), name)
}

/// What fits a screen with so many lines below it.
fn brief(mut rows: Vec<MemoryRow>, lines: usize) -> Vec<MemoryRow> {
    rows.retain(|row| row.amount.bytes.is_ok_and(|bytes| bytes.0 > 0));
    let places = rows.iter().filter(|row| row.amount.is_place()).count();
    let has = |of: &&MemoryUse| rows.iter().any(|row| row.amount.of == **of && !row.amount.is_place());
    let room = SCREEN.min(SCREEN_WITH_LINES.saturating_sub(lines)).saturating_sub(places);
    let shown: Vec<MemoryUse> = TELLING.iter().filter(has).take(room).copied().collect();
    rows.retain(|row| row.amount.is_place() || shown.contains(&row.amount.of));
    rows
}

/// What is said about an account after its rows: not the sum of all of them, if only some are shown (`selects`).
/// `offline`: what pages say about memory that was given back.
fn closing(
    root: &ProcRoot,
    account: &MemoryAccount,
    (sum, excess): (Bytes, Bytes),
    offline: Option<Bytes>,
    selects: bool,
) -> Closing {
    let human = |bytes| Human(bytes).to_string();
    let total = account.total;
    let mut lines = Vec::new();
    if !selects || excess > Bytes(0) {
        lines.push(sum_line(account, sum, excess));
    }
    if let Ok(managed) = account.managed {
        if total > managed {
            let more = human(total.saturating_sub(managed));
            lines.push(format!("MemTotal counts {more} that no zone manages, so that nobody can use it"));
        } else if managed > total {
            lines.push(format!("the zones manage {} more than MemTotal", human(managed.saturating_sub(total))));
        }
    }
    let offline = offline.map_or(account.balloon, Ok);
    let besides: Vec<String> = [
        account
            .reserved
            .ok()
            .filter(|bytes| bytes.0 > 0)
            .map(|bytes| format!("{} reserved at the start", human(bytes))),
        offline
            .ok()
            .filter(|bytes| bytes.0 > 0)
            .map(|bytes| format!("{} given back to the host, or offline", human(bytes))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !besides.is_empty() {
        lines.push(format!("not in MemTotal: {}", besides.join(", ")));
    }
    let swap = Swap::read(root).filter(|swap| swap.areas > 0);
    if let Some(swap) = swap {
        lines.push(format!("swap: {} of {} used", human(swap.used), human(swap.size)));
    }
    lines.extend(largest_caches(root, account));
    let plain = |bytes: Figure<Bytes>| OwnedCell::Plain(Cell::bytes(bytes));
    let swapping = |of: fn(Swap) -> Bytes| plain(Ok(swap.map_or(Bytes(0), of)));
    let object = vec![
        ("total", plain(Ok(total))),
        ("sum", plain(Ok(sum))),
        ("excess", plain(Ok(excess))),
        ("managed", plain(account.managed)),
        ("reserved", plain(account.reserved)),
        ("offline", plain(offline)),
        ("swap_size", swapping(|swap| swap.size)),
        ("swap_used", swapping(|swap| swap.used)),
    ];
    Closing { lines, object: Some(("account", object)), ..Closing::default() }
}

/// How long the line of the largest caches may be.
const LINE: usize = 79;

/// The largest caches of small objects, in a line; for ordinary users what only root can see.
fn largest_caches(root: &ProcRoot, account: &MemoryAccount) -> Option<String> {
    match SlabCaches::read(root, account.page_size) {
        Ok(SlabCaches(mut caches)) => {
            caches.sort_by_key(|cache| std::cmp::Reverse(cache.size));
            let mut line = String::new();
            for cache in &caches {
                let before = if line.is_empty() { "largest slab caches (--slab): " } else { ", " };
                let more = format!("{before}{} {}", escaped(&cache.name), Human(cache.size));
                if line.len() + more.len() > LINE {
                    break;
                }
                line += &more;
            }
            (!line.is_empty()).then_some(line)
        }
        Err(error) if error.kind() == ErrorKind::Denied && root.is_live() && run_as_root().is_some() => {
            Some("root also sees pages by node and group (--pages) and slab caches (--slab)".to_owned())
        }
        Err(_) => None,
    }
}

impl Source for MemorySource {
    type Kind = Memory;

    fn closing(&self) -> Closing {
        self.said.clone()
    }

    fn read(&mut self, needs: &[MemoryNeed], rows: &mut dyn Rows<Memory>) -> Result<(), Stop> {
        let needs =
            PageNeeds { nodes: needs.contains(&MemoryNeed::Nodes), groups: needs.contains(&MemoryNeed::Groups) };
        let mut found = match self.pages || needs.groups {
            true => self.look(needs, rows)?,
            false => self.count(needs.nodes)?,
        };
        if self.by.as_deref().is_some_and(|by| !WITH_ATTRIBUTES.contains(&Memory::id_of(by))) {
            found.retain(|row| row.amount.is_place());
            self.said.lines.push(PLACES_ONLY.to_owned());
        }
        if self.brief {
            found = brief(found, self.said.lines.len());
        }
        rows.rows(found)
    }
}
