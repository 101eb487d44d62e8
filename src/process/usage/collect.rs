//! Reads many processes on several threads, the largest first, within a time limit.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::read::{Busy, Reader, Seen, read_parent};
use super::threads::{locked, work_until};
use super::{LATE, Usage, UsageNeeds};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::address_space::{AddressSpaces, Entered, can_compare, captured_group};
use crate::process::captured::Captured;
use crate::process::choice::{Asked, ProcessChoice};
use crate::process::handle::{NOT_SEEN, Process, is_of_namespace, may_be_kernel_thread};
use crate::process::root::{Hides, ProcRoot, read_pids, what_is_hidden};
use crate::units::{Bytes, counted};

/// Which processes are read, and what about them.
#[derive(Debug, Clone)]
pub struct UsageRequest {
    /// Where `/proc` is.
    pub root: ProcRoot,
    /// Which processes; all of them if none is selected.
    pub processes: ProcessChoice,
    /// What is read about each.
    pub needs: UsageNeeds,
    /// How long it may take. What was not read by then is absent ([`LATE`]).
    pub budget: Option<Duration>,
    /// Whether the descendants of the selected processes are read, too.
    pub descendants: bool,
    /// What earlier collections with the same value are still reading.
    pub busy: Busy,
}

impl UsageRequest {
    /// All processes, without a limit.
    pub fn new(root: &ProcRoot, needs: UsageNeeds) -> UsageRequest {
        UsageRequest {
            root: root.clone(),
            processes: ProcessChoice::default(),
            needs,
            budget: None,
            descendants: false,
            busy: Busy::default(),
        }
    }
}

/// The processes that were read.
#[derive(Debug, Default)]
pub struct Usages {
    /// Those that have memory, in the order of their pids. Kernel threads and zombies are left out, and so are those
    /// that exited meanwhile.
    pub usages: Vec<Usage>,
    /// What is wrong with those that were selected by their pids, or with the selection.
    pub failures: Vec<Error>,
    /// Which of them may share their memory, if a capture does not tell: sums may count it several times.
    pub doubt: Option<Error>,
    /// How many could not be seen at all, because `/proc` hides them (`hidepid`).
    pub hidden: u64,
    /// How many of these may be threads of the kernel, which have no memory.
    pub hidden_threads: u64,
    /// Whether there may be more, because `/proc` hides how many there are, too.
    pub hides_more: bool,
    /// How many were not looked at in time.
    pub unseen: u64,
    /// How many are there and could not be read; each has its line in `failures`.
    pub unread: u64,
    /// Whether all were asked for, and a capture has only some.
    pub is_partial: bool,
    /// Whether only the processes of a pid namespace were looked at, such as those of a container.
    pub is_of_namespace: bool,
}

/// All processes, in errors about some of them.
pub(crate) const OF_MACHINE: &str = "the processes of this machine";

impl Usages {
    /// That processes are hidden from this user, or were from the one who took the capture; `None` if none are.
    pub(crate) fn hiding(&self, root: &ProcRoot) -> Option<Error> {
        let (about, why) = match (self.hides_more, self.hidden) {
            (false, 0) => return None,
            (false, hidden) => (
                counted(hidden, "process", "processes"),
                match (root.captured(), self.hidden_threads) {
                    (None, 0) => "/proc hides what other users' processes are (hidepid)",
                    (None, _) => {
                        "/proc hides what other users' processes are (hidepid), and which are threads of the kernel"
                    }
                    (Some(_), _) => NOT_SEEN,
                },
            ),
            (true, _) => (
                OF_MACHINE.to_owned(),
                match root.captured() {
                    None => "/proc hides those of other users (hidepid), and how many they are",
                    Some(_) => "/proc hid those of other users (hidepid), and how many they were",
                },
            ),
        };
        Some(root.advised(Error::new(Subject::Words(about), ErrorKind::Denied, why)))
    }
}

/// Reads how much memory processes use. `check` is called from time to time; the reading ends if it says so.
///
/// # Errors
/// `/proc` cannot be read.
pub fn collect_usages(request: &UsageRequest, check: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Usages> {
    let until = request.budget.and_then(|budget| Instant::now().checked_add(budget));
    let (root, needs) = (&request.root, request.needs);
    // Those that were selected by their pids are either seen or reported as missing.
    let is_searched = request.processes.pids.is_empty();
    let hides = if is_searched { what_is_hidden(root) } else { Hides::Nothing };
    let is_of_namespace = is_searched && is_of_namespace(root);
    let hid_more = || is_searched && root.captured().is_some_and(|captured| captured.hides_more);
    let hides_more = hides == Hides::Everything || hid_more();
    let has_some = root.captured().is_some_and(Captured::has_only_some);
    let is_partial = has_some && !hides_more && request.processes.is_empty();
    let mut found = Usages { is_partial, is_of_namespace, hides_more, ..Usages::default() };
    let asked = find(request, &mut found.failures)?;
    let spaces = Spaces { root: root.clone(), compares: root.is_live() && can_compare(root), seen: Arc::default() };
    let reader = || Reader::new(root, needs, until, &request.busy);
    let pids = asked.iter().map(|asked| asked.pid).collect();
    let public = {
        let spaces = spaces.clone();
        let read = move |reader: &mut Reader, pid: &u32| match needs.shares {
            true => reader.read_public(*pid),
            false => reader.read_public_only(*pid, &mut |seen| spaces.enter(seen)),
        };
        work_until([pids], until, reader, read, check)
    };
    let [public] = public;
    let mut seen = Vec::new();
    for (asked, read) in asked.into_iter().zip(public) {
        match read {
            Some(Ok(Some(process))) => seen.push((asked, process)),
            Some(Ok(None)) if asked.found => {}
            Some(Ok(None)) => found.failures.push(no_memory(asked.pid)),
            Some(Err(error)) if !asked.is_missed(&error) => {}
            Some(Err(error)) if asked.found && error.kind() == ErrorKind::Denied => {
                found.hidden += 1;
                found.hidden_threads += u64::from(may_be_kernel_thread(root, asked.pid));
            }
            Some(Err(error)) => {
                found.unread += u64::from(!matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported));
                found.failures.push(error);
            }
            None => found.unseen += 1,
        }
    }
    if needs.shares {
        seen = read_shares(seen, until, reader, spaces, &mut found.failures, check);
    }
    found.doubt = doubt(root, &seen);
    found.usages = seen.into_iter().map(|(_, process)| process.usage).collect();
    found.usages.sort_unstable_by_key(|usage| usage.identity.pid);
    share_figures(&mut found.usages);
    Ok(found)
}

/// Gives processes that share their memory the same figures: it was read through each of them, one moment after the
/// other, and sums count only one.
fn share_figures(usages: &mut [Usage]) {
    let mut first = HashMap::new();
    for usage in usages {
        if let Ok(shares) = usage.shares {
            usage.shares = Ok(*first.entry(usage.memory).or_insert(shares));
        }
    }
}

/// Reads smaps_rollup of these processes, the largest first. Those that take long do not keep the others waiting.
fn read_shares(
    mut seen: Vec<(Asked, Seen)>,
    until: Option<Instant>,
    reader: impl Fn() -> Reader,
    spaces: Spaces,
    failures: &mut Vec<Error>,
    check: &mut dyn FnMut() -> ControlFlow<()>,
) -> Vec<(Asked, Seen)> {
    let rss = |seen: &Seen| seen.usage.public(|status| status.rss).unwrap_or(Bytes(0));
    seen.sort_by_key(|(_, seen)| std::cmp::Reverse(rss(seen)));
    let (long, short): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(_, seen)| seen.takes_long());
    let read = move |reader: &mut Reader, (_, seen): &(Asked, Seen)| {
        reader.read_shares(seen.clone(), &mut |seen| spaces.enter(seen))
    };
    let [long_done, short_done] = work_until([long.clone(), short.clone()], until, reader, read, check);
    let mut left = Vec::with_capacity(long.len() + short.len());
    let done = long_done.into_iter().chain(short_done);
    for ((asked, mut seen), done) in long.into_iter().chain(short).zip(done) {
        match done {
            Some(Some(read)) => left.push((asked, read)),
            Some(None) if asked.found => {}
            Some(None) => failures.push(no_memory(asked.pid)),
            None => {
                seen.usage.shares = Err(LATE);
                seen.usage.memory = not_compared(asked.pid);
                left.push((asked, seen));
            }
        }
    }
    left
}

/// Which processes may share their memory, if a capture does not tell: those with mappings and Rss of their parents.
fn doubt(root: &ProcRoot, seen: &[(Asked, Seen)]) -> Option<Error> {
    if root.is_live() || root.captured().is_some_and(|captured| captured.same_memory.is_some()) {
        return None;
    }
    let by_pid: HashMap<u32, &Seen> = seen.iter().map(|(_, seen)| (seen.usage.identity.pid, seen)).collect();
    let maps =
        |seen: &Seen| Process::open_in(root, seen.usage.identity.pid).ok()?.directory.read_file("maps", u64::MAX).ok();
    let alike = seen.iter().filter_map(|(_, child)| {
        let parent = *by_pid.get(&child.usage.parent?)?;
        let rss = |seen: &Seen| seen.usage.public(|status| status.rss).ok().filter(|rss| *rss > Bytes(0));
        let is_alike = child.program() == parent.program()
            && child.program().is_some_and(|[.., stack]| stack != 0)
            && rss(child).is_some_and(|own| rss(parent) == Some(own))
            && maps(child).is_some_and(|own| !own.is_empty() && maps(parent) == Some(own));
        is_alike.then_some((child.usage.identity.pid, parent.usage.identity.pid))
    });
    let alike: Vec<(u32, u32)> = alike.collect();
    const WHY: &str = "may share one address space (vfork, CLONE_VM), which the capture does not tell; if so, sums \
                       count it more than once";
    let (about, why) = match alike[..] {
        [] => return None,
        [(child, parent)] => (format!("processes {parent} and {child}"), format!("they {WHY}")),
        _ => (format!("{} processes and their parents", alike.len()), format!("each of these pairs {WHY}")),
    };
    Some(Error::new(Subject::Words(about), ErrorKind::Unsupported, why))
}

/// The address spaces that were seen.
#[derive(Debug, Clone)]
struct Spaces {
    root: ProcRoot,
    compares: bool,
    seen: Arc<Mutex<AddressSpaces>>,
}

impl Spaces {
    fn enter(&self, seen: &Seen) -> u64 {
        let Usage { identity, parent, .. } = &seen.usage;
        let group = captured_group(&self.root, seen.group);
        let entered = Entered { pid: identity.pid, group, parent: *parent };
        let compared = seen.compared.filter(|_| self.compares);
        locked(&self.seen, |spaces| spaces.enter_group(entered, compared)).0
    }
}

/// A number for the address space of a process that was not compared with others, which may block.
fn not_compared(pid: u32) -> u64 {
    1 << 32 | u64::from(pid)
}

/// The selected processes, or all.
fn find(request: &UsageRequest, failures: &mut Vec<Error>) -> Result<Vec<Asked>> {
    let all = || Ok(read_pids(&request.root)?.into_iter().map(|pid| Asked { pid, found: true }));
    if request.processes.is_empty() {
        return Ok(all()?.collect());
    }
    let mut asked = request.processes.find(&request.root, &mut |error| failures.push(error))?;
    if request.descendants {
        add_descendants(&request.root, all()?, &mut asked);
    }
    Ok(asked)
}

fn add_descendants(root: &ProcRoot, all: impl Iterator<Item = Asked>, asked: &mut Vec<Asked>) {
    let mut children: HashMap<u32, Vec<Asked>> = HashMap::new();
    for process in all {
        let parent = read_parent(root, process.pid);
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut seen: HashSet<u32> = asked.iter().map(|asked| asked.pid).collect();
    let mut place = 0;
    while let Some(parent) = asked.get(place).copied() {
        let below = children.remove(&parent.pid).unwrap_or_default();
        asked.extend(below.into_iter().filter(|child| seen.insert(child.pid)));
        place += 1;
    }
}

fn no_memory(pid: u32) -> Error {
    Error::pid(pid, ErrorKind::Unsupported, "it has no memory of its own: a kernel thread, or it has exited")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(processes: ProcessChoice, needs: UsageNeeds, budget: Option<Duration>) -> Usages {
        let request = UsageRequest { processes, budget, ..UsageRequest::new(&ProcRoot::live(), needs) };
        collect_usages(&request, &mut || ControlFlow::Continue(())).unwrap()
    }

    const ALL: UsageNeeds = UsageNeeds { command: true, group: true, program: true, shares: true };

    #[test]
    fn our_own_process_is_read_as_a_whole() {
        let pid = std::process::id();
        let found = collect(ProcessChoice::of(pid), ALL, None);
        let [usage] = &found.usages[..] else { panic!("{found:?}") };
        let own = Process::own().unwrap();
        assert_eq!(usage.identity, own.identity().unwrap());
        assert_eq!(usage.name, own.read_name().unwrap());
        assert_eq!(usage.group.clone().ok(), own.read_cgroup().ok());
        assert_eq!(usage.parent, Some(std::os::unix::process::parent_id()));
        let shares = usage.shares.unwrap();
        assert!(shares.uss.unwrap() <= shares.pss.unwrap() && shares.pss.unwrap() <= usage.rss().unwrap());
        assert!(found.failures.is_empty() && usage.failure.is_none());
    }

    #[test]
    fn processes_with_memory_are_found_without_a_line_for_others() {
        let found = collect(ProcessChoice::default(), UsageNeeds::default(), None);
        assert!(found.usages.iter().any(|usage| usage.identity.pid == std::process::id()));
        assert!(found.usages.iter().all(|usage| usage.rss().is_ok() && usage.shares == Err(super::super::NOT_ASKED)));
        assert_eq!((found.failures.len(), found.unseen), (0, 0));
    }

    #[test]
    fn without_time_nothing_is_looked_at_and_that_is_counted() {
        let found = collect(ProcessChoice::default(), ALL, Some(Duration::ZERO));
        assert!(found.usages.is_empty() && found.unseen > 0, "{found:?}");
    }

    #[test]
    fn a_process_that_does_not_exist_is_a_failure() {
        let found = collect(ProcessChoice::of(u32::MAX), ALL, None);
        assert_eq!((found.usages.len(), found.failures.len()), (0, 1));
    }
}
