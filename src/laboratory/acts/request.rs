//! What an experiment is to try, and whether it can work.

use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit};

use super::script::{Act, Kind};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::laboratory::place::{Needs, check_addresses, check_data, check_length, check_that_memory_fits};
use crate::units::{Bytes, Exact, Human};

/// How much more than what one touches may be mapped or read: the kernel maps pages around a fault if they are cached,
/// reads ahead, and maps large folios as a whole.
pub(super) const AROUND: u64 = 2 << 20;

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

impl MemoryAdvice {
    /// All of them, and their names.
    pub const ALL: [(MemoryAdvice, &'static str); 5] = [
        (MemoryAdvice::Normal, "normal"),
        (MemoryAdvice::Random, "random"),
        (MemoryAdvice::Sequential, "sequential"),
        (MemoryAdvice::WillNeed, "willneed"),
        (MemoryAdvice::HugePage, "hugepage"),
    ];
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
    pub(super) fn fills(&self) -> bool {
        self.acts.iter().any(|act| act.part().is_some() || matches!(act, Act::Read))
    }

    /// How much of the memory filling touches, at most, with what the kernel reads around each byte: a long stride
    /// leaves gaps, unless another act reads everything.
    pub(super) fn touched(&self) -> Bytes {
        let reads_all = self.acts.iter().any(|act| matches!(act, Act::Read | Act::Second));
        match self.manner.pattern {
            FillPattern::Stride(Bytes(step)) if !reads_all && step > AROUND => {
                Bytes(self.size.0.div_ceil(step).saturating_mul(AROUND)).min(self.size)
            }
            _ => self.size,
        }
    }

    /// Whether the file gets all of its blocks when it is created: not if most of them would stay empty.
    pub(super) fn allocates(&self) -> bool {
        self.kind == Kind::Private || self.fills() && self.touched() == self.size
    }

    /// What its file needs. A private one is written as a whole, and the copies of its pages are in memory, too.
    pub(super) fn needs(&self) -> Needs {
        let (size, touched) = (self.size, self.touched());
        match self.kind {
            Kind::Private => Needs { size, memory: Bytes(size.0.saturating_add(touched.0)), disk: size },
            _ => Needs { size, memory: touched, disk: touched },
        }
    }

    /// Whether any of the acts needs addresses. The stack and huge pages need them before the first act.
    fn maps(&self) -> bool {
        let needs_none = |act: &Act| matches!(act, Act::Create | Act::Evict | Act::Unlink);
        matches!(self.kind, Kind::Stack | Kind::Hugetlb) || !self.acts.iter().all(needs_none)
    }

    /// The size of blocks of the heap. Blocks of less than 128 KiB come from `brk`.
    pub(super) fn block(&self, act: Act) -> u64 {
        if act == Act::Large { self.size.0 } else { SMALL.min(self.size.0) }
    }
}

/// The size of a small block.
const SMALL: u64 = 64 << 10;

/// `part` percent of a length, in whole bytes.
pub(super) fn part_of(length: u64, part: u64) -> u64 {
    (u128::from(length) * u128::from(part) / 100) as u64
}

/// Rejects what cannot work.
pub(super) fn check(request: &Request) -> Result<()> {
    let about = |what: &str| Subject::Words(what.to_owned());
    let refused = |what: &str, why: String| Error::new(about(what), ErrorKind::Refused, why);
    if request.kind == Kind::Heap && cfg!(not(target_env = "gnu")) {
        return Err(refused(
            "--kind heap",
            "it shows the allocator of glibc, which this program does not use".to_owned(),
        ));
    }
    if request.kind == Kind::Heap && request.size < LEAST_HEAP {
        let why = "glibc asks the kernel for memory in portions, which hide the effect of less than 1M".to_owned();
        return Err(refused(&format!("--size {}", Exact(request.size)), why).with_advice("choose a larger --size"));
    }
    if request.kind == Kind::Hugetlb && i64::try_from(request.size.0).is_err() {
        let why = "memory of this size cannot be mapped".to_owned();
        return Err(refused(&format!("--size {}", Exact(request.size)), why).with_advice("choose a smaller --size"));
    }
    if request.kind == Kind::Stack {
        let (soft, _) = getrlimit(Resource::RLIMIT_STACK).map_err(|errno| Error::errno(about("getrlimit"), errno))?;
        let most = soft.saturating_sub(STACK_IN_USE);
        if request.size.0 > most {
            let why = format!("the stack may have {} (ulimit -s), some of which is in use", Exact(Bytes(soft)));
            let advice = match most >> 12 << 12 {
                0 => "raise the limit".to_owned(),
                most => format!("choose a --size of up to {}", Human(Bytes(most))),
            };
            return Err(refused(&format!("--size {}", Exact(request.size)), why).with_advice(advice));
        }
    }
    if matches!(request.manner.pattern, FillPattern::Stride(Bytes(0))) {
        return Err(refused("--pattern stride:0", "the stride must be at least one byte".to_owned()));
    }
    if request.acts.contains(&Act::Create) {
        check_length(request.size)?;
    }
    if request.maps() {
        // While it is moved, both places are reserved.
        let copies = if request.acts.contains(&Act::Mremap) { 2 } else { 1 };
        check_addresses(request.size, copies)?;
        if matches!(request.kind, Kind::Anon | Kind::Heap | Kind::Private | Kind::Hugetlb) {
            check_data(request.size, (request.kind == Kind::Heap).then_some(LEAST_HEAP))?;
        }
    }
    if !request.kind.has_name() && request.kind != Kind::Hugetlb {
        check_that_memory_fits(request.size, request.touched())?;
    }
    Ok(())
}

/// Checks that several experiments fit into memory at the same time.
///
/// # Errors
/// `Refused`, with the size that would fit.
pub fn check_that_all_fit(requests: &[Request]) -> Result<()> {
    let size = requests.iter().map(|request| request.size).max().unwrap_or_default();
    let taking = requests.iter().filter(|request| request.kind == Kind::Private || request.fills());
    let needed = taking.clone().fold(0_u64, |sum, request| sum.saturating_add(request.needs().memory.0));
    // One of them alone is checked when it begins, as far as it needs no more than its size.
    if taking.count() > 1 || needed > size.0 { check_that_memory_fits(size, Bytes(needed)) } else { Ok(()) }
}

/// The least size of a heap.
const LEAST_HEAP: Bytes = Bytes(1 << 20);

/// What of a stack is already in use, at most.
const STACK_IN_USE: u64 = 1 << 20;
