//! The memory of the processes in control groups: their Pss, which counts a shared page once among all that map it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::group::ControlGroup;
use crate::error::{ErrorKind, Result, Subject};
use crate::process::usage::{LATE, Usage, UsageNeeds, UsageRequest, Usages, collect_usages};
use crate::process::{NamedProcess, ProcRoot, ProcessChoice, hides_processes};
use crate::units::{Absent, Counted, Figure, PageRuns, Piece, Reason, Run, TOO_LARGE};

/// The memory of the processes in groups.
#[derive(Debug, Default)]
pub struct GroupPss {
    /// Of each group, in the order of the list. Their address spaces are its places, each of as many as its Pss has
    /// bytes, so that a sum over groups counts one that processes of several groups share once.
    pub groups: Vec<Figure<Piece>>,
    /// Their processes, and what could not be seen of the machine.
    pub found: Usages,
}

const DENIED: Absent = Absent::new(Reason::Denied, "this user may not read some of its processes");
/// Why a list of what the processes of a group have is not whole.
pub(crate) const ELSEWHERE: Absent =
    Absent::new(Reason::Unsupported, "some of its processes are in a pid namespace that is not seen from here");

const FAILED: Absent = Absent::new(Reason::Unsupported, "some of its processes could not be read");
/// Why a group of a capture has no Pss if the capture lacks some of its processes.
pub(crate) const NOT_CAPTURED: Absent =
    Absent::new(Reason::Unsupported, "some of its processes are not in the capture");

/// Reads the Pss of the processes in each group, with those in the groups below it unless `own`. `is_all` says that the
/// groups are all of the machine.
///
/// # Errors
/// `/proc` cannot be read.
pub fn read_group_pss(
    root: &ProcRoot,
    groups: &[ControlGroup],
    is_all: bool,
    own: bool,
    budget: Duration,
    check: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<GroupPss> {
    let pids_of = |group: &ControlGroup| if own { group.pids.clone() } else { group.all_pids.clone() };
    let listed: HashSet<u32> =
        groups.iter().filter_map(|group| group.pids.as_ref().ok()).flatten().copied().filter(|pid| *pid != 0).collect();
    if !is_all && listed.is_empty() {
        let none = |group| pids_of(group).and_then(|pids| if pids.is_empty() { Ok(piece([])) } else { Err(ELSEWHERE) });
        return Ok(GroupPss { groups: groups.iter().map(none).collect(), ..GroupPss::default() });
    }
    let processes = match is_all {
        true => ProcessChoice::default(),
        false => ProcessChoice {
            pids: listed.iter().map(|pid| NamedProcess::Pid(*pid)).collect(),
            ..ProcessChoice::default()
        },
    };
    let needs = UsageNeeds { shares: true, ..UsageNeeds::default() };
    let request = UsageRequest { processes, budget: Some(budget), ..UsageRequest::new(root, needs) };
    // Processes that have exited since, and threads of the kernel, have no memory and are no failures here.
    let mut found = collect_usages(&request, check)?;
    let by_pid: HashMap<u32, &Usage> = found.usages.iter().map(|usage| (usage.identity.pid, usage)).collect();
    let failed = found.failures.iter().filter_map(|error| match (error.kind(), error.subject()) {
        (ErrorKind::NotFound | ErrorKind::Unsupported, _) => None,
        (_, Subject::Pid(pid)) => Some(*pid),
        _ => None,
    });
    let failed = failed.collect();
    let has_all = root.is_live() || root.captured().is_some_and(|captured| captured.has_all_processes);
    let places = places(&found.usages);
    let known = Known { root, has_all, is_hidden: hides_processes(root), by_pid, places, found: &found, failed };
    let groups = groups.iter().map(|group| known.sum(&pids_of(group)?)).collect();
    found.usages.retain(|usage| listed.contains(&usage.identity.pid));
    Ok(GroupPss { groups, found })
}

/// Where the places of each address space begin.
fn places(usages: &[Usage]) -> HashMap<u64, u64> {
    let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
    for usage in usages {
        let size = sizes.entry(usage.memory).or_default();
        *size = usage.share(|shares| shares.pss).map_or(0, |pss| pss.0).max(*size);
    }
    let ends = sizes.values().scan(0u64, |end, size| {
        *end = end.saturating_add(*size);
        Some(*end)
    });
    sizes.keys().copied().zip(std::iter::once(0).chain(ends)).collect()
}

/// The memory of a group whose address spaces have these places.
fn piece(spaces: impl IntoIterator<Item = Run>) -> Piece {
    let places: PageRuns = spaces.into_iter().collect();
    let first = places.iter().next().map_or(0, |run| run.first);
    let end = places.iter().last().map_or(0, |run| run.end());
    Piece {
        of: 0,
        looked: Run { first, count: end.saturating_sub(first) },
        figure: places.cached().0,
        each: 1,
        counted: Counted::Only(Arc::new(OnceLock::from(Ok(places)))),
    }
}

/// The processes that were read.
struct Known<'f> {
    root: &'f ProcRoot,
    /// Whether a process that is not there has exited: on a live machine, and in a capture of all processes, which were
    /// read after the groups.
    has_all: bool,
    /// Whether this user does not see the processes of others.
    is_hidden: bool,
    by_pid: HashMap<u32, &'f Usage>,
    /// Where the places of each address space begin.
    places: HashMap<u64, u64>,
    found: &'f Usages,
    /// Those that could not be read for another reason than that they have exited or are threads of the kernel.
    failed: HashSet<u32>,
}

impl Known<'_> {
    /// The sum over these processes, which counts each address space once.
    fn sum(&self, pids: &[u32]) -> Figure<Piece> {
        let mut counted = HashSet::new();
        let mut spaces = Vec::new();
        for pid in pids {
            let Some(usage) = self.by_pid.get(pid) else {
                self.has_none(*pid)?;
                continue;
            };
            if counted.insert(usage.memory) {
                let pss = usage.share(|shares| shares.pss);
                let pss = pss.map_err(|absent| if absent.reason == Reason::Denied { DENIED } else { absent })?;
                let first = self.places.get(&usage.memory).copied().unwrap_or_default();
                first.checked_add(pss.0).ok_or(TOO_LARGE)?;
                spaces.push(Run { first, count: pss.0 });
            }
        }
        Ok(piece(spaces))
    }

    /// That a process that was not read has no memory: it has exited, is a thread of the kernel, or has taken the
    /// capture.
    fn has_none(&self, pid: u32) -> Figure<()> {
        match () {
            () if pid == 0 => Err(ELSEWHERE),
            () if self.failed.contains(&pid) => Err(FAILED),
            () if self.is_hidden || self.root.captured().is_some_and(|found| found.hidden.contains(&pid)) => {
                Err(DENIED)
            }
            () if self.found.unseen > 0 => Err(LATE),
            () if !self.has_all && !self.root.path().join(pid.to_string()).is_dir() => Err(NOT_CAPTURED),
            () => Ok(()),
        }
    }
}
