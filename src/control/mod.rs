//! Changing what the page cache holds of a file: warm, evict, lock. The only room whose work changes the machine on
//! purpose.
//!
//! Each measures before and after, does no more than is needed, and says what is not as it was asked to be, and why.
//! A reason is only given where there is proof of it; what is left is unknown.

mod effect;
mod evict;
mod holders;
mod lock;
mod warm;

pub use effect::{Effect, Left};
pub use evict::evict;
pub use holders::{Holder, Holders};
pub use lock::{LockedFile, lock};
pub use warm::{Room, warm};
