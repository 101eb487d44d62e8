//! Evict: writes back dirty pages, then drops the pages that are not in use.

use std::ops::ControlFlow;
use std::time::Duration;

use nix::errno::Errno;

use super::effect::{Effect, Left, refuse_unmeasured, refuse_unopened};
use super::holders::{self, Holders};
use super::only_copy::{self, Search};
use super::warm::map_of;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::who::MapperSearch;
use crate::kernel::advise;
use crate::kernel::privilege::run_as_root;
use crate::pagecache::{Engine, FileReport, FileSystemKind, OpenFile};
use crate::units::{ByteRange, Bytes, Human, PageRuns, PageSize, Pages, Run, counted};

/// How often dropping is tried.
const TRIES: u32 = 2;

/// How often it is tried again, after a pause, if a few pages are left for an unknown reason. The kernel may have taken
/// them off its list for a moment, to reclaim them or to look at them.
const LATE_TRIES: u32 = 2;
const FEW: Pages = Pages(64);
const PAUSE: Duration = Duration::from_millis(10);

/// The dirty pages are counted run by run if there are at most this many runs.
const RUNS_COUNTED: usize = 4096;

/// How much is written back per call. A call cannot be interrupted.
const PORTION: u64 = 32 << 20;

/// How one try ended.
enum Outcome {
    /// Everything was written back, and what is not in use was dropped.
    Dropped,
    /// The caller stopped it.
    Stopped,
    /// Writing back failed, so nothing was dropped. The error number is unknown if it failed earlier and the
    /// kernel has reported that to another process.
    Unwritten(Option<Errno>),
    /// Dropping failed.
    Failed(Errno),
}

/// Drops the cached pages of a range of a file. Dirty pages are written to disk first.
///
/// `go_on` is called before each portion; if it breaks, nothing more is written back or dropped. Every page that
/// contains a part of the range is dropped. On tmpfs nothing is done, because there the page cache is the file.
///
/// If writing back fails, the kernel marks the pages as clean although the disk does not have their data. So after any
/// error, even one of pages outside the range or of an earlier write-back that no process has been told about, no page
/// is dropped. The kernel reports each error only once, for example to a process whose `fsync` fails. So no page is
/// dropped either if one in the range holds data where the file system has nothing written on the disk.
///
/// An earlier failure is not noticed if the data was to replace blocks in place, or if the file system does not report
/// which blocks are written (`FIEMAP`) or may never answer.
///
/// # Errors
/// `Denied`, `Unsupported`: the cached pages are not known, and nothing was done. A failure to write back is reported
/// in [`Effect::trouble`].
pub fn evict(
    engine: &Engine,
    search: &mut MapperSearch<'_>,
    file: &OpenFile,
    range: ByteRange,
    mut go_on: impl FnMut() -> ControlFlow<()>,
) -> Result<Effect> {
    refuse_unopened(file)?;
    let before = engine.measure_range(file, range);
    refuse_unmeasured(&before)?;
    let mut last = before.clone();
    let mut outcome = Outcome::Dropped;
    for again in (0..TRIES).map(|attempt| attempt > 0) {
        let has_none = last.cached() == Ok(Pages(0)) && last.not_up_to_date().unwrap_or_default() == Pages(0);
        if has_none || file.file_system().kind == FileSystemKind::Memory {
            break;
        }
        outcome = drop_once(engine, file, &last, range, again && !is_clean(&before), &mut go_on);
        last = engine.measure_range(file, range);
        if matches!(outcome, Outcome::Stopped | Outcome::Unwritten(_)) {
            break;
        }
    }
    let mut after = if last.cached() == Ok(Pages(0)) { last } else { engine.map_range(file, range) };
    let (mut left, mut may_go) = match outcome {
        Outcome::Dropped | Outcome::Failed(_) => explain(engine, search, file, &after),
        Outcome::Stopped | Outcome::Unwritten(_) => (Left::default(), false),
    };
    for _ in 0..LATE_TRIES {
        if !may_go || !matches!(outcome, Outcome::Dropped) {
            break;
        }
        std::thread::sleep(PAUSE);
        outcome = drop_once(engine, file, &after, range, false, &mut go_on);
        let now = engine.map_range(file, range);
        if now.cached() != after.cached() {
            (left, may_go) = explain(engine, search, file, &now);
            after = now;
        }
    }
    let (left, trouble) = match outcome {
        Outcome::Dropped => (left, None),
        Outcome::Failed(errno) => (left, Some(Error::errno(Subject::Path(file.path().to_owned()), errno))),
        Outcome::Stopped => (left_alone(&after, "not dropped: interrupted"), None),
        Outcome::Unwritten(errno) => {
            let left =
                left_alone(&after, "not dropped: writing back failed, and they may be the only copy of the data");
            let trouble = not_written(file, errno, is_all_left(&before, &after));
            (Left { unwritten: left.pages, ..left }, Some(trouble))
        }
    };
    Ok(Effect { before, after, holes: Pages(0), held: Pages(0), planned: None, left, trouble })
}

/// What [`evict`] would write back and drop, and which pages a process would keep. Nothing is done. It does not know of
/// pages that the kernel cannot drop for other reasons, nor of those that hold the only copy of the data, which is only
/// proven after writing back.
///
/// # Errors
/// `Denied`, `Unsupported`: the cached pages are not known.
pub fn plan_evict(engine: &Engine, search: &mut MapperSearch<'_>, file: &OpenFile, range: ByteRange) -> Result<Effect> {
    refuse_unopened(file)?;
    let before = engine.map_range(file, range);
    refuse_unmeasured(&before)?;
    let left = Kept::find(search, file, &before).map(|kept| kept.forecast(before.page_size)).unwrap_or_default();
    let planned = Some(before.cached().unwrap_or_default().saturating_sub(left.pages));
    let after = before.clone();
    Ok(Effect { before, after, holes: Pages(0), held: Pages(0), planned, left, trouble: None })
}

fn is_clean(report: &FileReport) -> bool {
    report.dirty() == Ok(Pages(0)) && report.writeback() == Ok(Pages(0))
}

/// Whether no page was dropped, as far as the counts tell.
fn is_all_left(before: &FileReport, after: &FileReport) -> bool {
    after.cached().unwrap_or_default() >= before.cached().unwrap_or_default()
}

fn not_written(file: &OpenFile, errno: Option<Errno>, is_all_left: bool) -> Error {
    let dropped = if is_all_left { "nothing was dropped" } else { "other pages are no longer cached" };
    let Some(errno) = errno else {
        let why = "could not be written back earlier: cached pages hold data that the disk does not have";
        return Error::path(file.path(), ErrorKind::System, why)
            .with_advice(format!("{dropped}; copy the file while its data is cached"));
    };
    let error = Error::errno(Subject::Path(file.path().to_owned()), errno);
    let advice = "copy the file before you evict it again: the kernel reports this only once";
    Error::path(file.path(), error.kind(), format!("could not be written back: {}", error.why()))
        .with_advice(format!("{dropped}; {advice}"))
}

/// Writes back and drops once. With `whole` the whole file is written back at once, which also waits until the file
/// system has finished with the pages: on btrfs they cannot be dropped before.
fn drop_once(
    engine: &Engine,
    file: &OpenFile,
    report: &FileReport,
    range: ByteRange,
    whole: bool,
    go_on: &mut impl FnMut() -> ControlFlow<()>,
) -> Outcome {
    if go_on().is_break() {
        return Outcome::Stopped;
    }
    let (offset, length) = bytes_of(report);
    let written = match file.file_system().kind {
        // This writes nothing, but reports an earlier failure.
        FileSystemKind::Ordinary if !whole && is_clean(report) => {
            advise::write_back(file.handle(), offset, length).map(ControlFlow::Continue)
        }
        FileSystemKind::Ordinary if !whole => write_back(file, &map_of(&engine.map_range(file, range)), report, go_on),
        // The pages of a stacked file system belong to the file below, which can only be written back as a whole.
        _ => write_back_all(file).map(ControlFlow::Continue),
    };
    let written = match written {
        Ok(ControlFlow::Continue(())) if !whole && is_quick_to_write(engine, file, report) => {
            write_back_all(file).map(ControlFlow::Continue)
        }
        written => written,
    };
    match written {
        Ok(ControlFlow::Continue(())) => {}
        Ok(ControlFlow::Break(())) => return Outcome::Stopped,
        Err(errno) => return Outcome::Unwritten(Some(errno)),
    }
    match only_copy::search(engine, file, report, go_on) {
        Search::None => {}
        Search::Found => return Outcome::Unwritten(None),
        Search::Stopped => return Outcome::Stopped,
        Search::Failed(errno) => return Outcome::Unwritten(Some(errno)),
    }
    match advise::drop_clean(file.handle(), offset, length) {
        Ok(()) => Outcome::Dropped,
        Err(errno) => Outcome::Failed(errno),
    }
}

/// Writes back the whole file. A file that cannot be written has no dirty pages.
fn write_back_all(file: &OpenFile) -> std::result::Result<(), Errno> {
    match advise::write_back_all(file.handle()) {
        Err(Errno::EINVAL | Errno::EROFS) => Ok(()),
        written => written,
    }
}

/// Whether no pages outside the range have to be written if the whole file is written back. That reports an earlier
/// failure once more: a call for a range and one for the whole file each have a mark of their own in the kernel, and
/// another process may have been told of one of them.
fn is_quick_to_write(engine: &Engine, file: &OpenFile, report: &FileReport) -> bool {
    let is_ordinary = file.file_system().kind == FileSystemKind::Ordinary;
    is_ordinary && (bytes_of(report) == (0, 0) || is_clean(&engine.measure(file)))
}

/// Writes back these pages, portion by portion. Each portion begins with a cached page.
fn write_back(
    file: &OpenFile,
    cached: &PageRuns,
    report: &FileReport,
    go_on: &mut impl FnMut() -> ControlFlow<()>,
) -> std::result::Result<ControlFlow<()>, Errno> {
    let mut written = 0;
    for run in cached {
        let end = Pages(run.end()).bytes(report.page_size).0.min(report.size.0);
        written = run.offset(report.page_size).0.max(written);
        while written < end {
            if go_on().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let length = PORTION.min(report.size.0.saturating_sub(written));
            advise::write_back(file.handle(), written, length)?;
            written = written.saturating_add(length);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// What is left if nothing was tried any more, for the reason `why`.
fn left_alone(after: &FileReport, why: &str) -> Left {
    let pages = after.cached().unwrap_or_default();
    let why = match pages {
        Pages(0) => String::new(),
        Pages(count) => format!("{} {why}", counted(count, "page was", "pages were")),
    };
    Left { pages, why, ..Left::default() }
}

/// The requested pages as a range of bytes; a length of 0 means up to the end of the file.
fn bytes_of(report: &FileReport) -> (u64, u64) {
    let offset = report.asked.offset(report.page_size).0;
    let end = Pages(report.asked.end()).bytes(report.page_size).0;
    let length = if end >= report.size.0 { 0 } else { end.saturating_sub(offset) };
    (offset, length)
}

/// The cached pages of a file, by what keeps them.
struct Kept {
    /// All of them.
    all: PageRuns,
    /// Those that no process has mapped.
    free: PageRuns,
    /// The processes that lock or map the others.
    found: Holders,
    /// What is proven page by page, in numbers.
    left: Left,
}

impl Kept {
    /// `None` if no pages are cached, or if it is not known which.
    fn find(search: &mut MapperSearch<'_>, file: &OpenFile, report: &FileReport) -> Option<Kept> {
        let all = report.runs.clone().and_then(std::result::Result::ok).filter(|all| !all.is_empty())?;
        if file.file_system().kind == FileSystemKind::Memory {
            let why = "its file system keeps files only in the page cache".to_owned();
            let left = Left { pages: all.cached(), in_memory: all.cached(), why, ..Left::default() };
            return Some(Kept { all, free: PageRuns::new(), found: Holders::default(), left });
        }
        let found = Holders::find(search, file, &all);
        let locked = found.locked.cached();
        let mapped = found.mapped.subtract(&found.locked).cached();
        let left = Left { pages: locked + mapped, locked, mapped, holders: found.list.clone(), ..Left::default() };
        let free = all.subtract(&found.mapped);
        Some(Kept { all, free, found, left })
    }

    /// What would be left if the kernel could drop every other page.
    fn forecast(self, page: PageSize) -> Left {
        if self.left.in_memory > Pages(0) {
            return self.left;
        }
        let known = in_words(&self.left, &self.found, false, page);
        let unseen = if self.free.is_empty() { None } else { unseen_words(&self.found) };
        let unseen = unseen.map(|words| format!("perhaps more: {words}"));
        let parts: Vec<String> = [known].into_iter().filter(|known| !known.is_empty()).chain(unseen).collect();
        Left { why: parts.join("; "), unseen: Some(self.found.unseen), ..self.left }
    }
}

/// Finds out why pages are still cached, and whether they [may go soon](may_go_soon). Each reason is proven page by
/// page or, for dirty pages, counted by the kernel.
fn explain(engine: &Engine, search: &mut MapperSearch<'_>, file: &OpenFile, after: &FileReport) -> (Left, bool) {
    let Some(Kept { all, free, found, mut left }) = Kept::find(search, file, after) else {
        return (Left::default(), false);
    };
    if left.in_memory > Pages(0) {
        return (left, false);
    }
    left.pages = all.cached();
    left.dirty = unwritten(engine, file, after, &free);
    left.unknown = free.cached().saturating_sub(left.dirty);
    left.unseen = Some(found.unseen);
    left.why = in_words(&left, &found, may_be_in_a_folio(after, &free, &found.mapped), after.page_size);
    if file.is_block_device() && left.unknown > Pages(0) {
        left.why.push_str(" (a file system on the device may hold them)");
    }
    let may_go = may_go_soon(left.unknown, &found);
    (left, may_go)
}

/// Whether so many pages may be in use for a moment only. If root would see more processes, one of those probably maps
/// them. Processes that root cannot see either do not count.
fn may_go_soon(unknown: Pages, found: &Holders) -> bool {
    let is_limited = found.blind.is_some() || found.unseen > 0 && run_as_root().is_some();
    unknown > Pages(0) && unknown <= FEW && !is_limited
}

/// How many of these pages are dirty or under writeback; 0 if the method does not report it.
fn unwritten(engine: &Engine, file: &OpenFile, after: &FileReport, pages: &PageRuns) -> Pages {
    let known = (after.dirty(), after.writeback());
    if matches!(known, (Ok(Pages(0)), Ok(Pages(0))) | (Err(_), _)) || pages.is_empty() || pages.len() > RUNS_COUNTED {
        return Pages(0);
    }
    let count = |run: &Run| {
        let part = ByteRange { offset: run.offset(after.page_size).0, length: run.pages().bytes(after.page_size).0 };
        let report = engine.measure_range(file, part);
        let [dirty, writeback] = [report.dirty(), report.writeback()].map(|pages| pages.unwrap_or_default());
        Pages((dirty + writeback).0.min(run.count))
    };
    pages.iter().map(count).sum()
}

/// Whether pages that stayed for an unknown reason may belong to a large folio, which can only be dropped as a whole:
/// they are next to pages that are mapped, or at the end of a range that is only a part of the file.
fn may_be_in_a_folio(after: &FileReport, free: &PageRuns, mapped: &PageRuns) -> bool {
    let last = after.page_size.pages(Bytes(after.size.0)).0;
    let starts_inside = after.asked.first > 0 && free.contains(after.asked.first);
    let ends_inside = after.asked.end() < last && free.contains(after.asked.end().saturating_sub(1));
    let touches =
        |run: &Run| mapped.contains(run.end()) || run.first.checked_sub(1).is_some_and(|page| mapped.contains(page));
    starts_inside || ends_inside || free.iter().any(touches)
}

fn in_words(left: &Left, found: &Holders, edge: bool, page: PageSize) -> String {
    let mut reasons = Vec::new();
    let mut say = |pages: Pages, what: String| {
        if pages > Pages(0) {
            reasons.push(format!("{} ({}) {what}", counted(pages.0, "page", "pages"), Human(pages.bytes(page))));
        }
    };
    say(left.locked, format!("locked by {}", holders::in_words(&found.list, |holder| holder.locked)));
    say(left.mapped, format!("mapped by {}", holders::in_words(&found.list, |holder| holder.unlocked)));
    say(left.dirty, "dirty or under writeback again".to_owned());
    say(left.unknown, unknown_words(found, edge));
    reasons.join("; ")
}

/// Who may have pages mapped without being seen, if anybody.
fn unseen_words(found: &Holders) -> Option<String> {
    if !found.perhaps.is_empty() {
        return Some(format!(
            "perhaps mapped through overlayfs by {}",
            holders::in_words(&found.perhaps, |holder| holder.pages)
        ));
    }
    if let Some(blind) = &found.blind {
        return Some(blind.clone());
    }
    let advice = run_as_root().unwrap_or("root is not allowed to either");
    let processes = counted(found.unseen, "process", "processes");
    (found.unseen > 0).then(|| format!("{processes} could not be inspected: {advice}"))
}

fn unknown_words(found: &Holders, edge: bool) -> String {
    let mut words = "for an unknown reason".to_owned();
    if let Some(unseen) = unseen_words(found) {
        words.push_str(&format!(" ({unseen})"));
    }
    if edge {
        words.push_str(" (a large folio may reach beyond them)");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_an_unseen_process_may_map_are_not_waited_for() {
        let seen =
            |blind: Option<&str>, unseen| Holders { blind: blind.map(str::to_owned), unseen, ..Holders::default() };
        let all = seen(None, 0);
        assert_eq!(
            [Pages(0), Pages(1), FEW, Pages(65)].map(|unknown| may_go_soon(unknown, &all)),
            [false, true, true, false]
        );
        assert!(!may_go_soon(Pages(1), &seen(Some("/proc hides them"), 0)));
        assert_eq!(may_go_soon(Pages(1), &seen(None, 1)), run_as_root().is_none());
    }
}
