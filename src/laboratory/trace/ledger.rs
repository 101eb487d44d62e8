//! What is known of the mappings of a program, and which changes are worth a row.
//!
//! A change is told once it adds up to a certain size, compared with what was told last. No I/O here.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use super::area::{Area, sum};
use super::calls::{Call, Noted, is_inside, is_unseen, meet};
use super::causes::{asked, brings, fills, has_part, is_part_of, lowers, removes, takes};
use super::change::{Change, Event, InCache, State};
use super::groups::{Group, groups, without};
use crate::units::{Absent, Bytes, Figure, Reason};

/// How important a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// When they were seen.
    seen_at: Duration,
    /// How many mappings never had a row, among those that are gone.
    untold: u64,
    /// Why a mapping that was asked for was never seen.
    unseen: Absent,
}

/// A mapping.
#[derive(Debug)]
struct Known {
    area: Area,
    /// Its figures when it last had a row, or when it was first seen.
    told: State,
    told_at: Duration,
    has_row: bool,
}

const TOUCHED: Absent =
    Absent::new(Reason::NotApplicable, "no system call was seen: the program used more of its pages");
const TAKEN: Absent = Absent::new(Reason::NotApplicable, "no system call was seen: the kernel may have taken pages");
const SMALL: Absent =
    Absent::new(Reason::NotApplicable, "no system call explains it alone: several small ones may add up to it");
const UNSEEN: Absent = Absent::new(
    Reason::Vanished,
    "it was never seen: it went before, it was joined with another mapping, or the system call failed",
);
const DENIED: Absent = Absent::new(Reason::Denied, "the mappings of this program may not be read");
/// The page cache before anyone looked.
pub(super) const UNMEASURED: Absent = Absent::new(Reason::NotApplicable, "it was not measured");

/// How long after its beginning the effect of a call may show: on a busy machine it may have to wait for a processor.
const LONGEST_CALL: Duration = Duration::from_millis(100);

/// How long a call is remembered that goes on bringing pages in.
const LONGEST_FILL: Duration = Duration::from_secs(1);

impl Ledger {
    /// Nothing is known yet.
    pub(super) fn new(least: Bytes, without_calls: Option<Absent>) -> Ledger {
        Ledger { least, without_calls, known: Vec::new(), seen_at: Duration::ZERO, untold: 0, unseen: UNSEEN }
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
        let is_met = |area: &Area| call.range().is_none_or(|range| meet(range, &area.addresses));
        let areas = self.known.iter().map(|known| &known.area).filter(|area| area.has_file());
        areas.filter(move |area| call.ends_memory() && area.size() >= self.least && is_met(area))
    }

    /// Whether a mapping of this file is known.
    pub(super) fn has(&self, is_it: impl Fn(&Area) -> bool) -> bool {
        self.known.iter().any(|known| is_it(&known.area))
    }

    /// How important it is to look before this call goes on; `None` if there is nothing to see.
    pub(super) fn weight(&self, call: &Call, noted: &[Noted]) -> Option<Weight> {
        if !call.ends_memory() {
            return None;
        }
        let Some(range) = call.range() else { return Some(Weight::Ordinary) };
        let mut met = self.known.iter().map(|known| &known.area).filter(|area| meet(&area.addresses, range)).peekable();
        // A dynamic linker maps one part of a library after the other over the whole of it.
        let is_mere_map = matches!(call, Call::Map { .. });
        if met.peek().is_none() {
            if is_mere_map {
                return None;
            }
            // It may be about a mapping that has not been seen yet.
            let shares_file = noted.iter().any(|noted| noted.call.shares_file());
            let weight = if shares_file { Weight::Heavy } else { Weight::Ordinary };
            return noted.iter().any(|noted| is_unseen(&noted.call)).then_some(weight);
        }
        let is_heavy = |area: &Area| area.is_shared_file() || area.rss.is_ok_and(|rss| rss >= HEAVY);
        let (mut heavy, mut filled) = (false, false);
        for area in met {
            heavy |= is_heavy(area);
            filled |= area.rss.is_ok_and(|rss| rss >= self.least);
        }
        match (heavy, filled || !is_mere_map) {
            (true, _) => Some(Weight::Heavy),
            (false, true) => Some(Weight::Ordinary),
            (false, false) => None,
        }
    }

    /// Takes what is mapped at the time `at`, and the calls since, and returns the changes. Calls whose effect cannot
    /// be told yet stay in the list.
    pub(super) fn update(&mut self, at: Duration, areas: Vec<Area>, noted: &mut Vec<Noted>) -> Vec<Change> {
        self.update_or(at, areas, noted, None)
    }

    /// Takes the end of the program. What went without a call that is known did so for the reason `otherwise`.
    pub(super) fn finish(&mut self, at: Duration, noted: &mut Vec<Noted>, otherwise: Absent) -> Vec<Change> {
        self.update_or(at, Vec::new(), noted, Some(otherwise))
    }

    fn update_or(
        &mut self,
        at: Duration,
        areas: Vec<Area>,
        noted: &mut Vec<Noted>,
        otherwise: Option<Absent>,
    ) -> Vec<Change> {
        let mut later = Vec::new();
        for call in std::mem::take(noted) {
            if self.is_unfinished(&call, at, &areas) { later.push(call) } else { noted.push(call) }
        }
        let freed: Vec<Range<u64>> = noted.iter().filter_map(|noted| noted.call.frees()).collect();
        let moved = noted.iter().filter_map(|noted| match &noted.call {
            Call::Move(range, length) => Some((range.clone(), *length)),
            _ => None,
        });
        let old: Vec<&Area> = self.known.iter().map(|known| &known.area).collect();
        let groups = groups(&old, &areas, &freed, &moved.collect::<Vec<_>>());
        let mut update = Update {
            ledger: self,
            is_new_program: otherwise.is_none()
                && !groups.iter().any(|group| !group.old.is_empty() && !group.new.is_empty()),
            otherwise,
            areas: &areas,
            freed: &freed,
            at,
            noted,
            changes: Vec::new(),
            replaced: Vec::new(),
            next: Vec::new(),
        };
        groups.iter().for_each(|group| update.take(group));
        update.explain_joined();
        update.tell_unseen();
        let Update { mut changes, mut next, .. } = update;
        next.sort_by_key(|known| known.area.addresses.start);
        changes.sort_by_key(|change| change.at);
        self.known = next;
        self.seen_at = at;
        noted.retain(|noted| {
            let age = at.saturating_sub(noted.at);
            let may_still_show = !noted.is_used && noted.call.frees().is_none() && age < LONGEST_CALL;
            may_still_show || noted.call.is_long() && age < LONGEST_FILL
        });
        noted.append(&mut later);
        changes
    }

    /// Whether a call that frees memory is still at it: a mapping in its range is as it was.
    fn is_unfinished(&self, noted: &Noted, at: Duration, areas: &[Area]) -> bool {
        let Some(range) = noted.call.frees().filter(|_| at.saturating_sub(noted.at) < LONGEST_CALL) else {
            return false;
        };
        let as_it_was = |known: &&Known| {
            let before = &known.area;
            let now = areas.iter().find(|area| area.addresses == before.addresses && before.is_same_memory(area));
            let is_full =
                |now: &Area| now.rss.is_ok_and(|rss| rss.0 > 0 && before.rss.is_ok_and(|before| rss >= before));
            now.is_some_and(is_full)
        };
        let inside = |known: &&Known| is_inside(&known.area.addresses, &range);
        self.known.iter().filter(inside).any(|known| as_it_was(&known))
    }
}

/// The change of mappings that are gone, at a time that is not known yet.
fn went(known: &[&Known], seen_at: Duration) -> Change {
    Change {
        at: seen_at,
        before_at: Some(seen_at),
        event: Event::Went,
        call: Err(UNMEASURED),
        area: known.first().map(|known| known.area.clone()),
        before: State::of(known.iter().map(|known| &known.area)),
        after: State::NONE,
        pss: Ok(Bytes(0)),
        anonymous: Ok(Bytes(0)),
        cache: Err(UNMEASURED),
        asked: None,
    }
}

/// One update of a ledger.
struct Update<'u> {
    ledger: &'u mut Ledger,
    /// Whether nothing is left of what was mapped before, as after `execve`.
    is_new_program: bool,
    /// Why there is no call if the program has ended without one.
    otherwise: Option<Absent>,
    areas: &'u [Area],
    /// Where nothing is left of what was mapped before.
    freed: &'u [Range<u64>],
    at: Duration,
    noted: &'u mut Vec<Noted>,
    changes: Vec<Change>,
    /// The mappings that did not grow, or not by enough for a row, and how much of each is new.
    replaced: Vec<(Area, Bytes)>,
    next: Vec<Known>,
}

impl Update<'_> {
    fn take(&mut self, group: &Group) {
        let new: Vec<&Area> = group.new.iter().filter_map(|place| self.areas.get(*place)).collect();
        match (group.old.is_empty(), new.as_slice()) {
            (true, [area]) => self.appeared(area),
            (_, []) => self.went(group),
            _ => self.compare(group, &new),
        }
    }

    fn appeared(&mut self, area: &Area) {
        let after = State::of(std::iter::once(area));
        let has_row = area.size() >= self.ledger.least;
        if has_row {
            let (call, at, asked) = self.cause(Event::Appeared, &[], &[area], area.size());
            let change = Change { at, call, asked, ..self.change(Event::Appeared, &[area], State::NONE, after) };
            self.changes.push(Change { before_at: None, ..change });
        }
        self.next.push(Known { area: area.clone(), told: after, told_at: self.at, has_row });
    }

    fn went(&mut self, group: &Group) {
        let known: Vec<&Known> = group.old.iter().filter_map(|place| self.ledger.known.get(*place)).collect();
        let change = went(&known, self.ledger.seen_at);
        let olds: Vec<Area> = known.iter().map(|known| known.area.clone()).collect();
        let least = self.ledger.least;
        let is_large = |known: &&Known| {
            known.area.size() >= least || known.told.distance(&State::NONE).is_ok_and(|amount| amount >= least)
        };
        self.ledger.untold += known.iter().filter(|known| !known.has_row).count() as u64;
        if !known.iter().any(is_large) {
            return;
        }
        let (call, at, asked) = self.cause(Event::Went, &olds.iter().collect::<Vec<_>>(), &[], Bytes(0));
        self.changes.push(Change { at, call, asked, ..change });
    }

    fn compare(&mut self, group: &Group, new: &[&Area]) {
        let known: Vec<&Known> = group.old.iter().filter_map(|place| self.ledger.known.get(*place)).collect();
        let told = State::sum(known.iter().map(|known| known.told));
        let told_at = known.iter().map(|known| known.told_at).max().unwrap_or_default();
        let had_row = known.iter().any(|known| known.has_row);
        let olds: Vec<Area> = known.iter().map(|known| known.area.clone()).collect();
        let now = State::of(new.iter().copied());
        let is_worth_it = told.distance(&now).is_ok_and(|amount| amount >= self.ledger.least);
        let (event, by) = told.direction(&now);
        if !is_worth_it || by == Bytes(0) {
            let left = olds.iter().flat_map(|area| without(&area.addresses, self.freed));
            let left: Bytes = left.map(|part| Bytes(part.end - part.start)).sum();
            let added = now.size.unwrap_or_default().saturating_sub(left);
            self.replaced.extend(new.first().map(|area| (hull(area, new), added)));
        }
        if is_worth_it {
            let (call, at, asked) = self.cause(event, &olds.iter().collect::<Vec<_>>(), new, by);
            let change = Change { at, call, asked, ..self.change(event, new, told, now) };
            self.changes.push(Change { before_at: Some(told_at), ..change });
        }
        // A group of several mappings is counted anew: how what was told is divided among them is not known.
        let keeps_count = !is_worth_it && new.len() == 1;
        for area in new {
            let (told, told_at) =
                if keeps_count { (told, told_at) } else { (State::of(std::iter::once(*area)), self.at) };
            self.next.push(Known { area: (*area).clone(), told, told_at, has_row: had_row || is_worth_it });
        }
    }

    fn change(&self, event: Event, areas: &[&Area], before: State, after: State) -> Change {
        Change {
            at: self.at,
            before_at: Some(self.ledger.seen_at),
            event,
            call: Err(UNMEASURED),
            area: areas.first().map(|area| hull(area, areas)),
            before,
            after,
            pss: sum(areas.iter().copied(), |area| area.pss),
            anonymous: sum(areas.iter().copied(), |area| area.anonymous),
            cache: Err(UNMEASURED),
            asked: None,
        }
    }

    /// The call behind a change, if one explains it; the time of the change, and the length that the call asked for.
    /// `grown` is by how much Size grew.
    fn cause(
        &mut self,
        event: Event,
        old: &[&Area],
        new: &[&Area],
        grown: Bytes,
    ) -> (Figure<&'static str>, Duration, Option<Bytes>) {
        if let Some(absent) = self.ledger.without_calls {
            return (Err(absent), self.at, None);
        }
        let is_as_long = has_same_size(old, new);
        // It makes one mapping.
        let is_spent = |noted: &Noted| noted.is_used && is_unseen(&noted.call);
        let explains = |noted: &Noted| match event {
            Event::Appeared | Event::Grew if is_spent(noted) => false,
            Event::Appeared => brings(&noted.call, new, grown, self.is_new_program),
            Event::Grew if grown > Bytes(0) => brings(&noted.call, new, grown, false),
            Event::Grew => fills(&noted.call, new),
            Event::Went => removes(&noted.call, old),
            Event::Shrank if is_as_long => lowers(&noted.call, old),
            Event::Shrank | Event::Unseen => takes(&noted.call, old),
        };
        // What a call says exactly comes first, then what it makes likely: it is the only way in which that happens.
        let is_likely = |noted: &Noted| match event {
            Event::Appeared => has_part(&noted.call, new),
            // Several calls may have taken one part each: the last of them completed it.
            Event::Went => match noted.call {
                Call::Exit => true,
                Call::Execute => self.is_new_program,
                _ => takes(&noted.call, old),
            },
            Event::Grew | Event::Shrank | Event::Unseen => false,
        };
        let place = self.noted.iter().rposition(explains);
        let place = place.or_else(|| self.noted.iter().rposition(is_likely));
        let found = place.and_then(|place| self.noted.get_mut(place)).map(|noted| {
            noted.is_used = true;
            (Ok(noted.call.word()), noted.at, asked(&noted.call))
        });
        match found {
            Some(found) => found,
            None => {
                let absent = match event {
                    Event::Went => self.otherwise.unwrap_or(SMALL),
                    Event::Grew if grown == Bytes(0) => TOUCHED,
                    Event::Shrank if is_as_long => TAKEN,
                    _ => SMALL,
                };
                (Err(absent), self.at, None)
            }
        }
    }

    /// Puts what no call explains alone down to those whose mappings the kernel joined: with each other, or with small
    /// neighbours. That comes last, so that no call is taken from a mapping that is exactly what it asked for.
    fn explain_joined(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        for change in changes.iter_mut().filter(|change| is_open(change)) {
            let (_, grown) = change.before.direction(&change.after);
            if let Some((at, asked)) = change.area.as_ref().and_then(|area| self.join(area, grown)) {
                (change.call, change.at, change.asked) = (Ok("mmap"), at, Some(asked));
            }
        }
        self.changes = changes;
        for (area, added) in std::mem::take(&mut self.replaced) {
            self.join(&area, added);
        }
    }

    /// Finds calls that together made at most `grown` bytes of a mapping, the longest first, and takes them as used.
    /// Returns the time of the last one and how much they asked for.
    fn join(&mut self, area: &Area, grown: Bytes) -> Option<(Duration, Bytes)> {
        let is_part = |noted: &&mut Noted| !noted.is_used && is_part_of(&noted.call, area);
        let mut parts: Vec<&mut Noted> = self.noted.iter_mut().filter(is_part).collect();
        parts.sort_by_key(|noted| Reverse(asked(&noted.call)));
        let (mut sum, mut last) = (Bytes(0), None);
        for noted in parts {
            let more = sum + asked(&noted.call).unwrap_or_default();
            if more <= grown {
                (sum, last) = (more, last.max(Some(noted.at)));
                noted.is_used = true;
            }
        }
        last.map(|last| (last, sum))
    }

    /// The mappings that were asked for and never seen. If there is a new one without an explanation, it may be it.
    fn tell_unseen(&mut self) {
        if self.changes.iter().any(is_open) {
            return;
        }
        let (at, is_end) = (self.at, self.otherwise.is_some());
        let is_over = |noted: &&mut Noted| is_end || at.saturating_sub(noted.at) >= LONGEST_CALL;
        let unseen = self.noted.iter_mut().filter(|noted| !noted.is_used && is_unseen(&noted.call)).filter(is_over);
        // A dynamic linker maps a library whole and then replaces most of it: what is left is seen, but small.
        let before = self.ledger.known.iter().map(|known| &known.area);
        let areas: Vec<&Area> = self.areas.iter().chain(before).collect();
        let unseen = unseen.filter(|noted| !has_part(&noted.call, &areas));
        let why = self.ledger.unseen;
        self.changes.extend(unseen.map(|noted| {
            // Those that are remembered for longer are told once.
            noted.is_used = true;
            never_seen(noted, why)
        }));
    }
}

/// Whether a change made something new that no call explains.
fn is_open(change: &Change) -> bool {
    change.call.is_err() && matches!(change.event, Event::Appeared | Event::Grew) && change.call != Err(TOUCHED)
}

/// The row of a call whose mapping was never seen.
fn never_seen(noted: &Noted, why: Absent) -> Change {
    let absent = State { size: Err(why), rss: Err(why) };
    Change {
        at: noted.at,
        before_at: None,
        event: Event::Unseen,
        call: Ok(noted.call.word()),
        area: None,
        before: absent,
        after: absent,
        pss: Err(why),
        anonymous: Err(why),
        cache: Err::<InCache, _>(why),
        asked: asked(&noted.call),
    }
}

fn has_same_size(one: &[&Area], other: &[&Area]) -> bool {
    let size = |areas: &[&Area]| areas.iter().map(|area| area.size()).sum::<Bytes>();
    size(one) == size(other)
}

/// The first of several mappings, with the addresses of all.
fn hull(first: &Area, areas: &[&Area]) -> Area {
    let end = areas.iter().map(|area| area.addresses.end).max().unwrap_or(first.addresses.end);
    Area { addresses: first.addresses.start..end, ..first.clone() }
}

#[cfg(test)]
mod tests {
    use super::super::groups::tests::area;
    use super::*;
    use crate::process::MappingKind;

    const MIB: u64 = 1 << 20;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn noted(milliseconds: u64, call: Call) -> Noted {
        Noted { at: at(milliseconds), call, is_used: false }
    }

    fn map(length: u64, is_file: bool) -> Call {
        Call::Map { fixed: None, length, offset: MIB, is_file, is_shared: true, is_accessible: true, populates: false }
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
        assert_eq!(told(&ledger.update(at(10), file(0), &mut calls)), [(5, "appeared", Some("mmap"), 8, 0)]);
        assert_eq!(told(&ledger.update(at(20), file(MIB / 2), &mut calls)), []);
        assert_eq!(told(&ledger.update(at(30), file(8 * MIB), &mut calls)), [(30, "grew", None, 8, 8)]);
        calls.push(noted(35, Call::Unmap(MIB..9 * MIB)));
        let gone = ledger.update(at(40), Vec::new(), &mut calls);
        assert_eq!(told(&gone), [(35, "went", Some("munmap"), 0, 0)]);
        assert_eq!((gone[0].before.rss, gone[0].before_at), (Ok(Bytes(8 * MIB)), Some(at(30))));
        assert!(calls.is_empty());
    }

    #[test]
    fn small_changes_add_up() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let steps: Vec<usize> = (0..9)
            .map(|step| ledger.update(at(step), vec![area(MIB..9 * MIB, 0, step * MIB / 4)], &mut Vec::new()).len())
            .collect();
        assert_eq!(steps, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
        // A small mapping has no row, until it has grown.
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let heap = |size: u64| vec![Area { kind: MappingKind::Heap, ..area(MIB..MIB + size, 0, 0) }];
        assert_eq!(told(&ledger.update(at(1), heap(MIB / 2), &mut Vec::new())), []);
        assert_eq!(ledger.untold(), 1);
        let mut calls = vec![noted(2, Call::Break(3 * MIB))];
        assert_eq!(told(&ledger.update(at(3), heap(2 * MIB), &mut calls)), [(2, "grew", Some("brk"), 2, 0)]);
        assert_eq!(ledger.untold(), 0);
    }

    #[test]
    fn a_call_that_is_not_done_yet_is_kept() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let file = || vec![area(MIB..9 * MIB, 7, 8 * MIB)];
        ledger.update(at(10), file(), &mut Vec::new());
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB))];
        assert_eq!(told(&ledger.update(at(21), file(), &mut calls)), []);
        assert_eq!(calls.len(), 1);
        assert_eq!(told(&ledger.update(at(22), Vec::new(), &mut calls)), [(20, "went", Some("munmap"), 0, 0)]);
    }

    #[test]
    fn memory_at_the_same_place_is_new_after_munmap() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        ledger.update(at(10), vec![area(MIB..9 * MIB, 0, 8 * MIB)], &mut Vec::new());
        let mut calls = vec![noted(20, Call::Unmap(MIB..9 * MIB)), noted(21, map(8 * MIB, false))];
        let changes = ledger.update(at(22), vec![area(MIB..9 * MIB, 0, 0)], &mut calls);
        assert_eq!(told(&changes), [(20, "went", Some("munmap"), 0, 0), (21, "appeared", Some("mmap"), 8, 0)]);
    }

    #[test]
    fn what_came_and_went_between_two_looks_has_no_figures() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let mut calls = vec![noted(5, map(8 * MIB, false))];
        assert_eq!(told(&ledger.update(at(10), Vec::new(), &mut calls)), []);
        let changes = ledger.update(at(200), Vec::new(), &mut calls);
        assert_eq!(told(&changes), [(5, "unseen", Some("mmap"), 99, 99)]);
        assert_eq!((changes[0].asked, changes[0].amount()), (Some(Bytes(8 * MIB)), Ok(Bytes(8 * MIB))));
        assert!(calls.is_empty());
    }

    #[test]
    fn what_a_call_leaves_in_place_goes_with_the_program() {
        let heap = |size: u64| Area { kind: MappingKind::Heap, ..area(MIB..MIB + size, 0, 0) };
        let end = |call: Call| {
            let mut ledger = Ledger::new(Bytes(MIB), None);
            ledger.update(at(10), vec![heap(8 * MIB)], &mut Vec::new());
            told(&ledger.finish(at(30), &mut vec![noted(20, call), noted(25, Call::Exit)], TAKEN))
        };
        for call in [Call::Break(9 * MIB), Call::Break(5 * MIB), Call::Unmap(4 * MIB..9 * MIB)] {
            assert_eq!(end(call), [(25, "went", Some("exit_group"), 0, 0)]);
        }
        assert_eq!(end(Call::Protect(MIB..9 * MIB, true)), [(25, "went", Some("exit_group"), 0, 0)]);
        assert_eq!(end(Call::Protect(MIB..9 * MIB, false)), [(20, "went", Some("mprotect"), 0, 0)]);
        assert_eq!(end(Call::Break(MIB)), [(20, "went", Some("brk"), 0, 0)]);
    }

    #[test]
    fn the_kernel_joins_a_new_mapping_with_its_neighbours() {
        let small = MIB / 8;
        let whole = |start: u64| vec![area(start..20 * MIB + small, 0, 0)];
        let mut ledger = Ledger::new(Bytes(MIB), None);
        let mut calls = vec![noted(5, map(8 * MIB, false))];
        let changes = ledger.update(at(10), whole(12 * MIB), &mut calls);
        assert_eq!(told(&changes), [(5, "appeared", Some("mmap"), 8, 0)]);
        assert_eq!(changes[0].asked, Some(Bytes(8 * MIB)));
        calls.extend([noted(15, map(4 * MIB, false)), noted(16, map(2 * MIB, false)), noted(17, map(9 * MIB, false))]);
        let changes = ledger.update(at(20), whole(6 * MIB - small), &mut calls);
        assert_eq!((told(&changes), changes[0].asked), (vec![(16, "grew", Some("mmap"), 14, 0)], Some(Bytes(6 * MIB))));
        // The last one failed.
        let changes = ledger.update(at(200), whole(6 * MIB - small), &mut calls);
        assert_eq!(told(&changes), [(17, "unseen", Some("mmap"), 99, 99)]);
        // A part is unmapped and mapped again.
        calls.extend([noted(210, Call::Unmap(8 * MIB..16 * MIB)), noted(211, map(8 * MIB, false))]);
        assert_eq!(told(&ledger.update(at(220), whole(6 * MIB - small), &mut calls)), []);
        assert_eq!(told(&ledger.update(at(400), whole(6 * MIB - small), &mut calls)), []);
    }

    #[test]
    fn a_split_moves_no_memory() {
        let mut ledger = Ledger::new(Bytes(MIB), None);
        ledger.update(at(10), vec![area(MIB..9 * MIB, 0, 8 * MIB)], &mut Vec::new());
        let parts = vec![area(MIB..5 * MIB, 0, 4 * MIB), area(5 * MIB..9 * MIB, 0, 4 * MIB)];
        assert_eq!(told(&ledger.update(at(20), parts, &mut Vec::new())), []);
        let gone = ledger.finish(at(30), &mut Vec::new(), TAKEN);
        assert_eq!(gone.iter().map(|change| change.before.rss).collect::<Vec<_>>(), [Ok(Bytes(4 * MIB)); 2]);
    }

    #[test]
    fn without_calls_the_reason_is_given() {
        let why = Absent::new(Reason::Unsupported, "not followed");
        let mut ledger = Ledger::new(Bytes(MIB), Some(why));
        let changes = ledger.update(at(10), vec![area(MIB..9 * MIB, 7, 0)], &mut Vec::new());
        assert_eq!(changes[0].call, Err(why));
    }
}
