//! The memory of the processes in control groups: their Pss, which counts a shared page once among all that map it.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;

use super::group::ControlGroup;
use crate::error::{ErrorKind, Result, Subject};
use crate::process::usage::{LATE, Usage, UsageNeeds, UsageRequest, Usages, collect_usages};
use crate::process::{NamedProcess, ProcRoot, ProcessChoice, hides_processes};
use crate::units::{Absent, Bytes, Figure, Reason};

/// The memory of the processes in groups.
#[derive(Debug, Default)]
pub struct GroupPss {
    /// Of each group, in the order of the list.
    pub groups: Vec<Figure<Bytes>>,
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
        let none = |group| pids_of(group).and_then(|pids| if pids.is_empty() { Ok(Bytes(0)) } else { Err(ELSEWHERE) });
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
    let by_pid = found.usages.iter().map(|usage| (usage.identity.pid, usage)).collect();
    let failed = found.failures.iter().filter_map(|error| match (error.kind(), error.subject()) {
        (ErrorKind::NotFound | ErrorKind::Unsupported, _) => None,
        (_, Subject::Pid(pid)) => Some(*pid),
        _ => None,
    });
    let failed = failed.collect();
    let has_all = root.is_live() || root.captured().is_some_and(|captured| captured.has_all_processes);
    let known = Known { root, has_all, is_hidden: hides_processes(root), by_pid, found: &found, failed };
    let groups = groups.iter().map(|group| known.sum(&pids_of(group)?)).collect();
    found.usages.retain(|usage| listed.contains(&usage.identity.pid));
    Ok(GroupPss { groups, found })
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
    found: &'f Usages,
    /// Those that could not be read for another reason than that they have exited or are threads of the kernel.
    failed: HashSet<u32>,
}

impl Known<'_> {
    /// The sum over these processes, which counts each address space once.
    fn sum(&self, pids: &[u32]) -> Figure<Bytes> {
        let mut counted = HashSet::new();
        let mut sum = Bytes(0);
        for pid in pids {
            let Some(usage) = self.by_pid.get(pid) else {
                self.has_none(*pid)?;
                continue;
            };
            if counted.insert(usage.memory) {
                let pss = usage.share(|shares| shares.pss);
                sum = sum.plus(pss.map_err(|absent| if absent.reason == Reason::Denied { DENIED } else { absent })?)?;
            }
        }
        Ok(sum)
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
