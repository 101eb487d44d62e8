//! One row per change of what a program has mapped while it runs (`rmap trace`).

use std::time::Duration;

use super::shared;
use crate::laboratory::trace::{Area, CALLS, Change, Ending, Event, Heard, Measures, Trace};
use crate::process::MappingKind;
use crate::table::{Cell, Column, RowKind, Rows, Source, Stop, col};
use crate::units::{Absent, Figure, Reason};

/// A column of this view.
type C = Column<Changes>;

/// Changes of mappings.
pub struct Changes;

/// One change.
pub struct ChangeRow {
    pid: u32,
    number: u64,
    change: Change,
}

/// What has to be measured for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeNeed {
    /// The file in the page cache.
    PageCache,
    /// Pss and Anonymous.
    Shares,
}

impl RowKind for Changes {
    type Row = ChangeRow;
    type Need = ChangeNeed;
    const ROWS: &'static str = "changes";
    const LARGEST_BY: &'static str = "amount";
    const COLUMNS: &'static [C] = COLUMNS;

    fn identity(row: &ChangeRow) -> Vec<u8> {
        row.number.to_ne_bytes().to_vec()
    }
}

/// What a trace shows: when, what and why, both views before and after, and the mapping.
pub const DEFAULT: &[&str] = &[
    "time_ms",
    "event",
    "call",
    "asked",
    "before_ms",
    "size_before",
    "rss_before",
    "size",
    "rss",
    "cached",
    "file_dirty",
    "mapping",
];

const CACHE: &[ChangeNeed] = &[ChangeNeed::PageCache];
const SHARES: &[ChangeNeed] = &[ChangeNeed::Shares];

/// Everything that is known about a change.
const COLUMNS: &[C] = &[
    col!(new "time_ms", "Time ms", Number, |row| milliseconds(row.change.at),
        "when it happened, in milliseconds after the start of the program: when the system call began, or when the \
         change was found"),
    col!(new "event", "Event", Text, |row| Cell::Word(row.change.event.word()),
        "appeared, grew, shrank or went: in Size, or only in Rss or Hugetlb; unseen: asked for, but not to be seen at \
         the next look, or rmap may not look",
        one_of(|| Event::ALL.map(Event::word).to_vec())),
    col!(new "call", "System call", Text, |row| row.change.call.map_or_else(Cell::Absent, Cell::Word),
        "the system call behind it; absent if there is none, or if none explains it", one_of(|| CALLS.to_vec())),
    col!(new "asked", "Asked", Bytes, |row| Cell::bytes(row.change.asked.ok_or(NOT_ASKED)),
        "the length that the system call names", minor()),
    col!(new "pid", "PID", Number, |row| Cell::Count(row.pid.into()), "the program"),
    col!(new "address", "Address", Address, |row| of_area(row, |area| Cell::Address(area.addresses.start)),
        "the first address of the mapping"),
    col!(new "perm", "Perm", Text, |row| of_area(row, |area| Cell::Text(area.perm.as_bytes())),
        "read, write, execute; p private or s shared"),
    col!(new "kind", "Kind", Text, |row| of_area(row, |area| Cell::Word(area.kind.word())),
        "what the mapping is, as in rmap pid", one_of(|| MappingKind::ALL.map(MappingKind::word).to_vec())),
    col!(new "amount", "Amount", Bytes, |row| Cell::bytes(row.change.amount()),
        "by how much: the larger of the differences of Size and of Rss with Hugetlb; absent if it was never seen"),
    col!(new "size_before", "Size was", Bytes, |row| Cell::bytes(row.change.before.size),
        "length of the mapping before; what was told last, or seen last of one that went", least()),
    col!(new "size", "Size", Bytes, |row| Cell::bytes(row.change.after.size), "the same after, from smaps", minor()),
    col!(new "rss_before", "Rss was", Bytes, |row| Cell::bytes(row.change.before.rss),
        "how much of it was in RAM and mapped before"),
    col!(new "rss", "Rss", Bytes, |row| Cell::bytes(row.change.after.rss), "the same after, from smaps"),
    col!(new "hugetlb_before", "Hugetlb was", Bytes, |row| Cell::bytes(row.change.before.hugetlb),
        "how much of it was in huge pages of hugetlbfs before, which Rss does not count", least()),
    col!(new "hugetlb", "Hugetlb", Bytes, |row| Cell::bytes(row.change.after.hugetlb), "the same after, from smaps",
        least()),
    col!(new "pss", "Pss", Bytes, |row| Cell::bytes(row.change.pss),
        "the same with shared pages divided, after, from smaps", needing(SHARES)),
    col!(new "anonymous", "Anonymous", Bytes, |row| Cell::bytes(row.change.anonymous),
        "how much of it is not in a file, after, from smaps", needing(SHARES)),
    col!(new "before_ms", "Seen ms", Number, |row| row.change.before_at.map_or(Cell::Absent(NEW), milliseconds),
        "when the figures before were read: what happened between that and the change is not in them", least()),
    col!(new "cached", "Cached", Bytes, |row| Cell::bytes(in_cache(row, |cache| cache.cached)),
        "how much of the mapped part of the file is in the page cache, after; of a mapping that went: just before, if \
         its system call was held", needing(CACHE), minor()),
    col!(new "file_dirty", "Dirty", Bytes, |row| Cell::bytes(in_cache(row, |cache| cache.dirty)),
        "how much of that has not been written to disk yet", needing(CACHE), minor()),
    col!(new "method", "Method", Text,
        |row| in_cache(row, |cache| Ok(cache.method?.word())).map_or_else(Cell::Absent, Cell::Word),
        "how the page cache was measured", needing(CACHE), one_of(shared::methods)),
    col!(new "offset", "Offset", Bytes, |row| of_area(row, |area| Cell::Offset(area.offset)),
        "where in the file it begins"),
    col!(new "inode", "Inode", Number, |row| of_area(row, |area| Cell::Count(area.inode)),
        "inode of the file, 0 if there is none"),
    col!(new "mapping", "Mapping", Text, |row| of_area(row, |area| Cell::Named(&area.path, "[anon]")),
        "the file or name behind it; [anon] if there is none", on_request(), naming()),
    col!(new "path", "Path", Text, |row| of_area(row, |area| Cell::Named(&area.path, "")),
        "the file or name behind it, from /proc/PID/maps; of a program in a chroot the path outside it", naming()),
    col!(new "path_bytes", "Path bytes", RawBytes, |row| of_area(row, |area| Cell::RawBytes(&area.path)),
        "the path if it is not UTF-8"),
];

const NOT_ASKED: Absent = Absent::new(Reason::NotApplicable, "no system call is known that names a length");
const NEW: Absent = Absent::new(Reason::NotApplicable, "it was not there before");
const NEVER_SEEN: Absent = Absent::new(Reason::Vanished, "the mapping was never seen");

fn milliseconds(time: Duration) -> Cell<'static> {
    Cell::Count(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn of_area<'r>(row: &'r ChangeRow, take: impl FnOnce(&'r Area) -> Cell<'r>) -> Cell<'r> {
    row.change.area.as_ref().map_or_else(|| Cell::Absent(row.change.after.size.err().unwrap_or(NEVER_SEEN)), take)
}

fn in_cache<T>(row: &ChangeRow, take: impl FnOnce(crate::laboratory::trace::InCache) -> Figure<T>) -> Figure<T> {
    row.change.cache.and_then(take)
}

/// Follows a program that was started.
pub struct TraceSource {
    trace: Trace,
    ending: Option<Ending>,
}

impl TraceSource {
    /// A program that is followed from now on.
    pub fn new(trace: Trace) -> TraceSource {
        TraceSource { trace, ending: None }
    }

    /// How the program ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// How many mappings, at least, never changed enough for a row.
    pub fn untold(&self) -> u64 {
        self.trace.untold()
    }

    /// How many system calls at most were interrupted because they were to be held: see [`Trace::interrupted`].
    pub fn interrupted(&self) -> u64 {
        self.trace.interrupted()
    }
}

impl Source for TraceSource {
    type Kind = Changes;

    fn is_live(&self) -> bool {
        true
    }

    /// The program runs on even if nobody reads its rows.
    fn is_work(&self) -> bool {
        true
    }

    fn read(&mut self, needs: &[ChangeNeed], rows: &mut dyn Rows<Changes>) -> Result<(), Stop> {
        let measures =
            Measures { shares: needs.contains(&ChangeNeed::Shares), files: needs.contains(&ChangeNeed::PageCache) };
        let (pid, mut number, mut stopped) = (self.trace.pid(), 0, Ok(()));
        let ending = self.trace.follow(measures, &mut |heard| match heard {
            Heard::Change(change) if stopped.is_ok() => {
                number += 1;
                stopped = rows.row(ChangeRow { pid, number, change: *change });
            }
            Heard::Change(_) => {}
            Heard::Failure(error) => rows.lost(error),
        });
        self.ending = Some(ending?);
        stopped
    }
}
