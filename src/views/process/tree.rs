//! Processes as a tree: each below the process that started it, with what all processes below it use.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use crate::process::usage::{Shares, Usage};
use crate::table::{Amount, Cell};
use crate::units::{Absent, Bytes, Figure, Reason, TOO_LARGE};

/// The place of a process in the tree, and the sums over it and all processes below it.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// How many of its ancestors are in the tree.
    pub(super) depth: u64,
    /// The sum of Pss.
    pub(super) pss: Sum,
    /// The sum of what is in swap, shared pages divided.
    pub(super) swap: Sum,
    /// The sum of Pss, or of Rss if Pss is not known.
    pub(super) size: Sum,
    /// How many processes they are.
    pub(super) processes: u64,
    /// The command line, indented by the depth.
    pub(super) command: Vec<u8>,
}

/// The deepest indentation: what is below is indented no more, because nothing of the command line would be seen.
const DEEPEST: u64 = 20;

/// A sum of figures.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    /// The sum of those that are known; `None` if none is.
    bytes: Option<u128>,
    /// Why another one is not known.
    lacks: Option<Reason>,
}

impl Sum {
    fn of(figure: Figure<Bytes>) -> Sum {
        Sum { bytes: figure.ok().map(|Bytes(bytes)| bytes.into()), lacks: figure.err().map(|absent| absent.reason) }
    }

    fn add(&mut self, other: Sum) {
        let bytes = self.bytes.into_iter().chain(other.bytes).reduce(u128::saturating_add);
        *self = Sum { bytes, lacks: self.lacks.or(other.lacks) };
    }

    /// As a figure of a row.
    pub(super) fn cell(self) -> Cell<'static> {
        let absent = |reason, why| Absent::new(reason, why);
        let bytes = match self.bytes.map(u64::try_from).transpose() {
            Ok(bytes) => bytes,
            Err(_) => return Cell::Absent(TOO_LARGE),
        };
        match (bytes, self.lacks) {
            (Some(bytes), None) => Cell::Bytes(bytes),
            (Some(bytes), Some(reason)) => {
                Cell::AtLeast(Amount::Bytes(bytes), absent(reason, "some of its processes have no figure for it"))
            }
            (None, reason) => {
                Cell::Absent(absent(reason.unwrap_or(Reason::Unsupported), "none of its processes has a figure for it"))
            }
        }
    }
}

/// What is added up of a process, and then of all below it.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    pss: Sum,
    swap: Sum,
    size: Sum,
    processes: u64,
}

impl Sums {
    fn of(usage: &Usage) -> Sums {
        let [pss, swap] = [|shares: &Shares| shares.pss, |shares: &Shares| shares.swap_pss].map(|of| usage.share(of));
        Sums { pss: Sum::of(pss), swap: Sum::of(swap), size: Sum::of(usage.pss_or_rss()), processes: 1 }
    }

    fn add(&mut self, other: Sums) {
        self.pss.add(other.pss);
        self.swap.add(other.swap);
        self.size.add(other.size);
        self.processes += other.processes;
    }
}

/// Processes as a tree, by their places in a list.
pub(super) struct Tree {
    tops: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl Tree {
    /// The tree of these processes, and the branch of each. A process whose parent is not among them is at the top.
    pub(super) fn of(usages: &[Usage]) -> (Tree, Vec<Branch>) {
        let parents = parents(usages);
        let mut tree = Tree { tops: Vec::new(), children: vec![Vec::new(); usages.len()] };
        for (place, parent) in parents.iter().enumerate() {
            match parent.and_then(|parent| tree.children.get_mut(parent)) {
                Some(below) => below.push(place),
                None => tree.tops.push(place),
            }
        }
        let order = preorder(&tree.tops, &tree.children);
        let mut depths = vec![0; usages.len()];
        for (place, depth) in &order {
            if let Some(slot) = depths.get_mut(*place) {
                *slot = *depth;
            }
        }
        let sums = sums(usages, &parents, &order);
        let branch = |((usage, sums), depth): ((&Usage, Sums), u64)| {
            let indent = vec![b' '; 2 * depth.min(DEEPEST) as usize];
            let command = [&indent[..], &usage.identity.command].concat();
            let Sums { pss, swap, size, processes } = sums;
            Branch { depth, pss, swap, size, processes, command }
        };
        let branches = usages.iter().zip(sums).zip(depths).map(branch).collect();
        (tree, branches)
    }

    /// The places, each before those below it. Those below one process, and those at the top, are in this order.
    pub(super) fn ordered(mut self, compare: impl Fn(usize, usize) -> Ordering) -> Vec<usize> {
        let lists = self.children.iter_mut().chain([&mut self.tops]);
        lists.for_each(|places| places.sort_by(|one, other| compare(*one, *other)));
        preorder(&self.tops, &self.children).into_iter().map(|(place, _)| place).collect()
    }
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

    /// Processes with these pids, parents and address spaces, which have their pid in bytes in RAM.
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
                status.rss = Ok(Bytes((*pid).into()));
            }
            usage
        };
        processes.iter().map(usage).collect()
    }

    /// The pid, the depth, the sum and the number of processes of each branch.
    fn tree(processes: &[(u32, u32, u64)]) -> Vec<(u32, u64, u128, u64)> {
        let usages = usages(processes);
        let (tree, branches) = Tree::of(&usages);
        assert_eq!(tree.ordered(|_, _| Ordering::Equal).len(), processes.len());
        let row = |(usage, branch): (&Usage, Branch)| {
            (usage.identity.pid, branch.depth, branch.size.bytes.unwrap(), branch.processes)
        };
        usages.iter().zip(branches).map(row).collect()
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
        assert_eq!(found.iter().filter(|row| row.1 == 0).map(|row| row.2).sum::<u128>(), 15);
    }

    #[test]
    fn a_very_deep_tree_is_no_problem() {
        let processes: Vec<_> = (1..100_000).map(|pid| (pid, pid - 1, u64::from(pid))).collect();
        assert_eq!(tree(&processes).first().map(|row| (row.1, row.3)), Some((0, 99_999)));
    }
}
