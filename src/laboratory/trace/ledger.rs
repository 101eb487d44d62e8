//! What is known of the mappings of a program: as they were seen last, or just before a system call that was held.
//!
//! A look may come before a call has done its work. Then the mappings that the call ends are as they were, or others
//! are at their place already that look the same. So a look says nothing about them until it is known that the call is
//! done, and what they were before it stays. No I/O here.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use super::area::Area;
use super::calls::{Call, Noted, is_unseen, meet};
use super::causes::{asked, may_have_made, may_replace};
use super::change::Change;
use super::groups::{Moved, groups, with_families};
use super::known::{Family, Known, LONGEST_CALL};
use super::update::{DENIED, Rules, Told, UNSEEN, Update};
use crate::process::MappingKind;
use crate::units::{Absent, Bytes};

/// How important a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Something may be seen.
    Ordinary,
    /// A shared file or much memory is about to go.
    Heavy,
}

/// From how much on memory is heavy.
const HEAVY: Bytes = Bytes(64 << 20);

/// The mappings of a program as they were seen last.
#[derive(Debug)]
pub(super) struct Ledger {
    /// How much must change for a row.
    least: Bytes,
    /// Why system calls are not known, if they are not.
    without_calls: Option<Absent>,
    known: Vec<Known>,
    /// How many mappings never had a row, among those that are gone.
    untold: u64,
    /// Why a requested mapping was never seen.
    unseen: Absent,
}

/// What became of a call that frees memory.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// What was mapped before is gone.
    Done,
    /// It may not have begun yet.
    Running,
    /// It changed nothing.
    Failed,
}

/// How long a call is remembered that goes on bringing pages in.
const LONGEST_FILL: Duration = Duration::from_secs(1);

impl Ledger {
    /// Nothing is known yet.
    pub(super) fn new(least: Bytes, without_calls: Option<Absent>) -> Ledger {
        Ledger { least, without_calls, known: Vec::new(), untold: 0, unseen: UNSEEN }
    }

    /// From now on the mappings cannot be seen.
    pub(super) fn deny(&mut self) {
        self.unseen = DENIED;
    }

    /// How many mappings have had no row.
    pub(super) fn untold(&self) -> u64 {
        let left = self.known.iter().filter(|known| !known.has_row).count();
        self.untold + u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// The mappings of files that a call may end and that would have a row then.
    pub(super) fn that_may_end(&self, call: &Call) -> impl Iterator<Item = &Area> {
        let range = call.range();
        let is_met = move |area: &Area| range.as_ref().is_none_or(|range| meet(range, &area.addresses));
        let areas = self.known.iter().map(|known| &known.area).filter(|area| area.has_file());
        areas.filter(move |area| call.ends_memory() && area.size() >= self.least && is_met(area))
    }

    /// Whether a mapping of this file is known.
    pub(super) fn has(&self, is_it: impl Fn(&Area) -> bool) -> bool {
        self.known.iter().any(|known| is_it(&known.area))
    }

    /// A call with what is known here of the heap before it: only if it changes that by enough for a row.
    pub(super) fn complete(&self, call: Call, noted: &[Noted]) -> Call {
        let Call::Break(_, end) = call else { return call };
        let heap = self.heap();
        let seen_at = heap.map_or(Duration::ZERO, |heap| heap.seen_at);
        let later = noted.iter().rev().filter(|noted| noted.at >= seen_at).find_map(|noted| match noted.call {
            Call::Break(_, end) => Some(Some(end)),
            Call::Execute => Some(None),
            _ => None,
        });
        let before = later.unwrap_or_else(|| heap.map(|heap| heap.area.addresses.end));
        Call::Break(before.filter(|before| before.abs_diff(end) >= self.least.0.max(1)), end)
    }

    /// The addresses at which nothing is left of what is known here, once a call is done.
    pub(super) fn freed_by(&self, call: &Call) -> Option<Range<u64>> {
        match call {
            Call::Break(_, end) => {
                let heap = &self.heap()?.area.addresses;
                (*end < heap.end).then(|| heap.start.max(*end)..heap.end)
            }
            Call::Detach(address) => {
                let areas = self.known.iter().map(|known| &known.area);
                let mut attached = areas.filter(|area| area.kind == MappingKind::SysV);
                attached.find(|area| area.addresses.start == *address).map(|area| area.addresses.clone())
            }
            _ => call.frees(),
        }
    }

    /// The last part of the heap.
    fn heap(&self) -> Option<&Known> {
        self.known.iter().rev().find(|known| known.area.kind == MappingKind::Heap)
    }

    /// How important it is to look before this call goes on; `None` if there is nothing to see.
    pub(super) fn weight(&self, call: &Call, noted: &[Noted]) -> Option<Weight> {
        // What an earlier one did to the pages or the place of memory can no longer be told apart once another call has
        // changed that memory too, or joined it with what it maps.
        let looked_at = self.known.iter().map(|known| known.seen_at).max();
        // One of which something was seen is only there as long as it may be at work.
        let is_new = |noted: &Noted| noted.is_used || Some(noted.at) >= looked_at;
        let is_to_see = |noted: &&Noted| noted.call.only_changes_pages() && is_new(noted);
        let earlier = noted.iter().filter(is_to_see).map(|noted| &noted.call);
        earlier.chain([call]).filter_map(|call| self.own_weight(call, noted)).max()
    }

    fn own_weight(&self, call: &Call, noted: &[Noted]) -> Option<Weight> {
        if !call.ends_memory() {
            return None;
        }
        let Some(range) = call.range() else { return Some(Weight::Ordinary) };
        // A dynamic linker maps one part of a library after the other over the whole of it.
        let is_mere_map = matches!(call, Call::Map { .. });
        let (mut is_known, mut heavy, mut filled) = (false, false, false);
        for area in self.known.iter().map(|known| &known.area).filter(|area| meet(&area.addresses, &range)) {
            is_known = true;
            heavy |= area.is_shared_file() || area.in_ram().is_ok_and(|full| full >= HEAVY);
            filled |= !is_mere_map || !area.has_file() || area.in_ram().is_ok_and(|full| full >= self.least);
        }
        if !is_known {
            // It may be about memory that has not been seen yet.
            let may_be_it = |noted: &Noted| match &noted.call {
                Call::Break(..) => matches!(call, Call::Break(..)),
                Call::Map { is_file: true, .. } if is_mere_map => false,
                // It would lie inside.
                Call::Map { length, .. } if is_mere_map && *length < range.end.saturating_sub(range.start) => false,
                earlier => is_unseen(earlier),
            };
            filled = noted.iter().any(may_be_it);
            heavy = filled && noted.iter().any(|noted| noted.call.shares_file());
        }
        match (heavy, filled) {
            (true, _) => Some(Weight::Heavy),
            (false, true) => Some(Weight::Ordinary),
            (false, false) => None,
        }
    }

    /// Takes what is mapped at the time `at`, and the calls since, and returns the changes. Calls whose effect cannot
    /// be told yet stay in the list. The thread `holding` is about to make another call.
    pub(super) fn update(
        &mut self,
        at: Duration,
        areas: Vec<Area>,
        noted: &mut Vec<Noted>,
        holding: Option<u32>,
    ) -> Vec<Change> {
        self.update_or(at, areas, noted, holding, None)
    }

    /// Takes the end of the program. What went without a call that is known did so for the reason `otherwise`.
    pub(super) fn finish(&mut self, at: Duration, noted: &mut Vec<Noted>, otherwise: Absent) -> Vec<Change> {
        self.update_or(at, Vec::new(), noted, None, Some(otherwise))
    }

    fn update_or(
        &mut self,
        at: Duration,
        mut areas: Vec<Area>,
        noted: &mut Vec<Noted>,
        holding: Option<u32>,
        otherwise: Option<Absent>,
    ) -> Vec<Change> {
        // Another program runs for certain: nothing that was done to the one before it is in doubt any more.
        let executed = noted.iter().rposition(|noted| noted.call == Call::Execute && noted.frees.is_some());
        let fate = |place| if executed.is_some() { Fate::Done } else { self.fate(place, noted, holding, at, &areas) };
        let fates: Vec<Fate> = (0..noted.len()).map(fate).collect();
        let mut running = Vec::new();
        for (fate, call) in fates.into_iter().zip(std::mem::take(noted)) {
            match fate {
                Fate::Done => noted.push(call),
                Fate::Running => running.push(call),
                Fate::Failed => {}
            }
        }
        // What a call may be about to end is not looked at.
        let ranges: Vec<&Range<u64>> = running.iter().filter_map(|noted| noted.frees.as_ref()).collect();
        let may_end = |known: &Known| ranges.iter().any(|range| meet(range, &known.area.addresses));
        // Neither are the other parts of the same mapping: they have one row together.
        let families: HashSet<Family> =
            self.known.iter().filter(|known| may_end(known)).filter_map(|known| known.family).collect();
        let is_kept = |known: &Known| may_end(known) || known.family.is_some_and(|family| families.contains(&family));
        let (kept, known): (Vec<Known>, Vec<Known>) = std::mem::take(&mut self.known).into_iter().partition(is_kept);
        let places: HashSet<&Range<u64>> = kept.iter().map(|known| &known.area.addresses).collect();
        areas.retain(|area| !places.contains(&area.addresses));
        self.known = known;

        let freed: Vec<Range<u64>> = noted.iter().filter_map(|noted| noted.frees.clone()).collect();
        let moved = noted.iter().filter_map(|noted| match &noted.call {
            Call::Move(range, length) if executed.is_none() => Some((range.clone(), *length)),
            _ => None,
        });
        let moved: Vec<Moved> = moved.collect();
        let own = noted.iter().skip(executed.unwrap_or(0));
        let asked = own.filter(|noted| is_mapped(noted)).filter_map(length);
        // Less has no row.
        let asked: Vec<u64> = asked.filter(|length| *length >= self.least.0).collect();
        let old: Vec<&Area> = self.known.iter().map(|known| &known.area).collect();
        let family = |place: usize| self.known.get(place).and_then(|known| known.family);
        let groups = with_families(groups(&old, &areas, &freed, &moved, &asked), family);
        let is_continued = groups.iter().any(|group| !group.old.is_empty() && !group.new.is_empty());
        let is_new_program = otherwise.is_none() && kept.is_empty() && !is_continued;
        let rules = Rules { least: self.least, without_calls: self.without_calls, unseen: self.unseen, otherwise };
        let mut update = Update::new(rules, &self.known, at, &areas, noted, is_new_program);
        groups.iter().for_each(|group| update.take(group));
        let Told { mut changes, mut next, untold } = update.end();
        self.untold += untold;
        next.extend(kept);
        next.sort_by_key(|known| known.area.addresses.start);
        changes.sort_by_key(|change| change.at);
        self.known = next;
        let begun = noted.iter().rposition(|noted| is_new_program && noted.call == Call::Execute).unwrap_or(0);
        noted.drain(..begun);
        let calls = std::mem::take(noted);
        let stays = |(place, noted): &(usize, &Noted)| {
            let age = at.saturating_sub(noted.at);
            let is_done = || noted.is_done(calls.get(place + 1..).unwrap_or_default(), holding);
            // One that maps pages in goes on only if this first look has shown some of them: what the program itself
            // fills later is not its doing.
            let only_fills = matches!(noted.call, Call::Fill(_) | Call::Lock(_));
            let may_still_show = !noted.is_used && noted.frees.is_none() && age < LONGEST_CALL && !only_fills;
            let longest = match noted.call {
                Call::Drop(_) => LONGEST_CALL,
                _ if noted.call.is_long() => LONGEST_FILL,
                _ => Duration::ZERO,
            };
            may_still_show || noted.is_used && age < longest && !is_done()
        };
        // What a call that goes on filling has replaced went once.
        let once = |noted: &Noted| Noted { frees: None, ..noted.clone() };
        noted.extend((0..).zip(&calls).filter(stays).map(|(_, noted)| once(noted)));
        noted.append(&mut running);
        noted.sort_by_key(|noted| noted.at);
        changes
    }

    /// What became of a call, as far as it frees memory: it is only in doubt if all that it ends is there as it was.
    fn fate(&self, place: usize, noted: &[Noted], holding: Option<u32>, at: Duration, areas: &[Area]) -> Fate {
        let Some((call, later)) = noted.get(place..).and_then(<[Noted]>::split_first) else { return Fate::Done };
        let Some(range) = &call.frees else { return Fate::Done };
        let met: Vec<&Area> =
            self.known.iter().map(|known| &known.area).filter(|area| meet(range, &area.addresses)).collect();
        // What a later call has changed there says nothing about this one, and neither does the end of the program.
        let is_at = |noted: &Noted| noted.call.range().is_none_or(|other| meet(range, &other));
        let is_last = !areas.is_empty() && !later.iter().any(is_at);
        let is_empty = !areas.iter().any(|area| meet(range, &area.addresses));
        let is_possible = !is_last || is_empty || may_have_made(&call.call, areas, self.least);
        let as_it_was = |before: &&Area| {
            let mut now = areas.iter().filter(|area| area.addresses == before.addresses);
            let is_as_full = |now: &Area| now.in_ram().is_ok_and(|full| before.in_ram().is_ok_and(|was| full >= was));
            now.any(|now| before.is_same_memory(now) && (!is_possible || is_as_full(now)))
        };
        if met.is_empty() || !met.iter().all(as_it_was) {
            return Fate::Done;
        }
        if !call.is_done(later, holding) && at.saturating_sub(call.at) < LONGEST_CALL {
            return Fate::Running;
        }
        let is_replaced = match &call.call {
            _ if !is_possible => false,
            // Memory that is as full as it was, though nothing else was unmapped there, was not replaced: a call that
            // fills what it maps has done so if there is more.
            Call::Map { populates, .. } => {
                let mut earlier = noted.iter().take(place).filter_map(|noted| noted.frees.as_ref());
                let is_fuller = |was: &&Area| {
                    let mut now = areas.iter().filter(|area| area.addresses == was.addresses);
                    now.any(|now| now.in_ram().ok() > was.in_ram().ok())
                };
                earlier.any(|other| meet(range, other)) || *populates && met.iter().any(is_fuller)
            }
            _ => met.iter().any(|area| noted.iter().skip(place).any(|noted| may_replace(&noted.call, area))),
        };
        if is_replaced { Fate::Done } else { Fate::Failed }
    }
}

/// Whether a call asked for memory somewhere, of which nothing was seen yet.
fn is_mapped(noted: &Noted) -> bool {
    !noted.is_used && matches!(noted.call, Call::Map { fixed: None, is_accessible: true, .. })
}

fn length(noted: &Noted) -> Option<u64> {
    asked(&noted.call).map(|length| length.0)
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::area;
    use super::*;
    use crate::units::{Figure, Reason};

    const MIB: u64 = 1 << 20;
    const ENDED: Absent = Absent::new(Reason::NotApplicable, "it ended");

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn noted(milliseconds: u64, call: Call) -> Noted {
        let frees = call.frees();
        Noted { at: at(milliseconds), thread: 1, call, frees, cache: Vec::new(), is_used: false }
    }

    fn map(length: u64, is_file: bool) -> Call {
        let (offset, is_shared, is_accessible) = (MIB, true, true);
        let (fixed, replaces, is_huge, populates) = (None, false, false, false);
        Call::Map { fixed, replaces, length, offset, is_file, is_huge, is_shared, is_accessible, populates }
    }

    type Told = (u64, &'static str, Option<&'static str>, u64, u64);

    /// Time, event, call, and the figures after it in MiB.
    fn told(changes: &[Change]) -> Vec<Told> {
        let mib = |figure: Figure<Bytes>| figure.map_or(99, |bytes| bytes.0 / MIB);
        let row = |change: &Change| {
            let (size, rss) = (mib(change.after.size), mib(change.after.rss));
            (change.at.as_millis() as u64, change.event.word(), change.call.ok(), size, rss)
        };
        changes.iter().map(row).collect()
    }

    #[test]
    fn a_file_is_followed_from_map_to_unmap() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let file = |rss: u64| vec![area(MIB..9 * MIB, 7, rss)];
        let mut calls = vec![noted(5, map(8 * MIB, true))];
        assert_eq!(told(&ledger.update(at(10), file(0), &mut calls, None)), [(5, "appeared", Some("mmap"), 8, 0)]);
        assert_eq!(told(&ledger.update(at(20), file(MIB / 2), &mut calls, None)), []);
        assert_eq!(told(&ledger.update(at(30), file(8 * MIB), &mut calls, None)), [(30, "grew", None, 8, 8)]);
        calls.push(noted(35, Call::Unmap(MIB..9 * MIB)));
        let gone = ledger.update(at(40), Vec::new(), &mut calls, None);
        assert_eq!(told(&gone), [(35, "went", Some("munmap"), 0, 0)]);
        assert_eq!((gone[0].before.rss, gone[0].before_at), (Ok(Bytes(8 * MIB)), Some(at(30))));
        assert!(calls.is_empty());
    }

    #[test]
    fn small_changes_add_up() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let steps: Vec<usize> = (0..9)
            .map(|step| {
                ledger.update(at(step), vec![area(MIB..9 * MIB, 0, step * MIB / 4)], &mut Vec::new(), None).len()
            })
            .collect();
        assert_eq!(steps, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
        // A small mapping has no row, until it has grown.
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let heap = |size: u64| vec![Area { kind: MappingKind::Heap, ..area(MIB..MIB + size, 0, 0) }];
        assert_eq!(told(&ledger.update(at(1), heap(MIB / 2), &mut Vec::new(), None)), []);
        assert_eq!(ledger.untold(), 1);
        let mut calls = vec![noted(2, Call::Break(None, 3 * MIB))];
        assert_eq!(told(&ledger.update(at(3), heap(2 * MIB), &mut calls, None)), [(2, "grew", Some("brk"), 2, 0)]);
        assert_eq!(ledger.untold(), 0);
    }

    #[test]
    fn small_parts_of_one_mapping_are_judged_together() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let none = &mut Vec::new;
        ledger.update(at(10), vec![area(8 * MIB..16 * MIB, 0, 0)], &mut none(), None);
        // Parts of 512 KiB, and how full each of them is.
        let parts = |rss: u64| -> Vec<Area> {
            (16..32).map(|place| area(place * MIB / 2..(place + 1) * MIB / 2, 0, rss)).collect()
        };
        assert_eq!(told(&ledger.update(at(20), parts(0), &mut none(), None)), []);
        // What is told of them adds up.
        let steps: Vec<usize> =
            (1..=8).map(|step| ledger.update(at(30 + step), parts(step * MIB / 32), &mut none(), None).len()).collect();
        assert_eq!(steps, [0, 1, 0, 1, 0, 1, 0, 1]);
        // Every second one goes, with a call of its own.
        let half: Vec<Area> = parts(MIB / 4).into_iter().step_by(2).collect();
        let mut calls: Vec<Noted> =
            (0..8).map(|turn| noted(40 + turn, Call::Unmap((8 + turn) * MIB + MIB / 2..(9 + turn) * MIB))).collect();
        let changes = ledger.update(at(50), half, &mut calls, None);
        assert_eq!(told(&changes), [(47, "shrank", Some("munmap"), 4, 2)]);
        let mut calls = vec![noted(60, Call::Unmap(8 * MIB..16 * MIB))];
        let changes = ledger.update(at(70), Vec::new(), &mut calls, None);
        assert_eq!(told(&changes), [(60, "went", Some("munmap"), 0, 0)]);
        assert_eq!((changes[0].before.size, changes[0].before.rss), (Ok(Bytes(4 * MIB)), Ok(Bytes(2 * MIB))));
        assert_eq!(ledger.untold(), 0);
    }

    #[test]
    fn a_call_that_is_not_done_yet_is_kept() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let file = || vec![area(MIB..9 * MIB, 7, 8 * MIB)];
        ledger.update(at(10), file(), &mut Vec::new(), None);
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB))];
        assert_eq!(told(&ledger.update(at(21), file(), &mut calls, None)), []);
        assert_eq!(calls.len(), 1);
        assert_eq!(told(&ledger.update(at(22), Vec::new(), &mut calls, None)), [(20, "went", Some("munmap"), 0, 0)]);
    }

    #[test]
    fn memory_at_the_same_place_is_new_after_munmap() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        ledger.update(at(10), vec![area(MIB..9 * MIB, 0, 8 * MIB)], &mut Vec::new(), None);
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB)), noted(21, map(8 * MIB, false))];
        let changes = ledger.update(at(22), vec![area(MIB..9 * MIB, 0, 0)], &mut calls, None);
        assert_eq!(told(&changes), [(20, "went", Some("munmap"), 0, 0), (21, "appeared", Some("mmap"), 8, 0)]);
    }

    #[test]
    fn what_came_and_went_between_two_looks_has_no_figures() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let mut calls = vec![noted(5, map(8 * MIB, false))];
        assert_eq!(told(&ledger.update(at(10), Vec::new(), &mut calls, None)), []);
        let changes = ledger.update(at(200), Vec::new(), &mut calls, None);
        assert_eq!(told(&changes), [(5, "unseen", Some("mmap"), 99, 99)]);
        // How much of it there was is not known: the call may have failed.
        assert_eq!((changes[0].asked, changes[0].amount().is_err()), (Some(Bytes(8 * MIB)), true));
        assert!(calls.is_empty());
    }

    #[test]
    fn what_a_call_leaves_in_place_goes_with_the_program() {
        let heap = |size: u64| Area { kind: MappingKind::Heap, ..area(MIB..MIB + size, 0, 0) };
        let end = |call: Call| {
            let mut ledger = Ledger::new(Bytes(MIB), None);
            ledger.update(at(10), vec![heap(8 * MIB)], &mut Vec::new(), None);
            told(&ledger.finish(at(30), &mut vec![noted(20, call), noted(25, Call::Exit)], ENDED))
        };
        for call in [Call::Break(None, 9 * MIB), Call::Break(None, 5 * MIB)] {
            assert_eq!(end(call), [(25, "went", Some("exit_group"), 0, 0)]);
        }
        let parts = [(20, "shrank", Some("munmap"), 3, 99), (25, "went", Some("exit_group"), 0, 0)];
        assert_eq!(end(Call::Unmap(4 * MIB..9 * MIB)), parts);
        assert_eq!(end(Call::Protect(MIB..9 * MIB, true)), [(25, "went", Some("exit_group"), 0, 0)]);
        assert_eq!(end(Call::Protect(MIB..9 * MIB, false)), [(20, "went", Some("mprotect"), 0, 0)]);
        assert_eq!(end(Call::Break(None, MIB)), [(20, "went", Some("brk"), 0, 0)]);
    }

    #[test]
    fn the_kernel_joins_a_new_mapping_with_its_neighbours() {
        let small = MIB / 8;
        let whole = |start: u64| vec![area(start..20 * MIB + small, 0, 0)];
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let mut calls = vec![noted(5, map(8 * MIB, false))];
        let changes = ledger.update(at(10), whole(12 * MIB), &mut calls, None);
        assert_eq!(told(&changes), [(5, "appeared", Some("mmap"), 8, 0)]);
        assert_eq!(changes[0].asked, Some(Bytes(8 * MIB)));
        calls.extend([noted(15, map(4 * MIB, false)), noted(16, map(2 * MIB, false)), noted(17, map(9 * MIB, false))]);
        let changes = ledger.update(at(20), whole(6 * MIB - small), &mut calls, None);
        assert_eq!((told(&changes), changes[0].asked), (vec![(16, "grew", Some("mmap"), 14, 0)], Some(Bytes(6 * MIB))));
        // The last one failed.
        let changes = ledger.update(at(200), whole(6 * MIB - small), &mut calls, None);
        assert_eq!(told(&changes), [(17, "unseen", Some("mmap"), 99, 99)]);
        // A part is unmapped and mapped again.
        calls.extend([noted(210, Call::Unmap(8 * MIB..16 * MIB)), noted(211, map(8 * MIB, false))]);
        let changes = ledger.update(at(220), whole(6 * MIB - small), &mut calls, None);
        assert_eq!(told(&changes), [(210, "shrank", Some("munmap"), 6, 99), (211, "grew", Some("mmap"), 14, 0)]);
        assert_eq!(changes[1].before, changes[0].after);
        assert_eq!(told(&ledger.update(at(400), whole(6 * MIB - small), &mut calls, None)), []);
    }

    #[test]
    fn what_was_unmapped_is_not_continued_by_what_took_its_place() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let memory = |rss: u64| vec![area(MIB..9 * MIB, 0, rss * MIB)];
        ledger.update(at(10), memory(4), &mut Vec::new(), None);
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB)), noted(21, map(8 * MIB, false))];
        let changes = ledger.update(at(22), memory(6), &mut calls, Some(1));
        assert_eq!(told(&changes), [(20, "went", Some("munmap"), 0, 0), (21, "appeared", Some("mmap"), 8, 6)]);
        assert_eq!((changes[0].before.rss, changes[0].before_at), (Ok(Bytes(4 * MIB)), Some(at(10))));
        // Two of them before the next look: it went with the first.
        calls.extend([noted(30, Call::Unmap(MIB..9 * MIB)), noted(31, map(8 * MIB, false))]);
        calls.extend([noted(32, Call::Unmap(MIB..9 * MIB)), noted(33, map(8 * MIB, false))]);
        let changes = ledger.update(at(34), memory(7), &mut calls, Some(1));
        assert_eq!(told(&changes), [(30, "went", Some("munmap"), 0, 0), (33, "appeared", Some("mmap"), 8, 7)]);
        assert_eq!(changes[0].before.rss, Ok(Bytes(6 * MIB)));
        let changes = ledger.update(at(200), memory(7), &mut calls, None);
        assert_eq!(told(&changes), [(31, "unseen", Some("mmap"), 99, 99)]);
    }

    #[test]
    fn every_call_that_took_a_part_has_a_row() {
        let area = |addresses: Range<u64>, rss: u64| area(addresses.start * MIB..addresses.end * MIB, 0, rss * MIB);
        let unmap = |at: u64, range: Range<u64>| noted(at, Call::Unmap(range.start * MIB..range.end * MIB));
        let begun = || {
            let mut ledger = Ledger::new(Bytes(MIB), None);
            ledger.update(at(10), vec![area(0..32, 32)], &mut Vec::new(), None);
            ledger
        };
        let three = || vec![unmap(20, 4..8), unmap(21, 20..30), unmap(22, 8..10)];
        let left = || vec![area(0..4, 4), area(10..20, 10), area(30..32, 2)];
        let changes = begun().update(at(130), left(), &mut three(), None);
        let rows = [(20, "shrank", Some("munmap"), 28, 99), (21, "shrank", Some("munmap"), 18, 99)];
        assert_eq!(told(&changes), [&rows[..], &[(22, "shrank", Some("munmap"), 16, 16)]].concat());
        let asked: Vec<_> = changes.iter().map(|change| change.asked.unwrap().0 / MIB).collect();
        assert_eq!(asked, [4, 10, 2]);
        // A little went before, which had no row.
        let mut ledger = begun();
        let small = Area { addresses: 0..32 * MIB - MIB / 2, ..area(0..32, 32) };
        assert_eq!(told(&ledger.update(at(15), vec![small], &mut Vec::new(), None)), []);
        let mut calls = vec![unmap(20, 4..8), unmap(21, 20..30)];
        let left =
            vec![area(0..4, 4), area(8..20, 12), Area { addresses: 30 * MIB..32 * MIB - MIB / 2, ..area(30..32, 1) }];
        let changes = ledger.update(at(130), left, &mut calls, None);
        assert_eq!(changes[0].after.size, Ok(Bytes(28 * MIB - MIB / 2)));
        assert_eq!(
            (changes[1].before.size, changes[1].after.size),
            (changes[0].after.size, Ok(Bytes(18 * MIB - MIB / 2)))
        );
        // One of them was mapped again.
        let mut calls = [three(), vec![noted(23, map(10 * MIB, false))]].concat();
        let changes = begun().update(at(130), vec![area(0..4, 4), area(10..32, 13)], &mut calls, None);
        let last = [(22, "shrank", Some("munmap"), 16, 99), (23, "grew", Some("mmap"), 26, 17)];
        assert_eq!(told(&changes), [&rows[..], &last].concat());
        // Another part lost its access. That is not a part of what was freed.
        let mut calls = [three(), vec![noted(23, Call::Protect(10 * MIB..15 * MIB, false))]].concat();
        let changes = begun().update(at(130), vec![area(0..4, 4), area(15..20, 5), area(30..32, 2)], &mut calls, None);
        let last = [(22, "shrank", Some("munmap"), 16, 99), (23, "shrank", Some("mprotect"), 11, 11)];
        assert_eq!(told(&changes), [&rows[..], &last].concat());
    }

    #[test]
    fn a_look_while_a_call_runs_says_nothing_about_what_it_ends() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let memory = |rss: u64| vec![area(MIB..9 * MIB, 0, rss * MIB)];
        ledger.update(at(10), memory(4), &mut Vec::new(), None);
        let other = Noted { thread: 2, ..noted(21, map(8 * MIB, false)) };
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB)), other];
        assert_eq!(told(&ledger.update(at(22), memory(7), &mut calls, Some(2))), []);
        let changes = ledger.update(at(130), memory(8), &mut calls, None);
        assert_eq!(told(&changes), [(20, "went", Some("munmap"), 0, 0), (21, "appeared", Some("mmap"), 8, 8)]);
        assert_eq!((changes[0].before.rss, changes[0].before_at), (Ok(Bytes(4 * MIB)), Some(at(10))));
    }

    /// 32 MiB at 100 MiB, of which so much is in RAM, and what was told before.
    fn full(rss: u64) -> (Ledger, Vec<Area>) {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let memory = vec![area(100 * MIB..132 * MIB, 0, rss * MIB)];
        ledger.update(at(10), memory.clone(), &mut Vec::new(), None);
        (ledger, memory)
    }

    /// The first 16 MiB of it.
    fn drop_half() -> Call {
        Call::Drop(100 * MIB..116 * MIB)
    }

    #[test]
    fn what_was_dropped_is_looked_at_before_the_next_call() {
        let (mut ledger, memory) = full(32);
        let mut calls = vec![noted(20, drop_half())];
        let weight = |ledger: &Ledger, calls: &[Noted]| ledger.weight(&map(8 * MIB, false), calls);
        assert_eq!(weight(&ledger, &[]), None);
        assert_eq!(weight(&ledger, &calls), Some(Weight::Ordinary));
        // Once it was looked at, nothing is to be seen any more.
        ledger.update(at(30), memory, &mut calls, None);
        assert_eq!((calls.len(), weight(&ledger, &calls)), (1, None));
        // What was moved is not known yet at its new place.
        let calls = vec![noted(40, Call::Move(100 * MIB..132 * MIB, 48 * MIB))];
        assert_eq!(ledger.weight(&Call::Drop(300 * MIB..316 * MIB), &calls), Some(Weight::Ordinary));
    }

    #[test]
    fn memory_that_grew_and_lost_pages_has_a_row_for_each() {
        // It was dropped first, and then the kernel joined it with new memory.
        let (mut ledger, _) = full(32);
        let mut calls = vec![noted(20, drop_half()), noted(21, map(32 * MIB, false))];
        let changes = ledger.update(at(30), vec![area(100 * MIB..164 * MIB, 0, 16 * MIB)], &mut calls, None);
        assert_eq!(told(&changes), [(20, "shrank", Some("madvise"), 32, 99), (21, "grew", Some("mmap"), 64, 16)]);
        assert_eq!((changes[0].before.rss, changes[1].before.rss.is_err()), (Ok(Bytes(32 * MIB)), true));
        assert_eq!(changes[1].before_at, Some(at(20)));
        // It was moved first, and dropped at its new place.
        let (mut ledger, _) = full(32);
        let moved = Call::Move(100 * MIB..132 * MIB, 48 * MIB);
        let mut calls = vec![noted(20, moved), noted(21, Call::Drop(300 * MIB..316 * MIB))];
        let changes = ledger.update(at(30), vec![area(300 * MIB..348 * MIB, 0, 16 * MIB)], &mut calls, None);
        assert_eq!(told(&changes), [(20, "grew", Some("mremap"), 48, 99), (21, "shrank", Some("madvise"), 48, 16)]);
        let places: Vec<u64> =
            changes.iter().map(|change| change.area.as_ref().unwrap().addresses.start / MIB).collect();
        assert_eq!(places, [300, 300]);
    }

    #[test]
    fn a_look_in_the_middle_of_madvise_leaves_the_rest_to_it() {
        let (mut ledger, _) = full(32);
        let mut calls = vec![noted(20, drop_half())];
        let memory = |rss: u64| vec![area(100 * MIB..132 * MIB, 0, rss * MIB)];
        let first = ledger.update(at(21), memory(24), &mut calls, None);
        assert_eq!(told(&first), [(20, "shrank", Some("madvise"), 32, 24)]);
        assert_eq!(ledger.weight(&map(8 * MIB, false), &calls), Some(Weight::Ordinary));
        let rest = ledger.update(at(30), memory(16), &mut calls, Some(1));
        assert_eq!(told(&rest), [(30, "shrank", Some("madvise"), 32, 16)]);
        // Nobody could look before memory was mapped beside it.
        let (mut ledger, _) = full(32);
        let mut calls = vec![noted(20, drop_half())];
        ledger.update(at(21), memory(24), &mut calls, None);
        calls.push(noted(22, map(32 * MIB, false)));
        let rest = ledger.update(at(23), vec![area(100 * MIB..164 * MIB, 0, 16 * MIB)], &mut calls, None);
        assert_eq!(told(&rest), [(21, "shrank", Some("madvise"), 32, 99), (22, "grew", Some("mmap"), 64, 16)]);
    }

    #[test]
    fn pages_that_go_after_a_call_is_done_are_not_put_down_to_it() {
        let (mut ledger, _) = full(32);
        let mut calls = vec![noted(20, drop_half())];
        let memory = |rss: u64| vec![area(100 * MIB..132 * MIB, 0, rss * MIB)];
        let first = ledger.update(at(21), memory(16), &mut calls, Some(1));
        assert_eq!(told(&first), [(20, "shrank", Some("madvise"), 32, 16)]);
        assert_eq!(told(&ledger.update(at(40), memory(8), &mut calls, None)), [(40, "shrank", None, 32, 8)]);
    }

    #[test]
    fn what_was_dropped_and_is_full_again_is_told_as_unseen() {
        let (mut ledger, memory) = full(32);
        let mut calls = vec![noted(20, drop_half())];
        assert_eq!(told(&ledger.update(at(30), memory.clone(), &mut calls, None)), []);
        let changes = ledger.update(at(130), memory.clone(), &mut calls, None);
        assert_eq!(told(&changes), [(20, "unseen", Some("madvise"), 99, 99)]);
        assert_eq!((changes[0].asked, changes[0].area.is_some()), (Some(Bytes(16 * MIB)), true));
        assert_eq!(told(&ledger.update(at(230), memory, &mut calls, None)), []);
        // It may have been about pages that were never there.
        let (mut ledger, memory) = full(16);
        let mut calls = vec![noted(20, drop_half())];
        assert_eq!(told(&ledger.update(at(130), memory, &mut calls, None)), []);
        // They came later.
        let (mut ledger, _) = full(0);
        let mut calls = vec![noted(20, drop_half())];
        let full = || vec![area(100 * MIB..132 * MIB, 0, 32 * MIB)];
        assert_eq!(told(&ledger.update(at(50), full(), &mut calls, None)), [(50, "grew", None, 32, 32)]);
        assert_eq!(told(&ledger.update(at(130), full(), &mut calls, None)), []);
        // Both calls have freed pages, and one row tells of all of them.
        let (mut ledger, _) = self::full(32);
        let mut calls = vec![noted(20, drop_half()), noted(21, Call::Drop(116 * MIB..132 * MIB))];
        let changes = ledger.update(at(130), vec![area(100 * MIB..132 * MIB, 0, 0)], &mut calls, None);
        assert_eq!(told(&changes), [(21, "shrank", Some("madvise"), 32, 0)]);
        // Nothing is left of which it could be said.
        let (mut ledger, _) = self::full(32);
        let mut calls = vec![noted(20, drop_half()), noted(21, Call::Unmap(100 * MIB..132 * MIB))];
        let changes = ledger.update(at(130), Vec::new(), &mut calls, None);
        assert_eq!(told(&changes), [(21, "went", Some("munmap"), 0, 0)]);
    }

    #[test]
    fn memory_whose_pages_were_moved_away_has_the_call_that_moved_them() {
        let (mut ledger, _) = full(32);
        let mut calls = vec![noted(20, Call::Move(100 * MIB..132 * MIB, 32 * MIB))];
        let areas = vec![area(100 * MIB..132 * MIB, 0, 0), area(300 * MIB..332 * MIB, 0, 32 * MIB)];
        let rows = told(&ledger.update(at(30), areas, &mut calls, None));
        assert!(rows.contains(&(20, "shrank", Some("mremap"), 32, 0)), "{rows:?}");
        assert!(rows.contains(&(20, "appeared", Some("mremap"), 32, 32)), "{rows:?}");
    }

    #[test]
    fn a_call_that_failed_removes_nothing() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let memory = |rss: u64| vec![area(MIB..9 * MIB, 0, rss * MIB)];
        ledger.update(at(10), memory(4), &mut Vec::new(), None);
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB))];
        assert_eq!(told(&ledger.update(at(22), memory(4), &mut calls, Some(1))), []);
        assert_eq!(told(&ledger.update(at(130), memory(8), &mut calls, None)), [(130, "grew", None, 8, 8)]);
    }

    /// What is told of 8 MiB of memory that are as they were a while after a call.
    fn unchanged_after(call: Call, before: &Area) -> Vec<Told> {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        ledger.update(at(10), vec![before.clone()], &mut Vec::new(), None);
        told(&ledger.update(at(130), vec![before.clone()], &mut vec![noted(20, call)], None))
    }

    /// `mmap` with `MAP_FIXED`.
    fn over(range: Range<u64>, offset: u64, is_file: bool, is_accessible: bool) -> Call {
        let (length, is_huge, is_shared, populates) = (range.end - range.start, false, true, false);
        let fixed = Some(range);
        Call::Map { fixed, replaces: true, length, offset, is_file, is_huge, is_shared, is_accessible, populates }
    }

    #[test]
    fn what_was_replaced_is_gone_though_a_part_of_the_new_has_changed_since() {
        let whole = || MIB..65 * MIB;
        let small = MIB / 8;
        let of = |before: Range<u64>, is_file: bool, is_accessible: bool, areas: Vec<Area>| {
            let mut ledger = Ledger::new(Bytes(MIB), None);
            ledger.update(at(10), vec![area(before, 0, 32 * MIB)], &mut Vec::new(), None);
            let mut calls = vec![noted(20, over(whole(), 0, is_file, is_accessible))];
            told(&ledger.update(at(30), areas, &mut calls, None))
        };
        let after = |is_file, is_accessible, areas| of(whole(), is_file, is_accessible, areas);
        let went = (20, "went", Some("mmap"), 0, 0);
        // A small part was unmapped.
        for before in [whole(), MIB..33 * MIB] {
            let parts = vec![area(MIB..33 * MIB, 0, 0), area(33 * MIB + small..65 * MIB, 0, 0)];
            let rows = of(before, false, true, parts);
            assert_eq!((rows[0], rows[1].2, rows.len()), (went, Some("mmap"), 3), "{rows:?}");
        }
        // Address space without access, of which a small part has access again, or much of it in small steps.
        assert_eq!(after(false, false, vec![area(MIB..MIB + small, 0, 0)]), [went]);
        let steps: Vec<Area> = (1..9).map(|at| area(2 * at * MIB..2 * at * MIB + MIB / 2, 0, 0)).collect();
        assert_eq!(after(false, false, steps), [went]);
        // A file without access is listed.
        let file = Area { perm: "---s".into(), offset: 0, ..area(whole(), 7, 0) };
        assert_eq!(after(true, false, vec![file]), [went, (20, "appeared", Some("mmap"), 64, 0)]);
    }

    #[test]
    fn a_mapping_of_something_else_that_failed_replaces_nothing() {
        let range = || MIB..9 * MIB;
        let over = |offset: u64, is_file: bool| over(range(), offset, is_file, true);
        let (memory, file) = (area(range(), 0, 8 * MIB), area(range(), 7, 8 * MIB));
        assert_eq!(unchanged_after(over(0, true), &memory), []);
        assert_eq!(unchanged_after(over(0, false), &memory), [], "it is as full as it was");
        assert_eq!(unchanged_after(over(0, false), &file), []);
        assert_eq!(unchanged_after(over(0, true), &file), [], "another part of the file");
        assert_eq!(unchanged_after(over(MIB, true), &file), [], "it is as full as it was");
        let shared = Area { kind: MappingKind::SharedAnonymous, ..file };
        assert_eq!(unchanged_after(over(0, false), &shared), [], "it would have another inode");
    }

    #[test]
    fn what_is_replaced_and_filled_goes_once() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let memory = |rss: u64| vec![area(MIB..9 * MIB, 0, rss * MIB)];
        ledger.update(at(10), memory(8), &mut Vec::new(), None);
        let (fixed, length, is_accessible) = (Some(MIB..9 * MIB), 8 * MIB, true);
        let (is_file, is_huge, is_shared, offset, populates) = (false, false, false, 0, true);
        let fill =
            Call::Map { fixed, replaces: true, length, offset, is_file, is_huge, is_shared, is_accessible, populates };
        let mut calls = vec![noted(20, fill)];
        let changes = ledger.update(at(130), memory(3), &mut calls, None);
        assert_eq!(told(&changes), [(20, "went", Some("mmap"), 0, 0), (20, "appeared", Some("mmap"), 8, 3)]);
        assert_eq!(told(&ledger.update(at(230), memory(8), &mut calls, None)), [(230, "grew", Some("mmap"), 8, 8)]);
        assert_eq!(told(&ledger.update(at(330), memory(8), &mut calls, None)), []);
        calls.push(noted(340, Call::Exit));
        assert_eq!(told(&ledger.finish(at(350), &mut calls, ENDED)), [(340, "went", Some("exit_group"), 0, 0)]);
    }

    #[test]
    fn what_a_program_fills_later_is_not_put_down_to_a_call() {
        let range = || MIB..9 * MIB;
        let memory = |rss: u64| vec![area(range(), 0, rss * MIB)];
        for call in [Call::Lock(range()), Call::Fill(range())] {
            let mut ledger = Ledger::new(Bytes(MIB), None);
            ledger.update(at(10), memory(0), &mut Vec::new(), None);
            let mut calls = vec![noted(20, call.clone())];
            assert_eq!(told(&ledger.update(at(40), memory(0), &mut calls, None)), []);
            assert_eq!(told(&ledger.update(at(60), memory(8), &mut calls, None)), [(60, "grew", None, 8, 8)]);
            // The first look shows it.
            let mut ledger = Ledger::new(Bytes(MIB), None);
            ledger.update(at(10), memory(0), &mut Vec::new(), None);
            let mut calls = vec![noted(20, call.clone())];
            let grew = ledger.update(at(40), memory(4), &mut calls, None);
            assert_eq!(told(&grew), [(20, "grew", Some(call.word()), 8, 4)]);
            // No row is older than the figures that it begins with.
            let grew = ledger.update(at(60), memory(8), &mut calls, None);
            assert_eq!(told(&grew), [(60, "grew", Some(call.word()), 8, 8)]);
            assert!(grew[0].before_at <= Some(grew[0].at));
        }
    }

    #[test]
    fn a_move_that_failed_does_not_replace_itself() {
        let memory = area(MIB..9 * MIB, 0, 8 * MIB);
        assert_eq!(unchanged_after(Call::Move(MIB..9 * MIB, 4 * MIB), &memory), []);
        // Memory from elsewhere may have come to the place of what was unmapped.
        let mut ledger = Ledger::new(Bytes(MIB), None);
        ledger.update(at(10), vec![memory.clone(), area(20 * MIB..28 * MIB, 0, 8 * MIB)], &mut Vec::new(), None);
        let moved = Call::Move(20 * MIB..28 * MIB, 8 * MIB);
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB)), noted(21, moved)];
        let changes = ledger.update(at(130), vec![memory], &mut calls, None);
        assert_eq!(told(&changes).first(), Some(&(20, "went", Some("munmap"), 0, 0)));
    }

    #[test]
    fn a_heap_that_shrank_and_grew_again_has_a_row_for_each() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let heap = |rss: u64| vec![Area { kind: MappingKind::Heap, ..area(MIB..9 * MIB, 0, rss * MIB) }];
        ledger.update(at(10), heap(8), &mut Vec::new(), None);
        let mut calls = Vec::new();
        for (milliseconds, end) in [(20, 3 * MIB), (21, 9 * MIB)] {
            let call = ledger.complete(Call::Break(None, end), &calls);
            assert_eq!(call.ends_memory(), end == 3 * MIB);
            let frees = ledger.freed_by(&call);
            calls.push(Noted { frees, ..noted(milliseconds, call) });
        }
        let changes = ledger.update(at(30), heap(5), &mut calls, Some(1));
        assert_eq!(told(&changes), [(20, "shrank", Some("brk"), 2, 99), (21, "grew", Some("brk"), 8, 5)]);
        assert_eq!((changes[0].before.rss, changes[1].before.rss.is_err()), (Ok(Bytes(8 * MIB)), true));
        assert_eq!(told(&ledger.update(at(200), heap(5), &mut calls, None)), []);
        // Nobody looked before it shrank again.
        for (milliseconds, end) in [(210, 17 * MIB), (211, 9 * MIB)] {
            let call = ledger.complete(Call::Break(None, end), &calls);
            calls.push(noted(milliseconds, call));
        }
        assert_eq!(told(&ledger.update(at(330), heap(5), &mut calls, None)), [(210, "unseen", Some("brk"), 99, 99)]);
    }

    #[test]
    fn what_a_new_program_calls_removes_nothing_of_the_old_one() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let heap = |start: u64| Area { kind: MappingKind::Heap, ..area(start..start + 8 * MIB, 0, 0) };
        let mut calls = Vec::new();
        ledger.update(at(10), vec![heap(90 * MIB)], &mut calls, None);
        calls.extend([noted(20, Call::Execute), noted(21, Call::Break(None, 9 * MIB)), noted(22, map(MIB, false))]);
        let stack = Area { kind: MappingKind::Stack, is_of_execve: true, ..area(40 * MIB..41 * MIB, 0, 0) };
        let library = area(50 * MIB..52 * MIB, 7, 0);
        let changes = ledger.update(at(30), vec![heap(MIB), stack, library], &mut calls, None);
        let appeared = [(20, "appeared", Some("execve"), 1, 0), (21, "appeared", Some("brk"), 8, 0)];
        let mut told = told(&changes);
        told.retain(|row| row.1 == "appeared");
        assert_eq!(told, [appeared[0], appeared[1], (30, "appeared", None, 2, 0)]);
        assert_eq!((changes[0].event.word(), changes[0].call), ("went", Ok("execve")));
    }

    #[test]
    fn nothing_is_left_of_another_program_though_it_was_mapped_at_the_same_places() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let stack = |rss: u64| Area { is_of_execve: true, ..area(40 * MIB..48 * MIB, 0, rss * MIB) };
        let mut calls = Vec::new();
        ledger.update(at(10), vec![stack(3)], &mut calls, None);
        calls.push(Noted { frees: Some(0..u64::MAX), ..noted(20, Call::Execute) });
        let changes = ledger.update(at(30), vec![stack(1)], &mut calls, None);
        assert_eq!(told(&changes), [(20, "went", Some("execve"), 0, 0), (20, "appeared", Some("execve"), 8, 1)]);
        assert_eq!(told(&ledger.update(at(40), vec![stack(1)], &mut calls, None)), []);
        // It may use as much of them, and the one before it may just have moved something.
        let mut calls = vec![noted(41, Call::Move(40 * MIB..48 * MIB, 2 * MIB)), noted(42, Call::Unmap(0..50 * MIB))];
        calls.push(Noted { frees: Some(0..u64::MAX), ..noted(43, Call::Execute) });
        let areas = vec![area(2 * MIB..4 * MIB, 0, 0), stack(1)];
        let rows = told(&ledger.update(at(44), areas, &mut calls, None));
        assert_eq!(rows.iter().filter(|row| row.1 == "went").count(), 1, "{rows:?}");
        assert!(rows.contains(&(43, "appeared", Some("execve"), 8, 1)) && rows.len() == 3, "{rows:?}");
    }

    #[test]
    fn what_did_not_change_has_no_row() {
        let mut ledger = Ledger::new(Bytes(0), None);
        let memory = |rss: u64| vec![area(MIB..9 * MIB, 0, rss)];
        assert_eq!(told(&ledger.update(at(10), memory(0), &mut Vec::new(), None)).len(), 1);
        assert_eq!(told(&ledger.update(at(20), memory(0), &mut Vec::new(), None)), []);
        assert_eq!(told(&ledger.update(at(30), memory(4096), &mut Vec::new(), None)).len(), 1);
    }

    #[test]
    fn memory_that_was_mapped_and_then_protected_has_the_call_that_mapped_it() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let parts = || vec![area(MIB..5 * MIB, 0, 0), area(5 * MIB..9 * MIB, 0, 0)];
        let protect = || Call::Protect(MIB..5 * MIB, true);
        let mut calls = vec![noted(5, map(8 * MIB, false)), noted(6, protect())];
        let changes = ledger.update(at(10), parts(), &mut calls, None);
        assert_eq!(told(&changes), [(5, "appeared", Some("mmap"), 8, 0)]);
        // Which of them it was is not known.
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let mut calls = vec![noted(5, map(9 * MIB, false)), noted(6, protect())];
        assert_eq!(ledger.update(at(10), parts(), &mut calls, None)[0].call.ok(), None);
        // It had no access before.
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let changes = ledger.update(at(10), vec![area(MIB..5 * MIB, 0, 0)], &mut vec![noted(6, protect())], None);
        assert_eq!(told(&changes), [(6, "appeared", Some("mprotect"), 4, 0)]);
    }

    #[test]
    fn a_split_moves_no_memory() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        ledger.update(at(10), vec![area(MIB..9 * MIB, 0, 8 * MIB)], &mut Vec::new(), None);
        let parts = vec![area(MIB..5 * MIB, 0, 4 * MIB), area(5 * MIB..9 * MIB, 0, 4 * MIB)];
        assert_eq!(told(&ledger.update(at(20), parts, &mut Vec::new(), None)), []);
        let gone = ledger.finish(at(30), &mut Vec::new(), ENDED);
        assert_eq!(gone.iter().map(|change| change.before.rss).collect::<Vec<_>>(), [Ok(Bytes(4 * MIB)); 2]);
    }

    #[test]
    fn without_calls_the_reason_is_given() {
        let why = Absent::new(Reason::Unsupported, "not followed");
        let mut ledger = Ledger::new(Bytes(MIB), Some(why));
        let changes = ledger.update(at(10), vec![area(MIB..9 * MIB, 7, 0)], &mut Vec::new(), None);
        assert_eq!(changes[0].call, Err(why));
    }
}
