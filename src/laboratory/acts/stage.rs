//! The stage of an experiment: the process that acts, the file, and the acts.

use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::request::{FillPattern, MemoryAdvice, Request, check, part_of};
use super::script::{Act, Kind};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::actor::{Actor, Advice, Done, Failed, Order, Pattern, Touch};
use crate::kernel::pidfd::pid_in_proc;
use crate::laboratory::guard::{GuardedFile, changed_length};
use crate::laboratory::named::Place;
use crate::laboratory::place::{check_possible_length, is_layer_unseen, is_on_disk, longest, too_long};
use crate::machine::{read_huge_page_size, read_huge_pages};
use crate::pagecache::Engine;
use crate::process::{ProcRoot, Process};
use crate::units::{Bytes, Exact, PageSize, counted};

/// The process that acts, and the file.
pub(super) struct Stage {
    pub(super) request: Request,
    // Ended first, so that nothing is mapped when the file is removed.
    pub(super) actor: Actor,
    second: Option<Actor>,
    /// The child of the process.
    child: Option<Pid>,
    pub(super) process: Process,
    pub(super) file: Backing,
    pub(super) engine: Engine,
    page: PageSize,
    huge_page: Bytes,
    is_on_disk: bool,
    is_layer_unseen: bool,
    /// The addresses of the memory, if it is mapped.
    pub(super) mapping: Option<Range<u64>>,
    /// How many pages were touched by filling since the memory was mapped.
    touched: u64,
}

/// What backs the memory.
pub(super) enum Backing {
    /// No file that is open here.
    None,
    /// A file with a name; it is empty until it is created.
    Named(GuardedFile, Place),
    /// A file without a name.
    Memory(OwnedFd),
}

impl Backing {
    fn fd(&self) -> Option<RawFd> {
        match self {
            Backing::None => None,
            Backing::Named(file, _) => Some(file.file().as_raw_fd()),
            Backing::Memory(fd) => Some(fd.as_raw_fd()),
        }
    }
}

impl Stage {
    /// Checks that everything fits, creates an empty file if one is needed, and starts the process.
    ///
    /// # Errors
    /// `Refused` if it does not fit; otherwise the error of the system. Nothing is left behind.
    pub(super) fn prepare(request: Request) -> Result<Stage> {
        check(&request)?;
        let file = match request.kind {
            Kind::Shared | Kind::Private => {
                let place = Place::choose(request.file.as_deref(), request.force, std::process::id())?;
                if request.fills() || request.kind == Kind::Private {
                    place.check_that_it_fits(request.needs())?;
                }
                let file = GuardedFile::make(place.directory(), request.keep)?;
                if !request.allocates() {
                    check_possible_length(file.file(), request.size, place.directory())?;
                }
                Backing::Named(file, place)
            }
            Kind::Memfd => {
                let fd = memfd_create(c"rmap-demo", MFdFlags::MFD_CLOEXEC);
                Backing::Memory(fd.map_err(|errno| Error::errno(about("memfd_create"), errno))?)
            }
            Kind::Anon | Kind::Heap | Kind::Shmem | Kind::Hugetlb | Kind::Stack => Backing::None,
        };
        let is_on_disk = matches!(&file, Backing::Named(_, place) if is_on_disk(place.directory()));
        let is_layer_unseen = matches!(&file, Backing::Named(_, place) if is_layer_unseen(place.directory()));
        let actor = start(&file)?;
        let process = Process::started(actor.pid())?;
        let engine = Engine::detect();
        let mut stage = Stage {
            request,
            actor,
            second: None,
            child: None,
            process,
            file,
            page: engine.page_size(),
            engine,
            huge_page: read_huge_page_size(&ProcRoot::live()).unwrap_or(Bytes(2 << 20)),
            is_on_disk,
            is_layer_unseen,
            mapping: None,
            touched: 0,
        };
        if stage.request.kind == Kind::Hugetlb {
            // Whether there are enough is known before anything is shown.
            let length = stage.length().0;
            let address = stage.order(Order::MapHuge { length }, &mut |_| true)?.result();
            stage.order(Order::Unmap { address, length }, &mut |_| true)?;
        }
        if stage.request.kind == Kind::Stack {
            let top = stage.order(Order::Stack, &mut |_| true)?.result();
            stage.mapping = Some(top.saturating_sub(stage.length().0)..top);
        }
        Ok(stage)
    }

    /// The pid of the process that acts.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The pids of the process that acts, and of the second one and the child if there are any.
    pub(super) fn pids(&self) -> Vec<u32> {
        let started = std::iter::once(&self.actor).chain(&self.second).map(Actor::pid).chain(self.child);
        started.filter_map(|pid| pid_in_proc(pid).ok()).collect()
    }

    /// The error if the file no longer has the length that it was created with.
    pub(super) fn other_length(&self) -> Option<Error> {
        match &self.file {
            Backing::Named(file, _) => file.other_length(self.request.size),
            Backing::Memory(fd) => changed_length(fd, self.request.size, about("--kind memfd")),
            Backing::None => None,
        }
    }

    /// The error if another process has changed the length of the file, or taken its name away.
    pub(super) fn meddling(&self) -> Option<Error> {
        let is_named = matches!(&self.file, Backing::Named(file, _) if file.is_named());
        is_named.then(|| self.other_length().or_else(|| self.lost_name())).flatten()
    }

    /// The error if another process has taken the name of the file away.
    pub(super) fn lost_name(&self) -> Option<Error> {
        match &self.file {
            Backing::Named(file, _) if file.is_named() => file.lost_name(),
            _ => None,
        }
    }

    /// The name of the file, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.file {
            Backing::Named(file, _) => Some(file.path()),
            _ => None,
        }
    }

    /// Whether the file is on a disk, so that its pages can be written back and dropped.
    pub(super) fn is_on_disk(&self) -> bool {
        self.is_on_disk
    }

    /// Whether the file system of the file only passes on what is written to one that cannot be seen.
    pub(super) fn is_layer_unseen(&self) -> bool {
        self.is_layer_unseen
    }

    pub(super) fn page(&self) -> PageSize {
        self.page
    }

    pub(super) fn huge_page(&self) -> Bytes {
        self.huge_page
    }

    /// The length of the memory in whole pages, or in whole huge pages; of blocks of the heap, to the byte.
    pub(super) fn length(&self) -> Bytes {
        let unit = match self.request.kind {
            Kind::Hugetlb => self.huge_page.0,
            Kind::Heap => 1,
            _ => self.page.bytes(),
        };
        Bytes(self.request.size.0.div_ceil(unit.max(1)).saturating_mul(unit))
    }

    /// How many pages were touched by filling since the memory was mapped.
    pub(super) fn touched(&self) -> Bytes {
        Bytes(self.touched.saturating_mul(self.page.bytes()))
    }

    /// Carries out an act. `go_on` is called again and again with the number of bytes that are done.
    ///
    /// # Errors
    /// The error of the system.
    pub(super) fn perform(&mut self, act: Act, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let fd = self.file.fd().unwrap_or(-1);
        let length = self.request.size.0;
        let (address, whole) = self.mapping.clone().map_or((0, 0), |range| (range.start, range.end - range.start));
        match act {
            Act::Create => self.create(fd, length, go_on),
            Act::Map => self.map(fd, go_on),
            Act::Touch => {
                self.touch(Touch { until: 1, writes: false, pattern: Pattern::Stride(u64::MAX), ..self.all() }, go_on)
            }
            Act::Quarter | Act::Half | Act::Fill => self.fill(act.part().unwrap_or_default(), go_on),
            Act::Msync => self.watched(Order::Sync { address, length: whole }, go_on),
            Act::DontNeed => {
                self.touched = 0;
                let below = self.not_grown()?.min(whole);
                let (address, length) = (address.saturating_add(below), whole.saturating_sub(below));
                let advice = Order::Advise { address, length, advice: Advice::DontNeed };
                let done = self.watched(advice, go_on)?;
                self.watched(Order::Rewind, go_on)?;
                Ok(done)
            }
            Act::Read => self.touch(self.every_page(), go_on),
            Act::Second => self.start_second(go_on),
            Act::Fork => {
                let done = self.watched(Order::Fork, go_on)?;
                self.child = i32::try_from(done.result()).ok().map(Pid::from_raw);
                Ok(done)
            }
            Act::Mremap => {
                let done = self.watched(Order::Move { address, length: whole }, go_on)?;
                self.mapping = Some(done.result()..done.result().saturating_add(whole));
                Ok(done)
            }
            Act::Munmap => {
                self.mapping = None;
                self.watched(Order::Unmap { address, length: whole }, go_on)
            }
            Act::Evict => self.watched(Order::Evict { fd }, go_on),
            Act::Unlink => self.unlink(),
            Act::Small | Act::Large => {
                let done = self.watched(Order::Allocations { length, block: self.request.block(act) }, go_on)?;
                self.mapping = Some(done.result()..done.result().saturating_add(length));
                Ok(done)
            }
            Act::Keep => self.watched(Order::FreeButOne, go_on),
            Act::Trim => self.watched(Order::Trim, go_on),
            Act::Free => {
                self.mapping = None;
                self.watched(Order::FreeAll, go_on)
            }
        }
    }

    /// Ends what only belongs to the last act: the second process, or the child. Returns whether there was one.
    pub(super) fn clear(&mut self) -> Result<bool> {
        let had_second = self.second.take().is_some();
        let had_child = self.child.take().is_some();
        if had_child {
            self.order(Order::EndFork, &mut |_| true)?;
        }
        Ok(had_second || had_child)
    }

    fn order(&mut self, order: Order, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Done> {
        self.actor.perform(&order, go_on).map_err(|failed| self.why(&failed))
    }

    fn create(&mut self, fd: RawFd, length: u64, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let in_memory = !self.is_on_disk();
        let order = match self.request.kind {
            Kind::Private => Order::WriteFile { fd, length },
            // Blocks for everything that will be filled, so that a full disk is an error here.
            Kind::Shared if self.request.allocates() && !in_memory => Order::Allocate { fd, length },
            _ => Order::Truncate { fd, length },
        };
        let done = self.watched(order, go_on)?;
        if let Backing::Named(file, place) = &mut self.file {
            place.give_name(file)?;
        }
        Ok(done)
    }

    fn map(&mut self, fd: RawFd, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let length = self.length().0;
        let order = match self.request.kind {
            Kind::Shared | Kind::Memfd => Order::MapFile { fd, length: self.request.size.0, is_shared: true },
            Kind::Private => Order::MapFile { fd, length: self.request.size.0, is_shared: false },
            Kind::Shmem => Order::MapAnonymous { length, is_shared: true },
            Kind::Hugetlb => Order::MapHuge { length },
            _ => Order::MapAnonymous { length, is_shared: false },
        };
        let done = self.watched(order, go_on)?;
        let (address, end) = (done.result(), done.result().saturating_add(length));
        self.mapping = Some(address..end);
        self.touched = 0;
        // Otherwise what one touches depends on the settings of the machine.
        let advice = match self.request.manner.advice {
            None if self.request.kind == Kind::Hugetlb => None,
            None => Some(Advice::NoHugePage),
            Some(MemoryAdvice::Normal) => Some(Advice::Normal),
            Some(MemoryAdvice::Random) => Some(Advice::Random),
            Some(MemoryAdvice::Sequential) => Some(Advice::Sequential),
            Some(MemoryAdvice::WillNeed) => Some(Advice::WillNeed),
            Some(MemoryAdvice::HugePage) => Some(Advice::HugePage),
        };
        match advice.map(|advice| self.watched(Order::Advise { address, length, advice }, go_on)) {
            // A kernel without huge pages has nothing to disable.
            Some(Err(error)) if self.request.manner.advice.is_some() => return Err(error),
            _ => {}
        }
        self.watched(Order::Rewind, go_on)?;
        Ok(done)
    }

    /// All of the memory.
    fn all(&self) -> Touch {
        let range = self.mapping.clone().unwrap_or(0..0);
        // The bytes of the last page behind the end of a file do not belong to it.
        let length = if self.request.kind == Kind::Hugetlb { range.end - range.start } else { self.request.size.0 };
        Touch { address: range.start, length, ..Touch::default() }
    }

    /// One byte of each page.
    fn every_page(&self) -> Touch {
        let all = self.all();
        Touch { until: all.length, pattern: Pattern::Stride(self.page.bytes()), writes: false, ..all }
    }

    /// Touches memory once, whatever was filled before.
    fn touch(&mut self, touch: Touch, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        self.watched(Order::Glance(touch), go_on)
    }

    fn fill(&mut self, part: u64, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let until = part_of(self.all().length, part);
        let done = match self.request.kind {
            Kind::Heap => self.watched(Order::FillAllocations { until }, go_on)?,
            kind => {
                let manner = self.request.manner;
                let pattern = match manner.pattern {
                    // A stack grows downwards.
                    FillPattern::Sequential if kind == Kind::Stack => Pattern::Reverse,
                    FillPattern::Sequential => Pattern::Sequential,
                    FillPattern::Reverse => Pattern::Reverse,
                    FillPattern::Random => Pattern::Random,
                    FillPattern::Stride(step) => Pattern::Stride(step.0),
                };
                let rate = manner.rate.map_or(0, |rate| rate.0);
                let touch = Touch { until, pattern, writes: !manner.reads, rate, ..self.all() };
                self.watched(Order::Touch(touch), go_on)?
            }
        };
        self.touched = self.touched.saturating_add(done.result());
        Ok(done)
    }

    /// Carries out an order that takes long, and lets the caller look on.
    fn watched(&mut self, order: Order, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let mut running = self.actor.begin(&order).map_err(|failed| self.why(&failed))?;
        loop {
            match self.actor.await_end(running) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(still)) => running = still,
                Err(failed) => return Err(self.why(&failed)),
            }
            if !go_on(self, self.actor.progress()) {
                self.actor.stop();
            }
        }
    }

    fn start_second(&mut self, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let mut second = start(&self.file)?;
        let (fd, length) = (self.file.fd().unwrap_or(-1), self.request.size.0);
        let map = Order::MapFile { fd, length, is_shared: self.request.kind != Kind::Private };
        let why = |failed| self.why(&failed);
        let address = second.perform(&map, |done| go_on(self, done)).map_err(why)?.result();
        let touch = Touch { address, ..self.every_page() };
        let done = second.perform(&Order::Glance(touch), |done| go_on(self, done)).map_err(why)?;
        self.second = Some(second);
        Ok(done)
    }

    fn unlink(&mut self) -> Result<Done> {
        if let Backing::Named(file, _) = &mut self.file {
            file.unlink()?;
        }
        Ok(Done::default())
    }

    fn why(&self, failed: &Failed) -> Error {
        let subject = || match &self.file {
            // Until it has its name, that which it is to get.
            Backing::Named(file, place) if !file.is_named() => Subject::Path(place.shown().to_owned()),
            Backing::Named(file, _) => Subject::Path(file.path().to_owned()),
            _ => about(&format!("--kind {}", self.request.kind.word())),
        };
        match failed {
            Failed::Call(Errno::ENOMEM) if self.request.kind == Kind::Hugetlb => {
                let needed = self.length().0.div_ceil(self.huge_page.0.max(1));
                let (why, advice) = too_few(needed, self.huge_page, read_huge_pages(&ProcRoot::live()).ok());
                Error::new(subject(), ErrorKind::Refused, why).with_advice(advice)
            }
            Failed::Call(Errno::EFBIG)
                if let Backing::Named(file, place) = &self.file
                    && let Ok(most) = longest(file.file()) =>
            {
                too_long(self.request.size, most, place.directory())
            }
            Failed::Call(errno) => Error::errno(subject(), *errno).with_advice(match self.path() {
                Some(_) => "choose a smaller --size or another place with --file PATH",
                None => "choose a smaller --size",
            }),
            Failed::Ended(Some(Signal::SIGBUS)) => self.other_length().unwrap_or_else(|| {
                let why = "the system could not provide a page of it";
                Error::new(subject(), ErrorKind::System, why)
                    .with_advice("choose a smaller --size; the kernel log (dmesg) may say more")
            }),
            Failed::Ended(signal) => {
                let by = signal.map_or_else(String::new, |signal| format!(" by {signal}"));
                let why = format!("the process of the experiment was ended{by}");
                let error = Error::new(subject(), ErrorKind::System, why);
                // Faults have other causes.
                if *signal == Some(Signal::SIGKILL) { error.with_advice(advice_if_killed()) } else { error }
            }
        }
    }
}

/// The kernel kills a process if there is too little memory for it, or if it exceeds the limit on its processor time.
fn advice_if_killed() -> String {
    let has_limit = getrlimit(Resource::RLIMIT_CPU).is_ok_and(|(_, hard)| hard != RLIM_INFINITY);
    let limit = if has_limit { ", or the limit on processor time was reached (ulimit -t)" } else { "" };
    format!("if nobody has killed it, there may be too little memory (see dmesg){limit}: choose a smaller --size")
}

/// Why there are too few huge pages, and what to do, if so many are needed. How many there are and how many of them are
/// free may not be known.
fn too_few(needed: u64, huge_page: Bytes, known: Option<(u64, u64)>) -> (String, String) {
    let needs = format!("it needs {} of {}", counted(needed, "huge page", "huge pages"), Exact(huge_page));
    let Some((all, free)) = known else {
        return (needs, "reserve more (sysctl vm.nr_hugepages), or choose a smaller --size".to_owned());
    };
    let reserved = all.saturating_sub(free).saturating_add(needed);
    let smaller = match huge_page.0.saturating_mul(free) {
        0 => String::new(),
        most => format!(", or choose a --size of up to {}", Exact(Bytes(most))),
    };
    let advice = format!("reserve more with 'sysctl vm.nr_hugepages={reserved}'{smaller}");
    (format!("{needs}, and {free} are free"), advice)
}

fn about(what: &str) -> Subject {
    Subject::Words(what.to_owned())
}

fn start(file: &Backing) -> Result<Actor> {
    let fd = file.fd();
    Actor::start(fd.as_ref()).map_err(|errno| {
        Error::errno(about("the process of the experiment"), errno)
            .with_advice("free some memory, or raise the limits (ulimit -a)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_huge_pages_are_free_is_only_said_if_it_is_known() {
        let text = |known| {
            let (why, advice) = too_few(4, Bytes(2 << 20), known);
            format!("{why}; {advice}")
        };
        let known = "it needs 4 huge pages of 2M, and 3 are free; \
                     reserve more with 'sysctl vm.nr_hugepages=6', or choose a --size of up to 6M";
        assert_eq!(text(Some((5, 3))), known);
        let unknown = "it needs 4 huge pages of 2M; \
                       reserve more (sysctl vm.nr_hugepages), or choose a smaller --size";
        assert_eq!(text(None), unknown);
        assert_eq!(too_few(1, Bytes(2 << 20), None).0, "it needs 1 huge page of 2M");
    }
}
