//! Which mappings of one moment are the continuation of which mappings of the moment before.
//!
//! The kernel splits and joins mappings whenever permissions change, which moves no memory. So mappings are compared in
//! groups: an old mapping belongs together with every new one that overlaps it and has the same memory behind it. New
//! ones that are together as long as something that was asked for are one group, too.

use std::ops::Range;

use super::area::Area;
use super::calls::meet;

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
    let mut pairs = overlaps(old, new, freed);
    let is_paired = |pairs: &[(usize, usize)], place: usize| pairs.iter().any(|pair| pair.1 == place);
    for (range, length) in moved {
        let from = old.iter().position(|area| area.addresses.start == range.start);
        let to = run(new, *length, |place| !is_paired(&pairs, place));
        let is_gone = |from: usize| !pairs.iter().any(|pair| pair.0 == from);
        if let (Some(from), Some(to)) = (from.filter(|from| is_gone(*from)), to) {
            pairs.extend(to.map(|to| (from, to)));
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for (one, other) in &pairs {
        match groups.last_mut().filter(|group| group.old.contains(one) || group.new.contains(other)) {
            Some(group) => {
                group.old.extend((!group.old.contains(one)).then_some(*one));
                group.new.extend((!group.new.contains(other)).then_some(*other));
            }
            None => groups.push(Group { old: vec![*one], new: vec![*other] }),
        }
    }
    let went = (0..old.len()).filter(|place| !pairs.iter().any(|pair| pair.0 == *place));
    let mut others: Vec<Group> = went.map(|place| Group { old: vec![place], new: Vec::new() }).collect();
    let mut appeared: Vec<usize> = (0..new.len()).filter(|place| !is_paired(&pairs, *place)).collect();
    for length in asked {
        let Some(whole) = run(new, *length, |place| appeared.contains(&place)) else { continue };
        appeared.retain(|place| !whole.contains(place));
        others.push(Group { old: Vec::new(), new: whole.collect() });
    }
    others.extend(appeared.into_iter().map(|place| Group { old: Vec::new(), new: vec![place] }));
    // What went comes first: its place may have been taken.
    others.append(&mut groups);
    others
}

/// Adjacent mappings of the same memory that are together this long, among those that may be chosen.
fn run(new: &[Area], length: u64, may_be: impl Fn(usize) -> bool) -> Option<Range<usize>> {
    (0..new.len()).find_map(|first| {
        let (mut sum, mut last) = (0, None);
        for (place, area) in (first..).zip(new.iter().skip(first)) {
            let is_next =
                last.is_none_or(|last: &Area| last.addresses.end == area.addresses.start && last.is_same_memory(area));
            sum += area.size().0;
            if !is_next || sum > length || !may_be(place) {
                return None;
            }
            if sum == length {
                return Some(first..place + 1);
            }
            last = Some(area);
        }
        None
    })
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::process::{Device, MappingKind};
    use crate::units::Bytes;

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
    }
}
