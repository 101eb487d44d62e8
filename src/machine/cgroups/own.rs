//! What belongs to a group itself, and what to those below it.

use super::figures::{GroupAmount, GroupCount, GroupFigures};
use super::group::ControlGroup;
use super::hierarchy::GroupVersion;
use crate::units::{Absent, Bytes, Figure, Reason};

/// Counts that version 1 keeps for each group alone. In version 2 they include those of the groups below.
const ALONE_IN_VERSION_1: [GroupCount; 3] = [GroupCount::Max, GroupCount::Oom, GroupCount::OomKill];

/// Adds to each group what the kernel does not count for those below it.
pub(super) fn add_below(groups: &mut [ControlGroup]) {
    for group in groups.iter_mut() {
        group.all_pids = group.pids.clone();
    }
    // From the last to the first, so that a group is complete before it is added to the one above.
    for place in (0..groups.len()).rev() {
        let Some((before, [group, ..])) = groups.split_at_mut_checked(place) else { continue };
        group.count_processes();
        let Some(above) = group.above.and_then(|above| before.get_mut(above)) else { continue };
        above.size += group.size;
        if !above.includes_below {
            continue;
        }
        match (&mut above.all_pids, &group.all_pids) {
            (Ok(all), Ok(pids)) => all.extend(pids),
            (all @ Ok(_), Err(absent)) => *all = Err(*absent),
            (Err(_), _) => {}
        }
        for count in ALONE_IN_VERSION_1.iter().filter(|_| group.version == GroupVersion::One) {
            let sum = both(above.figures.count(*count), group.figures.count(*count), u64::saturating_add);
            above.figures.set_count(*count, sum);
        }
    }
}

/// Leaves in each group only what is its own, so that every group counts once in a sum over any of them.
///
/// The files of the groups are read one after the other. If memory moved from a group to one below it meanwhile, less
/// than nothing would be left: that is nothing.
pub fn subtract_below(groups: &mut [ControlGroup]) {
    // The usage of the root of version 1 lacks the memory of the kernel, which that of all other groups has.
    if let Some(root) = groups.first_mut().filter(|group| group.is_root && group.version == GroupVersion::One) {
        let kernel = root.figures.amount(GroupAmount::Kernel);
        for amount in [GroupAmount::Usage, GroupAmount::WorkingSet] {
            let whole = both(root.figures.amount(amount), kernel, |usage, kernel| usage + kernel);
            root.figures.set_amount(amount, whole);
        }
    }
    // Each group above is still whole when those below it are subtracted from it.
    for place in 0..groups.len() {
        let Some((before, [group, ..])) = groups.split_at_mut_checked(place) else { continue };
        let Some(above) = group.above.and_then(|above| before.get_mut(above)) else { continue };
        if above.includes_below {
            above.figures.subtract(&group.figures);
        }
    }
}

impl ControlGroup {
    /// Counts its processes, and those below it, each once: the threads of one may be in several groups.
    fn count_processes(&mut self) {
        let count = self.all_pids.as_mut().map(|pids| {
            pids.sort_unstable();
            let elsewhere = pids.iter().take_while(|pid| **pid == 0).count();
            let mut seen = pids.split_off(elsewhere);
            seen.dedup();
            pids.append(&mut seen);
            pids.len() as u64
        });
        self.figures.set_count(GroupCount::Processes, count.map_err(|absent| *absent));
    }
}

impl GroupFigures {
    fn set_count(&mut self, count: GroupCount, figure: Figure<u64>) {
        if let Some(place) = self.counts.get_mut(count as usize) {
            *place = figure;
        }
    }

    fn set_amount(&mut self, amount: GroupAmount, figure: Figure<Bytes>) {
        if let Some(place) = self.amounts.get_mut(amount as usize) {
            *place = figure;
        }
    }

    /// Subtracts what adds up: neither limits nor shares of time.
    fn subtract(&mut self, below: &GroupFigures) {
        for (own, below) in self.amounts.iter_mut().zip(&below.amounts) {
            *own = both(*own, *below, Bytes::saturating_sub);
        }
        for (own, below) in self.counts.iter_mut().zip(&below.counts) {
            *own = both(*own, *below, u64::saturating_sub);
        }
    }
}

/// Two figures together. One that does not apply to the other group leaves this one as it is.
fn both<T>(one: Figure<T>, other: Figure<T>, combine: impl Fn(T, T) -> T) -> Figure<T> {
    match (one, other) {
        (one, Err(Absent { reason: Reason::NotApplicable, .. })) => one,
        (one, other) => Ok(combine(one?, other?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{GroupChoice, ProcRoot};

    const STAT: &str = "total_rss 0\ntotal_inactive_file 0\n";

    /// A capture with these groups of version 1 in this order: path, usage, memory of the kernel, failures.
    fn groups(hierarchical: bool, groups: &[(&str, u64, u64, u64)]) -> Vec<ControlGroup> {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("proc")).unwrap();
        for (path, usage, kernel, failures) in groups {
            let folder = top.path().join("sys/fs/cgroup/memory").join(path);
            std::fs::create_dir_all(&folder).unwrap();
            let mut files = vec![
                ("memory.usage_in_bytes", usage.to_string()),
                ("memory.kmem.usage_in_bytes", kernel.to_string()),
                ("memory.failcnt", failures.to_string()),
                ("memory.stat", STAT.to_owned()),
                ("memory.use_hierarchy", u8::from(hierarchical).to_string()),
            ];
            files.extend(path.is_empty().then(|| ("release_agent", String::new())));
            files.into_iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
        }
        use crate::machine::GroupFile::{Current, FailCount, KernelUsage, Stat};
        let files = [Current, KernelUsage, FailCount, Stat];
        let root = ProcRoot::at(top.path().join("proc"));
        crate::machine::read_groups(&root, &GroupChoice::default(), &files, &mut |error| panic!("{error}")).unwrap()
    }

    fn amounts(groups: &[ControlGroup], amount: GroupAmount) -> Vec<u64> {
        groups.iter().map(|group| group.figures.amount(amount).unwrap().0).collect()
    }

    #[test]
    fn the_parts_of_groups_add_up_to_the_whole() {
        let mut found = groups(true, &[("", 900, 100, 0), ("a", 600, 60, 1), ("a/b", 250, 0, 2), ("c", 50, 0, 4)]);
        assert_eq!(found.iter().map(|group| group.size).collect::<Vec<_>>(), [4, 2, 1, 1]);
        let counts: Vec<_> = found.iter().map(|group| group.figures.count(GroupCount::Max)).collect();
        assert_eq!(counts, [Ok(7), Ok(3), Ok(2), Ok(4)]);
        subtract_below(&mut found);
        // The root also has the memory of the kernel that it was not charged for.
        assert_eq!(amounts(&found, GroupAmount::Usage), [350, 350, 250, 50]);
        assert_eq!(amounts(&found, GroupAmount::WorkingSet), [350, 350, 250, 50]);
        assert_eq!(amounts(&found, GroupAmount::Kernel), [40, 60, 0, 0]);
        let counts: Vec<_> = found.iter().map(|group| group.figures.count(GroupCount::Max)).collect();
        assert_eq!(counts, [Ok(0), Ok(1), Ok(2), Ok(4)]);
    }

    #[test]
    fn groups_without_a_hierarchy_stand_alone() {
        let mut found = groups(false, &[("", 10, 0, 1), ("a", 600, 0, 2), ("a/b", 250, 0, 3)]);
        let counts: Vec<_> = found.iter().map(|group| group.figures.count(GroupCount::Max)).collect();
        assert_eq!(counts, [Ok(1), Ok(2), Ok(3)]);
        subtract_below(&mut found);
        assert_eq!(amounts(&found, GroupAmount::Usage), [10, 600, 250]);
    }
}
