//! Changes which pages of a file are cached: warm, evict, lock.
//!
//! Each measures before and after, does no more than necessary, and reports which pages are not as requested, and why.
//! A reason is only given if it is proven; the rest is reported as unknown.

mod effect;
mod evict;
mod holders;
mod lock;
mod only_copy;
mod warm;

pub use effect::{Effect, Left};
pub use evict::{evict, plan_evict};
pub use holders::{Holder, Holders};
pub use lock::{LockedFile, lock};
pub use warm::{Room, plan_warm, warm};
