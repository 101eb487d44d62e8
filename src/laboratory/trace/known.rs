//! A mapping as it is known.

use std::time::Duration;

use super::area::Area;
use super::change::State;

/// A mapping.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) area: Area,
    /// When it was seen like this.
    pub(super) seen_at: Duration,
    /// Its figures when it last had a row, or when it was first seen.
    pub(super) told: State,
    pub(super) told_at: Duration,
    pub(super) has_row: bool,
}

/// How long after its beginning the effect of a call may show: on a busy machine it may have to wait for a processor.
pub(super) const LONGEST_CALL: Duration = Duration::from_millis(100);
