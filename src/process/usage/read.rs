//! Reads one process, twice: first what any user may read, then its smaps_rollup. The two belong together if the
//! process still runs the same program afterwards.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::threads::locked;
use super::{CHANGED, DENIED, LATE, NO_GROUP, NO_STATUS, NOT_ASKED, Shares, UNREADABLE, Usage, UsageNeeds};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::left_behind;
use crate::process::address_space::{Comparable, ProgramPlace};
use crate::process::cgroup::{memory_group, unit_group};
use crate::process::directory::Directory;
use crate::process::failure::{exited, read_error};
use crate::process::fields::{Fields, Wanted};
use crate::process::handle::{Memory, Process};
use crate::process::identity::{Identity, spaces_for_nuls};
use crate::process::kind::DELETED;
use crate::process::root::ProcRoot;
use crate::process::stat::{Stat, parse_stat};
use crate::process::status::{Status, parse_status};
use crate::units::{Absent, Bytes, Figure, Reason};

/// How often a process that changes while it is read is read again.
const TRIES: u32 = 3;

/// A process as it was when its public figures were read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) usage: Usage,
    /// What its `stat` said; `None` in a capture without it.
    mark: Option<Mark>,
    /// What of its address space can be compared with others.
    pub(super) compared: Option<Comparable>,
    /// Its thread group.
    pub(super) group: u32,
}

/// What changes with another process of the same pid, or with another program of the same process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    start_time: u64,
    program: ProgramPlace,
}

impl Mark {
    fn of(stat: &Stat) -> Mark {
        Mark { start_time: stat.start_time, program: stat.program }
    }
}

impl Seen {
    /// Where the program of its address space is.
    pub(super) fn program(&self) -> Option<ProgramPlace> {
        self.mark.map(|mark| mark.program)
    }
}

/// The processes whose smaps_rollup is being read. A repeated collection does not ask again while an earlier one, which
/// was not done in time, is still at it: several at once would only take longer.
#[derive(Debug, Clone, Default)]
pub struct Busy(Arc<Mutex<InProgress>>);

#[derive(Debug, Default)]
struct InProgress {
    /// Those that a thread reads.
    read: HashSet<u32>,
    /// Those that a child reads which was left behind.
    left_behind: HashMap<u32, left_behind::Reader>,
}

impl Busy {
    /// Marks a process; `false` if it is marked already.
    fn begin(&self, pid: u32) -> bool {
        locked(&self.0, |progress| {
            progress.left_behind.retain(|_, reader| reader.is_busy());
            !progress.left_behind.contains_key(&pid) && progress.read.insert(pid)
        })
    }

    fn end(&self, pid: u32) {
        locked(&self.0, |progress| progress.read.remove(&pid));
    }

    fn leave(&self, pid: u32, reader: left_behind::Reader) {
        locked(&self.0, |progress| progress.left_behind.insert(pid, reader));
    }
}

/// Page tables of this size take the kernel some 10 to 50 ms. A thread can be left behind for so long.
const LARGE: Bytes = Bytes(4 << 20);

/// The kernel does not read page tables any faster than this, in bytes a second.
const FASTEST: u64 = 1 << 30;

impl Seen {
    /// Whether reading its smaps_rollup may take long.
    pub(super) fn takes_long(&self) -> bool {
        self.page_tables() >= LARGE
    }

    fn page_tables(&self) -> Bytes {
        self.usage.public(|status| status.page_tables).unwrap_or(Bytes(0))
    }

    /// Whether it would certainly take longer than this.
    fn takes_longer_than(&self, left: Duration) -> bool {
        u128::from(self.page_tables().0) > left.as_millis().saturating_mul(u128::from(FASTEST)) / 1000
    }
}

/// What each thread reads with.
pub(super) struct Reader {
    root: ProcRoot,
    needs: UsageNeeds,
    until: Option<Instant>,
    busy: Busy,
    /// Reads what takes long.
    child: Option<left_behind::Reader>,
    /// Reused from file to file.
    text: Vec<u8>,
}

impl Reader {
    pub(super) fn new(root: &ProcRoot, needs: UsageNeeds, until: Option<Instant>, busy: &Busy) -> Reader {
        Reader { root: root.clone(), needs, until, busy: busy.clone(), child: None, text: Vec::new() }
    }

    /// What any user may read about a process. `None`: it has no memory, because it is a kernel thread or has exited.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]: it is hidden from this user. [`ErrorKind::NotFound`]: there is no such process.
    pub(super) fn read_public(&mut self, pid: u32) -> Result<Option<Seen>> {
        let process = Process::open_in(&self.root, pid)?;
        self.read_public_of(&process)
    }

    /// The same for a process of which nothing else is read. `enter` is called while its address space is the one that
    /// was read.
    ///
    /// # Errors
    /// As for [`Reader::read_public`].
    pub(super) fn read_public_only(&mut self, pid: u32, enter: &mut dyn FnMut(&Seen) -> u64) -> Result<Option<Seen>> {
        let process = Process::open_in(&self.root, pid)?;
        for _ in 0..TRIES {
            let Some(mut seen) = self.read_public_of(&process)? else { return Ok(None) };
            seen.usage.memory = enter(&seen);
            match self.memory(&process)? {
                None => return Ok(None),
                Some(memory) if memory.stat.as_ref().map(Mark::of) == seen.mark => return Ok(Some(seen)),
                Some(_) => {}
            }
        }
        Err(Error::pid(pid, ErrorKind::Changed, CHANGED.why))
    }

    fn read_public_of(&mut self, process: &Process) -> Result<Option<Seen>> {
        let Some(memory) = self.memory(process)? else { return Ok(None) };
        let compared = Comparable::of(&memory);
        let Memory { directory, stat, .. } = memory;
        let status = match self.read(process, &directory, "status") {
            Ok(()) => parse_status(&self.text).ok_or(NO_STATUS),
            Err(_) => Err(NO_STATUS),
        };
        // It has exited meanwhile, or is about to.
        let has_none = |status: &Status| status.rss.is_err_and(|absent| absent.reason == Reason::NotApplicable);
        if status.as_ref().map_or(process.is_live(), has_none) {
            return Ok(None);
        }
        let name = match (&stat, &status) {
            (Some(stat), _) => stat.name.clone(),
            (None, Ok(status)) => status.name.clone(),
            (None, Err(_)) => Vec::new(),
        };
        let command = if self.needs.command { self.command(process, &directory, &name) } else { Vec::new() };
        let program = if self.needs.program { program(&directory).unwrap_or(name.clone()) } else { Vec::new() };
        let mark = stat.as_ref().map(Mark::of);
        let (group, unit_group) = match self.needs.group {
            true => self.groups(process, &directory),
            false => (Err(NOT_ASKED), None),
        };
        let usage = Usage {
            identity: Identity { pid: process.pid(), command, start_time: mark.map(|mark| mark.start_time) },
            name,
            parent: stat.map(|stat| stat.parent).filter(|parent| *parent != 0),
            program,
            group,
            unit_group,
            shares: Err(NOT_ASKED),
            failure: None,
            memory: 0,
            status,
        };
        let group = usage.status.as_ref().ok().and_then(|status| status.thread_group).unwrap_or(process.pid());
        Ok(Some(Seen { usage, mark, compared, group }))
    }

    /// Adds the figures of smaps_rollup. `enter` is called for a process that was read, while its address space is the
    /// one that was read. `None`: it has exited meanwhile.
    pub(super) fn read_shares(&mut self, mut seen: Seen, enter: &mut dyn FnMut(&Seen) -> u64) -> Option<Seen> {
        let pid = seen.usage.identity.pid;
        if !self.busy.begin(pid) {
            seen.usage.shares = Err(LATE);
            seen.usage.memory = enter(&seen);
            return Some(seen);
        }
        let read = self.read_tries(seen, enter);
        self.busy.end(pid);
        read
    }

    fn read_tries(&mut self, mut seen: Seen, enter: &mut dyn FnMut(&Seen) -> u64) -> Option<Seen> {
        for _ in 0..TRIES {
            match self.try_shares(&mut seen, enter) {
                Ok(true) => return Some(seen),
                Ok(false) => seen = self.read_public(seen.usage.identity.pid).ok()??,
                Err(error) if error.absence() == Some(LATE) => {
                    seen.usage.shares = Err(LATE);
                    seen.usage.memory = enter(&seen);
                    return Some(seen);
                }
                Err(error) => {
                    let may_be_gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported);
                    if may_be_gone && self.root.is_live() {
                        // It has exited, or the kernel does not have the file.
                        self.read_public(seen.usage.identity.pid).ok()?.filter(|again| again.mark == seen.mark)?;
                    }
                    seen.usage.memory = enter(&seen);
                    (seen.usage.shares, seen.usage.failure) = (Err(absent(&error)), Some(error));
                    return Some(seen);
                }
            }
        }
        seen.usage.shares = Err(CHANGED);
        seen.usage.failure = Some(Error::pid(seen.usage.identity.pid, ErrorKind::Changed, CHANGED.why));
        Some(seen)
    }

    /// The same; `false` if it is another process than was seen, or runs another program.
    fn try_shares(&mut self, seen: &mut Seen, enter: &mut dyn FnMut(&Seen) -> u64) -> Result<bool> {
        let process = Process::open_in(&self.root, seen.usage.identity.pid)?;
        let until = self.until.filter(|_| process.is_live() && seen.takes_long());
        if until.is_some_and(|until| seen.takes_longer_than(until.saturating_duration_since(Instant::now()))) {
            return Err(late(process.pid()));
        }
        seen.usage.shares = Ok(self.shares(&process, until)?);
        seen.usage.memory = enter(seen);
        match self.memory(&process)? {
            None => Err(exited(process.pid())),
            Some(memory) => Ok(memory.stat.as_ref().map(Mark::of) == seen.mark),
        }
    }

    /// The figures of smaps_rollup. With a time limit a child reads it, which is left behind if it takes too long.
    fn shares(&mut self, process: &Process, until: Option<Instant>) -> Result<Shares> {
        if process.is_live() {
            let read = match until {
                Some(until) => self.read_by_child(process, until),
                None => process.directory.read_live_file("smaps_rollup", &mut self.text),
            };
            match read {
                Ok(()) => {
                    if let Some(shares) = Shares::parse(&self.text) {
                        return Ok(shares);
                    }
                }
                Err(error) if is_denied(&error) => return Err(read_error(process.pid(), &error)),
                Err(error) if error.raw_os_error() == Some(Errno::ETIMEDOUT as i32) => return Err(late(process.pid())),
                Err(_) => {}
            }
        }
        // A kernel before 4.14, a capture, a process whose first thread has exited, one that exits or calls execve.
        let wanted = Wanted::Only(Shares::COUNTERS.map(str::to_owned).to_vec());
        process.read_totals(&mut Fields::new(), &wanted).map(|totals| Shares::of_totals(&totals))
    }

    fn read_by_child(&mut self, process: &Process, until: Instant) -> io::Result<()> {
        let path = self.root.path().join(process.pid().to_string()).join("smaps_rollup");
        let path = CString::new(path.into_os_string().into_vec())?;
        let Some(child) = self.child.take().or_else(|| left_behind::Reader::start().ok()) else {
            return process.directory.read_live_file("smaps_rollup", &mut self.text);
        };
        let read = child.read(&path, &mut self.text, until);
        match child.is_busy() {
            true => self.busy.leave(process.pid(), child),
            false => self.child = Some(child),
        }
        Ok(read?)
    }

    /// Where it shows its memory; `None` if it has none.
    fn memory(&mut self, process: &Process) -> Result<Option<Memory>> {
        if process.is_live()
            && process.directory.read_live_file("stat", &mut self.text).is_ok()
            && let Some(stat) = parse_stat(&self.text)
            && !stat.is_zombie()
        {
            return Ok((!stat.is_kernel_thread()).then(|| Memory::own(process.directory.clone(), Some(stat))));
        }
        // Anything unusual: see there.
        match process.memory() {
            Ok(memory) => Ok(Some(memory)),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn command(&mut self, process: &Process, directory: &Directory, name: &[u8]) -> Vec<u8> {
        let _ = self.read(process, directory, "cmdline").map_err(|_| self.text.clear());
        spaces_for_nuls(&mut self.text);
        match (self.text.is_empty(), name) {
            (false, _) => self.text.clone(),
            (true, []) => Vec::new(),
            (true, name) => [b"[", name, b"]"].concat(),
        }
    }

    /// Its control group for memory, and the one of its unit if that is another.
    fn groups(&mut self, process: &Process, directory: &Directory) -> (Figure<Vec<u8>>, Option<Vec<u8>>) {
        if self.read(process, directory, "cgroup").is_err() {
            return (Err(NO_GROUP), None);
        }
        let memory = memory_group(&self.text);
        let unit = unit_group(&self.text).filter(|unit| Some(*unit) != memory);
        (memory.map(<[u8]>::to_vec).ok_or(NO_GROUP), unit.map(<[u8]>::to_vec))
    }

    fn read(&mut self, process: &Process, directory: &Directory, name: &str) -> io::Result<()> {
        if process.is_live() {
            return directory.read_live_file(name, &mut self.text);
        }
        self.text = directory.read_file(name, 1 << 20)?;
        Ok(())
    }
}

/// The parent of a process; `None` if it has none, or cannot be read.
pub(super) fn read_parent(root: &ProcRoot, pid: u32) -> Option<u32> {
    let stat = Process::open_in(root, pid).ok()?.read_stat().ok()??;
    Some(stat.parent)
}

/// The name of the program, which is not readable for another user's process.
fn program(directory: &Directory) -> Option<Vec<u8>> {
    let file = directory.read_link("exe").ok()?;
    let path = file.as_os_str().as_bytes();
    // A program that was run from a memfd has a name of its maker's.
    let is_file = !path.starts_with(b"/memfd:");
    let path = Path::new(OsStr::from_bytes(path.strip_suffix(DELETED).unwrap_or(path)));
    path.file_name().filter(|_| is_file).map(|name| name.as_bytes().to_vec())
}

fn late(pid: u32) -> Error {
    Error::absent(Subject::Pid(pid), LATE)
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Why figures are absent that could not be read because of this error.
fn absent(error: &Error) -> Absent {
    match error.kind() {
        ErrorKind::Denied => DENIED,
        ErrorKind::Changed => CHANGED,
        _ => UNREADABLE,
    }
}
