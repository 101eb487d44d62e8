//! The raw kernel interfaces, one file each: small safe functions over what the kernel offers, and the only `unsafe`
//! of the crate.
//!
//! Nothing here decides what a figure means, which interface to believe, or how an answer reads: that is for the
//! floors above.

pub mod advise;
mod bus_error;
pub mod cachestat;
pub mod dax;
pub mod file_system;
pub mod holes;
pub mod locked_map;
pub mod mincore;
pub mod mount_points;
pub mod open;
pub mod page_size;
pub mod pagemap;
pub mod pagemap_scan;
pub mod rename;
pub mod shared_map;
pub mod signal;

pub use page_size::page_size;
