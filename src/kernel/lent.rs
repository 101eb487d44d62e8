//! Descriptors of files on FUSE that another process has open, taken with `pidfd_getfd(2)`.
//!
//! Opening a file on FUSE drops its cached pages, of every process, unless its server says otherwise
//! (`FOPEN_KEEP_CACHE`; libfuse and bindfs do not by default). Only the server knows. A descriptor that some process
//! already has changes nothing. It shares its position and flags with that process, so it must never be read, moved
//! (`lseek`) or reconfigured, and it is mapped only if nothing is cached: mapping may drop pages too
//! (`FOPEN_DIRECT_IO`).

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::handle::Handle;
use super::helper::is_helper;
use super::identity::FileIdentity;
use super::mount_table;
use super::statx::Statx;

/// A descriptor of a process.
#[derive(Debug, Clone, Copy)]
struct Descriptor {
    pid: u32,
    fd: u32,
}

/// By device and inode, which a server may give to several files.
type Index = HashMap<(u64, u64), Vec<Descriptor>>;

/// How long the list of descriptors is used. Reading it takes some 3 us per descriptor.
const FRESH: Duration = Duration::from_secs(1);

static INDEX: Mutex<Option<(Instant, Arc<Index>)>> = Mutex::new(None);

/// Takes a descriptor that is open for reading from a process that has the file open. `name` is a descriptor of the
/// same file that only names it (`O_PATH`), and `identity` what identifies it.
///
/// # Errors
/// `ENOENT`: no process that this user can see is proven to have it open for reading. `EPERM`: this user may not take
/// it (`ptrace(2)`). `ENOSYS` before Linux 5.6. `ETIMEDOUT`: its file system does not answer.
pub(crate) fn borrow(name: &Handle, identity: FileIdentity) -> Result<Handle, Errno> {
    let index = index();
    let Handle::Far(far) = name else { return Err(Errno::ENOENT) };
    let mut last = Errno::ENOENT;
    for Descriptor { pid, fd } in index.get(&(identity.device(), identity.inode())).into_iter().flatten() {
        match far.take(*pid, *fd).and_then(|taken| Ok((taken.stat()?, taken))) {
            // Its server may give several files one number, and the process may have opened another one since.
            Ok((stat, taken)) if identity.is_of(&taken, &stat) => return Ok(taken),
            Ok(_) => {}
            Err(errno) => last = errno,
        }
    }
    Err(last)
}

fn index() -> Arc<Index> {
    let mut known = INDEX.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some((when, index)) if when.elapsed() < FRESH => Arc::clone(index),
        _ => {
            let index = Arc::new(read_index());
            *known = Some((Instant::now(), Arc::clone(&index)));
            index
        }
    }
}

/// The descriptors of all processes that are open for reading on FUSE. No server is asked.
fn read_index() -> Index {
    let mounts = mount_table::own();
    let mut index = Index::new();
    let numbers = |path: &str| {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    let Ok(proc) = File::open("/proc") else { return index };
    for pid in numbers("/proc").into_iter().filter(|pid| *pid != std::process::id() && !is_helper(*pid)) {
        for fd in numbers(&format!("/proc/{pid}/fd")) {
            let Ok(link) = CString::new(format!("{pid}/fd/{fd}")) else { continue };
            let Ok(found) = Statx::cached_of_name(proc.as_fd(), &link) else { continue };
            // A mount of another mount namespace is not in the list.
            let device = mount_table::parts(found.device());
            let is_unlisted = || device.0 == 0 && found.is_regular() && mounts.may_block(device).is_none();
            if (mounts.is_fuse(device) || is_unlisted()) && is_readable(pid, fd) {
                index.entry((found.device(), found.inode())).or_default().push(Descriptor { pid, fd });
            }
        }
    }
    index
}

/// Whether a descriptor is open for reading, from `flags` in its `fdinfo`.
fn is_readable(pid: u32, fd: u32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE != libc::O_WRONLY)
}
