//! The cached pages of inodes: their state, the memory control group that is charged for them, and their node
//! (`programs/pages.bpf.c`, whose `pages.h` has the layouts below).

use std::io;
use std::mem::offset_of;
use std::time::Instant;

use super::loaded::Loaded;
use super::shared::{Shared, plain};
use super::{Adapted, Unavailable, downwards};
use crate::kernel::cached::{
    COUNTERS, Counter, Counts, FilePages, Group, Groups, PageRun, Part, Stretch, Target, seen_from,
};

const MAX_FILES: usize = 4096;
const MAX_PARTS: usize = 8192;
const MAX_RUN_RECORDS: usize = 16384;
const MAX_GROUPS: usize = 8192;
const MAX_GROUP_BYTES: usize = 192 * 1024;
const MAX_SAMPLES: usize = 512;

/// How long one run takes, in nanoseconds: the kernel cannot schedule on this CPU meanwhile.
const BUDGET: u32 = 300_000;

/// More runs than any batch needs.
const MAX_RUNS: u32 = 1 << 20;

const DONE: u32 = 1;
const READ_RUNS: u32 = 1;
const FILE_READ: u32 = 2;
const FILE_GONE: u32 = 3;

/// A folio that was met, to be compared with `/proc/kpageflags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The address of its first `struct page`.
    pub(crate) folio: u64,
    flags: u32,
}

impl Sample {
    /// Whether the folio counts for `counter`.
    pub(crate) fn is(&self, counter: Counter) -> bool {
        self.flags >> counter as u32 & 1 != 0
    }
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FileRecord {
    target: TargetRecord,
    first: u64,
    end: u64,
    pages_before: u64,
    pages_after: u64,
    size_before: u64,
    size_after: u64,
    evicted: u64,
    raced: u32,
    state: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct TargetRecord {
    address: u64,
    super_block: u64,
    number: u64,
    generation: u32,
    unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct PartRecord {
    file: u32,
    group: u32,
    node: u32,
    unused: u32,
    counters: [u64; COUNTERS],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct GroupRecord {
    id: u64,
    at: u32,
    length: u32,
    is_known: u32,
    is_removed: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RunRecord {
    index: u64,
    pages: u64,
    group: u32,
    node: u32,
    mapped: u64,
    flags: u32,
    unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct SampleRecord {
    folio: u64,
    flags: u32,
    unused: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Control {
    files: u32,
    file: u32,
    mode: u32,
    budget: u32,
    status: u32,
    parts: u32,
    runs: u32,
    samples: u32,
    groups: u32,
    group_bytes: u32,
    group_failures: u32,
    page_bytes: u32,
    index: u64,
    has_begun: u32,
    is_set_up: u32,
    memory_controller: u64,
    kept_flags: u64,
    node_shift: u32,
    node_mask: u32,
    knows_mapped: u32,
    unused: u32,
    run_index: u64,
    run_pages: u64,
    run_folios: u64,
    run_flags: u64,
    run_charged: u64,
    run_folio: u64,
    run_tags: u32,
    run_is_large: u32,
    run_mapped: i32,
    last_group: u32,
    last_charged: u64,
    last_folio: u64,
    end_ns: u64,
    node: u64,
    node_index: u64,
    dirty_marks: u64,
    writeback_marks: u64,
    node_level: u32,
    first_slot: u32,
    is_single: u32,
    last_was_value: u32,
    part_of_file: u32,
    failed_descents: u32,
    writes_back: u32,
    is_unevictable: u32,
}

#[repr(C)]
struct Memory {
    control: Control,
    slots: [u64; 64],
    files: [FileRecord; MAX_FILES],
    parts: [PartRecord; MAX_PARTS],
    runs: [RunRecord; MAX_RUN_RECORDS],
    samples: [SampleRecord; MAX_SAMPLES],
    group_keys: [u64; MAX_GROUPS],
    groups: [GroupRecord; MAX_GROUPS],
    group_names: [u8; MAX_GROUP_BYTES],
}

plain!(Control, FileRecord, PartRecord, RunRecord, SampleRecord, GroupRecord);

/// What a reader of pages is given, besides the files.
pub(crate) trait Reader {
    /// A stretch was read, or could not be; its number in their order.
    fn file(&mut self, number: usize, pages: FilePages);
    /// Some of the folios that were met.
    fn sample(&mut self, _sample: Sample) {}
    /// Pages of the file that is being read, in order.
    fn run(&mut self, _run: PageRun) {}
    /// Whether runs of pages are read.
    const RUNS: bool = false;
}

/// The loaded program.
#[derive(Debug)]
pub(crate) struct Pages {
    program: Loaded,
    memory: Shared<Memory>,
    groups: Groups,
    root: Option<Vec<u8>>,
}

impl Pages {
    /// Loads the program into the kernel. It is removed with this value.
    pub(crate) fn load(adapted: Adapted) -> Result<Pages, Unavailable> {
        let (program, memory) = Loaded::new(adapted, &["read_pages"])?;
        let mut pages = Pages { program, memory, groups: Groups::new(), root: None };
        pages.check_structures()?;
        // No group was met yet, so the first record is that of the root.
        pages.root = pages.record_of(0).and_then(|record| pages.path_of(&record));
        Ok(pages)
    }

    /// Lets the program read nothing, which tells how the kernel is built.
    fn check_structures(&mut self) -> Result<(), Unavailable> {
        self.program.run("read_pages").map_err(|error| Unavailable::Unknown(error.to_string()))?;
        let now: Control = self.memory.get(offset_of!(Memory, control));
        if now.page_bytes == 64 {
            return Ok(());
        }
        Err(Unavailable::Unknown(format!(
            "struct page has {} bytes in this kernel, which is not known",
            now.page_bytes
        )))
    }

    /// The groups that were met so far.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The group that `/proc` shows to this process as `/`, from the root of all groups.
    pub(crate) fn root(&self) -> Option<&[u8]> {
        self.root.as_deref()
    }

    /// Forgets the groups: they may have been removed since, and others may be at their addresses.
    pub(crate) fn forget_groups(&mut self) {
        self.groups.clear();
        self.memory.write(offset_of!(Memory, group_keys), &[0u64; MAX_GROUPS]);
    }

    /// Reads stretches of files, in this order. Those for which no time was left are not passed to `reader`. Groups
    /// keep their numbers until they are forgotten.
    ///
    /// # Errors
    /// As `bpf(2)`.
    pub(crate) fn read<R: Reader>(
        &mut self,
        stretches: impl Iterator<Item = Stretch>,
        until: Instant,
        reader: &mut R,
    ) -> io::Result<()> {
        let mut stretches = stretches.peekable();
        let mut first = 0;
        // Runs of pages do not say to which stretch they belong.
        let most = if R::RUNS { 1 } else { MAX_FILES };
        while stretches.peek().is_some() && Instant::now() < until {
            let batch: Vec<FileRecord> = stretches.by_ref().take(most).map(FileRecord::from).collect();
            if !self.read_batch(&batch, first, until, reader)? {
                break;
            }
            first += batch.len();
        }
        Ok(())
    }

    /// Reads one batch; returns whether the time sufficed.
    fn read_batch<R: Reader>(
        &mut self,
        batch: &[FileRecord],
        first: usize,
        until: Instant,
        reader: &mut R,
    ) -> io::Result<bool> {
        self.memory.write(offset_of!(Memory, files), batch);
        let was: Control = self.memory.get(offset_of!(Memory, control));
        let control = Control {
            files: u32::try_from(batch.len()).unwrap_or_default(),
            mode: if R::RUNS { READ_RUNS } else { 0 },
            budget: BUDGET,
            // What the program knows of the kernel; groups are forgotten.
            is_set_up: was.is_set_up,
            memory_controller: was.memory_controller,
            kept_flags: was.kept_flags,
            node_shift: was.node_shift,
            node_mask: was.node_mask,
            knows_mapped: was.knows_mapped,
            page_bytes: was.page_bytes,
            last_group: u32::MAX,
            ..Control::default()
        };
        self.memory.write(offset_of!(Memory, control), &[control]);
        let mut files = vec![FilePages::default(); batch.len()];
        let (mut reported, mut previous) = (0, None);
        for _ in 0..MAX_RUNS {
            self.program.run("read_pages")?;
            let now: Control = self.memory.get(offset_of!(Memory, control));
            self.take_groups();
            self.take_run(&now, &mut files, reader);
            let position = (now.file, now.index, now.has_begun, now.failed_descents);
            let is_over = now.status == DONE || previous == Some(position) || Instant::now() > until;
            let done = if now.status == DONE { batch.len() } else { now.file as usize };
            let records = offset_of!(Memory, files) + reported * size_of::<FileRecord>();
            let ended = self.memory.read::<FileRecord>(records, done.saturating_sub(reported));
            for (number, record) in (reported..).zip(ended) {
                let Some(file) = files.get_mut(number).map(std::mem::take) else { break };
                reader.file(first + number, file.ended(&record));
            }
            reported = done.max(reported);
            if is_over {
                return Ok(now.status == DONE);
            }
            previous = Some(position);
        }
        Ok(false)
    }

    /// Takes what one run left.
    fn take_run<R: Reader>(&self, now: &Control, files: &mut [FilePages], reader: &mut R) {
        for part in self.memory.read::<PartRecord>(offset_of!(Memory, parts), now.parts as usize) {
            if let Some(file) = files.get_mut(part.file as usize) {
                file.add_part(part.into());
            }
        }
        for run in self.memory.read::<RunRecord>(offset_of!(Memory, runs), now.runs as usize) {
            let RunRecord { index, pages, group, node, mapped, flags, .. } = run;
            let group = (group < MAX_GROUPS as u32).then_some(group);
            reader.run(PageRun { index, pages, group, node, mapped, flags });
        }
        let samples = (now.samples as usize).min(MAX_SAMPLES);
        for SampleRecord { folio, flags, .. } in self.memory.read(offset_of!(Memory, samples), samples) {
            reader.sample(Sample { folio, flags });
        }
    }

    /// Takes the groups that the last run met for the first time.
    fn take_groups(&mut self) {
        let now: Control = self.memory.get(offset_of!(Memory, control));
        // Their number is the only sign of new ones.
        if now.groups == 0 {
            return;
        }
        self.memory.write(offset_of!(Memory, control.groups), &[0u32]);
        let keys = self.memory.read::<u64>(offset_of!(Memory, group_keys), MAX_GROUPS);
        let new: Vec<(u32, u64)> =
            (0u32..).zip(keys).filter(|(number, key)| *key != 0 && !self.groups.contains_key(number)).collect();
        for (number, key) in new {
            let Some(record) = self.record_of(number) else { continue };
            let path = self.path_of(&record).zip(self.root.as_deref()).map(|(path, root)| seen_from(root, &path));
            self.groups.insert(number, Group { key, id: record.id, path, is_removed: record.is_removed != 0 });
        }
    }

    /// What the program left of the group with this number.
    fn record_of(&self, number: u32) -> Option<GroupRecord> {
        let at = offset_of!(Memory, groups) + number as usize * size_of::<GroupRecord>();
        self.memory.read::<GroupRecord>(at, 1).next()
    }

    /// The path of a group from the root of all groups; `None` if the program could not read all of it.
    fn path_of(&self, record: &GroupRecord) -> Option<Vec<u8>> {
        let names = offset_of!(Memory, group_names).saturating_add(record.at as usize);
        let upwards: Vec<u8> = self.memory.read::<u8>(names, record.length as usize).collect();
        (record.is_known != 0).then(|| downwards(&upwards))
    }
}

impl From<PartRecord> for Part {
    fn from(record: PartRecord) -> Part {
        let group = (record.group < MAX_GROUPS as u32).then_some(record.group);
        Part { group, node: record.node, counts: Counts(record.counters) }
    }
}

impl FilePages {
    /// The file, whose walk ended with this record.
    fn ended(self, record: &FileRecord) -> FilePages {
        FilePages {
            before: record.pages_before,
            after: record.pages_after,
            size: record.size_after,
            is_resized: record.size_before != record.size_after,
            evicted: record.evicted,
            raced: record.raced,
            is_read: record.state == FILE_READ,
            is_gone: record.state == FILE_GONE,
            ..self
        }
    }
}

impl From<Stretch> for FileRecord {
    fn from(stretch: Stretch) -> FileRecord {
        let Target { address, super_block, number, generation } = stretch.target;
        let target = TargetRecord { address, super_block, number, generation, unused: 0 };
        let (first, end) = (stretch.pages.start, stretch.pages.end);
        FileRecord { target, first, end, ..FileRecord::default() }
    }
}
