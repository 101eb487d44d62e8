//! The row of a file.

use std::path::Path;

use crate::error::{Error, Subject};
use crate::join::{HeldBy, PageStates};
use crate::pagecache::FileReport;
use crate::table::{Colour, Mark, StripCell};
use crate::units::{Absent, Figure, PageSize, Pages};
use crate::views::shared::{Count, InPageCache, OfFile};

/// One file.
pub struct FileRow {
    /// The measurement.
    pub report: FileReport,
    /// Whether only the last part of the path is shown (`--bname`).
    pub base_name: bool,
    /// How the selected processes hold it; `None` if none does, or if none was selected.
    pub held: Option<HeldBy>,
    /// What only the kernel's lists of pages say, if it was read.
    pub states: Option<Figure<PageStates>>,
    /// The file in parts of equal length, if requested.
    pub strip: Vec<StripCell>,
    /// The number of pages in the largest part.
    pub largest_part: u64,
    /// Whether its pages are listed (`--pps`), not only drawn.
    pub lists_pages: bool,
    /// Whether it was found by a walk: with several threads the order is not fixed.
    pub was_found: bool,
}

pub(super) const DIRTY: Mark = Mark { letter: 'D', colour: Colour::Yellow, meaning: "dirty" };
pub(super) const WRITEBACK: Mark = Mark { letter: 'W', colour: Colour::Cyan, meaning: "under writeback" };
pub(super) const BOTH: Mark = Mark { letter: 'B', colour: Colour::Magenta, meaning: "both" };

impl OfFile for FileRow {
    fn path(&self) -> &Path {
        &self.report.path
    }

    fn page_size(&self) -> PageSize {
        self.report.page_size
    }

    fn shows_base_name(&self) -> bool {
        self.base_name
    }
}

impl InPageCache for FileRow {
    fn pages(&self, count: Count) -> Figure<Pages> {
        match count {
            Count::Cached => self.report.cached(),
            Count::Uncached => self.report.uncached(),
            Count::Dirty => self.report.dirty(),
            Count::Writeback => self.report.writeback(),
            Count::Evicted => self.report.evicted(),
            Count::RecentlyEvicted => self.report.recently_evicted(),
            Count::NotUpToDate => self.report.not_up_to_date(),
        }
    }

    fn is_partial(&self, count: Count) -> bool {
        count == Count::Cached && self.report.is_cached_at_least()
    }

    fn size_of_a_page(&self) -> PageSize {
        self.report.page_size
    }
}

/// The error for a file that could be opened but whose figures are absent.
pub(in crate::views) fn unmeasured(path: &Path, absent: Absent) -> Error {
    Error::absent(Subject::Path(path.to_owned()), absent)
}
