//! Which calls may be behind a change of mappings. Nothing here remembers anything.

use std::ops::Range;

use super::area::Area;
use super::calls::{Call, is_inside, meet};
use super::groups::{length, without};
use crate::process::MappingKind;
use crate::units::Bytes;

/// The length that a call names.
pub(super) fn asked(call: &Call) -> Option<Bytes> {
    match call {
        Call::Map { length, .. } | Call::Move(_, length) => Some(Bytes(*length)),
        Call::Unmap(range) | Call::Drop(range) | Call::Fill(range) | Call::Protect(range, _) | Call::Lock(range) => {
            Some(Bytes(range.end.saturating_sub(range.start)))
        }
        Call::Break(..) | Call::Attach | Call::Detach(_) | Call::Execute | Call::Exit => None,
    }
}

/// Whether a call may have made these mappings, or made them longer by `grown`.
pub(super) fn brings(call: &Call, new: &[&Area], grown: Bytes, is_new_program: bool) -> bool {
    let is_at = |range: &Range<u64>| is_at(range, new);
    let size = || new.iter().map(|area| area.size()).sum::<Bytes>();
    match call {
        Call::Map { fixed: Some(range), is_accessible, .. } => {
            new.iter().any(|area| meet(range, &area.addresses) && (*is_accessible || !area.has_access()))
        }
        Call::Map { length, .. } => *length == grown.0 && new.iter().any(|area| is_part_of(call, area)),
        Call::Move(_, length) => size().0 == *length,
        Call::Protect(range, true) => is_at(range),
        Call::Break(_, end) => heaps(new).any(|heap| heap.start < *end && *end <= heap.end),
        Call::Attach => new.iter().any(|area| area.kind == MappingKind::SysV),
        Call::Execute => is_new_program && new.iter().any(|area| area.is_of_execve),
        Call::Protect(_, false) | Call::Unmap(_) | Call::Drop(_) | Call::Fill(_) => false,
        Call::Lock(_) | Call::Detach(_) | Call::Exit => false,
    }
}

/// Whether a call that was made later may have mapped something again that is like this mapping, at its place.
pub(super) fn may_replace(call: &Call, area: &Area) -> bool {
    match call {
        Call::Map { fixed: Some(range), offset, is_file, is_accessible: true, .. } => {
            let is_same_part = offset.wrapping_sub(range.start) == area.offset.wrapping_sub(area.addresses.start);
            // Shared memory without a file has an inode too, but new memory of that kind never has the same one.
            meet(range, &area.addresses) && *is_file == area.has_file() && (!is_file || is_same_part)
        }
        Call::Map { .. } => is_part_of(call, area),
        // What it moves cannot come to a place of which it is itself a part.
        Call::Move(range, _) => !meet(range, &area.addresses),
        Call::Execute => true,
        Call::Protect(range, true) => meet(range, &area.addresses),
        Call::Break(_, end) => area.kind == MappingKind::Heap && area.addresses.end <= *end,
        Call::Attach => area.kind == MappingKind::SysV,
        _ => false,
    }
}

/// Whether what a call with `MAP_FIXED` makes may be there, if less than `least` of it has changed since; true of other
/// calls.
pub(super) fn may_have_made(call: &Call, areas: &[Area], least: Bytes) -> bool {
    let Call::Map { fixed: Some(range), offset, is_file, is_accessible, .. } = call else { return true };
    let is_it = |area: &&Area| match is_file {
        true => area.has_file() && offset.wrapping_sub(range.start) == area.offset.wrapping_sub(area.addresses.start),
        // Shared memory without a file has an inode too.
        false => !area.has_file() || area.kind != MappingKind::File,
    };
    let left_without = |is_it: &dyn Fn(&&Area) -> bool| {
        let places: Vec<Range<u64>> = areas.iter().filter(is_it).map(|area| area.addresses.clone()).collect();
        length(&without(range, &places))
    };
    let changed = match is_accessible {
        true => left_without(&is_it),
        // Most memory without access is not listed.
        false => length(std::slice::from_ref(range)).saturating_sub(left_without(&|area| area.has_access())),
    };
    changed < least.max(Bytes(1))
}

/// Whether what a call mapped somewhere may be this mapping or a part of it.
pub(super) fn is_part_of(call: &Call, area: &Area) -> bool {
    let Call::Map { fixed: None, length, offset, is_file, is_huge, is_accessible: true, .. } = call else {
        return false;
    };
    if *is_huge {
        return area.kind == MappingKind::HugePages;
    }
    if !is_file {
        let is_of_another_call = matches!(area.kind, MappingKind::Heap | MappingKind::Stack);
        return !is_of_another_call && (!area.has_file() || area.kind == MappingKind::SharedAnonymous);
    }
    let place = |start: u64, length: u64| start..start.saturating_add(length);
    area.has_file() && is_inside(&place(*offset, *length), &place(area.offset, area.size().0))
}

/// Whether a call mapped a file of which this is a part: the rest was replaced or unmapped since.
pub(super) fn has_part(call: &Call, new: &[&Area]) -> bool {
    let Call::Map { length, offset, is_file: true, is_accessible: true, .. } = call else { return false };
    let is_part = |area: &&Area| {
        let end = area.offset.saturating_add(area.size().0);
        area.has_file() && !area.is_of_execve && area.offset >= *offset && end <= offset.saturating_add(*length)
    };
    new.iter().any(is_part)
}

/// Whether a call may have brought pages of these mappings in.
pub(super) fn fills(call: &Call, new: &[&Area]) -> bool {
    let is_at = |range: &Range<u64>| is_at(range, new);
    match call {
        Call::Fill(range) | Call::Lock(range) => is_at(range),
        Call::Map { length, populates: true, .. } => new.iter().any(|area| area.size().0 == *length),
        _ => false,
    }
}

/// Whether a call may have ended the whole of all these mappings.
pub(super) fn removes(call: &Call, old: &[&Area]) -> bool {
    let is_whole = |range: &Range<u64>| old.iter().all(|area| is_inside(&area.addresses, range));
    match call {
        Call::Unmap(range) | Call::Move(range, _) | Call::Protect(range, false) => is_whole(range),
        Call::Map { fixed: Some(range), replaces: true, .. } => is_whole(range),
        Call::Break(_, end) => heaps(old).any(|heap| *end <= heap.start),
        Call::Detach(_) => takes(call, old),
        Call::Map { .. } | Call::Drop(_) | Call::Fill(_) | Call::Lock(_) | Call::Protect(_, true) => false,
        Call::Attach | Call::Execute | Call::Exit => false,
    }
}

/// The addresses of the mappings that are part of the heap.
fn heaps<'a>(areas: &'a [&Area]) -> impl Iterator<Item = &'a Range<u64>> {
    areas.iter().filter(|area| area.kind == MappingKind::Heap).map(|area| &area.addresses)
}

/// Whether a call may have ended a part of these mappings.
pub(super) fn takes(call: &Call, old: &[&Area]) -> bool {
    let is_at = |range: &Range<u64>| is_at(range, old);
    match call {
        Call::Unmap(range) | Call::Move(range, _) | Call::Protect(range, false) => is_at(range),
        Call::Map { fixed: Some(range), replaces: true, .. } => is_at(range),
        Call::Detach(address) => old.iter().any(|area| area.addresses.start == *address),
        Call::Break(_, end) => heaps(old).any(|heap| *end < heap.end),
        Call::Map { .. } | Call::Drop(_) | Call::Fill(_) | Call::Lock(_) | Call::Protect(_, true) => false,
        Call::Attach | Call::Execute | Call::Exit => false,
    }
}

/// Whether a call may have freed pages of these mappings, or taken them elsewhere (`MREMAP_DONTUNMAP`).
pub(super) fn lowers(call: &Call, old: &[&Area]) -> bool {
    match call {
        Call::Drop(range) | Call::Unmap(range) | Call::Move(range, _) => is_at(range, old),
        Call::Map { fixed: Some(range), replaces: true, .. } => is_at(range, old),
        _ => false,
    }
}

fn is_at(range: &Range<u64>, areas: &[&Area]) -> bool {
    areas.iter().any(|area| meet(range, &area.addresses))
}
