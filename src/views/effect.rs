//! One row per file of `rmap warm`, `rmap evict` or `rmap lock`: what was cached before and after, and which pages
//! could not be changed.

use std::ops::ControlFlow;
use std::path::Path;

use super::file::advised;
use super::shared::{self, OfFile};
use crate::control::{self, Effect, Left, LockedFile, Room};
use crate::error::Error;
use crate::join::who::MapperSearch;
use crate::join::{ChosenFiles, Message};
use crate::pagecache::{Change, Engine, OpenFile};
use crate::process::ProcRoot;
use crate::table::{Cell, Column, Progress, RowKind, Rows, Source, Stop, col};
use crate::units::{Absent, Bytes, Figure, PageSize, Pages, Reason};

/// A column of this view.
type C = Column<Effects>;

/// Files that were worked on.
pub struct Effects;

/// One file.
pub struct EffectRow {
    /// The result.
    pub effect: Effect,
}

impl RowKind for Effects {
    type Row = EffectRow;
    type Need = ();
    const ROWS: &'static str = "files";
    const LARGEST_BY: &'static str = "after_pages";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        super::file::Files::id_of(name)
    }

    fn identity(row: &EffectRow) -> Vec<u8> {
        row.effect.after.key()
    }
}

impl OfFile for EffectRow {
    fn path(&self) -> &Path {
        &self.effect.after.path
    }

    fn page_size(&self) -> PageSize {
        self.effect.after.page_size
    }
}

/// What `rmap warm` and `rmap evict` show by default.
pub const DEFAULT: &[&str] = &["size", "pages", "before_pages", "after_pages", "left_pages", "filename", "why", "note"];

/// What `rmap lock` shows by default.
pub const DEFAULT_LOCK: &[&str] =
    &["size", "pages", "before_pages", "after_pages", "locked", "filename", "why", "note"];

/// What `rmap warm --dry-run` shows by default.
pub const DEFAULT_PLAN_TO_WARM: &[&str] =
    &["size", "pages", "before_pages", "planned_pages", "hole_pages", "filename", "note"];

/// What `rmap evict --dry-run` shows by default.
pub const DEFAULT_PLAN_TO_EVICT: &[&str] =
    &["size", "pages", "before_pages", "dirty_before_pages", "planned_pages", "left_pages", "filename", "why", "note"];

/// All columns.
const COLUMNS: &[C] = &[
    shared::filename("the file as it was named"),
    col!(sum "size", "Size", Bytes, |row| Cell::Bytes(row.effect.after.size.0), "length of the file, from fstat(2)"),
    col!(sum "pages", "Pages", Pages, |row| Cell::Count(row.effect.after.pages.0),
        "the pages to be changed: those of the whole file, or of --range", least()),
    col!(sum "before_pages", "Before", Pages, |row| Cell::pages(row.effect.cached_before()),
        "how many of them were cached before"),
    col!(sum "before", "Before size", Bytes, |row| bytes(row, row.effect.cached_before()), "the same in bytes"),
    col!(sum "dirty_before_pages", "Dirty", Pages, |row| Cell::pages(row.effect.before.dirty()),
        "how many of these pages were dirty, so that evict writes them back first", on_request(), minor()),
    col!(sum "after_pages", "After", Pages, |row| Cell::pages(row.effect.cached_after()),
        "how many of them are cached now"),
    col!(sum "after", "After size", Bytes, |row| bytes(row, row.effect.cached_after()), "the same in bytes"),
    col!(sum "planned_pages", "To do", Pages, |row| planned(row),
        "with --dry-run: pages that would be read (warm) or dropped (evict)", on_request()),
    col!(new "unseen_processes", "Unseen", Number, |row| unseen(row),
        "processes that could not be inspected, so that they may have more pages mapped (evict)", on_request()),
    col!(sum "locked", "Locked", Bytes, |row| bytes(row, Ok(row.effect.held)),
        "what rmap lock holds in memory, in whole pages"),
    col!(sum "hole_pages", "Holes", Pages, |row| Cell::Count(row.effect.holes.0),
        "pages in holes, which were left alone (warm, lock)", minor()),
    col!(sum "left_pages", "Left", Pages, |row| left(row, |left| left.pages),
        "pages that could not be changed: not cached (warm, lock) or still cached (evict)"),
    col!(sum "left_locked_pages", "Left locked", Pages, |row| left(row, |left| left.locked),
        "of these: locked by a process, from smaps and pagemap"),
    col!(sum "left_mapped_pages", "Left mapped", Pages, |row| left(row, |left| left.mapped),
        "of these: in the page table of a process, from pagemap"),
    col!(sum "left_dirty_pages", "Left dirty", Pages, |row| left(row, |left| left.dirty),
        "of these: dirty or under writeback, from cachestat(2)"),
    col!(sum "left_memory_pages", "Left in memory", Pages, |row| left(row, |left| left.in_memory),
        "of these: on a file system that keeps its files only in memory (tmpfs)"),
    col!(sum "left_unwritten_pages", "Left unwritten", Pages, |row| left(row, |left| left.unwritten),
        "of these: writeback failed, so they may be the only copy of the data"),
    col!(sum "left_unknown_pages", "Left unknown", Pages, |row| left(row, |left| left.unknown),
        "of these: for an unknown reason"),
    col!(new "why", "Why", Prose, |row| Cell::Remark(Some(row.effect.left.why.as_str()).filter(|why| !why.is_empty())),
        "why pages are left, and which processes hold them"),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.effect.changed().map(Change::words)),
        "what happened to the file in the meantime: changed, renamed, replaced, removed"),
    col!(new "method", "Method", Text, |row| shared::method(&row.effect.after),
        "the kernel interface that measured it: cachestat or mincore", minor(), one_of(shared::methods)),
    shared::page_size(),
    shared::path(),
    shared::path_bytes(),
];

fn bytes(row: &EffectRow, pages: Figure<Pages>) -> Cell<'_> {
    Cell::bytes(pages.map(|pages| pages.bytes(row.effect.after.page_size)))
}

const NO_PLAN: Absent = Absent::new(Reason::NotApplicable, "only for --dry-run");

fn planned(row: &EffectRow) -> Cell<'_> {
    Cell::pages(row.effect.planned.ok_or(NO_PLAN))
}

const NOT_INSPECTED: Absent = Absent::new(Reason::NotApplicable, "no process was inspected");

fn unseen(row: &EffectRow) -> Cell<'_> {
    row.effect.left.unseen.map_or(Cell::Absent(NOT_INSPECTED), Cell::Count)
}

fn left(row: &EffectRow, take: fn(&Left) -> Pages) -> Cell<'_> {
    if let (None, Err(absent)) = (row.effect.planned, row.effect.cached_after()) {
        return Cell::Absent(absent);
    }
    Cell::Count(take(&row.effect.left).0)
}

/// What is done with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// They are read into the page cache.
    Warm,
    /// They are written back and dropped.
    Evict,
    /// They are held in memory.
    Lock,
}

/// Works on files and reports the result.
pub struct EffectSource {
    /// Which files.
    pub chosen: ChosenFiles,
    /// What is done with them.
    pub work: Work,
    /// Whether it is only reported what would be done; not for locks.
    pub is_dry: bool,
    /// The locks, which are held until this value is dropped.
    pub locked: Vec<LockedFile>,
}

impl EffectSource {
    /// How much memory is locked.
    pub fn held(&self) -> Bytes {
        self.locked.iter().map(LockedFile::held).sum()
    }
}

impl Source for EffectSource {
    type Kind = Effects;

    fn is_over(&self) -> bool {
        self.chosen.is_over()
    }

    fn finds_many(&self) -> bool {
        self.chosen.finds_many()
    }

    fn is_work(&self) -> bool {
        !self.is_dry
    }

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<Effects>) -> Result<(), Stop> {
        // In a later round it is locked again: pages that are already held need no more room.
        self.locked.clear();
        let (engine, root) = (Engine::detect(), ProcRoot::live());
        let mut search = MapperSearch::new(&root);
        let mut room = match self.work {
            Work::Evict => None,
            Work::Warm | Work::Lock => Some(Room::read(&root)?),
        };
        let chosen = self.chosen.clone();
        chosen.each_open(|message| match message {
            Message::Item(file) => {
                let done = self.work_on(&engine, &mut search, room.as_mut(), &file, rows);
                rows.progress(Progress::Done);
                let stopped = rows.check();
                match done {
                    Ok(Some(effect)) => add(effect, rows)?,
                    Ok(None) => {}
                    Err(error) => rows.lost(error),
                }
                stopped
            }
            Message::Failure(error) => {
                rows.lost(advised(error));
                Ok(())
            }
            Message::Note(note) => {
                rows.note(note);
                Ok(())
            }
            Message::Nothing => rows.check(),
        })
    }
}

impl EffectSource {
    /// Works on one file; `None` if a signal arrived before anything was done.
    fn work_on(
        &mut self,
        engine: &Engine,
        search: &mut MapperSearch<'_>,
        room: Option<&mut Room>,
        file: &OpenFile,
        rows: &mut dyn Rows<Effects>,
    ) -> Result<Option<Effect>, Error> {
        let range = self.chosen.range;
        let go_on = |rows: &mut dyn Rows<Effects>| match rows.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        match (self.work, room) {
            (Work::Warm, Some(room)) if self.is_dry => control::plan_warm(engine, room, file, range).map(Some),
            (Work::Evict, _) if self.is_dry => control::plan_evict(engine, search, file, range).map(Some),
            (Work::Warm, Some(room)) => {
                let mut done = Bytes(0);
                let step = |bytes, all| {
                    done = done + bytes;
                    rows.progress(Progress::Bytes(done, all));
                    go_on(rows)
                };
                control::warm(engine, room, file, range, step).map(Some)
            }
            (Work::Lock, Some(room)) => {
                let locked = control::lock(engine, room, self.held(), file, range, || go_on(rows))?;
                Ok(locked.map(|(pages, effect)| {
                    self.locked.push(pages);
                    effect
                }))
            }
            _ => control::evict(engine, search, file, range, || go_on(rows)).map(Some),
        }
    }
}

/// Adds the row of a file. If pages are left, the answer is incomplete.
fn add(effect: Effect, rows: &mut dyn Rows<Effects>) -> Result<(), Stop> {
    if let Some(trouble) = &effect.trouble {
        rows.failure(trouble.clone());
    }
    if !effect.is_complete() {
        rows.incomplete();
    }
    rows.row(EffectRow { effect })
}
