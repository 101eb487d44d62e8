//! Whether a file is in DAX mode: read and written in place on persistent memory, with no page cache at all.

#![allow(unsafe_code, reason = "neither nix nor the musl libc wraps statx: the raw system call is needed")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// `STATX_ATTR_DAX` of `linux/stat.h`.
const ATTRIBUTE_DAX: u64 = 0x0020_0000;

/// The first fields of `struct statx`, and room for the rest: the kernel fills 256 bytes.
#[repr(C)]
struct Statx {
    mask: u32,
    block_size: u32,
    attributes: u64,
    rest: [u64; 30],
}

/// Whether the file is in DAX mode, from the attributes that `statx(2)` gives (Linux 5.8 and later); `false` where the
/// kernel does not say.
#[doc(alias = "statx")]
pub(crate) fn is_dax(fd: BorrowedFd<'_>) -> bool {
    let mut answer = Statx { mask: 0, block_size: 0, attributes: 0, rest: [0; 30] };
    // SAFETY: the path is an empty string that ends in NUL, the buffer has the 256 bytes of `struct statx`, both
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
    fn the_room_is_what_the_kernel_fills() {
        assert_eq!(std::mem::size_of::<Statx>(), 256);
        assert_eq!(std::mem::offset_of!(Statx, attributes), 8);
    }

    #[test]
    fn a_program_on_an_ordinary_disk_is_not_in_dax_mode() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(!is_dax(file.as_fd()));
    }
}
