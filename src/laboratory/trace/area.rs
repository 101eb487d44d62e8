//! What a process has mapped at one moment, as far as a trace follows it.

use std::ops::Range;

use crate::error::Result;
use crate::machine::read_huge_page_size;
use crate::process::{Device, Fields, FileMapping, Mapping, MappingKind, ProcRoot, Process, Program, Wanted};
use crate::units::{Absent, ByteRange, Bytes, Figure, Reason};

/// One mapping at one moment.
#[derive(Debug, Clone)]
pub struct Area {
    /// Its addresses.
    pub addresses: Range<u64>,
    /// Its permissions, as smaps prints them.
    pub perm: String,
    /// Where in the file it begins.
    pub offset: u64,
    /// The device of the file.
    pub device: Device,
    /// The inode of the file; 0 also if there is none.
    pub inode: u64,
    /// Its name, as smaps prints it.
    pub path: Vec<u8>,
    /// The name that it had when it was first seen: a file may be renamed or removed while it is mapped.
    pub(super) first_path: Vec<u8>,
    /// Whether `execve` itself mapped it, as far as that is known.
    pub(super) is_of_execve: bool,
    /// What it is.
    pub kind: MappingKind,
    /// `Rss`
    pub rss: Figure<Bytes>,
    /// `Pss`
    pub pss: Figure<Bytes>,
    /// `Anonymous`
    pub anonymous: Figure<Bytes>,
    /// `Private_Hugetlb` and `Shared_Hugetlb`: huge pages of hugetlbfs, which `Rss` does not count.
    pub hugetlb: Figure<Bytes>,
}

impl Area {
    /// Its length.
    pub fn size(&self) -> Bytes {
        Bytes(self.addresses.end.saturating_sub(self.addresses.start))
    }

    /// How much of it is in RAM and mapped, with what `Rss` does not count, as far as that is known.
    pub(super) fn in_ram(&self) -> Figure<Bytes> {
        Ok(self.rss? + self.hugetlb.unwrap_or_default())
    }

    /// Whether there is a file behind it.
    pub fn has_file(&self) -> bool {
        self.device.has_file(self.inode)
    }

    /// Whether it may be read, written or executed.
    pub(super) fn has_access(&self) -> bool {
        !self.perm.starts_with("---")
    }

    /// Whether it is a file whose pages are shared with all others that use it.
    pub(super) fn is_shared_file(&self) -> bool {
        self.has_file() && self.perm.ends_with('s')
    }

    /// This mapping, as the continuation of an earlier one.
    pub(super) fn continuing(&self, earlier: &Area) -> Area {
        Area { first_path: earlier.first_path.clone(), is_of_execve: earlier.is_of_execve, ..self.clone() }
    }

    /// It as a mapping of its file.
    pub(super) fn of_file(&self) -> FileMapping {
        FileMapping {
            addresses: self.addresses.clone(),
            offset: self.offset,
            is_shared: self.perm.ends_with('s'),
            is_writable: self.perm.as_bytes().get(1) == Some(&b'w'),
            device: self.device,
            inode: self.inode,
            path: self.path.clone(),
        }
    }

    /// Whether `later`, which overlaps it, has the same memory behind it.
    pub(super) fn is_same_memory(&self, later: &Area) -> bool {
        match self.has_file() || later.has_file() {
            true => {
                let place = |area: &Area| area.offset.wrapping_sub(area.addresses.start);
                (self.device, self.inode, place(self)) == (later.device, later.inode, place(later))
            }
            false => (self.path.is_empty(), self.kind) == (later.path.is_empty(), later.kind),
        }
    }
}

/// The parts of a file that adjacent mappings of it have, in the order of their addresses.
pub(super) fn mapped_parts(areas: &[&Area]) -> Vec<ByteRange> {
    let mut parts: Vec<ByteRange> = Vec::new();
    for area in areas {
        let part = ByteRange { offset: area.offset, length: area.size().0 };
        match parts.last_mut().filter(|last| last.offset.checked_add(last.length) == Some(part.offset)) {
            Some(last) => last.length = last.length.saturating_add(part.length),
            None => parts.push(part),
        }
    }
    parts
}

/// What is always read: the page tables report it in a fraction of the time of smaps. For 1 GiB in pages of 4 KiB smaps
/// takes 16 to 32 ms.
const USUAL: [&str; 2] = ["Rss", "Swap"];

/// What only smaps reports.
const SHARES: [&str; 2] = ["Pss", "Anonymous"];

/// What only smaps reports too, and is read if there may be such pages.
const HUGETLB: [&str; 2] = ["Private_Hugetlb", "Shared_Hugetlb"];

/// Reads the mappings of a process.
#[derive(Debug)]
pub(super) struct Reader {
    fields: Fields,
    shares: bool,
    /// The size of huge pages, if there is such a thing.
    huge_page: Option<Bytes>,
    /// Whether huge pages are read too.
    has_huge: bool,
    /// How often in a row the process changed its mappings while they were read.
    changed: u32,
    /// The program whose mappings were read last, as far as that can be known.
    program: Option<Program>,
}

impl Reader {
    /// With `shares` it also reads `Pss` and `Anonymous`.
    pub(super) fn new(shares: bool) -> Reader {
        let huge_page = read_huge_page_size(&ProcRoot::live()).ok();
        Reader { fields: Fields::new(), shares, huge_page, has_huge: false, changed: 0, program: None }
    }

    /// What is read of each mapping.
    fn wanted(&self) -> Wanted {
        let usual = USUAL.iter().chain(SHARES.iter().filter(|_| self.shares));
        Wanted::Only(usual.chain(HUGETLB.iter().filter(|_| self.has_huge)).map(|name| (*name).to_owned()).collect())
    }

    /// Whether a mapping may have huge pages of hugetlbfs: it and they begin and end at multiples of their size. Only a
    /// file system without a device has them.
    fn may_have_huge(&self, area: &Area) -> bool {
        let is_multiple = |number: u64| self.huge_page.is_some_and(|page| number.is_multiple_of(page.0.max(1)));
        let is_aligned = is_multiple(area.addresses.start) && is_multiple(area.addresses.end);
        area.kind == MappingKind::HugePages || area.has_file() && area.device.major == 0 && is_aligned
    }

    /// The mappings, and how often the process changed them while they were read. If any of them may have huge pages,
    /// those are read too.
    fn read_areas(&mut self, process: &Process) -> Result<(Vec<Area>, usize)> {
        loop {
            let wanted = self.wanted();
            let read = process.read_mappings(&mut self.fields, &wanted)?;
            let mut areas: Vec<Area> = read.mappings.iter().filter_map(|mapping| area(&mapping)).collect();
            let has_huge = areas.iter().any(|area| self.may_have_huge(area));
            if !std::mem::replace(&mut self.has_huge, has_huge) && has_huge {
                continue;
            }
            for area in areas.iter_mut().filter(|area| !self.may_have_huge(area)) {
                area.hugetlb = Ok(Bytes(0));
            }
            return Ok((areas, read.mappings.changed()));
        }
    }

    /// The mappings, in the order of their addresses, without those that have no memory of their own: address space
    /// without access, and what the kernel maps into every process. `None` if some of them were missed, because the
    /// process changed them too often, or began to run another program meanwhile.
    ///
    /// # Errors
    /// As [`Process::read_mappings`].
    pub(super) fn read(&mut self, process: &Process) -> Result<Option<Seen>> {
        let is_new_program = self.program.as_ref().is_some_and(Program::has_ended);
        let opened = (is_new_program || self.program.is_none()).then(|| process.open_program()).flatten();
        let (mut areas, changed) = self.read_areas(process)?;
        self.changed = if changed > 0 { self.changed + 1 } else { 0 };
        // A process that never holds still is better seen in part than not at all.
        let is_missed = self.changed > 0 && self.changed < MOST_MISSED;
        // If another one cannot be opened just now, that it began is told once it can.
        let program = opened.as_ref().or(self.program.as_ref());
        if is_missed || program.is_some_and(Program::has_ended) {
            return Ok(None);
        }
        mark_loaded(&mut areas, &process.read_loaded());
        self.program = opened.or(self.program.take());
        Ok(Some(Seen { areas, is_new_program }))
    }
}

/// What was seen at one moment.
pub(super) struct Seen {
    pub(super) areas: Vec<Area>,
    /// Whether the process runs another program than when it was last looked at.
    pub(super) is_new_program: bool,
}

/// Marks the stack, the mappings of the files that have one of these addresses, and the memory directly behind them: it
/// is the rest of their data, which is all zero and so not in the file.
fn mark_loaded(areas: &mut [Area], loaded: &[u64]) {
    let has_one = |area: &&Area| area.has_file() && loaded.iter().any(|address| area.addresses.contains(address));
    let files: Vec<(Device, u64)> = areas.iter().filter(has_one).map(|area| (area.device, area.inode)).collect();
    let mut end = None;
    for area in areas {
        let is_of_file = files.contains(&(area.device, area.inode));
        let is_rest = area.kind == MappingKind::Anonymous && end == Some(area.addresses.start);
        area.is_of_execve = area.path == b"[stack]" || is_of_file || is_rest;
        end = is_of_file.then_some(area.addresses.end);
    }
}

/// How many readings in a row may be in vain.
const MOST_MISSED: u32 = 5;

fn area(mapping: &Mapping<'_>) -> Option<Area> {
    let kind = MappingKind::of(mapping, None);
    if matches!(kind, MappingKind::Guard | MappingKind::Reserved | MappingKind::Vdso) {
        return None;
    }
    Some(Area {
        addresses: mapping.start()..mapping.end(),
        perm: mapping.perm().to_owned(),
        offset: mapping.offset(),
        device: mapping.device(),
        inode: mapping.inode(),
        path: mapping.path().to_vec(),
        first_path: mapping.path().to_vec(),
        is_of_execve: false,
        kind,
        rss: mapping.figure("Rss"),
        pss: mapping.figure("Pss"),
        anonymous: mapping.figure("Anonymous"),
        hugetlb: mapping.figure(HUGETLB[0]).and_then(|own| Ok(own + mapping.figure(HUGETLB[1])?)),
    })
}

const NOTHING: Absent = Absent::new(Reason::NotApplicable, "there is no mapping");

/// The sum of a figure over several mappings; absent if it is absent in one.
pub(super) fn sum<'a>(areas: impl Iterator<Item = &'a Area>, take: fn(&Area) -> Figure<Bytes>) -> Figure<Bytes> {
    areas.map(take).reduce(|one, other| Bytes::sum_of([one, other])).unwrap_or(Err(NOTHING))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_new_program_that_cannot_be_opened_at_first_is_told_once_it_can() {
        let mut reader = Reader::new(false);
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        while reader.read(&process).unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        // What it runs next, as if there were no descriptor left for its memory.
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("7");
        fs::create_dir(&own).unwrap();
        fs::copy("/proc/self/smaps", own.join("smaps")).unwrap();
        let process = Process::open_in(&ProcRoot::at(folder.path().to_owned()), 7).unwrap();
        assert!(reader.read(&process).unwrap().is_none());
        // It has memory, and so it has not ended.
        fs::write(own.join("mem"), "m").unwrap();
        let mut is_new = || reader.read(&process).unwrap().map(|seen| seen.is_new_program);
        assert_eq!([is_new(), is_new()], [Some(true), Some(false)]);
    }
}
