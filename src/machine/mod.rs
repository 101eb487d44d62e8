//! Facts about the whole machine, not about one process or file.
//!
//! * [`read_available_memory`]: how much memory can still be used.
//! * [`MemoryAccount`]: what the memory of the machine is used for; [`PageAccount`]: the same by page frame.
//! * [`SlabCaches`]: the objects of the kernel.
//! * [`read_huge_page_size`]: the size of huge pages.
//! * [`read_memory_nodes`]: which NUMA nodes have memory.
//! * [`Places`]: the path to type for a file of which only its file system is known, in whatever container it is.
//! * [`container_name`], [`app_name`]: the container and the application that a control group belongs to.
//! * [`read_groups`]: the memory control groups, and what each is charged for.

mod account;
mod apps;
#[cfg_attr(not(feature = "bpf"), allow(dead_code, reason = "without the lists nothing makes such values"))]
pub(crate) mod cached;
mod cgroups;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/checks/machine.rs"]
pub mod checks;
mod containers;
mod fields;
mod meminfo;
mod nodes;
mod places;
mod slab;

pub use account::{
    MemoryAccount, MemoryAmount, MemoryUse, PageAccount, PageNeeds, PagesUsed, Reclaim, Swap, SystemV, Zone, Zones,
    read_page_size,
};
pub use apps::app_name;
pub use cgroups::{
    ControlGroup, GroupAbove, GroupAmount, GroupCount, GroupFigures, GroupFile, GroupLimit, GroupPss, GroupVersion,
    Pressure, read_group_pss, read_groups, read_groups_above, read_swappiness, subtract_below,
};
pub(crate) use cgroups::{ELSEWHERE, NOT_CAPTURED, as_named_groups, group_inode};
pub use containers::container_name;
pub use meminfo::{
    SwapSpace, has_huge_pages, read_available_memory, read_huge_page_size, read_huge_pages, read_swap_space,
};
pub use nodes::read_memory_nodes;
pub use places::{LayerPath, Place, Places};
pub use slab::{SlabCache, SlabCaches};
