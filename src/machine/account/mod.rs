//! The account of the machine's memory: every byte of `MemTotal` in one place once.
//!
//! Two ways lead to it. [`MemoryAccount::read`] takes what the kernel counts (`meminfo`): any user may, and it takes a
//! millisecond. [`PageAccount`] looks at every page frame (`kpageflags`): root only, but by node and control group.
//!
//! `meminfo` is no snapshot, and the kernel adds up parts of its counters late. So the places may be more than the
//! whole; then [`excess`](MemoryAccount::excess) says by how much, and nothing is negative.

mod amounts;
mod build;
mod frames;
mod groups;
mod others;
mod pages;
mod read;
mod uses;
mod zones;

pub use amounts::{MemoryAccount, MemoryAmount};
pub use others::{Swap, SystemV};
pub use pages::{PageAccount, PageNeeds, PagesUsed};
pub use read::read_page_size;
pub use uses::{MemoryUse, Reclaim};
pub use zones::{Zone, Zones};
