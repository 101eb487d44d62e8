//! Warm: reads in what is not cached and has data behind it, and nothing else.

use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::effect::{Effect, Left, refuse_unmeasured};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::advise;
use crate::machine::read_available_memory;
use crate::pagecache::{ByteRange, Engine, FileReport, Layout, OpenFile, PageRuns};
use crate::process::ProcRoot;
use crate::units::{Bytes, Human, Pages};

/// How much is read with one call. Memory for the bytes, which nobody looks at.
const PORTION: u64 = 1 << 20;

/// How far ahead of the reads the device is kept busy.
const AHEAD: u64 = 4 << 20;

/// What one call of readahead is asked for: kernels cut more than the device's longest request, often 128 KiB, silently.
const ONE_REQUEST: u64 = 128 << 10;

/// How often what is missing is read: the second time it is what the kernel has dropped again meanwhile.
const TRIES: u32 = 2;

/// How much memory may still be filled: asked of the machine once, and less with each file, because what one file fills the
/// next one would push out.
#[derive(Debug, Clone, Copy)]
pub struct Room(Bytes);

impl Room {
    /// What the machine, and the control groups of this process, leave now.
    ///
    /// # Errors
    /// What reading `/proc/meminfo` answers.
    pub fn read(root: &ProcRoot) -> Result<Room> {
        read_available_memory(root).map(Room)
    }

    /// As much as the caller says.
    pub fn of(left: Bytes) -> Room {
        Room(left)
    }

    /// Takes what a file needs.
    ///
    /// # Errors
    /// `Refused`: there is not as much.
    pub(super) fn take(&mut self, file: &OpenFile, needed: Bytes) -> Result<()> {
        if needed > self.0 {
            let why = format!("needs {} of memory, and {} is left", Human(needed), Human(self.0));
            return Err(Error::path(file.path(), ErrorKind::Refused, why)
                .with_advice("choose a part of it with --range, or fewer files"));
        }
        self.0 = self.0.saturating_sub(needed);
        Ok(())
    }
}

/// Reads the data of a range of a file into the page cache, as far as it is not there. Holes are left alone: reading them
/// would fill memory with zeros.
///
/// `progress` is told after each portion how many bytes it had, and how many are wanted in all; where it breaks, no more is
/// read.
///
/// # Errors
/// `Denied`, `Unsupported`: what is cached of it cannot be told. `Refused`: it does not fit the memory. Nothing was done then.
/// A failure to read is [`Effect::trouble`].
pub fn warm(
    engine: &Engine,
    room: &mut Room,
    file: &OpenFile,
    range: ByteRange,
    mut progress: impl FnMut(Bytes, Bytes) -> ControlFlow<()>,
) -> Result<Effect> {
    let before = engine.map_range(file, range);
    refuse_unmeasured(&before)?;
    let cached = map_of(&before);
    let data = Layout::data(file, before.asked);
    let wanted = data.subtract(&cached);
    let holes = PageRuns::from(before.asked).subtract(&data).subtract(&cached).cached();
    let needed = wanted.cached().bytes(before.page_size);
    room.take(file, needed)?;
    let (mut trouble, mut end) = (None, End::Done);
    let mut missing = wanted.clone();
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
        after = engine.map_range(file, range);
        missing = wanted.subtract(&map_of(&after));
    }
    let left = left_out(&missing, end);
    Ok(Effect { before, after, holes, held: Pages(0), left, trouble })
}

/// The pages that a report found cached.
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

/// The pages that are still not cached, and why as far as is known.
pub(super) fn left_out(missing: &PageRuns, end: End) -> Left {
    let pages = missing.cached();
    let why = match (pages, end) {
        (Pages(0), _) => String::new(),
        (_, End::Failed) => format!("{} could not be read", pages.0),
        (_, End::Stopped) => format!("{} were not read: it was ended before", pages.0),
        (_, End::Done) => format!("{} were read and are not cached any more, for an unknown reason", pages.0),
    };
    Left { pages, unknown: if end == End::Done { pages } else { Pages(0) }, why, ..Left::default() }
}

/// Reads all these pages, run by run.
///
/// Requests for readahead are only hints, whose end nobody is told; so each portion is read besides, which waits for it. The
/// descriptor is set to random reads first, else the kernel would add pages beyond each run.
fn read_in(
    file: &OpenFile,
    report: &FileReport,
    pages: &PageRuns,
    mut progress: impl FnMut(Bytes) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let about = |error: &std::io::Error| Error::io(Subject::Path(file.path().to_owned()), error);
    let reader = File::from(file.as_fd().try_clone_to_owned().map_err(|error| about(&error))?);
    // Where the advice is not taken more is read than was asked for, and nothing worse.
    let _ = advise::expect_random(reader.as_fd());
    let mut buffer = vec![0; PORTION as usize];
    for run in pages {
        let (start, end) = (run.offset(report.page_size).0, Pages(run.end()).bytes(report.page_size).0);
        // The kernel reads nothing that reaches past 8 EiB, not even where the file ends before.
        let part = start..end.min(report.size.0);
        if read_part(&reader, part, &mut buffer, &mut progress).map_err(|error| about(&error))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn read_part(
    reader: &File,
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
            // The end of the file: its last page is in part, or it was cut meanwhile.
            Ok(0) => break,
            Ok(count) if progress(Bytes(count as u64)).is_break() => return Ok(ControlFlow::Break(())),
            Ok(count) => next = next.saturating_add(count as u64),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Starts reading `from .. to`, request by request; says how far it came. A hint that fails is not missed: the reads follow.
fn request(reader: &File, from: u64, to: u64) -> u64 {
    let mut next = from;
    while next < to {
        let length = (to - next).min(ONE_REQUEST);
        if advise::read_ahead(reader.as_fd(), next, length as usize).is_err() {
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
    fn what_one_file_fills_is_not_there_for_the_next_one() {
        let file = OpenFile::open(std::path::Path::new("/proc/self/exe")).unwrap();
        let mut room = Room(Bytes(8192));
        assert!(room.take(&file, Bytes(4096)).is_ok());
        let error = room.take(&file, Bytes(4097)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.why(), "needs 4K of memory, and 4K is left");
        assert!(room.take(&file, Bytes(4096)).is_ok());
    }

    #[test]
    fn the_last_page_of_the_largest_file_is_read_up_to_its_end() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        let (size, page) = ((1 << 63) - 1, crate::kernel::page_size().bytes());
        if file.set_len(size).is_err() {
            eprintln!("SKIPPED: there is no file of 8 EiB - 1 here");
            return;
        }
        let mut read = 0;
        let mut count = |bytes: Bytes| {
            read += bytes.0;
            ControlFlow::Continue(())
        };
        let flow = read_part(&file, size + 1 - page..size, &mut vec![0; PORTION as usize], &mut count);
        assert_eq!((flow.unwrap(), read), (ControlFlow::Continue(()), page - 1));
    }
}
