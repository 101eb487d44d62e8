//! Files that may not be opened, and columns that no system call knows: the kernel's own lists of pages have both.

use crate::error::Error;
use crate::join::{HeldPlace, PageLists, PageStates};
use crate::pagecache::{FileReport, Method, OpenFile};
use crate::units::{Figure, PageRuns};

/// Completes the measurements of files. All threads share the lists, which the first file that needs them has read.
#[derive(Clone, Default)]
pub(in crate::views) struct Unopened {
    /// Whether columns need what only the lists say.
    all: bool,
    /// The only method that may be used.
    method: Option<Method>,
    lists: PageLists,
}

/// What the lists have added to a report.
pub(in crate::views) struct Completed {
    /// What only they say, if it was requested.
    pub(in crate::views) states: Option<Figure<PageStates>>,
    /// If they measured the file: which of its pages are dirty and which are under writeback, if it has a page map.
    pub(in crate::views) replaced: Option<(PageRuns, PageRuns)>,
}

impl Unopened {
    pub(in crate::views) fn new(all: bool, method: Option<Method>) -> Unopened {
        Unopened { all, method, lists: PageLists::default() }
    }

    /// Whether the lists measure what may not be opened.
    pub(in crate::views) fn may_replace(&self) -> bool {
        self.method.is_none_or(|method| method == Method::Pages) && PageLists::may_be_read()
    }

    /// Where a file is, if the lists are needed and its path may not lead to it.
    pub(in crate::views) fn place_of(&self, file: &OpenFile) -> Option<HeldPlace> {
        let is_needed = self.all || self.is_forced() || file.barred().is_some();
        if is_needed { HeldPlace::of(file) } else { None }
    }

    /// Adds what the lists say about a file, if it is needed. A file that could not be opened is measured by them.
    pub(in crate::views) fn complete(&self, report: &mut FileReport, held: Option<&HeldPlace>) -> Completed {
        let is_unmeasured = PageLists::may_complete(report);
        let replaces = is_unmeasured && (self.is_forced() || self.may_replace());
        let is_needed = self.all || self.is_forced() || replaces;
        if !is_needed {
            return Completed { states: None, replaced: None };
        }
        let mut states = self.lists.look(report, held, replaces);
        if let (true, Err(why)) = (is_unmeasured && self.is_forced(), &states) {
            // No other method was tried.
            report.residency = Err(*why);
        }
        let taken = states.as_mut().ok().filter(|_| replaces);
        let replaced = taken.map(|states| (std::mem::take(&mut states.dirty), std::mem::take(&mut states.writeback)));
        Completed { states: Some(states).filter(|_| self.all), replaced }
    }

    /// Why the lists could not be read, once, if the user asked for what they say.
    pub(in crate::views) fn take_failure(&self) -> Option<Error> {
        self.lists.take_failure().filter(|_| self.all || self.is_forced())
    }

    fn is_forced(&self) -> bool {
        self.method == Some(Method::Pages)
    }
}
