//! Who a process is: its command line, when it started, and whether it has memory of its own to inspect.
//!
//! From `/proc/PID/stat`, `cmdline` and `comm`. Nothing here reads its memory.

use std::io;

use nix::errno::Errno;
use procfs::FromRead;
use procfs::process::Stat;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::root::{ProcRoot, ProcessDir, not_mounted};

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`, unchanged since 2.6.27.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// `PF_EXITING` of the same file.
const EXITING: u32 = 0x0000_0004;

/// As much of a command line as is read. `execve` takes 6 MiB at most on a default stack.
const LONGEST_COMMAND: u64 = 8 << 20;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The command line (`/proc/PID/cmdline`), the NULs between arguments turned into spaces as pmap does. Where there
    /// is none, as for a kernel thread, a zombie or a capture without the file, the name of `comm` in brackets:
    /// `[kthreadd]`; empty where there is no name either. Hostile bytes: any of them may be here.
    pub command: Vec<u8>,
    /// When it started, in clock ticks after boot (field 22 of `/proc/PID/stat`): with the pid it names a process for
    /// ever. Absent from a capture without that file.
    pub start_time: Option<u64>,
}

impl Process {
    /// Whether both are one process, and not two that were given the same number one after the other. A process that ran
    /// another program meanwhile (`execve`) is still the same. Of captures without start times only the number tells.
    pub fn is_same_as(&self, other: &Process) -> bool {
        self.pid == other.pid && self.start_time == other.start_time
    }
}

/// Reads who `pid` is.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is no such process; [`ErrorKind::Denied`] where `/proc` hides it.
pub fn read_process(root: &ProcRoot, pid: u32) -> Result<Process> {
    let directory = ProcessDir::open(root, pid)?;
    let stat = read_stat(&directory)?;
    read_identity(&directory, stat.as_ref())
}

/// The pid of this process as `root` numbers it: where `self` points.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a capture, in which this process is not, and where `/proc` is not mounted.
pub fn own_pid(root: &ProcRoot) -> Result<u32> {
    let link = root.path().join("self");
    let target = std::fs::read_link(&link).ok().and_then(|target| target.to_str()?.parse().ok());
    match target {
        Some(pid) if root.is_live() => Ok(pid),
        _ => Err(not_mounted(root).unwrap_or_else(|| {
            Error::path(&link, ErrorKind::Unsupported, "there is no process 'self' here").with_advice("give its number")
        })),
    }
}

/// Who the process of an open directory is.
pub(super) fn read_identity(directory: &ProcessDir, stat: Option<&Stat>) -> Result<Process> {
    let mut command = match directory.read_file("cmdline", LONGEST_COMMAND) {
        Ok(arguments) => arguments,
        Err(error) if is_gone(&error) || is_denied(&error) => Vec::new(),
        Err(error) => return Err(Error::io(Subject::Pid(directory.pid), &error)),
    };
    spaces_for_nuls(&mut command);
    if command.is_empty() {
        command = bracketed_name(directory, stat);
    }
    Ok(Process { pid: directory.pid, command, start_time: stat.map(|stat| stat.starttime) })
}

/// `/proc/PID/stat`; absent where a capture has none.
pub(super) fn read_stat(directory: &ProcessDir) -> Result<Option<Stat>> {
    let text = match directory.read_file("stat", 4096) {
        Ok(text) => text,
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => return Ok(None),
        Err(error) if is_gone(&error) => return Err(Error::pid(directory.pid, ErrorKind::NotFound, "no such process")),
        Err(error) => return Err(Error::io(Subject::Pid(directory.pid), &error)),
    };
    parse_stat(&text)
        .map(Some)
        .ok_or_else(|| Error::pid(directory.pid, ErrorKind::Malformed, "its stat file is not what the kernel writes"))
}

/// Parses `/proc/PID/stat`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    // procfs 0.18 slices before and after the parentheses without looking, and panics on other text.
    let open = memchr::memchr(b'(', text)?;
    let close = memchr::memrchr(b')', text)?;
    let framed = open > 1 && open < close && text.get(close + 1) == Some(&b' ') && text.first()?.is_ascii_digit();
    if framed { Stat::from_read(text).ok() } else { None }
}

/// Whether it runs in the kernel and has no memory of its own.
pub(super) fn is_kernel_thread(stat: &Stat) -> bool {
    stat.flags & KERNEL_THREAD != 0
}

/// Whether it is on its way out, and may have given its memory back already.
pub(super) fn is_exiting(stat: &Stat) -> bool {
    stat.flags & EXITING != 0
}

/// Whether it has exited, so that its memory is gone.
pub(super) fn is_zombie(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X' | 'x')
}

/// Whether the process, or the file of a capture, is not there.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ESRCH))
}

/// Whether the kernel does not let this user look.
pub(super) fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EACCES | Errno::EPERM))
}

fn spaces_for_nuls(command: &mut Vec<u8>) {
    let end = command.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    command.truncate(end);
    command.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
}

fn bracketed_name(directory: &ProcessDir, stat: Option<&Stat>) -> Vec<u8> {
    let name = match (directory.read_file("comm", 4096), stat) {
        (Ok(line), _) => line.strip_suffix(b"\n").unwrap_or(&line).to_vec(),
        (Err(_), Some(stat)) => stat.comm.clone().into_bytes(),
        (Err(_), None) => return Vec::new(),
    };
    [b"[", &name[..], b"]"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_by_spaces() {
        for (raw, command) in
            [(&b"ls\0-l\0\0x\0"[..], &b"ls -l  x"[..]), (b"", b""), (b"\0\0", b""), (b"title", b"title")]
        {
            let mut bytes = raw.to_vec();
            spaces_for_nuls(&mut bytes);
            assert_eq!(bytes, command);
        }
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let close = memchr::memrchr(b')', &text).unwrap();
        let hostile = [b"4690 (a) S (b", &text[close..]].concat();
        let (own, odd) = (parse_stat(&text).unwrap(), parse_stat(&hostile).unwrap());
        assert_eq!((own.starttime, own.startcode), (odd.starttime, odd.startcode));
        assert_eq!(odd.comm, "a) S (b");
    }

    #[test]
    fn garbage_in_place_of_stat_is_refused() {
        for text in [&b""[..], b"(", b")(", b"1 ()", b"(a) R", b"1 (a)R 1", b"x (a) R 1 2", b"1 (a) R 1 2"] {
            assert!(parse_stat(text).is_none(), "{}", text.escape_ascii());
        }
    }
}
