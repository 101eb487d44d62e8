//! Descriptors of processes: they stay with their process whatever becomes of its pid.

#![allow(unsafe_code, reason = "pidfd_open and pidfd_send_signal are not wrapped by nix")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc::{self, c_uint};
use nix::unistd::Pid;

/// Opens a process.
///
/// # Errors
/// As `pidfd_open(2)`: `ENOSYS` before Linux 5.3.
#[doc(alias = "pidfd_open")]
pub(super) fn open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: a plain system call.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0 as c_uint) })?;
    // SAFETY: the descriptor was made for this process by the call, and nothing else refers to it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Kills a process. It only makes a system call, so that a forked child may call it.
///
/// # Errors
/// `EPERM`: it belongs to another user. `ESRCH`: it has ended. `EBADF`: there is no such descriptor.
pub(super) fn kill(process: RawFd) -> Result<(), Errno> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null pointer stands for no information, and the kernel then fills it in itself.
    let killed = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, libc::SIGKILL, nothing, 0 as c_uint) };
    Errno::result(killed).map(drop)
}

/// The pid of a process in `/proc`, which may be mounted for another pid namespace than that of this process.
///
/// # Errors
/// `ESRCH`: `/proc` does not show it. `ENOSYS`: its pid there cannot be known.
pub(crate) fn pid_in_proc(pid: Pid) -> Result<u32, Errno> {
    let number = |pid: Pid| u32::try_from(pid.as_raw()).map_err(|_| Errno::ESRCH);
    let process = open(pid).ok();
    let info =
        process.and_then(|process| std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok());
    match info.as_deref().and_then(shown_pid) {
        Some(shown) if shown.as_raw() > 0 => number(shown),
        Some(_) => Err(Errno::ESRCH),
        None if is_of_own_namespace() => number(pid),
        None => Err(Errno::ENOSYS),
    }
}

/// `Pid` of the information about a descriptor: 0 or -1 if `/proc` does not show the process.
fn shown_pid(info: &str) -> Option<Pid> {
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).map(Pid::from_raw)
}

/// Whether the pids in `/proc` are those that system calls of this process accept, as far as its own pid tells.
fn is_of_own_namespace() -> bool {
    std::fs::read_link("/proc/self").is_ok_and(|own| own.as_os_str() == std::process::id().to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_is_the_one_that_proc_shows() {
        assert_eq!(shown_pid("pos:\t0\nPid:\t1234\nNSpid:\t1234\t5\n"), Some(Pid::from_raw(1234)));
        assert_eq!(shown_pid("pos:\t0\nPid:\t-1\n"), Some(Pid::from_raw(-1)));
        assert_eq!(shown_pid("pos:\t0\nflags:\t02\n"), None);
        let own = std::fs::read_link("/proc/self").unwrap();
        assert_eq!(pid_in_proc(Pid::this()).unwrap().to_string(), own.to_str().unwrap());
    }
}
