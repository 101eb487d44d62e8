//! [`Process`]: a process, opened once. Everything that is read through the handle belongs to that process: if it exits
//! and its pid is reused, the kernel returns `ESRCH`, never the figures of another process.
//!
//! The handle also knows where the process shows its memory. If the first thread has exited while others run on, the
//! kernel shows nothing below `/proc/PID`, and the memory is read through another thread's directory.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getsid};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::pidfd::pid_in_proc;
use crate::kernel::privilege::run_as_root_or_owner;
use crate::process::directory::Directory;
use crate::process::failure::{is_denied, is_gone, read_error};
use crate::process::root::{Hides, ProcRoot, is_of_our_namespace, not_mounted, read_pids, what_is_hidden};
use crate::process::stat::{Stat, parse_stat};

/// A process, held open by a descriptor of its directory in `/proc`.
#[derive(Debug)]
pub struct Process {
    root: ProcRoot,
    pid: u32,
    is_live: bool,
    pub(super) directory: Directory,
}

/// The directory in which a process shows its memory.
pub(super) struct Memory {
    /// The directory that has `maps`, `smaps`, `pagemap`, `map_files`, `cmdline`, `exe`, `root` and `fd`.
    pub(super) directory: Directory,
    /// `stat` of the process; `None` in a capture without it.
    pub(super) stat: Option<Stat>,
    /// Whether it is the directory of a thread other than the first, and if so, `stat` of that thread.
    pub(super) is_other: bool,
    thread: Option<Stat>,
}

impl Memory {
    /// That of a process which shows it in its own directory.
    pub(super) fn own(directory: Directory, stat: Option<Stat>) -> Memory {
        Memory { directory, stat, is_other: false, thread: None }
    }

    /// `stat` of the thread whose directory it is.
    pub(super) fn shown_by(&self) -> Option<&Stat> {
        if self.is_other { self.thread.as_ref() } else { self.stat.as_ref() }
    }
}

impl Process {
    /// Opens a process of this machine.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such process. [`ErrorKind::Unsupported`]: `/proc` is not mounted.
    pub fn open(pid: u32) -> Result<Process> {
        Process::open_in(&ProcRoot::live(), pid)
    }

    /// Opens a process below `root`: a mounted proc file system, or a capture.
    ///
    /// # Errors
    /// As [`Process::open`].
    pub fn open_in(root: &ProcRoot, pid: u32) -> Result<Process> {
        let path = root.path().join(pid.to_string());
        let is_live = root.is_live();
        match Directory::open_process(&path, is_live) {
            Ok(directory) => Ok(Process { root: root.clone(), pid, is_live, directory }),
            Err(Errno::ENOENT | Errno::ESRCH) if root.path().is_dir() => Err(no_such_process(root, pid)),
            Err(Errno::ENOENT) => {
                Err(not_mounted(root)
                    .unwrap_or_else(|| Error::path(root.path(), ErrorKind::NotFound, "no such directory")))
            }
            Err(errno) => Err(Error::errno(Subject::Path(path), errno)),
        }
    }

    /// Opens the process that is running this code.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: `/proc` is not mounted.
    pub fn own() -> Result<Process> {
        Process::own_in(&ProcRoot::live())
    }

    /// Opens the process that is running this code, under the pid that it has in `root`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: `root` is a capture, or not mounted.
    pub fn own_in(root: &ProcRoot) -> Result<Process> {
        Process::open_in(root, own_pid(root)?)
    }

    /// Whether it is the process that is running this code.
    pub(crate) fn is_itself(&self) -> bool {
        self.is_live && own_pid(&self.root).is_ok_and(|own| own == self.pid)
    }

    /// Opens a process that this one has started and not waited for, by the pid that system calls accept. Below a
    /// `/proc` of another pid namespace it has another one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: `/proc` is not mounted, or which process it is there cannot be known.
    pub(crate) fn started(pid: Pid) -> Result<Process> {
        Process::open(find_started(pid)?)
    }

    /// Checks that processes which this one is about to start can be found in `/proc`.
    ///
    /// # Errors
    /// As [`Process::started`].
    pub(crate) fn check_that_started_are_found() -> Result<()> {
        find_started(Pid::this()).map(drop)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The root below which it was opened.
    pub fn root(&self) -> &ProcRoot {
        &self.root
    }

    /// Whether it is a process of a running kernel and not of a capture.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// `/proc/PID/stat`; `None` if a capture does not have the file.
    pub(super) fn read_stat(&self) -> Result<Option<Stat>> {
        let text = match self.directory.read_file("stat", 4096) {
            Ok(text) => text,
            Err(error) if is_gone(&error) && !self.is_live => return Ok(None),
            // For a process that has exited the error would be ESRCH.
            Err(error) if is_denied(&error) || error.kind() == std::io::ErrorKind::NotFound => {
                return Err(hidden(self.pid).caused_by(&error));
            }
            Err(error) if is_gone(&error) => {
                return Err(Error::pid(self.pid, ErrorKind::NotFound, "no such process").caused_by(&error));
            }
            Err(error) => return Err(Error::io(Subject::Pid(self.pid), &error)),
        };
        let malformed = || Error::pid(self.pid, ErrorKind::Malformed, "its stat file is not in the kernel's format");
        parse_stat(&text).map(Some).ok_or_else(malformed)
    }

    /// The directory in which the process currently shows its memory.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: a kernel thread or a zombie, which have none. [`ErrorKind::NotFound`]: it has
    /// exited.
    pub(super) fn memory(&self) -> Result<Memory> {
        let stat = self.read_stat()?;
        let has_none = |why: &'static str| Err(Error::pid(self.pid, ErrorKind::Unsupported, why));
        match &stat {
            Some(found) if found.is_kernel_thread() => has_none("a kernel thread has no memory of its own"),
            Some(found) if found.is_zombie() => {
                let other = if found.threads > 1 { self.open_other_thread() } else { None };
                match other {
                    Some(directory) => {
                        let thread = directory.read_file("stat", 4096).ok().and_then(|text| parse_stat(&text));
                        Ok(Memory { directory, stat, is_other: true, thread })
                    }
                    None => has_none(ZOMBIE),
                }
            }
            _ => Ok(Memory::own(self.directory.clone(), stat)),
        }
    }

    /// The same, or the directory of the process itself if it has no memory.
    pub(super) fn memory_or_own(&self) -> Result<Memory> {
        match self.memory() {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Ok(Memory::own(self.directory.clone(), self.read_stat()?))
            }
            found => found,
        }
    }

    /// Calls `open` with the directory that shows its memory. That is almost always its own: the other is looked for
    /// only after a failure, so that no `stat` is read for every file.
    pub(super) fn open_in_memory<T, E>(
        &self,
        open: impl Fn(&Directory) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        open(&self.directory).or_else(|error| match self.memory() {
            Ok(Memory { directory, is_other: true, .. }) => open(&directory),
            _ => Err(error),
        })
    }

    /// The directory of a thread that is not the first.
    fn open_other_thread(&self) -> Option<Directory> {
        let threads = self.directory.read_numbers("task").ok()?;
        let thread = threads.into_iter().filter(|thread| *thread != self.pid).max()?;
        let below = self.directory.open_thread(&format!("task/{thread}")).ok()?;
        if !self.is_live {
            return Some(below);
        }
        // Only the hidden directory /proc/TID has map_files. It is opened before task/TID is looked up again: a thread
        // that is still found there is the one that was opened; otherwise the opened one has exited.
        let whole = self.directory.open_thread(&format!("../{thread}"));
        let is_ours = || self.directory.read_file(&format!("task/{thread}/stat"), 1).is_ok();
        Some(whole.ok().filter(|_| is_ours()).unwrap_or(below))
    }

    /// Whether it runs in the kernel and has neither memory nor files. False if that cannot be read.
    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.read_stat().is_ok_and(|stat| stat.is_some_and(|stat| stat.is_kernel_thread()))
    }

    /// An error unless the process is live.
    pub(super) fn require_live(&self, why: &'static str) -> Result<()> {
        match self.is_live {
            true => Ok(()),
            false => Err(Error::pid(self.pid, ErrorKind::Unsupported, why)),
        }
    }

    /// Opens a file of its memory.
    pub(super) fn open_memory_file(&self, name: &str) -> Result<std::fs::File> {
        let opened = self.memory()?.directory.open_file(name);
        opened.map_err(|error| self.open_error(name, &error))
    }

    /// Why a file of the process could not be opened.
    pub(super) fn open_error(&self, name: &str, error: &std::io::Error) -> Error {
        let is_there = !self.is_live || self.directory.read_file("stat", 1).is_ok();
        match is_gone(error) && is_there {
            true => Error::pid(self.pid, ErrorKind::NotFound, format!("it has no {name} file")).caused_by(error),
            false => read_error(self.pid, error),
        }
    }
}

/// Why a process that has exited has no memory.
pub(super) const ZOMBIE: &str = "a zombie: it has exited and waits for its parent";

/// The pid in `/proc` of a process that has this one for system calls.
fn find_started(pid: Pid) -> Result<u32> {
    pid_in_proc(pid).map_err(|_| {
        let root = ProcRoot::live();
        not_mounted(&root).unwrap_or_else(|| {
            let why = "it belongs to another pid namespace, so the processes that rmap starts cannot be found in it";
            Error::path(root.path(), ErrorKind::Unsupported, why).with_advice("mount it: mount -t proc proc /proc")
        })
    })
}

/// The pid of this process in `root`: the target of `self`. In a pid namespace with the `/proc` of another one it is
/// not what `getpid(2)` returns.
///
/// # Errors
/// [`ErrorKind::Unsupported`]: `root` is a capture, or not mounted.
pub(crate) fn own_pid(root: &ProcRoot) -> Result<u32> {
    let link: PathBuf = root.path().join("self");
    let target = std::fs::read_link(&link).ok().and_then(|target| target.to_str()?.parse().ok());
    match target {
        Some(pid) if root.is_live() => Ok(pid),
        _ => Err(not_mounted(root).unwrap_or_else(|| {
            Error::path(&link, ErrorKind::Unsupported, "a capture has no process 'self'").with_advice("give its pid")
        })),
    }
}

/// The error for a process that exists but is hidden from this user.
fn hidden(pid: u32) -> Error {
    let why = "no such process among those of this user: /proc hides the others (hidepid)";
    Error::pid(pid, ErrorKind::Denied, why).with_advice(run_as_root_or_owner())
}

/// Whether the process exists although `/proc` does not show it.
fn exists(root: &ProcRoot, pid: u32) -> bool {
    let number = i32::try_from(pid).ok().filter(|number| *number > 0).map(Pid::from_raw);
    let answer = number.filter(|_| is_of_our_namespace(root)).map(|number| kill(number, None));
    matches!(answer, Some(Ok(()) | Err(Errno::EPERM)))
}

/// Whether a process that `/proc` names and hides may be a thread of the kernel, which has no memory. Those are in no
/// session; nor are processes whose session began outside of their pid namespace or before there were any.
pub(crate) fn may_be_kernel_thread(root: &ProcRoot, pid: u32) -> bool {
    let number = i32::try_from(pid).ok().filter(|_| root.is_live() && is_of_our_namespace(root)).map(Pid::from_raw);
    !number.is_some_and(|number| getsid(Some(number)).is_ok_and(|session| session.as_raw() != 0))
}

/// Why a process is not in a capture that names it.
pub(super) const NOT_SEEN: &str = "hidden from the user who took the capture (hidepid)";

fn no_such_process(root: &ProcRoot, pid: u32) -> Error {
    if let Some(error) = not_mounted(root) {
        return error;
    }
    if exists(root, pid) {
        return hidden(pid);
    }
    if root.captured().is_some_and(|captured| captured.hidden.contains(&pid)) {
        return root.advised(Error::pid(pid, ErrorKind::Denied, NOT_SEEN));
    }
    if root.captured().is_some_and(|captured| captured.missed.contains(&pid)) {
        return Error::pid(pid, ErrorKind::Changed, "it could not be read when the capture was taken");
    }
    let why = match root.captured() {
        _ if root.is_live() => "no such process".to_owned(),
        // An archive is unpacked to a place that says nothing.
        Some(_) => "no such process in the capture".to_owned(),
        None => format!("no such process in {}", root.path().display()),
    };
    Error::pid(pid, ErrorKind::NotFound, why)
}

/// Whether `root` shows the processes of the whole machine: it belongs to the first pid namespace. In another one, such
/// as that of a container, the processes outside are missing.
///
/// Two numbers would not tell: `/proc` may have been mounted in another namespace than that of this process, inside or
/// outside. So its second process is looked at: only the first namespace has a thread of the kernel there, `kthreadd`.
pub fn shows_whole_machine(root: &ProcRoot) -> bool {
    const KTHREADD: u32 = 2;
    Process::open_in(root, KTHREADD).is_ok_and(|process| process.is_kernel_thread())
}

/// Whether `root` shows only the processes of another pid namespace than the first. Not if it hides processes anyway.
pub(crate) fn is_of_namespace(root: &ProcRoot) -> bool {
    root.is_live() && what_is_hidden(root) == Hides::Nothing && !shows_whole_machine(root)
}

/// Which pids a file lists that the kernel writes for its reader, such as `cgroup.procs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListedPids {
    /// All of them, as `root` has them.
    All,
    /// Those that `root` has, which may be only those of another pid namespace than the first.
    Some,
    /// Those of another pid namespace than that of `root`.
    Others,
}

/// Which pids such a file of this machine lists.
pub(crate) fn listed_pids(root: &ProcRoot) -> ListedPids {
    /// The number of the first pid namespace (`PROC_PID_INIT_INO`).
    const FIRST: u64 = 0xEFFF_FFFC;
    let number = |process: &Process| process.read_pid_namespace().ok().flatten();
    let is_all = if root.is_live() {
        if !is_of_our_namespace(root) {
            return ListedPids::Others;
        }
        let own = Process::own_in(root).ok().and_then(|own| number(&own));
        own.map_or_else(|| shows_whole_machine(root), |own| own == FIRST)
    } else {
        // Whoever took the capture saw this process. One without links tells nothing.
        let pids = read_pids(root).unwrap_or_default();
        let mut numbers = pids.iter().filter_map(|pid| number(&Process::open_in(root, *pid).ok()?)).peekable();
        shows_whole_machine(root) || numbers.peek().is_none() || numbers.any(|number| number == FIRST)
    };
    if is_all { ListedPids::All } else { ListedPids::Some }
}
