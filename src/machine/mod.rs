//! Facts about the whole machine, not about one process or file.
//!
//! * [`read_available_memory`]: how much memory can still be used.
//! * [`read_huge_page_size`]: the size of huge pages.

#[cfg(any(test, fuzzing))]
#[path = "../../tests/checks/machine.rs"]
pub mod checks;
mod meminfo;

pub use meminfo::{read_available_memory, read_huge_page_size};
