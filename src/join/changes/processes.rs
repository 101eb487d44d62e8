//! Processes: the same ones by their pids, start times and boot.

use std::collections::HashMap;
use std::time::Duration;

use super::change::{Change, ChangedFigure, ChangedKind, SHARED};
use super::comparison::{Comparison, Hear, left_out};
use super::mappings::{self, ChangedProcess};
use crate::error::{Error, ErrorKind, Subject};
use crate::process::usage::{LATE, Usage, UsageNeeds, UsageRequest, Usages, collect_usages};
use crate::process::{ProcRoot, Process, is_own_helper, own_pid, shows_whole_machine};
use crate::units::{Bytes, Figure, counted};

const REBOOTED: &str = "the two are different machines, or the machine was started anew in between; no process is the \
                        same, so all are gone or new";

const TWO_CONTAINERS: &str = "the two are of different containers (pid namespaces), so no process or mapping is \
                              compared";

/// What tells a process from others of the same boot: its pid, and when it started.
type Key = (u32, Option<u64>);

fn key(usage: &Usage) -> Key {
    (usage.identity.pid, usage.identity.start_time)
}

fn about() -> Subject {
    Subject::Words("processes".to_owned())
}

pub(super) fn compare(comparison: &Comparison, hear: &mut dyn Hear) {
    // Sums can be compared all the same.
    if comparison.is_of_two_containers() && !comparison.divides {
        return hear.failure(Error::new(about(), ErrorKind::Unsupported, TWO_CONTAINERS));
    }
    let roots = [&comparison.before, &comparison.after];
    let Some(before) = read(roots[0], comparison.budget, hear) else { return };
    let Some(after) = read(roots[1], comparison.budget, hear) else { return };
    let is_same_boot = comparison.is_same_boot();
    if !is_same_boot {
        hear.note(Error::new(about(), ErrorKind::Changed, REBOOTED));
    }
    let has_lines = |root: &ProcRoot| root.captured().is_none_or(|captured| captured.has_command_lines);
    let has_all = [has_all(roots[0], roots[1], &before), has_all(roots[1], roots[0], &after)];
    let mut earlier: HashMap<Key, Usage> = before.usages.into_iter().map(|usage| (key(&usage), usage)).collect();
    let with_earlier = |after: Usage| {
        let is_known = is_same_boot && after.identity.start_time.is_some();
        ((if is_known { earlier.remove(&key(&after)) } else { None }), after)
    };
    let (mut lasting, mut new) = (Vec::new(), Vec::new());
    for (before, after) in after.usages.into_iter().map(with_earlier) {
        match before {
            Some(before) => lasting.push([before, after]),
            None => new.push(after),
        }
    }
    let mut gone: Vec<Usage> = earlier.into_values().collect();
    gone.sort_unstable_by_key(key);
    let mut compared = Compared {
        comparison,
        has_lines: roots.into_iter().all(has_lines),
        has_all,
        unmatched: [0; 2],
        by_rss: 0,
        changed: Vec::new(),
        memories: HashMap::new(),
        owners: [0, 1].map(|side| owners(comparison, &lasting, side)),
    };
    lasting.iter().for_each(|[before, after]| compared.both(before, after, hear));
    new.iter().for_each(|usage| compared.one(usage, 1, hear));
    gone.iter().for_each(|usage| compared.one(usage, 0, hear));
    compared.report(hear);
    if comparison.kinds.contains(&ChangedKind::Mapping) {
        mappings::compare(comparison, &compared.changed, hear);
    }
}

/// The processes of one side.
fn read(root: &ProcRoot, budget: Duration, hear: &mut dyn Hear) -> Option<Usages> {
    let needs = UsageNeeds { command: true, shares: true, ..UsageNeeds::default() };
    let budget = root.is_live().then_some(budget);
    let request = UsageRequest { budget, ..UsageRequest::new(root, needs) };
    let mut has_ended = false;
    let found = collect_usages(&request, &mut || {
        let flow = hear.check();
        has_ended |= flow.is_break();
        flow
    });
    let mut found = match found {
        Ok(found) => found,
        Err(error) => {
            hear.failure(error);
            return None;
        }
    };
    if root.is_live() {
        found.usages.retain(|usage| !is_own(root, usage));
    }
    found.failures.iter().chain(&found.doubt).chain(&found.hiding(root)).for_each(|error| hear.failure(error.clone()));
    let late = found.usages.iter().filter(|usage| usage.shares.as_ref().err() == Some(&LATE)).count() as u64;
    if late > 0 {
        hear.failure(Error::absent(Subject::Words(format!("Pss of {}", counted(late, "process", "processes"))), LATE));
    }
    (!has_ended).then_some(found)
}

/// Whether it is rmap itself, a child that asks file systems in its place, or its child that removes an unpacked
/// capture: nobody asks how these have changed. The last was forked and has executed nothing since, unlike one that a
/// shell started before it became rmap.
fn is_own(root: &ProcRoot, usage: &Usage) -> bool {
    let Ok(own) = own_pid(root) else { return false };
    let program = |pid| Some(Process::open_in(root, pid).ok()?.read_life().ok()?.1);
    let is_forked = || program(own).is_some_and(|own| program(usage.identity.pid) == Some(own));
    usage.identity.pid == own || is_own_helper(root, usage.identity.pid) || usage.parent == Some(own) && is_forked()
}

/// Whether a process of the `other` machine that is not among these did not exist.
fn has_all(root: &ProcRoot, other: &ProcRoot, found: &Usages) -> bool {
    root.captured().is_none_or(|captured| captured.has_all_processes)
        && (shows_whole_machine(root) || !shows_whole_machine(other))
        && found.unseen == 0
        && found.hidden == 0
        && !found.hides_more
}

/// With which process each memory of one side is counted: of those on both sides that share it there, the first that
/// started and has kept it.
fn owners(comparison: &Comparison, lasting: &[[Usage; 2]], side: usize) -> HashMap<u64, Key> {
    let mut sharers: HashMap<u64, Vec<&[Usage; 2]>> = HashMap::new();
    for sides in lasting {
        let [before, after] = sides;
        let usage = if side == 0 { before } else { after };
        sharers.entry(usage.memory).or_default().push(sides);
    }
    let owner = |sharers: Vec<&[Usage; 2]>| {
        let is_shared = sharers.len() > 1;
        let order = |[before, after]: &&[Usage; 2]| {
            let (pid, start_time) = key(before);
            (is_shared && has_executed(comparison, before, after), start_time, pid)
        };
        sharers.into_iter().min_by_key(order).map(|[before, _]| key(before))
    };
    sharers.into_iter().filter_map(|(memory, sharers)| Some((memory, owner(sharers)?))).collect()
}

/// Whether a process is known to run another program on the second side, and so in memory of its own.
fn has_executed(comparison: &Comparison, before: &Usage, after: &Usage) -> bool {
    let program =
        |root, usage: &Usage| Process::open_in(root, usage.identity.pid).ok()?.read_life().ok().map(|life| life.1);
    let programs = program(&comparison.before, before).zip(program(&comparison.after, after));
    programs.is_some_and(|(before, after)| before != after)
}

struct Compared<'c> {
    comparison: &'c Comparison,
    /// Whether both sides have command lines. If one has not, both have names, so that equals are equal.
    has_lines: bool,
    /// For each side, whether it has all processes.
    has_all: [bool; 2],
    /// How many processes are only on each side and may have existed on the other.
    unmatched: [u64; 2],
    /// How many are compared by Rss.
    by_rss: u64,
    changed: Vec<ChangedProcess>,
    /// The numbers of memory: by the process with which it is counted, or by its number on one side.
    memories: HashMap<std::result::Result<Key, (usize, u64)>, u64>,
    /// For each side, with which process a memory is counted that a process on both sides has.
    owners: [HashMap<u64, Key>; 2],
}

impl Compared<'_> {
    fn both(&mut self, before: &Usage, after: &Usage, hear: &mut dyn Hear) {
        let (of, figures) = match (before.share(|shares| shares.pss), after.share(|shares| shares.pss)) {
            (Ok(before), Ok(after)) => (ChangedFigure::Pss, [Ok(before), Ok(after)]),
            // VmRSS of both: the Rss of smaps_rollup is counted in another way.
            _ => (ChangedFigure::Rss, [resident(before), resident(after)]),
        };
        // A child that shared the memory of its parent until it executed a program. No process shares it later.
        let has_own = self.owner(before, 0) == self.owner(after, 1) || self.owner(after, 1) != Some(key(after));
        let earlier = has_own.then_some(figures[0]);
        let Some(change) = Change::of(ChangedKind::Process, of, earlier, Some(figures[1])) else { return };
        let change = if has_own { change } else { change.counted_elsewhere_before() };
        let memory = self.number(after, 1);
        if change.is_at_least(self.comparison.least) {
            self.by_rss += u64::from(of == ChangedFigure::Rss);
            let (pid, start_time) = key(after);
            self.changed.push(ChangedProcess {
                pid,
                start_time,
                of,
                memory,
                exists: [has_own, true],
                shared_before: !has_own,
            });
        }
        self.tell(Change { memory: Some(memory), ..change }, after, hear);
    }

    /// A process that is only on one side, the first (0) or the second (1).
    fn one(&mut self, usage: &Usage, side: usize, hear: &mut dyn Hear) {
        let [before, after] = [&self.comparison.before, &self.comparison.after];
        let other = if side == 0 { after } else { before };
        let is_missed = other.captured().is_some_and(|captured| captured.missed.contains(&usage.identity.pid));
        let others_are_known = self.has_all.get(1 - side) == Some(&true) && !is_missed;
        if !others_are_known {
            if let Some(count) = self.unmatched.get_mut(side) {
                *count += 1;
            }
            return;
        }
        let shares = self.owner(usage, side).is_some();
        let (of, figure) = match usage.share(|shares| shares.pss) {
            _ if shares => (ChangedFigure::Pss, Err(SHARED)),
            Ok(pss) => (ChangedFigure::Pss, Ok(pss)),
            Err(_) => (ChangedFigure::Rss, resident(usage)),
        };
        let (before, after) = if side == 0 { (Some(figure), None) } else { (None, Some(figure)) };
        if let Some(change) = Change::of(ChangedKind::Process, of, before, after) {
            let memory = self.number(usage, side);
            if !shares && change.is_at_least(self.comparison.least) {
                let (pid, start_time) = key(usage);
                self.changed.push(ChangedProcess {
                    pid,
                    start_time,
                    of,
                    memory,
                    exists: [side == 0, side == 1],
                    shared_before: false,
                });
            }
            self.tell(Change { memory: Some(memory), ..change }, usage, hear);
        }
    }

    /// With which process the memory of one on this side is counted, if a process on both sides has it.
    fn owner(&self, usage: &Usage, side: usize) -> Option<Key> {
        self.owners.get(side)?.get(&usage.memory).copied()
    }

    /// The number of the memory of a process on one side.
    fn number(&mut self, usage: &Usage, side: usize) -> u64 {
        let next = self.memories.len() as u64;
        let memory = self.owner(usage, side).ok_or((side, usage.memory));
        *self.memories.entry(memory).or_insert(next)
    }

    fn tell(&self, change: Change, usage: &Usage, hear: &mut dyn Hear) {
        if !self.comparison.kinds.contains(&ChangedKind::Process) {
            return;
        }
        let identity = format!("{:?}", key(usage)).into_bytes();
        let name = match self.has_lines {
            true => usage.identity.command.clone(),
            false => [b"[", &usage.name[..], b"]"].concat(),
        };
        let pid = Some(usage.identity.pid);
        self.comparison.tell(Some(Change { name, pid, identity, ..change }), hear);
    }

    fn report(&self, hear: &mut dyn Hear) {
        left_out(&about(), self.unmatched, hear);
        if self.by_rss > 0 {
            let count = counted(self.by_rss, "is", "are");
            let why = format!("{count} compared by Rss, because the Pss of one side is not known");
            hear.note(Error::new(about(), ErrorKind::Denied, why));
        }
    }
}

fn resident(usage: &Usage) -> Figure<Bytes> {
    usage.public(|status| status.rss)
}
