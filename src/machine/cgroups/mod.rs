//! The memory control groups of the machine, of version 1 or 2, as a tree with what each is charged for.
//!
//! Everything is read below a [`ProcRoot`](crate::process::ProcRoot), so that a captured machine is read like a live
//! one: `/sys/fs/cgroup` of a capture is next to its `proc`. Figures include those of the groups below, as the kernel
//! counts them ([`ControlGroup::includes_below`] says where it does not).

mod above;
mod figures;
mod group;
mod headroom;
mod hierarchy;
mod namespace;
mod own;
pub(super) mod parse;
mod pss;
mod read;

pub use above::{GroupAbove, read_groups_above, read_swappiness};
pub use figures::{GroupAmount, GroupCount, GroupFigures, GroupFile, GroupLimit, Pressure};
pub use group::ControlGroup;
pub(super) use headroom::read_group_headroom;
pub use hierarchy::GroupVersion;
pub(super) use hierarchy::Hierarchy;
pub use own::subtract_below;
pub(crate) use pss::{ELSEWHERE, NOT_CAPTURED};
pub use pss::{GroupPss, read_group_pss};
pub(crate) use read::as_named_groups;
pub(crate) use read::group_inode;
pub use read::read_groups;
