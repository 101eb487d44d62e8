//! Which mappings of one moment are the continuation of which mappings of the moment before.
//!
//! The kernel splits and joins mappings whenever permissions change, which moves no memory. So mappings are compared in
//! groups: an old mapping belongs together with every new one that overlaps it and has the same memory behind it.
//! Adjacent new ones whose lengths add up to what a call asked for are one group, too.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::area::Area;
use super::calls::meet;
use super::known::Family;
use crate::units::Bytes;

/// Old and new mappings that belong together, by their places. One side is empty for what appeared or went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) old: Vec<usize>,
    pub(super) new: Vec<usize>,
}

/// A mapping that was moved: the range that it had, and the length that it was given.
pub(super) type Moved = (Range<u64>, u64);

/// Divides the mappings into groups. Nothing is left of old mappings in the ranges `freed`. Mappings of the lengths
/// `asked` were asked for. Both lists are in the order of their addresses.
pub(super) fn groups(old: &[&Area], new: &[Area], freed: &[Range<u64>], moved: &[Moved], asked: &[u64]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let (mut went, mut free) = (vec![true; old.len()], Free::all_of(new));
    for (one, other) in overlaps(old, new, freed) {
        clear(&mut went, one..one + 1);
        clear(&mut free.is_free, other..other + 1);
        // The pairs are in the order of both, so a group can only go on where it ended.
        match groups.last_mut().filter(|group| group.old.last() == Some(&one) || group.new.last() == Some(&other)) {
            Some(group) => {
                group.old.extend((group.old.last() != Some(&one)).then_some(one));
                group.new.extend((group.new.last() != Some(&other)).then_some(other));
            }
            None => groups.push(Group { old: vec![one], new: vec![other] }),
        }
    }
    for (range, length) in moved {
        let from = old.binary_search_by_key(&range.start, |area| area.addresses.start).ok();
        let is_gone = |from: &usize| went.get(*from) == Some(&true);
        if let Some(from) = from.filter(is_gone)
            && let Some(to) = free.take_run(*length)
        {
            clear(&mut went, from..from + 1);
            groups.push(Group { old: vec![from], new: to.collect() });
        }
    }
    let mut others: Vec<Group> = set(&went).map(|place| Group { old: vec![place], new: Vec::new() }).collect();
    let wholes = asked.iter().filter_map(|length| free.take_run(*length));
    others.extend(wholes.map(|whole| Group { old: Vec::new(), new: whole.collect() }));
    others.extend(set(&free.is_free).map(|place| Group { old: Vec::new(), new: vec![place] }));
    // What went comes first: its place may have been taken.
    others.append(&mut groups);
    others
}

/// Joins the groups that have old mappings of one family.
pub(super) fn with_families(groups: Vec<Group>, family: impl Fn(usize) -> Option<Family>) -> Vec<Group> {
    let families = |group: &Group| -> HashSet<Family> { group.old.iter().filter_map(|one| family(*one)).collect() };
    let mut wholes: Vec<Group> = Vec::new();
    let mut places: HashMap<Family, usize> = HashMap::new();
    let mut others = Vec::new();
    for group in groups {
        let found = families(&group);
        if found.is_empty() {
            others.push(group);
            continue;
        }
        let known: BTreeSet<usize> = found.iter().filter_map(|family| places.get(family).copied()).collect();
        let place = known.first().copied().unwrap_or(wholes.len());
        wholes.resize_with(wholes.len().max(place + 1), Group::default);
        // It brings together what was apart.
        let mut parts: Vec<Group> =
            known.iter().skip(1).filter_map(|other| wholes.get_mut(*other).map(std::mem::take)).collect();
        parts.push(group);
        for mut part in parts {
            places.extend(families(&part).into_iter().map(|family| (family, place)));
            if let Some(whole) = wholes.get_mut(place) {
                whole.old.append(&mut part.old);
                whole.new.append(&mut part.new);
            }
        }
    }
    wholes.retain(|whole| !whole.old.is_empty());
    for whole in &mut wholes {
        whole.old.sort_unstable();
        whole.new.sort_unstable();
    }
    // What went comes first: its place may have been taken.
    let (mut all, continued): (Vec<Group>, Vec<Group>) = wholes.into_iter().partition(|whole| whole.new.is_empty());
    all.extend(others);
    all.extend(continued);
    all
}

/// The new mappings that belong to no group yet.
struct Free<'n> {
    new: &'n [Area],
    is_free: Vec<bool>,
    /// Where to look for the next run of a length: before that there is none, because no mapping becomes free again.
    from: HashMap<u64, usize>,
}

impl<'n> Free<'n> {
    fn all_of(new: &'n [Area]) -> Free<'n> {
        Free { new, is_free: vec![true; new.len()], from: HashMap::new() }
    }

    /// Takes the first adjacent mappings of the same memory that are together this long.
    fn take_run(&mut self, length: u64) -> Option<Range<usize>> {
        let begin = self.from.get(&length).copied().unwrap_or(0);
        let run = self.run(begin, length);
        self.from.insert(length, run.as_ref().map_or(self.new.len(), |run| run.end));
        run.inspect(|run| clear(&mut self.is_free, run.clone()))
    }

    fn run(&self, begin: usize, length: u64) -> Option<Range<usize>> {
        let size = |place: usize| self.new.get(place).map_or(0, |area| area.size().0);
        let (mut first, mut sum) = (begin, 0_u64);
        let mut last: Option<&Area> = None;
        for (place, area) in self.new.iter().enumerate().skip(begin) {
            let is_next =
                last.is_some_and(|last| last.addresses.end == area.addresses.start && last.is_same_memory(area));
            if !is_next {
                (first, sum) = (place, 0);
            }
            last = self.is_free.get(place).copied().unwrap_or(false).then_some(area);
            sum = if last.is_some() { sum.saturating_add(size(place)) } else { 0 };
            while sum > length {
                sum = sum.saturating_sub(size(first));
                first += 1;
            }
            if sum == length && first <= place && last.is_some() {
                return Some(first..place + 1);
            }
        }
        None
    }
}

fn clear(flags: &mut [bool], places: Range<usize>) {
    flags.get_mut(places).unwrap_or_default().fill(false);
}

/// The places of the flags that are set.
fn set(flags: &[bool]) -> impl Iterator<Item = usize> {
    (0..).zip(flags).filter(|(_, flag)| **flag).map(|(place, _)| place)
}

/// The pairs of old and new mappings that overlap outside of the freed ranges and have the same memory.
fn overlaps(old: &[&Area], new: &[Area], freed: &[Range<u64>]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut first = 0;
    for (place, area) in old.iter().enumerate() {
        while new.get(first).is_some_and(|later| later.addresses.end <= area.addresses.start) {
            first += 1;
        }
        let candidates = (first..).zip(new.iter().skip(first));
        let candidates = candidates.take_while(|(_, later)| later.addresses.start < area.addresses.end);
        let left = without(&area.addresses, freed);
        let is_continued = |later: &Area| left.iter().any(|part| meet(part, &later.addresses));
        pairs.extend(
            candidates
                .filter(|(_, later)| area.is_same_memory(later) && is_continued(later))
                .map(|(number, _)| (place, number)),
        );
    }
    pairs
}

/// The parts of a range outside of others.
pub(super) fn without(range: &Range<u64>, freed: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts = vec![range.clone()];
    for hole in freed.iter().filter(|hole| meet(hole, range)) {
        let halves = |part: Range<u64>| {
            let below = part.start..part.end.min(hole.start);
            let above = part.start.max(hole.end)..part.end;
            [below, above].into_iter().filter(|half| half.start < half.end)
        };
        parts = parts.into_iter().flat_map(halves).collect();
    }
    parts
}

/// How long ranges are together.
pub(super) fn length(ranges: &[Range<u64>]) -> Bytes {
    ranges.iter().map(|range| Bytes(range.end.saturating_sub(range.start))).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::process::{Device, MappingKind};

    /// Anonymous memory, or a file mapped from its start on at address 0.
    pub(crate) fn area(addresses: Range<u64>, inode: u64, rss: u64) -> Area {
        Area {
            perm: "rw-p".into(),
            offset: if inode == 0 { 0 } else { addresses.start },
            addresses,
            device: Device::default(),
            inode,
            path: Vec::new(),
            first_path: Vec::new(),
            is_of_execve: false,
            kind: if inode == 0 { MappingKind::Anonymous } else { MappingKind::File },
            rss: Ok(Bytes(rss)),
            pss: Ok(Bytes(rss)),
            anonymous: Ok(Bytes(0)),
            hugetlb: Ok(Bytes(0)),
        }
    }

    fn found(old: &[Area], new: &[Area], freed: &[Range<u64>], moved: &[Moved]) -> Vec<(Vec<usize>, Vec<usize>)> {
        let groups = groups(&old.iter().collect::<Vec<_>>(), new, freed, moved, &[]);
        groups.into_iter().map(|group| (group.old, group.new)).collect()
    }

    #[test]
    fn parts_of_one_mapping_belong_together() {
        let whole = [area(0x1000..0x5000, 0, 0)];
        let parts = [area(0x1000..0x2000, 0, 0), area(0x2000..0x5000, 0, 0)];
        assert_eq!(found(&whole, &parts, &[], &[]), [(vec![0], vec![0, 1])]);
        assert_eq!(found(&parts, &whole, &[], &[]), [(vec![0, 1], vec![0])]);
    }

    #[test]
    fn another_file_at_the_same_place_is_another_mapping() {
        let (file, other) = ([area(0x1000..0x5000, 7, 0)], [area(0x1000..0x5000, 8, 0)]);
        assert_eq!(found(&file, &other, &[], &[]), [(vec![0], vec![]), (vec![], vec![0])]);
        // The same file, but another part of it.
        let mut later = file.clone();
        later[0].offset += 0x1000;
        assert_eq!(found(&file, &later, &[], &[]), [(vec![0], vec![]), (vec![], vec![0])]);
    }

    #[test]
    fn what_was_unmapped_is_not_continued_at_the_same_place() {
        let both = [area(0x1000..0x5000, 0, 0)];
        let apart = [(vec![0], vec![]), (vec![], vec![0])];
        assert_eq!(found(&both, &both, std::slice::from_ref(&(0x1000..0x5000)), &[]), apart);
        assert_eq!(found(&both, &both, &[0x1000..0x3000, 0x3000..0x9000], &[]), apart);
        assert_eq!(found(&both, &both, std::slice::from_ref(&(0x1000..0x3000)), &[]), [(vec![0], vec![0])]);
    }

    #[test]
    fn a_moved_mapping_is_followed() {
        let (here, there) = ([area(0x1000..0x5000, 0, 0)], [area(0x9000..0x11000, 0, 0)]);
        assert_eq!(found(&here, &there, &[], &[(0x1000..0x5000, 0x8000)]), [(vec![0], vec![0])]);
        assert_eq!(found(&here, &there, &[], &[(0x1000..0x5000, 0x7000)]).len(), 2);
        // A part of it has other permissions since.
        let parts = [area(0x9000..0xb000, 0, 0), area(0xb000..0x11000, 0, 0)];
        assert_eq!(found(&here, &parts, &[], &[(0x1000..0x5000, 0x8000)]), [(vec![0], vec![0, 1])]);
    }

    #[test]
    fn the_parts_of_what_was_asked_for_are_one() {
        let parts = [area(0x1000..0x3000, 0, 0), area(0x3000..0x9000, 0, 0), area(0xa000..0xb000, 0, 0)];
        let found = |asked: &[u64]| -> Vec<Vec<usize>> {
            groups(&[], &parts, &[], &[], asked).into_iter().map(|group| group.new).collect()
        };
        assert_eq!(found(&[0x8000]), [vec![0, 1], vec![2]]);
        // Not across a hole, and not a part of one.
        assert_eq!(found(&[0x7000, 0x4000]), [vec![0], vec![1], vec![2]]);
        // As often as it was asked for, and what is part of one is part of no other.
        let parts: Vec<Area> = [1, 2, 3, 5, 6, 7, 8, 9].windows(2).map(|ends| area(ends[0]..ends[1], 0, 0)).collect();
        let found = |asked: &[u64]| -> Vec<Vec<usize>> {
            groups(&[], &parts, &[], &[], asked).into_iter().map(|group| group.new).collect()
        };
        assert_eq!(found(&[3, 2, 2, 2]), [vec![1, 2], vec![3, 4], vec![5, 6], vec![0]]);
        assert_eq!(found(&[4, 2, 4]), [vec![0, 1, 2], vec![3, 4], vec![5], vec![6]]);
    }

    #[test]
    fn many_mappings_take_little_time() {
        const MANY: u64 = 20_000;
        let begun = std::time::Instant::now();
        // Every second one has a neighbour.
        let at = |place: u64| place + place / 2;
        let areas: Vec<Area> = (0..MANY).map(|place| area(at(place)..at(place) + 1, 0, 0)).collect();
        let found = groups(&[], &areas, &[], &[], &vec![1; areas.len()]);
        assert_eq!(found.len(), areas.len());
        let old: Vec<&Area> = areas.iter().collect();
        assert_eq!(groups(&old, &areas, &[], &[], &[1]).len(), areas.len());
        let whole = [area(0..at(MANY), 0, 0)];
        assert_eq!(groups(&[&whole[0]], &areas, &[], &[], &[]).len(), 1);
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
