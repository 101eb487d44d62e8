//! What a file is divided into: the groups that are charged for it, the nodes that its pages are on, its holders.

use crate::machine::cached::Counts;
use crate::units::Figure;

/// All parts of a file.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) groups: Vec<PagesOfFile>,
    pub(super) nodes: Vec<PagesOfFile>,
    pub(super) holders: Vec<HolderOfFile>,
}

/// The pages of a file that are charged to one group, or lie on one node.
#[derive(Debug)]
pub(super) struct PagesOfFile {
    /// The path of the control group that is charged for them.
    #[cfg_attr(not(feature = "capture"), allow(dead_code, reason = "only captures keep it"))]
    pub(super) group: Option<Vec<u8>>,
    /// The inode number that its directory has or had; `None` in a capture.
    pub(super) group_inode: Option<u64>,
    pub(super) groups: Figure<Vec<u8>>,
    pub(super) nodes: Figure<Vec<u8>>,
    pub(super) counts: Counts,
}

/// A program that holds a file, and with how many processes.
#[derive(Debug)]
pub(super) struct HolderOfFile {
    pub(super) program: Vec<u8>,
    pub(super) processes: u64,
}
