//! Warm: reads the data of a file that is not cached, and nothing else.

use std::ops::{ControlFlow, Range};

use super::effect::{Effect, Left, refuse_unmeasured, refuse_unopened};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::advise;
use crate::kernel::handle::Handle;
use crate::machine::read_available_memory;
use crate::pagecache::{Engine, FileReport, OpenFile, Stretches};
use crate::process::ProcRoot;
use crate::units::{Absent, ByteRange, Bytes, Human, PageRuns, Pages, Reason, counted};

/// How much is read per call, into a buffer that is not used otherwise.
const PORTION: u64 = 1 << 20;

/// How far read-ahead is requested ahead of the reads.
const AHEAD: u64 = 4 << 20;

/// How much is requested per `readahead` call. The kernel silently limits a call to the longest request of the device,
/// often 128 KiB.
const ONE_REQUEST: u64 = 128 << 10;

/// How often missing pages are read. The second time they are those that the kernel has dropped again meanwhile.
const TRIES: u32 = 2;

/// How much memory may still be filled. It is read once and gets smaller with each file, because later files must not
/// push out earlier ones.
#[derive(Debug, Clone, Copy)]
pub struct Room(Bytes);

impl Room {
    /// Reads what is available on the machine and in the control groups of this process.
    ///
    /// # Errors
    /// If `/proc/meminfo` cannot be read.
    pub fn read(root: &ProcRoot) -> Result<Room> {
        read_available_memory(root).map(Room)
    }

    /// Uses the amount that the caller gives.
    pub fn of(left: Bytes) -> Room {
        Room(left)
    }

    /// Reserves room for a file: `needed` must be free now, and `kept` stays taken when other files follow.
    ///
    /// # Errors
    /// `Refused`: there is not enough left.
    pub(super) fn take(&mut self, file: &OpenFile, needed: Bytes, kept: Bytes) -> Result<()> {
        if needed > self.0 {
            let why = format!("needs {} of memory, and {} is left", Human(needed), Human(self.0));
            return Err(Error::path(file.path(), ErrorKind::Refused, why)
                .with_advice("choose a part of it with --range, or fewer files"));
        }
        self.0 = self.0.saturating_sub(kept);
        Ok(())
    }
}

/// Reads the data of a range of a file that is not cached yet into the page cache. Holes are not read, because that
/// would fill memory with zeros.
///
/// What is left ([`Effect::left`]) is every page of data in the range that is not cached at the end, also if it was
/// cached before and reading the others pushed it out.
///
/// `progress` is called after each portion with its size and the total size; if it breaks, nothing more is read.
///
/// # Errors
/// `Unsupported`: the cached pages are not known. Nothing was done then. [`Effect::trouble`] reports a failure to read,
/// that it does not fit into memory, so that nothing was read, and that the kernel does not report the cached pages to
/// this user, although the file was read.
pub fn warm(
    engine: &Engine,
    room: &mut Room,
    file: &OpenFile,
    range: ByteRange,
    mut progress: impl FnMut(Bytes, Bytes) -> ControlFlow<()>,
) -> Result<Effect> {
    let task = Task::plan(engine, room, file, range)?;
    if let Some(absent) = task.unseen {
        return Ok(task.read_unseen(file, absent, progress));
    }
    if let Some(refused) = task.refused {
        return Ok(Effect::refused(task.before, &task.missing, task.holes, refused));
    }
    let Task { before, data, mut missing, holes, needed, .. } = task;
    let (mut trouble, mut end) = (None, End::Done);
    let mut after = before.clone();
    for _ in 0..TRIES {
        if missing.is_empty() || end != End::Done {
            break;
        }
        match read_in(file, &before, &missing, |bytes| progress(bytes, needed)) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => end = End::Stopped,
            Err(error) => (trouble, end) = (Some(error), End::Failed),
        }
        after = engine.exact().map_range(file, range);
        missing = data.subtract(&map_of(&after));
    }
    let left = left_out(&missing, end);
    Ok(Effect { before, after, holes, held: Pages(0), planned: None, left, trouble })
}

/// What [`warm`] would read. Nothing is read.
///
/// # Errors
/// As [`warm`].
pub fn plan_warm(engine: &Engine, room: &mut Room, file: &OpenFile, range: ByteRange) -> Result<Effect> {
    let Task { before, missing, holes, unseen, refused, .. } = Task::plan(engine, room, file, range)?;
    if let Some(refused) = refused {
        let planned = Some(Pages(0));
        return Ok(Effect { planned, ..Effect::refused(before, &missing, holes, refused) });
    }
    let trouble = unseen.map(|absent| absent_before(file, absent, "all of its data would be read"));
    let (after, planned) = (before.clone(), Some(missing.cached()));
    Ok(Effect { before, after, holes, held: Pages(0), planned, left: Left::default(), trouble })
}

/// What has to be read of a file.
struct Task {
    before: FileReport,
    data: PageRuns,
    /// The data that has to be read.
    missing: PageRuns,
    holes: Pages,
    /// How much that is.
    needed: Bytes,
    /// Why it is not known what is cached; then all data has to be read.
    unseen: Option<Absent>,
    /// That it does not fit into memory, if it is known what is cached.
    refused: Option<Error>,
}

impl Task {
    fn plan(engine: &Engine, room: &mut Room, file: &OpenFile, range: ByteRange) -> Result<Task> {
        if file.is_block_device() {
            let why = "the kernel drops the pages of a block device as soon as nobody has it open";
            return Err(Error::path(file.path(), ErrorKind::Refused, why)
                .with_advice("warm the files on it, or use `rmap lock`, which keeps it open"));
        }
        refuse_unopened(file)?;
        let before = engine.exact().map_range(file, range);
        let unseen = match &before.residency {
            Err(absent) if absent.reason == Reason::Denied => Some(*absent),
            _ => refuse_unmeasured(&before).map(|()| None)?,
        };
        let cached = map_of(&before);
        let data = Stretches::data(file, before.asked);
        let missing = data.subtract(&cached);
        let holes = PageRuns::from(before.asked).subtract(&data).subtract(&cached).cached();
        let needed = missing.cached().bytes(before.page_size);
        let refused = room.take(file, needed, data.cached().bytes(before.page_size)).err();
        match refused {
            Some(error) if unseen.is_some() => Err(error),
            refused => Ok(Task { before, data, missing, holes, needed, unseen, refused }),
        }
    }

    /// Reads all data, although the kernel does not report to this user what of it is cached.
    fn read_unseen(
        self,
        file: &OpenFile,
        absent: Absent,
        mut progress: impl FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Effect {
        let trouble = match read_in(file, &self.before, &self.missing, |bytes| progress(bytes, self.needed)) {
            Ok(ControlFlow::Continue(())) => absent_before(file, absent, "the data was read"),
            Ok(ControlFlow::Break(())) => absent_before(file, absent, "the data was read in part"),
            Err(error) => error,
        };
        let (after, left, trouble) = (self.before.clone(), Left::default(), Some(trouble));
        Effect { before: self.before, after, holes: self.holes, held: Pages(0), planned: None, left, trouble }
    }
}

/// The error for a file of which the kernel does not report to this user what is cached.
fn absent_before(file: &OpenFile, absent: Absent, done: &'static str) -> Error {
    Error::absent(Subject::Path(file.path().to_owned()), absent).with_advice(done)
}

impl Effect {
    /// Nothing was read, for this reason: all that is missing is left.
    pub(super) fn refused(before: FileReport, missing: &PageRuns, holes: Pages, why: Error) -> Effect {
        let pages = missing.cached();
        let were = counted(pages.0, "page was", "pages were");
        let left = Left { pages, why: format!("{were} not read: it {}", why.why()), ..Left::default() };
        Effect { after: before.clone(), before, holes, held: Pages(0), planned: None, left, trouble: Some(why) }
    }
}

/// The cached pages according to a report.
pub(super) fn map_of(report: &FileReport) -> PageRuns {
    report.runs.clone().and_then(std::result::Result::ok).unwrap_or_default()
}

/// How the work on a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Failed,
    Stopped,
}

/// The pages that are still not cached, and why.
pub(super) fn left_out(missing: &PageRuns, end: End) -> Left {
    let pages = missing.cached();
    let were = counted(pages.0, "page was", "pages were");
    let why = match (pages, end) {
        (Pages(0), _) => String::new(),
        (_, End::Failed) => format!("{were} not read: reading failed"),
        (_, End::Stopped) => format!("{were} not read: interrupted"),
        (_, End::Done) => format!("{were} dropped again by the kernel"),
    };
    Left { pages, unknown: if end == End::Done { pages } else { Pages(0) }, why, ..Left::default() }
}

/// Reads all these pages, run by run.
///
/// `readahead` is only a hint and does not report completion, so each portion is also read, which waits for it.
/// Read-ahead by the kernel is disabled first, because it would add pages beyond each run.
pub(super) fn read_in(
    file: &OpenFile,
    report: &FileReport,
    pages: &PageRuns,
    mut progress: impl FnMut(Bytes) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let about = |error: &std::io::Error| Error::io(Subject::Path(file.path().to_owned()), error);
    let reader = file.handle();
    // If this fails, more is read than requested, which does no harm.
    let _ = advise::expect_random(reader);
    let mut buffer = vec![0; PORTION as usize];
    for run in pages {
        let (start, end) = (run.offset(report.page_size).0, Pages(run.end()).bytes(report.page_size).0);
        // Whole pages: a read that ends within a page may leave the rest of it out. The kernel rejects reads that
        // extend past 8 EiB, even if the file ends before.
        let part = start..if end > i64::MAX as u64 { report.size.0 } else { end };
        if read_part(reader, part, &mut buffer, &mut progress).map_err(|error| about(&error))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn read_part(
    reader: &Handle,
    part: Range<u64>,
    buffer: &mut [u8],
    progress: &mut impl FnMut(Bytes) -> ControlFlow<()>,
) -> std::io::Result<ControlFlow<()>> {
    let Range { start: mut next, end } = part;
    let mut requested = next;
    while next < end {
        requested = request(reader, requested.max(next), end.min(next.saturating_add(AHEAD)));
        let wanted = usize::try_from((end - next).min(PORTION)).unwrap_or(buffer.len());
        let portion = buffer.get_mut(..wanted).unwrap_or_default();
        match reader.read_at(portion, next) {
            // The end of the file: its last page is partly used, or the file was truncated.
            Ok(0) => break,
            Ok(count) if progress(Bytes(count as u64)).is_break() => return Ok(ControlFlow::Break(())),
            Ok(count) => next = next.saturating_add(count as u64),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Starts reading `from .. to`, request by request. Returns how far it got. A failed request does not matter, because
/// the reads follow.
fn request(reader: &Handle, from: u64, to: u64) -> u64 {
    let mut next = from;
    while next < to {
        let length = (to - next).min(ONE_REQUEST);
        if advise::read_ahead(reader, next, length as usize).is_err() {
            return to;
        }
        next += length;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_file_fills_is_not_available_for_the_next_one() {
        let file = OpenFile::open(std::path::Path::new("/proc/self/exe")).unwrap();
        let mut room = Room(Bytes(8192));
        assert!(room.take(&file, Bytes(4096), Bytes(4096)).is_ok());
        let error = room.take(&file, Bytes(4097), Bytes(4097)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.why(), "needs 4K of memory, and 4K is left");
        assert!(room.take(&file, Bytes(4096), Bytes(4096)).is_ok());
    }

    #[test]
    fn the_last_page_of_the_largest_file_is_read_up_to_its_end() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        let (size, page) = ((1 << 63) - 1, crate::kernel::page_size().bytes());
        if file.set_len(size).is_err() {
            eprintln!("SKIPPED: this file system does not support files of 8 EiB - 1");
            return;
        }
        let mut read = 0;
        let mut count = |bytes: Bytes| {
            read += bytes.0;
            ControlFlow::Continue(())
        };
        let flow = read_part(&file.into(), size + 1 - page..size, &mut vec![0; PORTION as usize], &mut count);
        assert_eq!((flow.unwrap(), read), (ControlFlow::Continue(()), page - 1));
    }
}
