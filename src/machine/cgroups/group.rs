//! A control group and its place in the tree.

use super::figures::GroupFigures;
use super::hierarchy::GroupVersion;
use crate::process::base_name;
use crate::units::Figure;

/// A control group.
#[derive(Debug, Clone)]
pub struct ControlGroup {
    /// Its path, as in `/proc/PID/cgroup`.
    pub path: Vec<u8>,
    /// The path of the group directly above it; `None` for the one that is mounted.
    pub parent: Option<Vec<u8>>,
    /// How many groups are above it, up to the one that is mounted.
    pub depth: u64,
    /// Its place in the list, in which each group is directly before those below it.
    pub place: usize,
    /// The group closest above it that is in the list.
    pub above: Option<usize>,
    /// How many groups of the list it consists of: itself and those below it.
    pub size: usize,
    /// Whether its figures include those of the groups below it. Always, except in version 1 on kernels before 5.11 if
    /// `memory.use_hierarchy` is 0.
    pub includes_below: bool,
    /// Whether it is the group that all others are below. The kernel keeps less for it: in version 2 no usage, in
    /// version 1 a usage without the memory of the kernel.
    pub is_root: bool,
    /// Its version.
    pub version: GroupVersion,
    /// Its figures.
    pub figures: GroupFigures,
    /// Its processes, without those of the groups below it. One that is in a pid namespace that is not seen from here
    /// is 0 (version 2). Version 1 leaves these out, so where there may be any, this is absent.
    pub pids: Figure<Vec<u32>>,
    /// The same with those of the groups below it, in order.
    pub all_pids: Figure<Vec<u32>>,
}

impl ControlGroup {
    /// The last part of its path.
    pub fn name(&self) -> &[u8] {
        base_name(&self.path)
    }
}
