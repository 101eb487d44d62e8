//! Processes as a tree: each below the process that started it, with what all processes below it use.

use std::collections::{HashMap, HashSet};

use crate::process::usage::Usage;
use crate::units::{Absent, Bytes, Figure, Reason};

/// The place of a process in the tree, and the sums over it and all processes below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    /// How many of its ancestors are in the tree.
    pub(super) depth: u64,
    /// The sum of Pss.
    pub(super) pss: Figure<Bytes>,
    /// The sum of what is in swap.
    pub(super) swap: Figure<Bytes>,
    /// How many processes they are.
    pub(super) processes: u64,
    /// The command line, indented by the depth.
    pub(super) command: Vec<u8>,
}

/// The deepest indentation: what is below is indented no more, because nothing of the command line would be seen.
const DEEPEST: u64 = 20;

const PARTLY_ABSENT: Absent = Absent::new(Reason::Unsupported, "some of its processes have no figure for it");

/// A sum, and whether it lacks a figure.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    lacks: bool,
}

impl Sum {
    fn of(figure: Figure<Bytes>) -> Sum {
        figure.map_or(Sum { bytes: 0, lacks: true }, |Bytes(bytes)| Sum { bytes, lacks: false })
    }

    fn add(&mut self, other: Sum) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.lacks |= other.lacks;
    }

    fn figure(self) -> Figure<Bytes> {
        if self.lacks { Err(PARTLY_ABSENT) } else { Ok(Bytes(self.bytes)) }
    }
}

/// What is added up of a process, and then of all below it.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    pss: Sum,
    swap: Sum,
    processes: u64,
}

impl Sums {
    fn of(usage: &Usage) -> Sums {
        let (pss, swap) = (usage.share(|shares| shares.pss), usage.public(|status| status.swap));
        Sums { pss: Sum::of(pss), swap: Sum::of(swap), processes: 1 }
    }

    fn add(&mut self, other: Sums) {
        self.pss.add(other.pss);
        self.swap.add(other.swap);
        self.processes += other.processes;
    }
}

/// The places of processes in `usages`, in the order in which a tree shows them, each with its branch. A process whose
/// parent is not among them is at the top. Of those below one process the one with the largest sum of Pss comes first.
pub(super) fn branches(usages: &[Usage]) -> Vec<(usize, Branch)> {
    let parents = parents(usages);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); usages.len()];
    let mut tops = Vec::new();
    for (place, parent) in parents.iter().enumerate() {
        match parent.and_then(|parent| children.get_mut(parent)) {
            Some(below) => below.push(place),
            None => tops.push(place),
        }
    }
    let sums = sums(usages, &parents, &preorder(&tops, &children));
    let size = |place: &usize| sums.get(*place).map_or(0, |sums| sums.pss.bytes);
    let rss = |place: &usize| usages.get(*place).and_then(|usage| usage.rss().ok());
    let key = |place: &usize| (std::cmp::Reverse((size(place), rss(place))), *place);
    children.iter_mut().chain([&mut tops]).for_each(|places| places.sort_by_key(key));
    let branch = |(place, depth): (usize, u64)| {
        let (usage, sums) = (usages.get(place)?, sums.get(place)?);
        let indent = vec![b' '; 2 * depth.min(DEEPEST) as usize];
        let command = [&indent[..], &usage.identity.command].concat();
        let (pss, swap) = (sums.pss.figure(), sums.swap.figure());
        Some((place, Branch { depth, pss, swap, processes: sums.processes, command }))
    };
    preorder(&tops, &children).into_iter().filter_map(branch).collect()
}

/// The place of the parent of each process. In a capture parents may go round in a circle, which is cut.
fn parents(usages: &[Usage]) -> Vec<Option<usize>> {
    let places: HashMap<u32, usize> = usages.iter().map(|usage| usage.identity.pid).zip(0..).collect();
    let mut parents: Vec<Option<usize>> = usages.iter().map(|usage| places.get(&usage.parent?).copied()).collect();
    let mut settled = HashSet::new();
    for start in 0..usages.len() {
        let (mut way, mut place) = (HashSet::new(), start);
        while !settled.contains(&place) && way.insert(place) {
            let Some(slot) = parents.get_mut(place) else { break };
            match *slot {
                Some(parent) if way.contains(&parent) => *slot = None,
                Some(parent) => place = parent,
                None => break,
            }
        }
        settled.extend(way);
    }
    parents
}

/// All places, each before those below it, with their depths.
fn preorder(tops: &[usize], children: &[Vec<usize>]) -> Vec<(usize, u64)> {
    let mut order = Vec::with_capacity(children.len());
    let mut left: Vec<(usize, u64)> = tops.iter().rev().map(|top| (*top, 0)).collect();
    while let Some((place, depth)) = left.pop() {
        order.push((place, depth));
        left.extend(children.get(place).into_iter().flatten().rev().map(|child| (*child, depth + 1)));
    }
    order
}

/// The sums of each process and all below it. Processes that share an address space count once.
fn sums(usages: &[Usage], parents: &[Option<usize>], order: &[(usize, u64)]) -> Vec<Sums> {
    let mut sharing: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, usage) in usages.iter().enumerate() {
        sharing.entry(usage.memory).or_default().push(place);
    }
    sharing.retain(|_, places| places.len() > 1);
    let mut sums: Vec<Sums> = usages.iter().map(Sums::of).collect();
    for place in sharing.values().flatten() {
        if let Some(sums) = sums.get_mut(*place) {
            *sums = Sums { processes: 1, ..Sums::default() };
        }
    }
    // Those below a process come after it.
    for (place, _) in order.iter().rev() {
        let sum = sums.get(*place).copied().unwrap_or_default();
        if let Some(above) = parents.get(*place).copied().flatten().and_then(|parent| sums.get_mut(parent)) {
            above.add(sum);
        }
    }
    for places in sharing.values() {
        let mut has_it = HashSet::new();
        for start in places {
            let Some(usage) = usages.get(*start) else { continue };
            let own = Sums { processes: 0, ..Sums::of(usage) };
            let mut place = Some(*start);
            while let Some(here) = place.filter(|here| has_it.insert(*here)) {
                if let Some(sums) = sums.get_mut(here) {
                    sums.add(own);
                }
                place = parents.get(here).copied().flatten();
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::process::usage::{UsageNeeds, UsageRequest, collect_usages};
    use crate::process::{ProcRoot, ProcessChoice};

    /// Processes with these pids, parents and address spaces, whose swap is their pid in bytes.
    fn usages(processes: &[(u32, u32, u64)]) -> Vec<Usage> {
        let own = UsageRequest {
            processes: ProcessChoice::of(std::process::id()),
            ..UsageRequest::new(&ProcRoot::live(), UsageNeeds::default())
        };
        let own = collect_usages(&own, &mut || ControlFlow::Continue(())).unwrap().usages.remove(0);
        let usage = |(pid, parent, memory): &(u32, u32, u64)| {
            let mut usage = Usage { parent: Some(*parent), memory: *memory, ..own.clone() };
            usage.identity.pid = *pid;
            if let Ok(status) = &mut usage.status {
                status.swap = Ok(Bytes((*pid).into()));
            }
            usage
        };
        processes.iter().map(usage).collect()
    }

    /// The pid, the depth, the sum and the number of processes of each branch.
    fn tree(processes: &[(u32, u32, u64)]) -> Vec<(u32, u64, u64, u64)> {
        let usages = usages(processes);
        let mut found = branches(&usages);
        found.sort_by_key(|(place, _)| *place);
        let row = |(place, branch): (usize, Branch)| {
            (usages[place].identity.pid, branch.depth, branch.swap.unwrap().0, branch.processes)
        };
        found.into_iter().map(row).collect()
    }

    #[test]
    fn what_is_below_a_process_is_added_to_it() {
        let found = tree(&[(4, 2, 4), (1, 0, 1), (2, 1, 2), (3, 1, 3), (9, 77, 9)]);
        assert_eq!(found, [(4, 2, 4, 1), (1, 0, 10, 4), (2, 1, 6, 2), (3, 1, 3, 1), (9, 0, 9, 1)]);
    }

    #[test]
    fn an_address_space_counts_once_in_every_subtree() {
        // 20 shares the memory of its parent, 40 that of its sibling.
        let found = tree(&[(10, 0, 1), (20, 10, 1), (30, 10, 3), (40, 10, 3)]);
        assert_eq!(found, [(10, 0, 40, 4), (20, 1, 20, 1), (30, 1, 30, 1), (40, 1, 40, 1)]);
    }

    #[test]
    fn a_circle_of_parents_is_cut_and_nobody_is_lost() {
        let found = tree(&[(1, 3, 1), (2, 1, 2), (3, 2, 3), (4, 4, 4), (5, 3, 5)]);
        assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(found.iter().filter(|row| row.1 == 0).map(|row| row.2).sum::<u64>(), 15);
    }

    #[test]
    fn a_very_deep_tree_is_no_problem() {
        let processes: Vec<_> = (1..100_000).map(|pid| (pid, pid - 1, u64::from(pid))).collect();
        assert_eq!(tree(&processes).first().map(|row| (row.1, row.3)), Some((0, 99_999)));
    }
}
