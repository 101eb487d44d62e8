//! The page size of the running kernel.

use nix::unistd::{SysconfVar, sysconf};

use crate::units::PageSize;

/// The page size of the running kernel: 4, 16 or 64 KiB, from `sysconf(_SC_PAGESIZE)`.
pub(crate) fn page_size() -> PageSize {
    // The C library reads it from the auxiliary vector, which the kernel always fills, so the fallback is never used.
    sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|bytes| u64::try_from(bytes).ok())
        .and_then(PageSize::new)
        .unwrap_or(PageSize::FOUR_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_size_is_one_that_linux_has() {
        assert!([4096, 8192, 16384, 65536, 262_144].contains(&page_size().bytes()));
    }
}
