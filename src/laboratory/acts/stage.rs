//! The stage of an experiment: the process that acts, the file, and both views of them.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;

use super::figures::{Figures, Mapped, NO_FILE};
use super::script::{Act, Kind};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::open_mapped_file;
use crate::kernel::actor::{Actor, Advice, Done, Failed, Order, Pattern, Touch};
use crate::laboratory::guard::GuardedFile;
use crate::laboratory::named::Place;
use crate::machine::read_huge_page_size;
use crate::pagecache::{Engine, FileSystemKind, OpenFile};
use crate::process::{Fields, Mapping, ProcRoot, Process, Wanted};
use crate::units::{Absent, ByteRange, Bytes, Exact, Figure, PageRuns, PageSize, Pages, Portion, Reason, Run};

/// How memory is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// In which order.
    pub pattern: FillPattern,
    /// Whether it is only read.
    pub reads: bool,
    /// The advice that is given after mapping.
    pub advice: Option<MemoryAdvice>,
    /// How many bytes per second are filled; `None` is as many as possible.
    pub rate: Option<Bytes>,
}

/// The order in which memory is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FillPattern {
    /// From the start to the end.
    #[default]
    Sequential,
    /// From the end to the start.
    Reverse,
    /// Each page once, in an order without a pattern.
    Random,
    /// One byte every so many bytes.
    Stride(Bytes),
}

/// Advice for `madvise(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryAdvice {
    /// `MADV_NORMAL`
    Normal,
    /// `MADV_RANDOM`
    Random,
    /// `MADV_SEQUENTIAL`
    Sequential,
    /// `MADV_WILLNEED`
    WillNeed,
    /// `MADV_HUGEPAGE`
    HugePage,
}

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Request {
    /// The kind of memory.
    pub kind: Kind,
    /// The acts, in their order.
    pub acts: Vec<Act>,
    /// How much memory.
    pub size: Bytes,
    /// How it is filled.
    pub manner: Manner,
    /// The path of the file. By default a new name in a temporary directory.
    pub file: Option<PathBuf>,
    /// Whether an existing file is replaced.
    pub force: bool,
    /// Whether the file is kept at the end.
    pub keep: bool,
}

impl Request {
    /// Whether the acts fill memory, so that it has to fit.
    fn fills(&self) -> bool {
        self.acts.iter().any(|act| act.part().is_some() || matches!(act, Act::Read))
    }

    /// The size of blocks of the heap. Blocks of less than 128 KiB come from `brk`.
    fn block(&self, act: Act) -> u64 {
        if act == Act::Large { self.size.0 } else { SMALL.min(self.size.0) }
    }
}

/// Where the pages of one part of the memory are; the first of these that applies to any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// Mapped in, and dirty.
    Dirty,
    /// Mapped in.
    Mapped,
    /// Cached, and not mapped in.
    Cached,
    /// Not in memory.
    Empty,
}

/// The size of a small block.
pub(super) const SMALL: u64 = 64 << 10;

const CLOSED: Absent = Absent::new(Reason::Unsupported, "the file cannot be measured");

/// The fields of smaps that are read.
const FIELDS: [&str; 6] = ["Rss", "Pss", "Anonymous", "Swap", "Private_Hugetlb", "Shared_Hugetlb"];

/// The process that acts, and the file.
pub(super) struct Stage {
    request: Request,
    // Ended first, so that nothing is mapped when the file is removed.
    actor: Actor,
    second: Option<Actor>,
    /// Whether the process has a child.
    is_forked: bool,
    process: Process,
    file: Backing,
    engine: Engine,
    page: PageSize,
    huge_page: Bytes,
    /// The addresses of the memory, if it is mapped.
    mapping: Option<Range<u64>>,
    /// How many pages were touched by filling since the memory was mapped.
    touched: u64,
}

/// What backs the memory.
enum Backing {
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
                let copies = if request.kind == Kind::Private { 2 } else { 1 };
                if request.fills() || request.kind == Kind::Private {
                    place.check_that_it_fits(request.size, copies)?;
                }
                Backing::Named(GuardedFile::make(place.directory(), request.keep)?, place)
            }
            Kind::Memfd => {
                let fd = memfd_create(c"rmap-demo", MFdFlags::MFD_CLOEXEC);
                Backing::Memory(fd.map_err(|errno| Error::errno(about("memfd_create"), errno))?)
            }
            Kind::Anon | Kind::Heap | Kind::Shmem | Kind::Hugetlb | Kind::Stack => Backing::None,
        };
        let actor = start(&file)?;
        let process = Process::open(actor.pid())?;
        let engine = Engine::detect();
        let mut stage = Stage {
            request,
            actor,
            second: None,
            is_forked: false,
            process,
            file,
            page: engine.page_size(),
            engine,
            huge_page: read_huge_page_size(&ProcRoot::live()).unwrap_or(Bytes(2 << 20)),
            mapping: None,
            touched: 0,
        };
        if stage.request.kind == Kind::Stack {
            let top = stage.order(Order::Stack, &mut |_| true)?.result();
            stage.mapping = Some(top.saturating_sub(stage.length().0)..top);
        }
        Ok(stage)
    }

    /// The pid of the process that acts.
    pub(super) fn pid(&self) -> u32 {
        self.actor.pid()
    }

    /// The name of the file, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.file {
            Backing::Named(file, _) => Some(file.path()),
            _ => None,
        }
    }

    pub(super) fn page(&self) -> PageSize {
        self.page
    }

    pub(super) fn huge_page(&self) -> Bytes {
        self.huge_page
    }

    /// The length of the memory in whole pages, or in whole huge pages.
    pub(super) fn length(&self) -> Bytes {
        let unit = if self.request.kind == Kind::Hugetlb { self.huge_page.0 } else { self.page.bytes() };
        Bytes(self.request.size.0.div_ceil(unit.max(1)).saturating_mul(unit))
    }

    /// How many pages were touched by filling since the memory was mapped.
    pub(super) fn touched(&self) -> Bytes {
        Bytes(self.touched.saturating_mul(self.page.bytes()))
    }

    /// Whether the file is on a disk, so that its pages can be written back and dropped.
    pub(super) fn is_on_disk(&self) -> bool {
        let kind = self.open_file().map(|file| file.map(|file| file.file_system().kind));
        matches!(kind, Ok(Some(FileSystemKind::Ordinary | FileSystemKind::Stacked(_) | FileSystemKind::Fuse)))
    }

    /// Carries out an act. `go_on` is called again and again with the number of bytes that are done.
    ///
    /// # Errors
    /// The error of the system.
    pub(super) fn perform(&mut self, act: Act, go_on: &mut dyn FnMut(&Stage, u64) -> bool) -> Result<Done> {
        let fd = self.file.fd().unwrap_or(-1);
        let length = self.request.size.0;
        let (address, whole) = self.mapping.clone().map_or((0, 0), |range| (range.start, range.end - range.start));
        let advise = |advice| Order::Advise { address, length: whole, advice };
        match act {
            Act::Create => self.create(fd, length, go_on),
            Act::Map => self.map(fd),
            Act::Touch => {
                self.touch(Touch { until: 1, writes: false, pattern: Pattern::Stride(u64::MAX), ..self.all() })
            }
            Act::Quarter | Act::Half | Act::Fill => self.fill(act.part().unwrap_or_default(), go_on),
            Act::Msync => self.order(Order::Sync { address, length: whole }, &mut |_| true),
            Act::DontNeed => {
                self.touched = 0;
                self.order(advise(Advice::DontNeed), &mut |_| true)
            }
            Act::Read => self.touch(self.every_page()),
            Act::Second => self.start_second(),
            Act::Fork => {
                self.is_forked = true;
                self.order(Order::Fork, &mut |_| true)
            }
            Act::Mremap => {
                let done = self.order(Order::Move { address, length: whole }, &mut |_| true)?;
                self.mapping = Some(done.result()..done.result().saturating_add(whole));
                Ok(done)
            }
            Act::Munmap => {
                self.mapping = None;
                self.order(Order::Unmap { address, length: whole }, &mut |_| true)
            }
            Act::Evict => self.order(Order::Evict { fd }, &mut |_| true),
            Act::Unlink => self.unlink(),
            Act::Small | Act::Large => {
                let done = self.order(Order::Allocations { length, block: self.request.block(act) }, &mut |_| true)?;
                self.mapping = Some(done.result()..done.result().saturating_add(length));
                Ok(done)
            }
            Act::Keep => self.order(Order::FreeButOne, &mut |_| true),
            Act::Trim => self.order(Order::Trim, &mut |_| true),
            Act::Free => {
                self.mapping = None;
                self.order(Order::FreeAll, &mut |_| true)
            }
        }
    }

    /// Ends what only belongs to the last act: the second process, or the child. Returns whether there was one.
    pub(super) fn clear(&mut self) -> Result<bool> {
        let had_second = self.second.take().is_some();
        let had_child = std::mem::take(&mut self.is_forked);
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
            Kind::Shared if self.request.fills() && !in_memory => Order::Allocate { fd, length },
            _ => Order::Truncate { fd, length },
        };
        let done = self.watched(order, go_on)?;
        if let Backing::Named(file, place) = &mut self.file {
            place.give_name(file)?;
        }
        Ok(done)
    }

    fn map(&mut self, fd: RawFd) -> Result<Done> {
        let length = self.length().0;
        let order = match self.request.kind {
            Kind::Shared | Kind::Memfd => Order::MapFile { fd, length: self.request.size.0, is_shared: true },
            Kind::Private => Order::MapFile { fd, length: self.request.size.0, is_shared: false },
            Kind::Shmem => Order::MapAnonymous { length, is_shared: true },
            Kind::Hugetlb => Order::MapHuge { length },
            _ => Order::MapAnonymous { length, is_shared: false },
        };
        let done = self.order(order, &mut |_| true)?;
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
        match advice.map(|advice| self.order(Order::Advise { address, length, advice }, &mut |_| true)) {
            // A kernel without huge pages has nothing to disable.
            Some(Err(error)) if self.request.manner.advice.is_some() => return Err(error),
            _ => {}
        }
        self.order(Order::Rewind, &mut |_| true)?;
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
    fn touch(&mut self, touch: Touch) -> Result<Done> {
        self.order(Order::Glance(touch), &mut |_| true)
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

    fn start_second(&mut self) -> Result<Done> {
        let mut second = start(&self.file)?;
        let (fd, length) = (self.file.fd().unwrap_or(-1), self.request.size.0);
        let map = Order::MapFile { fd, length, is_shared: self.request.kind != Kind::Private };
        let why = |failed| self.why(&failed);
        let address = second.perform(&map, |_| true).map_err(why)?.result();
        let touch = Touch { address, ..self.every_page() };
        let done = second.perform(&Order::Glance(touch), |_| true).map_err(why)?;
        self.second = Some(second);
        Ok(done)
    }

    fn unlink(&mut self) -> Result<Done> {
        let Backing::Named(file, _) = &self.file else { return Ok(Done::default()) };
        std::fs::remove_file(file.path()).map_err(|error| Error::io(Subject::Path(file.path().to_owned()), &error))?;
        Ok(Done::default())
    }

    fn why(&self, failed: &Failed) -> Error {
        let subject = || match self.path() {
            Some(path) => Subject::Path(path.to_owned()),
            None => about(&format!("--kind {}", self.request.kind.word())),
        };
        match failed {
            Failed::Call(Errno::ENOMEM) if self.request.kind == Kind::Hugetlb => {
                let needed = self.length().0.div_ceil(self.huge_page.0.max(1));
                let why = format!("there are fewer than {needed} free huge pages of {}", Exact(self.huge_page));
                Error::new(subject(), ErrorKind::Refused, why).with_advice(format!(
                    "reserve them with 'sysctl vm.nr_hugepages={needed}', or use a smaller --size"
                ))
            }
            Failed::Call(errno) => {
                Error::errno(subject(), *errno).with_advice("choose a smaller --size or another place with --file PATH")
            }
            Failed::Ended(Some(Signal::SIGBUS)) => {
                let why = "the system could not provide a page of it while it was filled";
                Error::new(subject(), ErrorKind::System, why)
                    .with_advice("choose a smaller --size; the kernel log (dmesg) may say more")
            }
            Failed::Ended(signal) => {
                let by = signal.map_or("", Signal::as_str);
                let why = format!("the process of the experiment was ended {by}").trim_end().to_owned();
                Error::new(subject(), ErrorKind::System, why)
                    .with_advice("choose a smaller --size: there may be too little memory (see dmesg)")
            }
        }
    }

    /// The file, opened to be measured; `None` if there is none.
    fn open_file(&self) -> Result<Option<OpenFile>> {
        let (path, fd) = match &self.file {
            Backing::None => return self.mapped_file(),
            Backing::Named(file, _) => (file.path(), file.file().as_fd()),
            Backing::Memory(fd) => (Path::new("/memfd:rmap-demo"), fd.as_fd()),
        };
        let own = fd.try_clone_to_owned().map_err(|error| Error::io(Subject::Path(path.to_owned()), &error))?;
        OpenFile::from_fd(path, own).map(Some)
    }

    /// The file behind shared memory without a file, which the kernel makes itself.
    fn mapped_file(&self) -> Result<Option<OpenFile>> {
        let (Kind::Shmem, Some(range)) = (self.request.kind, self.mapping.clone()) else { return Ok(None) };
        let read = self.process.read_smaps(&mut Fields::new(), &Wanted::Only(Vec::new()))?;
        let mapping = read.mappings.iter().find(|mapping| mapping.start() == range.start);
        mapping.map(|mapping| open_mapped_file(&self.process, &mapping)).transpose()
    }

    /// Both views now.
    ///
    /// # Errors
    /// If smaps cannot be read.
    pub(super) fn observe(&self) -> Result<Figures> {
        let mapped = self.read_mapped()?;
        let file = match self.open_file() {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Figures { mapped, ..Figures::nothing() }),
            Err(error) => {
                // The kernel's own file has no name: only who may open the links of map_files can reach it.
                let denied = Absent::new(Reason::Denied, "only root may open the file behind this memory");
                let unnamed = error.absence().filter(|absent| absent.reason != Reason::Vanished);
                let absent = if self.request.kind == Kind::Shmem { unnamed.unwrap_or(denied) } else { CLOSED };
                return Ok(Figures { mapped, cached: Err(absent), dirty: Err(absent), ..Figures::nothing() });
            }
        };
        let report = self.engine.map(&file);
        let bytes = |figure: Figure<_>| figure.map(|pages: Pages| pages.bytes(report.page_size));
        let dirty = report.dirty().and_then(|dirty| report.writeback().map(|writeback| dirty + writeback));
        let runs = report.runs.clone().unwrap_or(Err(NO_FILE));
        let only_mapped = match (&self.mapping, &runs) {
            (Some(range), Ok(runs)) if self.request.kind.is_shared() => {
                Some(self.read_present(range)?.subtract(runs).cached().0)
            }
            _ => None,
        };
        Ok(Figures { mapped, cached: bytes(report.cached()), dirty: bytes(dirty), runs, only_mapped })
    }

    /// Which pages of the memory the process has in its page table.
    pub(super) fn read_present(&self, range: &Range<u64>) -> Result<PageRuns> {
        let present = self.process.read_present_pages(range.clone(), self.page)?;
        Ok(present.into_iter().map(|run| Run { first: run.start, count: run.end.saturating_sub(run.start) }).collect())
    }

    /// Where the pages are, in so many parts.
    pub(super) fn look(&self, parts: usize) -> Option<Vec<Spot>> {
        let range = self.mapping.clone()?;
        let mapped = self.read_present(&range).ok()?;
        let file = self.open_file().ok().flatten();
        let report = file.as_ref().map(|file| self.engine.map(file));
        let cached = report.as_ref().and_then(|report| report.runs.clone()?.ok()).unwrap_or_default();
        let has_dirty = report.is_some_and(|report| report.dirty().is_ok_and(|dirty| dirty > Pages(0)));
        let is_dirty = |part: &Run| {
            let (offset, length) = (part.offset(self.page).0, part.pages().bytes(self.page).0);
            let report = file.as_ref().map(|file| self.engine.measure_range(file, ByteRange { offset, length }));
            report.is_some_and(|report| report.dirty().is_ok_and(|dirty| dirty > Pages(0)))
        };
        let all = Run { first: 0, count: (range.end - range.start) / self.page.bytes() };
        let spot = |(mapped, cached): (&Portion, &Portion)| match () {
            () if mapped.cached > Pages(0) && has_dirty && is_dirty(&mapped.part) => Spot::Dirty,
            () if mapped.cached > Pages(0) => Spot::Mapped,
            () if cached.cached > Pages(0) => Spot::Cached,
            () => Spot::Empty,
        };
        let (mapped, cached) = (mapped.portions(all, parts), cached.portions(all, parts));
        Some(mapped.iter().zip(&cached).map(spot).collect())
    }

    fn read_mapped(&self) -> Result<Option<Mapped>> {
        let read = self.process.read_smaps(&mut Fields::new(), &Wanted::Only(FIELDS.map(str::to_owned).to_vec()))?;
        let is_mine = |mapping: &Mapping<'_>| match self.request.kind {
            Kind::Heap if mapping.path() == b"[heap]" => true,
            Kind::Stack => mapping.path() == b"[stack]",
            _ => self.mapping.as_ref().is_some_and(|own| mapping.start() < own.end && mapping.end() > own.start),
        };
        let mut sum: Option<Mapped> = None;
        for mapping in read.mappings.iter().filter(is_mine) {
            let figure = |name: &str| mapping.figure(name).unwrap_or_default();
            let so_far = sum.unwrap_or_default();
            sum = Some(Mapped {
                size: so_far.size + mapping.size(),
                rss: so_far.rss + figure("Rss"),
                pss: so_far.pss + figure("Pss"),
                anonymous: so_far.anonymous + figure("Anonymous"),
                swap: so_far.swap + figure("Swap"),
                hugetlb: so_far.hugetlb + figure("Private_Hugetlb") + figure("Shared_Hugetlb"),
            });
        }
        Ok(sum)
    }
}

/// `part` percent of a length, in whole bytes.
pub(super) fn part_of(length: u64, part: u64) -> u64 {
    (u128::from(length) * u128::from(part) / 100) as u64
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

/// Rejects what cannot work.
fn check(request: &Request) -> Result<()> {
    let refused = |what: &str, why: String| Error::new(about(what), ErrorKind::Refused, why);
    if request.kind == Kind::Heap && cfg!(not(target_env = "gnu")) {
        return Err(refused(
            "--kind heap",
            "it shows the allocator of glibc, which this program does not use".to_owned(),
        ));
    }
    if !request.kind.has_name() && request.file.is_some() {
        return Err(refused("--file", format!("--kind {} has no file with a name", request.kind.word())));
    }
    if request.kind == Kind::Stack {
        let (soft, _) = getrlimit(Resource::RLIMIT_STACK).map_err(|errno| Error::errno(about("getrlimit"), errno))?;
        let most = soft.saturating_sub(STACK_IN_USE);
        if request.size.0 > most {
            let why = format!("the stack may have {} (ulimit -s), some of which is in use", Exact(Bytes(soft)));
            return Err(refused(&format!("--size {}", Exact(request.size)), why)
                .with_advice(format!("choose a --size of up to {}", Exact(Bytes(most >> 20 << 20)))));
        }
    }
    if matches!(request.manner.pattern, FillPattern::Stride(Bytes(0))) {
        return Err(refused("--pattern stride:0", "the stride must be at least one byte".to_owned()));
    }
    if !request.kind.has_name() && request.kind != Kind::Hugetlb {
        crate::laboratory::place::check_that_memory_fits(request.size, 1)?;
    }
    Ok(())
}

/// What of a stack is already in use, at most.
const STACK_IN_USE: u64 = 1 << 20;
