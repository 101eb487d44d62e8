//! Files that may not be opened, and columns that no system call knows: the kernel's own lists of pages have both.

use super::measure::Measure;
use super::row::FileRow;
use crate::error::Error;
use crate::join::{PageLists, PageStates};
use crate::units::{Absent, Figure, Reason};

const UNREADABLE: Absent =
    Absent::new(Reason::Denied, "only the kernel's lists say it, which need root, or CAP_BPF and CAP_PERFMON");

/// Reads the lists when the first file needs them.
pub(super) struct Unopened {
    /// Whether columns need what only the lists say.
    all: bool,
    /// Whether no other method may be used.
    is_forced: bool,
    lists: Option<Result<PageLists, Absent>>,
}

impl Unopened {
    pub(super) fn new(all: bool, is_forced: bool) -> Unopened {
        Unopened { all, is_forced, lists: None }
    }

    /// Adds what the lists say about a file, if it is needed. A file that could not be opened is measured by them.
    pub(super) fn look(&mut self, row: FileRow, measure: &Measure, fail: &mut dyn FnMut(Error)) -> FileRow {
        let replaces = row.report.residency.as_ref().is_err_and(may_be_read_unopened);
        let is_needed = self.all || self.is_forced || replaces && PageLists::may_be_read();
        if !is_needed {
            return row;
        }
        let mut row = row;
        let states = self.states(&mut row, replaces, fail);
        if replaces && states.is_ok() && row.report.runs.is_some() {
            // Which parts are dirty is not drawn for it.
            row = FileRow { held: row.held, ..measure.drawn(row.report, |_| None) };
        }
        FileRow { states: Some(states).filter(|_| self.all), ..row }
    }

    fn states(&mut self, row: &mut FileRow, replaces: bool, fail: &mut dyn FnMut(Error)) -> Figure<PageStates> {
        if self.lists.is_none() {
            self.lists = Some(PageLists::read().map_err(|error| {
                if self.all || self.is_forced {
                    fail(error);
                }
                UNREADABLE
            }));
        }
        match &mut self.lists {
            Some(Ok(lists)) => lists.look(&mut row.report, replaces),
            Some(Err(absent)) => Err(*absent),
            None => Err(UNREADABLE),
        }
    }
}

/// Whether the reason for which a file was not measured does not matter to the lists.
fn may_be_read_unopened(absent: &Absent) -> bool {
    matches!(absent.reason, Reason::Denied | Reason::Unsupported) && *absent != Absent::SILENT
}
