//! Runs somebody else's program and follows what it maps: from its system calls, and by looking at its mappings and the
//! files behind them again and again.
//!
//! System calls that change much of what is mapped are held for a moment when they begin
//! (`kernel::notify`), so that their time is exact and the state just before memory is unmapped is seen. Everything
//! else is found by looking: at regular intervals, more rarely if looking takes long, and soon after such a call.
//!
//! The program keeps its standard input, output and error. It is killed if the thread that follows it ends.

mod area;
mod calls;
mod causes;
mod change;
mod files;
mod groups;
mod hearing;
mod known;
mod ledger;
mod pace;
mod update;

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

pub use area::Area;
pub use calls::CALLS;
pub use change::{Change, Event, InCache, State};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::launch::{Launched, NotStarted, launch};
use crate::kernel::notify::{Filter, Notification};
use crate::kernel::page_size;
use crate::kernel::whereabouts::await_answer;
use crate::machine::read_huge_page_size;
use crate::process::{ProcRoot, Process, of_own_child};
use crate::units::{Absent, Bytes, PageSize, Reason};
use area::{Reader, mapped_parts};
use calls::{Call, InCacheAt, Noted, WATCHED};
use files::{Files, NOT_OPEN};
use hearing::Hearing;
use ledger::{Ledger, Weight};
use pace::Pace;
use update::UNMEASURED;

/// What is to be run and how it is followed.
#[derive(Debug, Clone)]
pub struct TraceRequest {
    /// The program, which is looked for in `PATH`, and its arguments.
    pub command: Vec<OsString>,
    /// How long to wait between two looks.
    pub every: Duration,
    /// How much a mapping must have changed to be told.
    pub least: Bytes,
    /// Whether system calls are noticed.
    pub calls: bool,
}

/// A program that runs and is followed.
pub struct Trace {
    process: Process,
    /// Receives system calls, until no process is left that could make them.
    hearing: Option<Hearing>,
    /// How many were interrupted, once none can be received any more.
    interrupted: u64,
    launched: Launched,
    signals: Signals,
    reader: Reader,
    ledger: Ledger,
    files: Files,
    pace: Pace,
    noted: Vec<Noted>,
    /// Changes that are not told yet: a call that began before them may have one too.
    waiting: Vec<Change>,
    without_calls: Option<Absent>,
    page: PageSize,
    huge_page: Bytes,
    has_failed: bool,
}

/// What is read besides Size and Rss, which takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measures {
    /// `Pss` and `Anonymous`.
    pub shares: bool,
    /// The files in the page cache.
    pub files: bool,
}

/// What is heard of a program.
pub enum Heard {
    /// A change of what it has mapped.
    Change(Box<Change>),
    /// Its mappings cannot be read.
    Failure(Error),
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was waited for elsewhere.
    Unknown,
}

impl Ending {
    /// The exit status, as shells show it: 128 plus the number of the signal.
    pub fn status(self) -> u8 {
        let status = match self {
            Ending::Exited(status) => status,
            Ending::Killed(signal) => 128 + signal,
            Ending::Unknown => 1,
        };
        u8::try_from(status).unwrap_or(1)
    }
}

const NOT_WANTED: Absent = Absent::new(Reason::NotApplicable, "system calls are not followed");
const NO_NOTIFICATION: Absent = Absent::new(
    Reason::Unsupported,
    "this kernel or sandbox does not report system calls (Linux 5.19, seccomp user notification)",
);
const TAKEN_ALREADY: Absent =
    Absent::new(Reason::Unsupported, "the system calls of this process are already followed by another program");
const KILLED: Absent = Absent::new(Reason::NotApplicable, "no system call: a signal ended the program");
const ENDED: Absent = Absent::new(Reason::NotApplicable, "the program has ended");

/// Waits until the file systems answer that have the program, or may have it because it is looked for there: a child
/// that waits for one could not be ended.
///
/// # Errors
/// `Vanished`, about the first place that does not answer.
fn await_program(name: &OsStr) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = match name.as_bytes().contains(&b'/') {
        true => vec![name.into()],
        false => std::env::split_paths(&path).map(|directory| directory.join(name)).collect(),
    };
    for place in places {
        match await_answer(&place) {
            Ok(()) => return Ok(()),
            Err(Errno::ETIMEDOUT) => return Err(Error::io(Subject::Path(place), &Errno::ETIMEDOUT.into())),
            Err(_) => {}
        }
    }
    Ok(())
}

impl Trace {
    /// Starts the program.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: there is no such program; otherwise as `execve(2)`.
    pub fn begin(request: &TraceRequest) -> Result<Trace> {
        let name = request.command.first().cloned().unwrap_or_default();
        let failed = |error: std::io::Error| Error::io(Subject::Path(PathBuf::from(&name)), &error);
        let words = request.command.iter().map(|word| CString::new(word.as_bytes()));
        let words: Vec<CString> = words.collect::<std::result::Result<_, _>>().map_err(|error| failed(error.into()))?;
        let filter = Filter::new(WATCHED, request.least.0).filter(|_| request.calls && !WATCHED.is_empty());
        Process::check_that_started_are_found()?;
        let signals = Signals::take().map_err(|errno| failed(errno.into()))?;
        let pace = Pace::new(request.every);
        await_program(&name)?;
        let started = launch(&words, filter.as_ref(), &signals.before);
        let mut launched = started.map_err(|failed| not_started(&name, failed))?;
        let process = Process::started(launched.pid)?;
        let (hearing, without_calls) = match launched.listener.take() {
            Some(Ok(listener)) => (Some(Hearing::begin(listener, launched.pid)?), None),
            Some(Err(Errno::EBUSY)) => (None, Some(TAKEN_ALREADY)),
            None if !request.calls => (None, Some(NOT_WANTED)),
            Some(Err(_)) | None => (None, Some(NO_NOTIFICATION)),
        };
        let mut trace = Trace {
            process,
            hearing,
            interrupted: 0,
            launched,
            signals,
            reader: Reader::new(false),
            ledger: Ledger::new(request.least, without_calls),
            files: Files::new(),
            pace,
            noted: Vec::new(),
            waiting: Vec::new(),
            without_calls,
            page: page_size(),
            huge_page: read_huge_page_size(&ProcRoot::live()).unwrap_or_default(),
            has_failed: false,
        };
        trace.note(trace.first_thread(), Call::Execute, Vec::new());
        Ok(trace)
    }

    /// The pid of the program.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its first thread, as system calls name it.
    fn first_thread(&self) -> u32 {
        self.launched.pid.as_raw().unsigned_abs()
    }

    /// Why system calls are not known, if they are not.
    pub fn without_calls(&self) -> Option<Absent> {
        self.without_calls
    }

    /// How many mappings have never changed enough to be told, at least: those that nobody saw are not among them.
    pub fn untold(&self) -> u64 {
        self.ledger.untold()
    }

    /// How many system calls at most a signal has interrupted because they were to be held, with those of other
    /// processes that the program has started. They failed with `EINTR`, unless the handler of the signal restarts
    /// them. Those of threads that were killed meanwhile cannot be told from them.
    pub fn interrupted(&self) -> u64 {
        self.hearing.as_ref().map_or(self.interrupted, Hearing::interrupted)
    }

    /// Follows the program until it ends.
    ///
    /// # Errors
    /// The program can no longer be waited for.
    pub fn follow(&mut self, measures: Measures, each: &mut dyn FnMut(Heard)) -> Result<Ending> {
        self.reader = Reader::new(measures.shares);
        loop {
            if self.pace.left().is_zero() {
                self.look(measures, None, each);
            }
            let is_called = self.wait();
            let is_called = is_called.map_err(|errno| Error::errno(Subject::Pid(self.pid()), errno))?;
            self.pass_signals_on();
            if let Some(ending) = self.ending() {
                self.end(ending, measures, each);
                return Ok(ending);
            }
            if is_called {
                self.hear_call(measures, each);
            }
        }
    }

    /// Waits for a signal, a system call, or the time of the next look. Returns whether a system call waits.
    fn wait(&mut self) -> std::result::Result<bool, Errno> {
        // Rounded up, so that it does not wake up early again and again.
        let left = self.pace.left().min(GLANCE) + Duration::from_micros(999);
        let mut ready = vec![PollFd::new(self.signals.queue.as_fd(), PollFlags::POLLIN)];
        ready.extend(self.hearing.as_ref().map(|hearing| PollFd::new(hearing.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(ready.get(1).and_then(PollFd::any) == Some(true))
    }

    /// Passes signals on to the program, except those of the terminal, which go to the whole process group and so to
    /// the program too. One that was ignored when rmap started reaches it as well, because it is blocked: the program
    /// has begun with the same disposition, and may have a handler by now.
    fn pass_signals_on(&self) {
        while let Ok(Some(heard)) = self.signals.queue.read_signal() {
            let Ok(signal) = Signal::try_from(heard.ssi_signo.cast_signed()) else { continue };
            let is_for_program = signal != Signal::SIGCHLD;
            // A timer that was set before rmap was started is of no terminal.
            let is_of_terminal = heard.ssi_code == libc::SI_KERNEL && signal != Signal::SIGALRM;
            if is_for_program && !is_of_terminal {
                let _ = kill(self.launched.pid, signal);
            }
        }
    }

    /// How the program ended, if it has.
    fn ending(&self) -> Option<Ending> {
        match waitpid(self.launched.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => Some(Ending::Exited(status)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(Ending::Killed(signal as i32)),
            Err(Errno::ECHILD) => Some(Ending::Unknown),
            _ => None,
        }
    }

    /// Takes note of a system call that waits, and lets it go on.
    fn hear_call(&mut self, measures: Measures, each: &mut dyn FnMut(Heard)) {
        let held = match self.hearing.as_ref().map_or(Ok(None), Hearing::next) {
            Ok(Some(held)) => held,
            Ok(None) => return,
            Err(()) => {
                self.interrupted = self.interrupted();
                self.hearing = None;
                return;
            }
        };
        let Some(call) = Call::of(&held, self.page, self.huge_page) else { return self.let_go(&held) };
        let call = self.ledger.complete(call, &self.noted);
        let before = self.ledger.weight(&call, &self.noted);
        let after = if call.shares_file() { Weight::Heavy } else { before.unwrap_or(Weight::Ordinary) };
        match before.filter(|weight| self.pace.may_hold(*weight)) {
            Some(weight) => self.look(measures, Some((&held, call, weight)), each),
            None => {
                self.note(held.thread, call, Vec::new());
                self.let_go(&held);
            }
        }
        self.pace.hurry(after);
    }

    /// Takes note of a call, and of the page cache of what it may end.
    fn note(&mut self, thread: u32, call: Call, cache: Vec<InCacheAt>) {
        let frees = self.ledger.freed_by(&call);
        self.noted.push(Noted { at: self.pace.now(), thread, call, frees, cache, is_used: false });
    }

    fn let_go(&self, held: &Notification) {
        if let Some(hearing) = &self.hearing {
            hearing.let_go(held);
        }
    }

    /// Looks at the mappings and tells what has changed: before a system call that is held goes on, if there is one.
    fn look(&mut self, measures: Measures, held: Option<(&Notification, Call, Weight)>, each: &mut dyn FnMut(Heard)) {
        let before = pace::used();
        let mut changes = self.find_changes(held.as_ref().map(|(held, ..)| held.thread), each);
        self.open_files(&changes, measures, held.is_some());
        let held = held.map(|(held, call, weight)| {
            let cache = if measures.files { self.measure_while_held(&mut changes, &call) } else { Vec::new() };
            self.note(held.thread, call, cache);
            self.let_go(held);
            (weight, pace::used().saturating_sub(before))
        });
        self.tell(changes, measures, each);
        self.pace.looked(pace::used().saturating_sub(before), held);
    }

    /// Measures the files of mappings that have changed, and of those that a call may end, while it is held: once it
    /// goes on, the program may take their pages out of the page cache too.
    fn measure_while_held(&self, changes: &mut [Change], call: &Call) -> Vec<InCacheAt> {
        let (ledger, files) = (&self.ledger, &self.files);
        for change in changes.iter_mut().filter(|change| change.cache.err() == Some(UNMEASURED)) {
            if let Some(figures) = change.area.as_ref().and_then(|area| files.known(area, &change.parts)) {
                change.cache = figures;
            }
        }
        let figures = |area: &Area| files.known(area, &mapped_parts(&[area])).unwrap_or(Err(NOT_OPEN));
        ledger.that_may_end(call).map(|area| (area.addresses.clone(), figures(area))).collect()
    }

    /// What has changed until now; a call of the thread `holding` is held meanwhile.
    fn find_changes(&mut self, holding: Option<u32>, each: &mut dyn FnMut(Heard)) -> Vec<Change> {
        self.let_calls_finish(holding);
        let at = self.pace.now();
        match self.reader.read(&self.process) {
            Ok(Some(seen)) => {
                if seen.is_new_program {
                    self.end_program();
                }
                self.ledger.update(at, seen.areas, &mut self.noted, holding)
            }
            Ok(None) => Vec::new(),
            Err(error) => {
                // It ends, or runs another program.
                if error.kind() == ErrorKind::Denied {
                    self.ledger.deny();
                }
                let passes = [ErrorKind::NotFound, ErrorKind::Unsupported, ErrorKind::Changed].contains(&error.kind());
                if !passes && !std::mem::replace(&mut self.has_failed, true) {
                    each(Heard::Failure(of_own_child(error)));
                }
                Vec::new()
            }
        }
    }

    /// Notes that the last `execve` succeeded: then nothing is left of what was mapped before.
    fn end_program(&mut self) {
        if !self.noted.iter().any(|noted| noted.call == Call::Execute) {
            self.note(self.first_thread(), Call::Execute, Vec::new());
        }
        let executed = self.noted.iter_mut().rfind(|noted| noted.call == Call::Execute);
        executed.into_iter().for_each(|noted| noted.frees = Some(0..u64::MAX));
        self.pace.begin_program();
    }

    fn open_files(&mut self, changes: &[Change], measures: Measures, is_held: bool) {
        for area in changes.iter().filter(|_| measures.files).filter_map(|change| change.area.as_ref()) {
            self.files.open(&self.process, area, is_held);
        }
    }

    /// Waits until the calls that free memory have done that. They are usually done within some microseconds.
    fn let_calls_finish(&self, holding: Option<u32>) {
        let may_run = |(place, noted): &(usize, &Noted)| {
            let later = self.noted.get(place + 1..).unwrap_or_default();
            noted.frees.is_some() && !noted.is_done(later, holding)
        };
        let last = (0..).zip(&self.noted).filter(may_run).map(|(_, noted)| noted.at).max();
        if let Some(last) = last {
            std::thread::sleep(pace::SOON.saturating_sub(self.pace.now().saturating_sub(last)));
        }
    }

    fn tell(&mut self, changes: Vec<Change>, measures: Measures, each: &mut dyn FnMut(Heard)) {
        // Those that could not be opened while a system call was held.
        self.open_files(&changes, measures, false);
        for mut change in changes {
            let is_open = measures.files && change.cache.err() == Some(UNMEASURED);
            if let Some(area) = change.area.as_ref().filter(|_| is_open) {
                change.cache = self.files.measure(area, &change.parts);
            }
            self.waiting.push(change);
        }
        self.tell_in_order(each);
        let ledger = &self.ledger;
        self.files.keep(|is_it| ledger.has(is_it));
        self.files.refresh();
    }

    /// Tells the changes in the order of their times, as far as none can come between them any more.
    fn tell_in_order(&mut self, each: &mut dyn FnMut(Heard)) {
        self.waiting.sort_by_key(|change| change.at);
        let first = self.noted.iter().filter(|noted| noted.is_open()).map(|noted| noted.at).min();
        let settled = self.waiting.partition_point(|change| first.is_none_or(|first| change.at <= first));
        self.waiting.drain(..settled).for_each(|change| each(Heard::Change(Box::new(change))));
    }

    /// Tells what went with the program.
    fn end(&mut self, ending: Ending, measures: Measures, each: &mut dyn FnMut(Heard)) {
        let otherwise = if matches!(ending, Ending::Killed(_)) { KILLED } else { ENDED };
        let changes = self.ledger.finish(self.pace.now(), &mut self.noted, otherwise);
        // Nothing can be found any more.
        self.noted.clear();
        self.tell(changes, measures, each);
    }
}

/// Why a program was not started.
fn not_started(name: &OsStr, failed: NotStarted) -> Error {
    match failed {
        NotStarted::Calls(errno) => Error::errno(Subject::Words("system calls".to_owned()), errno)
            .with_advice("--no-syscalls needs nothing to receive them"),
        NotStarted::Program(error) => {
            let missing = (error.kind() == io::ErrorKind::NotFound).then(|| missing_interpreter(name)).flatten();
            let subject = Subject::Path(PathBuf::from(name));
            missing.map_or_else(
                || Error::io(subject.clone(), &error),
                |why| Error::new(subject.clone(), ErrorKind::System, why).caused_by(&error),
            )
        }
    }
}

/// What is missing, if the program itself is there: the kernel reports both in the same way.
fn missing_interpreter(name: &OsStr) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = match name.as_bytes().contains(&b'/') {
        true => vec![PathBuf::new()],
        false => std::env::split_paths(&path).collect(),
    };
    let program = folders.into_iter().map(|folder| folder.join(name)).find(|found| found.is_file())?;
    let mut head = Vec::new();
    let _ = File::open(program).and_then(|file| file.take(LONGEST_HEAD).read_to_end(&mut head));
    let line = head.split(|byte| *byte == b'\n').next().and_then(|line| line.strip_prefix(b"#!"));
    let interpreter = line.and_then(|line| line.trim_ascii().split(u8::is_ascii_whitespace).next());
    Some(match interpreter {
        Some(interpreter) => format!("its interpreter {} is missing", String::from_utf8_lossy(interpreter)),
        None => "the program is there, and the interpreter or loader that it needs is missing".to_owned(),
    })
}

/// How much of the first line of a script the kernel reads.
const LONGEST_HEAD: u64 = 256;

/// How often to check whether the program has ended, if no signal says so.
const GLANCE: Duration = Duration::from_millis(100);

/// The signals that the program decides about. Those that stop a process are not among them: Ctrl-Z must stop both.
const PASSED_ON: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// The signals that are passed on, as a queue. They are blocked in the meantime.
#[derive(Debug)]
struct Signals {
    queue: SignalFd,
    before: SigSet,
}

impl Signals {
    fn take() -> std::result::Result<Signals, Errno> {
        let mut taken = SigSet::empty();
        PASSED_ON.into_iter().chain([Signal::SIGCHLD]).for_each(|signal| taken.add(signal));
        let before = SigSet::thread_get_mask()?;
        taken.thread_block()?;
        let queue = SignalFd::with_flags(&taken, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { queue, before })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}
