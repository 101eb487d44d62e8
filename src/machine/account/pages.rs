//! The account by physical page: what each page frame is used for, on which node it is, and which control group is
//! charged for it. From `/proc/kpageflags` and `/proc/kpagecgroup`, which only root can read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::amounts::{MemoryAccount, MemoryAmount, sum_of_places};
use super::frames::{Folios, Tally, known_uses};
use super::groups::GroupNames;
use super::others::read_merged_pages;
use super::read::read_zones;
use super::uses::MemoryUse;
use super::zones::NodeMap;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::page_flags::{ENTRY, read_entries};
use crate::process::{ProcRoot, run_as_root};
use crate::units::{Bytes, PageSize, Pages};

use MemoryUse::*;

/// What is told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageNeeds {
    /// The nodes.
    pub nodes: bool,
    /// The control groups.
    pub groups: bool,
}

/// The pages of the machine, or of one node or group of it.
#[derive(Debug, Clone)]
pub struct PagesUsed {
    /// The node; `None` if nodes are not told apart, or for what is on no node.
    pub node: Option<u32>,
    /// The path of the control group that is charged, or empty if none is; `None` if groups are not told apart.
    pub group: Option<Vec<u8>>,
    /// How much has each use.
    pub amounts: Vec<MemoryAmount>,
}

/// The account by physical page.
#[derive(Debug, Clone)]
pub struct PageAccount {
    /// `MemTotal`.
    pub total: Bytes,
    /// The parts, which add up to `total`, or to `total` and `excess`.
    pub parts: Vec<PagesUsed>,
    /// By how much the places are more than `total`: pages were used for other things while they were looked at.
    pub excess: Bytes,
    /// Pages that are offline: given back to the host, or being removed. No place has them, because it depends on the
    /// driver whether `total` does.
    pub offline: Bytes,
    /// The account by counters, read just before.
    pub counted: MemoryAccount,
}

/// How many frames are read at once: the largest folios begin at a multiple of it, so no folio is divided.
const FRAMES: u64 = 1 << 18;

/// How many threads read.
const THREADS: usize = 2;

/// What frames are told apart by: the node, and the inode number of the group.
type Key = (Option<u32>, u64);

impl PageAccount {
    /// Looks at every page frame. `go_on` is asked now and then, and ends the reading if it returns false; then the
    /// result is `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]: this user is not root. [`ErrorKind::NotFound`]: the kernel, or a capture, has no such
    /// files.
    pub fn read(root: &ProcRoot, needs: PageNeeds, go_on: &mut dyn FnMut() -> bool) -> Result<Option<PageAccount>> {
        let flags = open(root, "kpageflags")?;
        let groups = needs.groups.then(|| open(root, "kpagecgroup")).transpose()?;
        let counted = MemoryAccount::read(root)?;
        let zones = read_zones(root);
        let map = zones.as_ref().map(NodeMap::of).unwrap_or_default();
        let reader = Reader {
            flags,
            groups,
            end: map.end(),
            map,
            nodes: needs.nodes,
            has_merged: read_merged_pages(root).is_some_and(|pages| pages > 0),
            next: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            tallies: Mutex::default(),
        };
        let read =
            reader.read(go_on).map_err(|error| Error::io(Subject::Path(root.path().join("kpageflags")), &error))?;
        let Some(tallies) = read else { return Ok(None) };
        let names = if needs.groups { GroupNames::read(root) } else { GroupNames::default() };
        let mut made = Parts { page: counted.page_size, has_merged: reader.has_merged, parts: Vec::new() };
        for node in nodes_of(&tallies) {
            let whole = match (&zones, node) {
                (Ok(zones), Some(node)) => zones.sum(Some(node), |zone| zone.managed).bytes(counted.page_size),
                _ => counted.total.saturating_sub(counted.get(Unmanaged).unwrap_or_default()),
            };
            let name = |inode| needs.groups.then(|| if inode == 0 { Vec::new() } else { names.name(inode) });
            made.add_node(node, &tallies, whole, name);
        }
        made.add_counted(&counted, needs);
        let offline = Pages(tallies.values().map(|tally| tally.offline).fold(0, u64::saturating_add));
        let sum: Bytes = made.parts.iter().map(|part| sum_of_places(&part.amounts)).sum();
        Ok(Some(PageAccount {
            total: counted.total,
            excess: sum.saturating_sub(counted.total),
            parts: made.parts,
            offline: offline.bytes(counted.page_size),
            counted,
        }))
    }

    /// The sum of all places: `total`, unless there is an `excess`.
    pub fn sum(&self) -> Bytes {
        self.parts.iter().map(|part| sum_of_places(&part.amounts)).sum()
    }
}

/// Opens a file that only root can read.
fn open(root: &ProcRoot, name: &str) -> Result<File> {
    root.open_file(name).map_err(|error| {
        if !root.is_live() {
            let about = Subject::Words("the capture".to_owned());
            return Error::new(about, ErrorKind::Unsupported, format!("it has no {name}")).caused_by(&error);
        }
        let error = Error::io(Subject::Path(root.path().join(name)), &error);
        match (error.kind(), run_as_root()) {
            (ErrorKind::Denied, Some(advice)) => error.with_advice(advice),
            _ => error,
        }
    })
}

fn nodes_of(tallies: &BTreeMap<Key, Tally>) -> Vec<Option<u32>> {
    let mut nodes: Vec<_> = tallies.keys().map(|(node, _)| *node).collect();
    nodes.dedup();
    // Without any frame, all memory is unnamed.
    if nodes.is_empty() { vec![None] } else { nodes }
}

const FLAGS: &str = "kpageflags";
const REST: &str = "MemTotal - all others";

/// The parts of an account that is being made.
struct Parts {
    page: PageSize,
    has_merged: bool,
    parts: Vec<PagesUsed>,
}

impl Parts {
    /// Adds the parts of a node with `whole` bytes. What no frame of it names is unnamed, and charged to nobody: frames
    /// without flags may be holes, so they are not counted.
    fn add_node(
        &mut self,
        node: Option<u32>,
        tallies: &BTreeMap<Key, Tally>,
        whole: Bytes,
        name: impl Fn(u64) -> Option<Vec<u8>>,
    ) {
        let bytes = |pages| Pages(pages).bytes(self.page);
        let amount =
            |of, bytes, source| MemoryAmount { part_of: part_of(of), ..MemoryAmount::new(of, Ok(bytes), source) };
        let none = Tally::default();
        let own = tallies.get(&(node, 0)).unwrap_or(&none);
        let charged = tallies.iter().filter(|((of, inode), _)| *of == node && *inode != 0);
        let of_tally = |tally: &Tally| {
            let used = known_uses(self.has_merged).map(|of| amount(of, bytes(tally.pages(of)), FLAGS));
            used.collect::<Vec<MemoryAmount>>()
        };
        let mut parts: Vec<PagesUsed> = charged
            .map(|((_, inode), tally)| {
                let mut amounts = of_tally(tally);
                amounts.push(amount(Unnamed, bytes(tally.pages(Unnamed)), FLAGS));
                PagesUsed { node, group: name(*inode), amounts }
            })
            .collect();
        let mut amounts = of_tally(own);
        let named: Bytes =
            parts.iter().map(|part| sum_of_places(&part.amounts)).sum::<Bytes>() + sum_of_places(&amounts);
        amounts.push(amount(Unnamed, whole.saturating_sub(named), REST));
        self.parts.push(PagesUsed { node, group: name(0), amounts });
        self.parts.append(&mut parts);
    }

    /// Adds what only counters tell: of the whole machine, and not of its parts.
    fn add_counted(&mut self, counted: &MemoryAccount, needs: PageNeeds) {
        let is_whole = !needs.nodes && !needs.groups;
        let wanted = |amount: &&MemoryAmount| is_whole && OF_COUNTERS.contains(&amount.of);
        let rest = |amount: &MemoryAmount| MemoryAmount { part_of: part_of(amount.of), ..*amount };
        let mut more: Vec<MemoryAmount> = counted.amounts.iter().filter(wanted).map(rest).collect();
        let unmanaged = counted.amounts.iter().filter(|amount| amount.of == Unmanaged);
        more.extend(unmanaged.filter(|amount| amount.bytes.is_ok_and(|gap| gap.0 > 0)));
        match self.parts.first_mut().filter(|part| part.node.is_none() && !more.is_empty()) {
            Some(part) => {
                part.amounts.append(&mut more);
                // What is a part of something else here than among the counters follows that.
                part.amounts.sort_by_key(|amount| match amount.part_of.first() {
                    Some(place) if amount.part_of != amount.of.part_of() => (*place, true, amount.of),
                    _ => (amount.of, false, amount.of),
                });
            }
            None if more.is_empty() => {}
            None => self.parts.push(PagesUsed { node: None, group: needs.groups.then(Vec::new), amounts: more }),
        }
    }
}

/// What only counters tell.
const OF_COUNTERS: &[MemoryUse] = &[
    FreeContiguous,
    Unaccepted,
    Kept,
    AnonymousHuge,
    Buffers,
    FileHuge,
    SystemV,
    SharedHuge,
    Zswap,
    Compressed,
    SlabReclaimable,
    SlabUnreclaimable,
    KernelReclaimable,
    KernelStacks,
    Vmalloc,
    PerCpu,
    FreeHuge,
    Bounce,
    FuseWrite,
];

/// The places that a use is a part of here: what has no flag is a part of what cannot be named.
fn part_of(of: MemoryUse) -> &'static [MemoryUse] {
    match of {
        SlabReclaimable | SlabUnreclaimable => &[Slab],
        Kept | Zswap | Compressed | KernelReclaimable | KernelStacks | Vmalloc | PerCpu | Bounce | FuseWrite => {
            &[Unnamed]
        }
        of => of.part_of(),
    }
}

/// Reads the entries of all frames, on several threads.
struct Reader {
    flags: File,
    groups: Option<File>,
    map: NodeMap,
    /// The first frame behind all zones, if they are known.
    end: Option<u64>,
    nodes: bool,
    has_merged: bool,
    /// The first frame that nobody has taken yet.
    next: AtomicU64,
    is_over: AtomicBool,
    tallies: Mutex<BTreeMap<Key, Tally>>,
}

impl Reader {
    /// Reads all of them; `None` if `go_on` returned false.
    fn read(&self, go_on: &mut dyn FnMut() -> bool) -> io::Result<Option<BTreeMap<Key, Tally>>> {
        let mut goes_on = true;
        let read = std::thread::scope(|scope| {
            let others: Vec<_> = (1..THREADS).map(|_| scope.spawn(|| self.work(&mut || true))).collect();
            let own = self.work(&mut || {
                goes_on = goes_on && go_on();
                goes_on
            });
            let broken = || io::Error::other("a thread that read page frames ended early");
            others.into_iter().fold(own, |read, other| read.and(other.join().unwrap_or_else(|_| Err(broken()))))
        });
        read?;
        let mut tallies = self.tallies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(goes_on.then(|| std::mem::take(&mut *tallies)))
    }

    /// Reads until nothing is left.
    fn work(&self, go_on: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let read = self.work_on(go_on);
        if read.is_err() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        read
    }

    fn work_on(&self, go_on: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let size = (FRAMES * ENTRY) as usize;
        let mut buffers = (vec![0; size], if self.groups.is_some() { vec![0; size] } else { Vec::new() });
        let mut counting = Counting { key: None, tally: Tally::default(), done: BTreeMap::new() };
        while !self.is_over.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(FRAMES, Ordering::Relaxed);
            let count = self.end.map_or(FRAMES, |end| end.saturating_sub(first).min(FRAMES));
            if count == 0 || !go_on() {
                self.is_over.store(true, Ordering::Relaxed);
                break;
            }
            if self.end.is_some() && matches!(self.map.node(first), (None, next) if next >= first + count) {
                continue;
            }
            let length = (count * ENTRY) as usize;
            let entries = read_entries(&self.flags, first, buffers.0.get_mut(..length).unwrap_or_default())?;
            let came = match &self.groups {
                None => self.count(first, entries.map(|entry| (entry, 0)), &mut counting),
                Some(groups) => {
                    let inodes = read_entries(groups, first, buffers.1.get_mut(..length).unwrap_or_default())?;
                    self.count(first, entries.zip(inodes.chain(std::iter::repeat(0))), &mut counting)
                }
            };
            if came < count {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
        counting.finish();
        let mut tallies = self.tallies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counting.done.iter().for_each(|(key, tally)| tallies.entry(*key).or_default().merge(tally));
        Ok(())
    }

    /// Counts consecutive frames, and returns how many they were.
    fn count(&self, first: u64, entries: impl Iterator<Item = (u64, u64)>, counting: &mut Counting) -> u64 {
        let mut folios = Folios::default();
        let (mut node, mut until) = self.map.node(first);
        let mut frame = first;
        // Most frames are like the one before.
        let (mut last, mut run) = ((0, 0, None), 0);
        for (entry, inode) in entries {
            if frame >= until {
                (node, until) = self.map.node(frame);
            }
            let now = (folios.complete(entry), inode, node);
            if now != last {
                self.add(last, run, counting);
                (last, run) = (now, 0);
            }
            run += 1;
            frame += 1;
        }
        self.add(last, run, counting);
        frame.saturating_sub(first)
    }

    /// Adds so many equal frames. What no zone has is no memory.
    fn add(&self, (entry, inode, node): (u64, u64, Option<u32>), frames: u64, counting: &mut Counting) {
        if frames > 0 && (node.is_some() || self.end.is_none()) {
            counting.of((node.filter(|_| self.nodes), inode)).add(entry, frames, self.has_merged);
        }
    }
}

/// The tallies of a thread.
struct Counting {
    /// `None`: nothing was counted yet.
    key: Option<Key>,
    tally: Tally,
    done: BTreeMap<Key, Tally>,
}

impl Counting {
    /// The tally with this key. It stays at hand, because the next frames mostly have the same.
    fn of(&mut self, key: Key) -> &mut Tally {
        if self.key != Some(key) {
            self.finish();
            self.key = Some(key);
        }
        &mut self.tally
    }

    fn finish(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        if let Some(key) = self.key {
            self.done.entry(key).or_default().merge(&tally);
        }
    }
}
