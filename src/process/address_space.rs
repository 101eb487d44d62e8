//! Address spaces that several ids share: those of a process and its threads, or of a child of `vfork` or `CLONE_VM`
//! and its parent. Sums over processes count such memory once.

use std::cmp::Ordering;
use std::collections::HashMap;

use nix::errno::Errno;

use crate::kernel::kcmp::compare_memory;
use crate::process::handle::{Memory, Process};
use crate::process::root::{ProcRoot, is_of_our_namespace};
use crate::process::stat::Stat;

/// Where the program of an address space begins and ends and where its stack begins. Processes that share an address
/// space share these; most others differ in them, so that few have to be compared.
pub(crate) type ProgramPlace = [u64; 3];

/// The address spaces that were seen.
#[derive(Debug, Default)]
pub struct AddressSpaces {
    /// The thread groups of those that were seen, with the number of their address space.
    groups: HashMap<u32, u64>,
    /// Of each program a thread of each address space and its number, in the order of `kcmp`.
    ordered: HashMap<ProgramPlace, Vec<(u32, u64)>>,
    /// The number of the address space of a process that has not been entered yet, by a child that shares it.
    reserved: HashMap<u32, u64>,
    /// How many there are.
    count: u64,
}

impl AddressSpaces {
    /// No address space has been seen yet.
    pub fn new() -> AddressSpaces {
        AddressSpaces::default()
    }

    /// Enters the address space of a process that has memory. Returns its number, and whether it was not seen before:
    /// `kcmp` reports this if this user may compare them; otherwise it is known only for threads of one process.
    pub fn enter(&mut self, process: &Process) -> (u64, bool) {
        let group = process.read_thread_group().unwrap_or(process.pid());
        let group = captured_group(process.root(), group);
        if let Some(number) = self.groups.get(&group) {
            return (*number, false);
        }
        let compared = process.comparable();
        self.enter_group(Entered { pid: process.pid(), group, parent: None }, compared)
    }

    /// The same for a process that may have been entered before and have called `execve` since. Returns the number.
    #[cfg(feature = "capture")]
    pub(crate) fn enter_anew(&mut self, process: &Process) -> u64 {
        let stat = process.read_stat().ok().flatten();
        let group = process.read_thread_group().unwrap_or(process.pid());
        let entered = Entered { pid: process.pid(), group, parent: stat.as_ref().map(|stat| stat.parent) };
        self.enter_group(entered, process.comparable()).0
    }

    /// The same for a process of which this is known. With `compared` it is compared with the others; a process that
    /// was entered before and has called `execve` since has a new address space then.
    ///
    /// A child of `vfork` may execute a program before its parent is entered, which could then no longer be compared
    /// with it. So the two are compared at once.
    pub(super) fn enter_group(&mut self, entered: Entered, compared: Option<Comparable>) -> (u64, bool) {
        let Entered { pid, group, parent } = entered;
        if let Some(number) = self.groups.get(&group) {
            let Some(Comparable { thread, .. }) = compared.filter(|_| group == pid) else { return (*number, false) };
            self.ordered.values_mut().for_each(|seen| seen.retain(|(other, _)| ![pid, thread].contains(other)));
        }
        let shares =
            |parent: &u32| compared.is_some_and(|own| compare_memory(own.thread, *parent) == Ok(Ordering::Equal));
        let next = self.count;
        let (number, is_new) = match (parent.filter(shares), self.reserved.remove(&pid), compared) {
            (Some(parent), _, _) => match self.groups.get(&parent) {
                Some(number) => (*number, false),
                None => {
                    let number = *self.reserved.entry(parent).or_insert(next);
                    (number, number == next)
                }
            },
            (None, Some(number), Some(Comparable { thread, program })) => {
                find_or_insert(self.ordered.entry(program).or_default(), thread, number);
                (number, false)
            }
            (None, None, Some(Comparable { thread, program })) => {
                let number = find_or_insert(self.ordered.entry(program).or_default(), thread, next);
                (number, number == next)
            }
            (None, _, None) => (next, true),
        };
        self.count += u64::from(number == next);
        self.groups.insert(group, number);
        (number, is_new)
    }
}

/// A process whose address space is entered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    pub(super) pid: u32,
    /// Its thread group.
    pub(super) group: u32,
    /// Its parent, if it is compared with that.
    pub(super) parent: Option<u32>,
}

/// What of a process is compared with others. To `kcmp` all threads without memory are equal, such as a first thread
/// that has exited while others run on, so it is asked about the thread that shows the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparable {
    thread: u32,
    program: ProgramPlace,
}

impl Comparable {
    /// `None` if the thread that shows it has exited meanwhile: then it has no stack.
    pub(super) fn of(memory: &Memory) -> Option<Comparable> {
        let Stat { thread, program, .. } = memory.shown_by()?;
        let [.., stack] = program;
        (*stack != 0).then_some(Comparable { thread: *thread, program: *program })
    }
}

/// The number of the address space of a thread, if that is among `seen`; enters it under `number` otherwise.
fn find_or_insert(seen: &mut Vec<(u32, u64)>, thread: u32, number: u64) -> u64 {
    loop {
        let mut failed = None;
        let place = seen.binary_search_by(|(other, _)| {
            compare_memory(*other, thread).unwrap_or_else(|errno| {
                failed = Some((*other, errno));
                Ordering::Less
            })
        });
        match (place, failed) {
            (Ok(place), _) => return seen.get(place).map_or(number, |(_, number)| *number),
            (Err(place), None) => {
                seen.insert(place, (thread, number));
                return number;
            }
            // The other one has exited: nobody can be compared with it any more.
            (Err(_), Some((other, Errno::ESRCH))) if compare_memory(other, other) == Err(Errno::ESRCH) => {
                seen.retain(|(seen, _)| *seen != other);
            }
            // Without a comparison its place is unknown.
            (Err(_), Some(_)) => return number,
        }
    }
}

/// The thread group under which this one's memory is counted: in a capture that tells it, that of the first process
/// with the same address space.
pub(super) fn captured_group(root: &ProcRoot, group: u32) -> u32 {
    let told = root.captured().and_then(|captured| captured.same_memory.as_ref()?.get(&group));
    told.copied().unwrap_or(group)
}

/// Whether this user's kernel tells which processes share their memory.
#[cfg(feature = "capture")]
pub(crate) fn tells_shared_memory(root: &ProcRoot) -> bool {
    let own = std::process::id();
    can_compare(root) && compare_memory(own, own) == Ok(Ordering::Equal)
}

/// Whether `kcmp` knows the processes below `root` by their pids.
pub(super) fn can_compare(root: &ProcRoot) -> bool {
    is_of_our_namespace(root)
}

impl Process {
    /// What of it is compared with others; `None` if it has no memory, or cannot be compared.
    fn comparable(&self) -> Option<Comparable> {
        if can_compare(self.root()) { Comparable::of(&self.memory().ok()?) } else { None }
    }

    /// Its thread group: its pid, unless it was opened by the id of a thread. `None` if it cannot be read.
    fn read_thread_group(&self) -> Option<u32> {
        let status = self.directory.read_file("status", 1 << 20).ok()?;
        let value = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
        std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
    }
}
