//! Memory that several processes share: whose rows about it count in a sum, so that none of it counts twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::sum::ColumnSum;

/// What a row is about: a part of the memory of a process.
pub struct Spot {
    pub(super) memory: u64,
    pub(super) process: u32,
    pub(super) part: Range<u64>,
}

impl Spot {
    /// The whole memory that it is a part of.
    #[must_use]
    pub fn whole(self) -> Spot {
        Spot { part: 0..u64::MAX, ..self }
    }
}

/// The memory that is counted: each part as that of one process, in one group.
#[derive(Default)]
pub struct Counted(HashMap<u64, Parts>);

impl Counted {
    /// Counts a spot in this group, unless it is counted as that of another process: then returns the group of that.
    pub fn enter(&mut self, spot: &Spot, group: usize) -> Option<usize> {
        match self.0.entry(spot.memory) {
            Entry::Occupied(parts) => parts.into_mut().enter(spot, group),
            Entry::Vacant(place) => {
                place.insert(Parts::of(spot, group));
                None
            }
        }
    }
}

/// The parts of one memory that are counted.
///
/// Few processes share memory, so the parts are only put in order when those of a second process come.
pub(super) struct Parts {
    /// The process whose parts came first.
    process: u32,
    /// The first part and its group, which need no memory of their own: a process may have only one.
    first: (Range<u64>, usize),
    /// Further parts of the same process.
    more: Vec<(Range<u64>, usize)>,
    /// The end and the process of each part, by its start and its group, once there is a second process.
    ordered: BTreeMap<(u64, usize), (u64, u32)>,
}

impl Parts {
    pub(super) fn of(spot: &Spot, group: usize) -> Parts {
        let first = (spot.part.clone(), group);
        Parts { process: spot.process, first, more: Vec::new(), ordered: BTreeMap::new() }
    }

    /// See [`Counted::enter`].
    pub(super) fn enter(&mut self, spot: &Spot, group: usize) -> Option<usize> {
        if self.ordered.is_empty() {
            if spot.process == self.process {
                let entry = (spot.part.clone(), group);
                if *self.more.last().unwrap_or(&self.first) != entry {
                    self.more.push(entry);
                }
                return None;
            }
            let parts = std::iter::once(self.first.clone()).chain(std::mem::take(&mut self.more));
            self.ordered = parts.map(|(part, group)| ((part.start, group), (part.end, self.process))).collect();
        }
        let counted = self.group_of(spot, group);
        if counted.is_none() {
            self.ordered.insert((spot.part.start, group), (spot.part.end, spot.process));
        }
        counted
    }

    /// The group in which the spot is counted as that of another process: this one, if it is.
    fn group_of(&self, spot: &Spot, group: usize) -> Option<usize> {
        if let Some((_, process)) = self.ordered.get(&(spot.part.start, group)) {
            return (*process != spot.process).then_some(group);
        }
        // A mapping that grew between two looks begins or ends elsewhere, and is the same one.
        let ((_, group), (end, process)) = self.ordered.range(..(spot.part.end, 0)).next_back()?;
        (*end > spot.part.start && *process != spot.process).then_some(*group)
    }

    /// Where the parts begin.
    fn starts(&self) -> BTreeSet<u64> {
        let unordered = std::iter::once(&self.first).chain(&self.more).map(|(part, _)| part.start);
        unordered.chain(self.ordered.keys().map(|(start, _)| *start)).collect()
    }
}

/// What the rows of a group have in common with those of other groups.
pub struct Common {
    /// The number of the group.
    pub(super) group: usize,
    /// The sums of its rows, without those that another group counts as well. Only with such rows.
    pub(super) own: Vec<ColumnSum>,
    /// The other rows.
    pub(super) doubles: Vec<Double>,
}

/// Rows of a group that are about memory which another group counts as that of another process.
pub(super) struct Double {
    /// The number of the other group.
    pub(super) of: usize,
    pub(super) memory: u64,
    pub(super) parts: Parts,
    pub(super) sums: Vec<ColumnSum>,
}

/// Which doubles a sum over some groups counts.
pub(super) struct Choice<'c> {
    /// Those of each group, in their order.
    pub(super) counted: Vec<Vec<&'c Double>>,
    /// Whether some of them are partly the same rows, so that there is no sum that counts each once.
    pub(super) is_unclear: bool,
}

impl<'c> Choice<'c> {
    /// Those that are counted in none of these groups otherwise: each once.
    pub(super) fn of(groups: &'c [Arc<Common>]) -> Choice<'c> {
        let shown: HashSet<usize> = groups.iter().map(|common| common.group).collect();
        let mut seen: HashMap<(usize, u64), Vec<BTreeSet<u64>>> = HashMap::new();
        let mut is_unclear = false;
        let mut counts = |double: &&Double| {
            if shown.contains(&double.of) {
                return false;
            }
            let (seen, starts) = (seen.entry((double.of, double.memory)).or_default(), double.parts.starts());
            if seen.iter().any(|earlier| starts.is_subset(earlier)) {
                return false;
            }
            is_unclear |= seen.iter().any(|earlier| !starts.is_disjoint(earlier));
            seen.push(starts);
            true
        };
        let counted = groups.iter().map(|common| common.doubles.iter().filter(&mut counts).collect()).collect();
        Choice { counted, is_unclear }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(process: u32, part: Range<u64>) -> Spot {
        Spot { memory: 1, process, part }
    }

    #[test]
    fn each_part_of_memory_counts_once_whoever_has_it() {
        let mut counted = Counted::default();
        assert_eq!([0..10, 20..30, 40..50].map(|part| counted.enter(&spot(7, part), 3)), [None; 3]);
        // What grew or was divided is the same; what is elsewhere is not.
        let others = [0..10, 20..35, 40..45, 45..50, 60..70].map(|part| counted.enter(&spot(8, part), 4));
        assert_eq!(others, [Some(3), Some(3), Some(3), Some(3), None]);
        assert_eq!([60..70, 0..10].map(|part| counted.enter(&spot(9, part), 3)), [Some(4), Some(3)]);
        assert_eq!(counted.enter(&spot(7, 70..80), 3), None);
        assert_eq!(counted.enter(&Spot { memory: 2, ..spot(8, 0..10) }, 4), None);
    }

    #[test]
    fn rows_that_a_group_left_out_counts_are_counted_once() {
        let double = |of: usize, starts: &[u64]| {
            let mut spots = starts.iter().map(|start| spot(8, *start..start + 10));
            let mut parts = Parts::of(&spots.next().unwrap(), 0);
            spots.for_each(|spot| assert_eq!(parts.enter(&spot, 0), None));
            Double { of, memory: 1, parts, sums: Vec::new() }
        };
        let group = |group, doubles| Arc::new(Common { group, own: Vec::new(), doubles });
        let counted = |groups: &[Arc<Common>]| {
            let choice = Choice::of(groups);
            (choice.counted.iter().map(Vec::len).collect::<Vec<_>>(), choice.is_unclear)
        };
        let second = group(1, vec![double(0, &[0, 20])]);
        let [same, other, partly] = [&[0][..], &[40], &[20, 40]].map(|starts| group(2, vec![double(0, starts)]));
        assert_eq!(counted(&[second.clone(), group(0, Vec::new())]), (vec![0, 0], false));
        assert_eq!(counted(&[second.clone(), same]), (vec![1, 0], false));
        assert_eq!(counted(&[second.clone(), other]), (vec![1, 1], false));
        assert_eq!(counted(&[second, partly]), (vec![1, 1], true));
    }
}
