//! One holder of a file, and what it has of it.

use std::sync::Arc;

use crate::error::Result;
use crate::machine::container_name;
use crate::process::{Fields, FileMapping, Mapping, Process, Wanted};
use crate::units::{Absent, Bytes, Figure, Reason};

/// A process, or a part of the kernel, that holds a file.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The file, as it was asked for.
    pub path: Arc<[u8]>,
    /// The place of the file in the list of those that were asked for.
    pub file: usize,
    /// The pid; `None` for the kernel.
    pub pid: Option<u32>,
    /// The name (`comm`) of the process; of the kernel `swap`, `loop0`, `dm-0` or `mount`.
    pub name: Vec<u8>,
    /// When the process started, in clock ticks since the machine did; `None` if that is not known.
    pub start_time: Option<u64>,
    /// The facts about a process; absent if they were not read, and for the kernel.
    pub facts: Option<ProcessFacts>,
    /// What the kernel does with the file, in more words.
    pub kernel: Option<Vec<u8>>,
    /// How it holds the file.
    pub how: How,
    /// How many of its mappings are of the file.
    pub mappings: u64,
    /// How many of its descriptors are open on the file.
    pub descriptors: u64,
    /// What it has of the file in memory.
    pub memory: Figure<InMemory>,
    /// The name of the file as the holder sees it, with ` (deleted)` if that was removed.
    pub seen_as: Vec<u8>,
    /// The number of its address space, if it maps the file: several processes may share one.
    pub address_space: Option<u64>,
    /// What a reader must know.
    pub note: Option<&'static str>,
}

/// Whose a process is, and what it runs.
#[derive(Debug, Clone)]
pub struct ProcessFacts {
    /// Its command line.
    pub command: Figure<Vec<u8>>,
    /// The number of the user that it runs as (`Uid` of status: the effective one).
    pub user: Figure<u32>,
    /// Its memory control group.
    pub control_group: Figure<Vec<u8>>,
    /// The container that the group belongs to; `None` if it is in none that is known.
    pub container: Figure<Option<String>>,
    /// Whether it is a process of this machine, whose users have names here.
    pub is_live: bool,
}

/// How a file is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// A mapping writes to the file.
    pub shared: bool,
    /// A mapping writes to copies of its pages.
    pub private: bool,
    /// A descriptor is open.
    pub open: bool,
    /// A descriptor is open for writing.
    pub writing: bool,
    /// A descriptor only names it (`O_PATH`), which keeps it from being freed once its last name is removed.
    pub named: bool,
    /// What the kernel does with it.
    pub kernel: Option<KernelUse>,
}

/// What the kernel does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelUse {
    /// It swaps to it.
    Swap,
    /// It is the content of a loop device.
    Loop,
    /// It is a block device below another one (LVM, RAID, encryption).
    Below,
    /// It is a block device with a mounted file system.
    Mount,
}

impl How {
    /// Every way, as words.
    pub const WORDS: [&'static str; 16] = [
        "mapped shared",
        "mapped private",
        "mapped shared and private",
        "open",
        "mapped shared, open",
        "mapped private, open",
        "mapped shared and private, open",
        "open for writing",
        "mapped shared, open for writing",
        "mapped private, open for writing",
        "mapped shared and private, open for writing",
        "swap",
        "loop device",
        "block device",
        "mounted",
        "path only",
    ];

    /// It as words.
    pub fn word(self) -> &'static str {
        let mapped = usize::from(self.shared) + 2 * usize::from(self.private);
        let place = match (self.kernel, self.writing, self.open) {
            (Some(KernelUse::Swap), ..) => 11,
            (Some(KernelUse::Loop), ..) => 12,
            (Some(KernelUse::Below), ..) => 13,
            (Some(KernelUse::Mount), ..) => 14,
            (None, true, _) => 7 + mapped,
            (None, false, true) => 3 + mapped,
            (None, false, false) if mapped == 0 => 15,
            (None, false, false) => mapped.saturating_sub(1),
        };
        How::WORDS.get(place).copied().unwrap_or("open")
    }

    /// Whether it is held at all.
    pub(super) fn is_any(self) -> bool {
        self.shared || self.private || self.open || self.named || self.kernel.is_some()
    }
}

/// What a process has of a file in memory: sums over its mappings of that file alone.
#[derive(Debug, Clone, Copy)]
pub struct InMemory {
    /// The length of the mappings (`Size`).
    pub size: Bytes,
    /// `Rss`.
    pub rss: Figure<Bytes>,
    /// `Pss`.
    pub pss: Figure<Bytes>,
    /// `Private_Clean` and `Private_Dirty`: in no other mapping.
    pub uss: Figure<Bytes>,
    /// `Anonymous`: its own copies, in a private mapping, of pages of the file.
    pub anonymous: Figure<Bytes>,
    /// What is resident in mappings that are locked (`lo` in `VmFlags`). The counter `Locked` divides it like Pss.
    pub locked: Figure<Bytes>,
    /// `Shared_Dirty` and `Private_Dirty`.
    pub dirty: Figure<Bytes>,
    /// `Swap`: its own copies that are in swap, and of shared memory what it maps of that.
    pub swap: Figure<Bytes>,
    /// `Shared_Hugetlb` and `Private_Hugetlb`: in hugetlb pages, which no other figure includes.
    pub hugetlb: Figure<Bytes>,
}

const NOT_MAPPED: Absent = Absent::new(Reason::NotApplicable, "it does not map the file");
const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");
const NO_SMAPS: Absent = Absent::new(Reason::Denied, "its smaps could not be read");
const NO_FLAGS: Absent = Absent::new(Reason::Unsupported, "the kernel does not report VmFlags (new in Linux 3.8)");
const HUGETLB: &str = "Rss and Pss do not count its hugetlb pages; -o +hugetlb shows them";
const NO_STATUS: Absent = Absent::new(Reason::Vanished, "its status could not be read");
const NO_COMMAND: Absent = Absent::new(Reason::Vanished, "its command line could not be read");
const NO_GROUP: Absent = Absent::new(Reason::Unsupported, "it has no control group file");

/// The counters of smaps that are summed.
const COUNTERS: [&str; 10] = [
    "Rss",
    "Pss",
    "Shared_Dirty",
    "Private_Clean",
    "Private_Dirty",
    "Anonymous",
    "Swap",
    "Shared_Hugetlb",
    "Private_Hugetlb",
    "VmFlags",
];

impl Holding {
    /// What rows are ordered by: what is in memory.
    pub(super) fn order(&self) -> u64 {
        let Ok(InMemory { rss, hugetlb, .. }) = self.memory else { return 0 };
        [rss, hugetlb].into_iter().flatten().fold(0, |sum, part| part.0.saturating_add(sum))
    }

    /// A row about the kernel.
    pub(super) fn of_kernel(file: usize, kernel: KernelUse, name: Vec<u8>, words: Vec<u8>) -> Holding {
        Holding {
            path: Arc::from(&b""[..]),
            file,
            pid: None,
            name,
            start_time: None,
            facts: None,
            kernel: Some(words),
            how: How { kernel: Some(kernel), ..How::default() },
            mappings: 0,
            descriptors: 0,
            memory: Err(NOT_MAPPED),
            seen_as: Vec::new(),
            address_space: None,
            note: None,
        }
    }
}

impl InMemory {
    /// Why a holder without mappings of the file has none of it.
    pub(super) const NONE: Absent = NOT_MAPPED;
    /// Why it is not known.
    pub(super) const UNREAD: Absent = NOT_READ;
}

impl ProcessFacts {
    pub(super) fn read(process: &Process) -> ProcessFacts {
        let control_group = process.read_cgroup().map_err(|_| NO_GROUP);
        ProcessFacts {
            command: process.identity().map(|identity| identity.command).map_err(|_| NO_COMMAND),
            user: process.read_status().map(|status| status.user).map_err(|_| NO_STATUS),
            container: control_group.as_ref().map(|group| container_name(group)).map_err(|absent| *absent),
            control_group,
            is_live: process.is_live(),
        }
    }
}

/// What is summed of the mappings of one file.
pub(super) struct Summed {
    pub(super) memory: Figure<InMemory>,
    /// How many there are.
    pub(super) mappings: u64,
    pub(super) shared: bool,
    pub(super) private: bool,
}

/// Reads the smaps of a process, and sums the mappings of each of several files up. `found` are the mappings of each,
/// as `maps` showed them a moment before.
///
/// # Errors
/// It has exited, or cannot be read.
pub(super) fn sum_mappings(process: &Process, found: &[&[FileMapping]]) -> Result<Vec<Summed>> {
    let mut fields = Fields::new();
    let wanted = Wanted::Only(COUNTERS.map(str::to_owned).to_vec());
    let read = process.read_smaps(&mut fields, &wanted)?;
    let flags = fields.find(b"VmFlags");
    let sum = |mappings: &&[FileMapping]| {
        let is_it = |mapping: &Mapping<'_>| {
            let is_one = |known: &FileMapping| {
                (known.inode, known.device, &known.path[..]) == (mapping.inode(), mapping.device(), mapping.path())
            };
            mappings.iter().any(is_one)
        };
        let mut all = read
            .mappings
            .iter()
            .filter(|mapping| mapping.device().has_file(mapping.inode()) && is_it(mapping))
            .peekable();
        let mut summed = Summed { memory: Err(NOT_MAPPED), mappings: 0, shared: false, private: false };
        if all.peek().is_none() {
            return summed;
        }
        let mut memory = InMemory::default();
        for mapping in all {
            summed.mappings += 1;
            let is_shared = mapping.perm().ends_with('s');
            summed.shared |= is_shared;
            summed.private |= !is_shared;
            let text = flags.and_then(|flags| mapping.text(flags));
            memory.add(&mapping, text.ok_or(NO_FLAGS).map(is_locked));
        }
        summed.memory = Ok(memory);
        summed
    };
    Ok(found.iter().map(sum).collect())
}

/// What `maps` alone says of the mappings of a file, if smaps cannot be read.
pub(super) fn unread(mappings: &[FileMapping]) -> Summed {
    let mut memory = InMemory::absent(NO_SMAPS);
    mappings.iter().for_each(|mapping| memory.size = memory.size + size_of(mapping));
    of_maps(mappings, Ok(memory))
}

/// The mappings of a file whose smaps is not needed.
pub(super) fn of_maps(mappings: &[FileMapping], memory: Figure<InMemory>) -> Summed {
    Summed {
        memory: if mappings.is_empty() { Err(NOT_MAPPED) } else { memory },
        mappings: mappings.len() as u64,
        shared: mappings.iter().any(|mapping| mapping.is_shared),
        private: mappings.iter().any(|mapping| !mapping.is_shared),
    }
}

fn size_of(mapping: &FileMapping) -> Bytes {
    Bytes(mapping.addresses.end.saturating_sub(mapping.addresses.start))
}

fn is_locked(flags: &[u8]) -> bool {
    flags.split(|byte| *byte == b' ').any(|flag| flag == b"lo")
}

impl Default for InMemory {
    fn default() -> InMemory {
        let nothing = Ok(Bytes(0));
        InMemory {
            size: Bytes(0),
            rss: nothing,
            pss: nothing,
            uss: nothing,
            anonymous: nothing,
            locked: nothing,
            dirty: nothing,
            swap: nothing,
            hugetlb: nothing,
        }
    }
}

impl InMemory {
    fn absent(why: Absent) -> InMemory {
        let absent = Err(why);
        InMemory {
            size: Bytes(0),
            rss: absent,
            pss: absent,
            uss: absent,
            anonymous: absent,
            locked: absent,
            dirty: absent,
            swap: absent,
            hugetlb: absent,
        }
    }

    /// What a reader of its figures must know.
    pub(super) fn note(&self) -> Option<&'static str> {
        self.hugetlb.is_ok_and(|hugetlb| hugetlb.0 > 0).then_some(HUGETLB)
    }

    fn add(&mut self, mapping: &Mapping<'_>, locked: Figure<bool>) {
        let figure = |name: &str| mapping.figure(name);
        let both = |one: &str, other: &str| Bytes::sum_of([figure(one), figure(other)]);
        let rss = figure("Rss");
        let locked = locked.and_then(|is_locked| if is_locked { rss } else { Ok(Bytes(0)) });
        self.size = self.size + mapping.size();
        for (sum, more) in [
            (&mut self.rss, rss),
            (&mut self.pss, figure("Pss")),
            (&mut self.uss, both("Private_Clean", "Private_Dirty")),
            (&mut self.anonymous, figure("Anonymous")),
            (&mut self.locked, locked),
            (&mut self.dirty, both("Shared_Dirty", "Private_Dirty")),
            (&mut self.swap, figure("Swap")),
            (&mut self.hugetlb, both("Shared_Hugetlb", "Private_Hugetlb")),
        ] {
            *sum = Bytes::sum_of([*sum, more]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_own_words() {
        let mut seen = std::collections::BTreeSet::new();
        for bits in 1..16u32 {
            let is = |bit: u32| bits & bit != 0;
            let how = How { shared: is(1), private: is(2), open: is(4), writing: is(8), named: false, kernel: None };
            if how.writing && !how.open {
                continue;
            }
            let word = how.word();
            assert_eq!(word.contains("shared"), how.shared, "{word}");
            assert_eq!(word.contains("private"), how.private, "{word}");
            assert_eq!(word.contains("open"), how.open, "{word}");
            assert_eq!(word.contains("writing"), how.writing, "{word}");
            assert!(seen.insert(word), "{word}");
        }
        assert!(seen.insert(How { named: true, ..How::default() }.word()));
        assert_eq!(How { named: true, open: true, ..How::default() }.word(), "open");
        for kernel in [KernelUse::Swap, KernelUse::Loop, KernelUse::Below, KernelUse::Mount] {
            assert!(seen.insert(How { kernel: Some(kernel), ..How::default() }.word()));
        }
        assert_eq!(seen.len(), How::WORDS.len());
        assert!(!How::default().is_any());
    }

    #[test]
    fn a_locked_mapping_has_the_flag_lo() {
        assert!(is_locked(b"rd wr sh lo"));
        assert!(!is_locked(b"rd wr sh loo"));
        assert!(!is_locked(b""));
    }
}
