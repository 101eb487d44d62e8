//! The raw kernel interfaces, one file each: small safe functions over the system calls, and the only `unsafe` code of
//! the crate.
//!
//! Nothing here decides what a figure means, which interface to trust, or how a result is printed. That is up to the
//! modules above.

pub(crate) mod actor;
pub(crate) mod advise;
pub(crate) mod asker;
#[cfg(feature = "bpf")]
pub(crate) mod bpf;
mod bus_error;
#[cfg_attr(not(feature = "bpf"), allow(dead_code, reason = "without the lists nothing makes such values"))]
pub(crate) mod cached;
pub(crate) mod cachestat;
#[cfg(all(feature = "bpf", any(test, fuzzing)))]
#[path = "../../tests/checks/kernel.rs"]
pub mod checks;
pub(crate) mod dax;
mod demo_data;
pub(crate) mod fiemap;
pub(crate) mod file_system;
pub(crate) mod guardian;
pub(crate) mod handle;
mod heir;
pub(crate) mod helper;
pub(crate) mod holes;
pub(crate) mod identity;
pub(crate) mod kcmp;
pub(crate) mod launch;
pub(crate) mod layers;
pub(crate) mod leases;
pub(crate) mod left_behind;
pub(crate) mod lent;
pub(crate) mod locked_map;
pub(crate) mod loop_device;
mod map;
pub(crate) mod mincore;
pub(crate) mod mount_table;
pub(crate) mod nameless;
pub(crate) mod notify;
pub(crate) mod open;
pub(crate) mod page_flags;
pub(crate) mod page_size;
pub(crate) mod pagemap;
pub(crate) mod pagemap_scan;
pub(crate) mod pidfd;
pub(crate) mod privilege;
pub(crate) mod release;
pub(crate) mod rename;
pub(crate) mod shared_map;
pub(crate) mod signal;
pub(crate) mod statx;
pub(crate) mod swap;
pub(crate) mod whereabouts;

pub(crate) use page_size::page_size;
pub(crate) use statx::major_minor;
