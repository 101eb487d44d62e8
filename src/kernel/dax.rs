//! Whether a file is in DAX mode: accessed in place on persistent memory, without the page cache.

#![allow(unsafe_code, reason = "neither nix nor the musl libc wraps statx: the raw system call is needed")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// `STATX_ATTR_DAX` of `linux/stat.h`.
const ATTRIBUTE_DAX: u64 = 0x0020_0000;

/// The first fields of `struct statx`, and space for the rest: the kernel writes 256 bytes.
#[repr(C)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    rest: [u64; 30],
}

/// Whether the file is in DAX mode, from the attributes of `statx(2)` (Linux 5.8 and later); `false` if the kernel does
/// not report it.
#[doc(alias = "statx")]
pub(crate) fn is_dax(fd: BorrowedFd<'_>) -> bool {
    let mut answer = Statx { mask: 0, block_size: 0, attributes: 0, rest: [0; 30] };
    // SAFETY: the path is an empty NUL-terminated string and the buffer has the 256 bytes of `struct statx`. Both
    // outlive the call, and the kernel keeps neither.
    let status = unsafe {
        libc::syscall(
            libc::SYS_statx,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            0 as libc::c_uint,
            &raw mut answer,
        )
    };
    status == 0 && answer.attributes & ATTRIBUTE_DAX != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_buffer_has_the_size_that_the_kernel_writes() {
        assert_eq!(std::mem::size_of::<Statx>(), 256);
        assert_eq!(std::mem::offset_of!(Statx, attributes), 8);
    }

    #[test]
    fn a_file_on_an_ordinary_disk_is_not_in_dax_mode() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(!is_dax(file.as_fd()));
    }
}
