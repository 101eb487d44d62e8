//! The super blocks of the machine, the inodes of each that have cached pages, and the names of inodes
//! (`programs/inodes.bpf.c`, whose `inodes.h` has the layouts below).

use std::io;
use std::mem::offset_of;
use std::time::Instant;

use super::loaded::Loaded;
use super::shared::{Shared, plain};
use super::{Adapted, Unavailable, downwards};
use crate::kernel::cached::{Name, Naming, Target};

const MAX_SUPER_BLOCKS: usize = 1024;
const MAX_INODES: usize = 8192;
const MAX_NAMED: usize = 512;
const PATH_BYTES: usize = 256 * 1024;

/// How many inodes one run may visit: some 0.3 ms, during which the kernel cannot schedule on this CPU.
const BUDGET: u32 = 1024;

const DONE: u32 = 1;
const BROKEN: u32 = 2;

/// More runs than any list needs: each visits up to 1024 entries.
const MAX_RUNS: u32 = 1 << 20;

/// A mounted file system, or one of the kernel's own.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct SuperBlock {
    /// Its address in the kernel.
    pub(crate) address: u64,
    /// Its device number `s_dev`, as the kernel keeps it: the major number above 20 bits of the minor one.
    device: u32,
    /// The number of its type, as `statfs(2)` reports it.
    pub(crate) magic: u32,
    /// The name of its type.
    kind: [u8; 16],
    /// Its name, such as that of the device.
    id: [u8; 32],
}

impl SuperBlock {
    /// The device number, as `/proc/PID/mountinfo` and `/proc/PID/maps` show it.
    pub(crate) fn device(&self) -> (u32, u32) {
        major_minor(self.device)
    }

    /// The name of its type.
    pub(crate) fn kind(&self) -> &[u8] {
        until_nul(&self.kind)
    }
}

/// The parts of the kernel's own form of a device number.
fn major_minor(device: u32) -> (u32, u32) {
    (device >> 20, device & 0xf_ffff)
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An inode with cached pages.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inode {
    /// Its address in the kernel.
    pub(crate) address: u64,
    /// Its number in its file system, or in its subvolume.
    pub(crate) number: u64,
    /// `nrpages`: how many of its pages are cached.
    pub(crate) pages: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// `i_mode`: type and permissions.
    pub(crate) mode: u32,
    /// How many names it has on disk.
    pub(crate) links: u32,
    device: u32,
    /// `i_generation`, which distinguishes the files that are given the same number one after the other.
    pub(crate) generation: u32,
}

impl Inode {
    /// The device number of a device file.
    pub(crate) fn device(&self) -> (u32, u32) {
        major_minor(self.device)
    }
}

/// How the walk of a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At the head of the list: all of it was seen.
    Complete {
        /// Whether some may have been seen twice.
        may_repeat: bool,
    },
    /// The list changed too often while it was walked.
    Broken,
    /// The time was over.
    Late,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct NameRecord {
    address: u64,
    super_block: u64,
    number: u64,
    at: u32,
    length: u32,
    state: u32,
    generation: u32,
    links: u32,
    unused: u32,
}

const NAME_GONE: u32 = 2;
const NAME_NONE: u32 = 4;
const NAME_DELETED: u32 = 8;
const NAME_ROOTED: u32 = 16;
const NAME_CUT: u32 = 32;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Control {
    super_block: u64,
    cursor: u64,
    previous: u64,
    first_super_block: u64,
    status: u32,
    budget: u32,
    super_blocks: u32,
    inodes: u32,
    visited: u32,
    lost: u32,
    resumed: u32,
    moved: u32,
    dentry: u64,
    named: u32,
    names: u32,
    level: u32,
    path_used: u32,
}

#[repr(C)]
struct Memory {
    control: Control,
    super_blocks: [SuperBlock; MAX_SUPER_BLOCKS],
    inodes: [Inode; MAX_INODES],
    names: [NameRecord; MAX_NAMED],
    paths: [u8; PATH_BYTES],
}

plain!(Control, SuperBlock, Inode, NameRecord);

/// The loaded programs.
#[derive(Debug)]
pub(crate) struct Inodes {
    programs: Loaded,
    memory: Shared<Memory>,
}

impl Inodes {
    /// Loads the programs into the kernel. They are removed with this value.
    pub(crate) fn load(adapted: Adapted) -> Result<Inodes, Unavailable> {
        let names = ["list_super_blocks", "list_inodes", "name_inodes"];
        let (programs, memory) = Loaded::new(adapted, &names)?;
        Ok(Inodes { programs, memory })
    }

    /// Begins a walk at `control` and runs a program until it is done. Calls `each` after each run.
    fn walk(
        &mut self,
        program: &str,
        control: Control,
        until: Instant,
        mut each: impl FnMut(&Shared<Memory>, &Control),
    ) -> io::Result<End> {
        self.memory.write(offset_of!(Memory, control), &[control]);
        let mut previous = None;
        for _ in 0..MAX_RUNS {
            self.programs.run(program)?;
            let now: Control = self.memory.get(offset_of!(Memory, control));
            each(&self.memory, &now);
            let position = (now.cursor, now.visited, now.lost, now.named);
            match now.status {
                DONE => {
                    return Ok(End::Complete { may_repeat: now.lost > 0 || now.moved > 0 });
                }
                BROKEN => return Ok(End::Broken),
                // A run without any progress would be repeated for ever.
                _ if previous == Some(position) => return Ok(End::Broken),
                _ if Instant::now() > until => return Ok(End::Late),
                _ => previous = Some(position),
            }
        }
        Ok(End::Broken)
    }

    /// All super blocks of the machine, those of other mount namespaces and the kernel's own included.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn super_blocks(&mut self, until: Instant) -> io::Result<(Vec<SuperBlock>, End)> {
        let mut found = Vec::new();
        let end = self.walk("list_super_blocks", Control::default(), until, |memory, now| {
            found.extend(memory.read::<SuperBlock>(offset_of!(Memory, super_blocks), now.super_blocks as usize));
        })?;
        Ok((found, end))
    }

    /// The inodes of a super block that have cached pages.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn of(
        &mut self,
        super_block: &SuperBlock,
        until: Instant,
        mut each: impl FnMut(Inode),
    ) -> io::Result<End> {
        let control = Control { super_block: super_block.address, budget: BUDGET, ..Control::default() };
        self.walk("list_inodes", control, until, |memory, now| {
            memory.read::<Inode>(offset_of!(Memory, inodes), now.inodes as usize).for_each(&mut each);
        })
    }

    /// The names of inodes, in this order. Fewer than there are targets if the time was over.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn names(
        &mut self,
        targets: impl Iterator<Item = Target>,
        until: Instant,
        mut each: impl FnMut(Naming),
    ) -> io::Result<()> {
        let mut targets = targets.peekable();
        while targets.peek().is_some() && Instant::now() < until {
            let batch: Vec<NameRecord> = targets.by_ref().take(MAX_NAMED).map(NameRecord::from).collect();
            self.memory.write(offset_of!(Memory, names), &batch);
            let names = u32::try_from(batch.len()).unwrap_or_default();
            self.memory.write(offset_of!(Memory, control), &[Control { names, ..Control::default() }]);
            let mut named = 0;
            while named < names {
                self.programs.run("name_inodes")?;
                let now: Control = self.memory.get(offset_of!(Memory, control));
                let done = (now.named.min(names) as usize).saturating_sub(named as usize);
                if done == 0 {
                    // A name that takes more than a run cannot be read.
                    let from = offset_of!(Memory, names) + named as usize * size_of::<NameRecord>();
                    let record: NameRecord = self.memory.get(from);
                    each(Naming { name: None, links: Some(record.links) });
                    named += 1;
                    self.memory.write(offset_of!(Memory, control.named), &[named]);
                    continue;
                }
                let from = offset_of!(Memory, names) + named as usize * size_of::<NameRecord>();
                for record in self.memory.read::<NameRecord>(from, done) {
                    each(self.naming(&record));
                }
                named = now.named;
            }
        }
        Ok(())
    }

    fn naming(&self, record: &NameRecord) -> Naming {
        let links = (record.state & NAME_GONE == 0).then_some(record.links);
        Naming { name: self.name(record), links }
    }

    fn name(&self, record: &NameRecord) -> Option<Name> {
        if record.state & (NAME_GONE | NAME_NONE | NAME_CUT) != 0 {
            return None;
        }
        let at = offset_of!(Memory, paths).saturating_add(record.at as usize);
        let upwards: Vec<u8> = self.memory.read::<u8>(at, record.length as usize).collect();
        let (is_rooted, is_deleted) = (record.state & NAME_ROOTED != 0, record.state & NAME_DELETED != 0);
        let mut path = downwards(&upwards);
        if let (false, Some(known)) = (is_rooted, path.strip_prefix(b"//")) {
            // What was found by its number, and not by its path, has the name `/` until the kernel needs another.
            path = Some(known).filter(|known| !known.is_empty()).map(|known| [b".../", known].concat())?;
        }
        Some(Name { path, is_rooted, is_deleted })
    }
}

impl From<Target> for NameRecord {
    fn from(target: Target) -> NameRecord {
        let Target { address, super_block, number, generation } = target;
        NameRecord { address, super_block, number, generation, ..NameRecord::default() }
    }
}
