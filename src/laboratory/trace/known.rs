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
    /// Which other small parts of the same mapping it is judged with: alone none of them would ever have a row. The
    /// first of them may carry what was told of all.
    pub(super) family: Option<Family>,
}

/// When a mapping was seen in small parts, and where the first of them begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Family(pub(super) Duration, pub(super) u64);

/// How long after its beginning the effect of a call may show: on a busy machine it may have to wait for a processor.
pub(super) const LONGEST_CALL: Duration = Duration::from_millis(100);
