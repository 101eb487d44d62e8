//! `kcmp(2)`: whether two processes or threads have the same address space, or the same descriptors.

#![allow(unsafe_code, reason = "a system call that no library wraps")]

use std::cmp::Ordering;

use nix::errno::Errno;
use nix::libc;

/// `KCMP_VM` and `KCMP_FILES` of the kernel's `include/uapi/linux/kcmp.h`.
const VM: libc::c_int = 1;
const FILES: libc::c_int = 2;

/// Compares the address spaces of two processes: equal if they are the same, otherwise in an order that is fixed until
/// the next boot. The numbers are those of the pid namespace of this process.
///
/// # Errors
/// `EPERM`: this user may not inspect both. `ESRCH`: one of them has exited. `ENOSYS`: the kernel does not have this
/// call.
pub(crate) fn compare_memory(one: u32, other: u32) -> Result<Ordering, Errno> {
    compare(one, other, VM)
}

/// The same for their tables of open files.
///
/// # Errors
/// As [`compare_memory`].
pub(crate) fn compare_files(one: u32, other: u32) -> Result<Ordering, Errno> {
    compare(one, other, FILES)
}

fn compare(one: u32, other: u32, what: libc::c_int) -> Result<Ordering, Errno> {
    let (one, other) = (pid(one)?, pid(other)?);
    // SAFETY: the call takes five numbers and no pointer, and changes nothing.
    let found = unsafe { libc::syscall(libc::SYS_kcmp, one, other, what, 0, 0) };
    match Errno::result(found)? {
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        2 => Ok(Ordering::Greater),
        _ => Err(Errno::EINVAL),
    }
}

fn pid(number: u32) -> Result<libc::pid_t, Errno> {
    libc::pid_t::try_from(number).map_err(|_| Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_own_address_space() {
        let own = std::process::id();
        match compare_memory(own, own) {
            Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => eprintln!("SKIPPED: kcmp is not available here: {errno}"),
            found => assert_eq!(found, Ok(Ordering::Equal)),
        }
        assert_eq!(compare_memory(own, u32::MAX), Err(Errno::ESRCH));
    }
}
