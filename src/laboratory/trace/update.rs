//! Which changes between two moments are worth a row, and which system calls are behind them.
//!
//! A change is told once it adds up to a certain size, compared with what was told last. No I/O here.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use super::area::{Area, mapped_parts, sum};
use super::calls::{Call, Noted, is_unseen, meet};
use super::causes::{asked, brings, fills, has_part, is_part_of, lowers, removes, takes};
use super::change::{Change, Event, InCache, State};
use super::groups::{Group, length, without};
use super::known::{Family, Known, LONGEST_CALL};
use crate::process::MappingKind;
use crate::units::{Absent, Bytes, Figure, Reason};

const TOUCHED: Absent =
    Absent::new(Reason::NotApplicable, "no system call was seen: the program used more of its pages");
const TAKEN: Absent = Absent::new(Reason::NotApplicable, "no system call was seen: the kernel may have taken pages");
const SMALL: Absent =
    Absent::new(Reason::NotApplicable, "no system call explains it alone: several small ones may add up to it");
pub(super) const UNSEEN: Absent = Absent::new(
    Reason::Vanished,
    "it was never seen: it went before, it was joined with another mapping, or the system call failed",
);
pub(super) const DENIED: Absent = Absent::new(Reason::Denied, "the mappings of this program may not be read");
/// The page cache before anyone looked.
pub(super) const UNMEASURED: Absent = Absent::new(Reason::NotApplicable, "it was not measured");
/// What a call freed that freed something for certain, if it succeeded.
const UNDONE: Absent = Absent::new(
    Reason::Vanished,
    "as much was in RAM when it was looked at: it was in use again, the kernel takes it later, or the call failed",
);
/// Between two calls that follow each other.
const NOT_LOOKED: Absent = Absent::new(Reason::Vanished, "the next system call came before it was looked at");

/// What is told, and the reasons for what cannot be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How much must change for a row.
    pub(super) least: Bytes,
    /// Why system calls are not known, if they are not.
    pub(super) without_calls: Option<Absent>,
    /// Why a mapping that was asked for was never seen.
    pub(super) unseen: Absent,
    /// Why there is no call if the program has ended without one; `None` as long as it runs.
    pub(super) otherwise: Option<Absent>,
}

impl Rules {
    /// How much must change for a row: what did not change at all has none.
    fn least(&self) -> Bytes {
        self.least.max(Bytes(1))
    }
}

/// What an update has found.
pub(super) struct Told {
    pub(super) changes: Vec<Change>,
    /// The mappings as they are known from now on.
    pub(super) next: Vec<Known>,
    /// How many mappings are gone that never had a row.
    pub(super) untold: u64,
}

/// One update of what is known.
pub(super) struct Update<'u> {
    rules: Rules,
    known: &'u [Known],
    /// Whether nothing is left of what was mapped before, as after `execve`.
    is_new_program: bool,
    areas: &'u [Area],
    at: Duration,
    noted: &'u mut Vec<Noted>,
    changes: Vec<Change>,
    /// The mappings that did not grow, or not by enough for a row, and how much of each is new.
    replaced: Vec<(Area, Bytes)>,
    next: Vec<Known>,
    untold: u64,
}

/// What is behind a change.
struct Cause {
    at: Duration,
    call: Figure<&'static str>,
    asked: Option<Bytes>,
}

/// Old and new mappings of which a change is explained.
struct Sides<'s> {
    old: &'s [&'s Area],
    new: &'s [&'s Area],
    /// By how much Size grew.
    grown: Bytes,
    /// When the old ones were seen.
    seen_at: Duration,
}

impl<'u> Update<'u> {
    /// What is known until now, what is mapped at the time `at`, and the calls in between.
    pub(super) fn new(
        rules: Rules,
        known: &'u [Known],
        at: Duration,
        areas: &'u [Area],
        noted: &'u mut Vec<Noted>,
        is_new_program: bool,
    ) -> Update<'u> {
        let (changes, replaced, next) = (Vec::new(), Vec::new(), Vec::new());
        Update { rules, known, is_new_program, areas, at, noted, changes, replaced, next, untold: 0 }
    }

    /// What was found, once all mappings were taken.
    pub(super) fn end(mut self) -> Told {
        self.explain_joined();
        self.mark_heap();
        self.tell_unseen();
        self.tell_undone();
        Told { changes: self.changes, next: self.next, untold: self.untold }
    }

    /// Takes mappings that belong together.
    pub(super) fn take(&mut self, group: &Group) {
        let new: Vec<&Area> = group.new.iter().filter_map(|place| self.areas.get(*place)).collect();
        match (group.old.is_empty(), new.is_empty()) {
            (true, _) => self.appeared(&new),
            (_, true) => self.went(group),
            _ => self.compare(group, &new),
        }
    }

    fn appeared(&mut self, new: &[&Area]) {
        let after = State::of(new.iter().copied());
        let size = after.size.unwrap_or_default();
        let has_row = size >= self.rules.least;
        if has_row {
            let cause = self.cause(Event::Appeared, &Sides { old: &[], new, grown: size, seen_at: Duration::ZERO });
            let change = self.change(Event::Appeared, new, State::NONE, after);
            self.tell(change, cause);
        }
        self.know(new.iter().map(|area| (*area).clone()).collect(), None, has_row);
    }

    /// Remembers mappings that were judged together: with what was told of them and when, if that is not what they are
    /// now.
    fn know(&mut self, areas: Vec<Area>, told: Option<(State, Duration)>, has_row: bool) {
        let least = self.rules.least();
        let is_small = |area: &Area| area.size() < least;
        let is_whole = areas.len() == 1;
        let first = areas.iter().find(|area| is_small(area) && !is_whole).map(|area| area.addresses.start);
        let family = first.map(|first| Family(self.at, first));
        // How it is divided among mappings that are judged apart is not known.
        let mut told = told.filter(|_| is_whole || areas.iter().all(is_small));
        let is_told_together = told.is_some();
        for area in areas {
            let now = if is_told_together { State::NONE } else { State::of(std::iter::once(&area)) };
            let (told, told_at) = told.take().unwrap_or((now, self.at));
            let family = family.filter(|_| is_small(&area));
            self.next.push(Known { area, seen_at: self.at, told, told_at, has_row, family });
        }
    }

    fn went(&mut self, group: &Group) {
        let known: Vec<&Known> = group.old.iter().filter_map(|place| self.known.get(*place)).collect();
        let seen_at = known.iter().map(|known| known.seen_at).max().unwrap_or_default();
        let olds: Vec<Area> = known.iter().map(|known| known.area.clone()).collect();
        let least = self.rules.least;
        let size: Bytes = olds.iter().map(Area::size).sum();
        let told = State::sum(known.iter().map(|known| known.told));
        let has_row = size >= least || told.distance(&State::NONE).is_ok_and(|amount| amount >= least);
        self.untold += known.iter().filter(|known| !known.has_row).count() as u64;
        if !has_row {
            return;
        }
        let old: Vec<&Area> = olds.iter().collect();
        let place = self.find(Event::Went, &Sides { old: &old, new: &[], grown: Bytes(0), seen_at });
        let cause = self.cause_at(place, Event::Went, Bytes(0), false);
        let Some(first) = old.first() else { return };
        let before = (State::of(old.iter().copied()), seen_at);
        let parts = self.freed_parts(&old).into_iter().filter(|(part, _)| place.is_some_and(|place| *part < place));
        let (before, before_at) = self.tell_parts(&old, before, parts);
        // What was measured while the call was held was measured last.
        let held = place.and_then(|place| self.noted.get(place)).and_then(|noted| {
            noted.cache.iter().find(|(addresses, _)| *addresses == first.addresses).map(|(_, figures)| *figures)
        });
        let change = Change {
            before_at: Some(before_at),
            area: Some(hull(first, &old)),
            parts: mapped_parts(&old),
            pss: Ok(Bytes(0)),
            anonymous: Ok(Bytes(0)),
            cache: held.unwrap_or(Err(UNMEASURED)),
            ..self.change(Event::Went, &[], before, State::NONE)
        };
        self.tell(change, cause);
    }

    fn compare(&mut self, group: &Group, new: &[&Area]) {
        let known: Vec<&Known> = group.old.iter().filter_map(|place| self.known.get(*place)).collect();
        let told = State::sum(known.iter().map(|known| known.told));
        let told_at = known.iter().map(|known| known.told_at).max().unwrap_or_default();
        let seen_at = known.iter().map(|known| known.seen_at).max().unwrap_or_default();
        let had_row = known.iter().any(|known| known.has_row);
        let olds: Vec<Area> = known.iter().map(|known| known.area.clone()).collect();
        let old: Vec<&Area> = olds.iter().collect();
        let continued = |area: &&Area| olds.first().map_or_else(|| (*area).clone(), |first| area.continuing(first));
        let news: Vec<Area> = new.iter().map(continued).collect();
        let new: Vec<&Area> = news.iter().collect();
        let now = State::of(new.iter().copied());
        let least = self.rules.least();
        let mut parts = self.freed_parts(&old);
        // The last of them led to what is there now, unless something came back or went on its own since.
        let left = parts.last().map_or_else(|| old.iter().map(|area| area.size()).sum(), |(_, left)| *left);
        let differs = left.0.abs_diff(now.size.unwrap_or_default().0) >= least.0;
        let last = if differs { None } else { parts.pop() };
        let (told, told_at) = self.tell_parts(&old, (told, told_at), parts);
        let is_worth_it = told.distance(&now).is_ok_and(|amount| amount >= least);
        let (event, by) = told.direction(&now);
        if !is_worth_it || by == Bytes(0) {
            let freed: Vec<Range<u64>> = self.noted.iter().filter_map(|noted| noted.frees.clone()).collect();
            let left = olds.iter().flat_map(|area| without(&area.addresses, &freed));
            let added = now.size.unwrap_or_default().saturating_sub(length(&left.collect::<Vec<_>>()));
            self.replaced.extend(new.first().map(|area| (hull(area, &new), added)));
        }
        if is_worth_it {
            let sides = Sides { old: &old, new: &new, grown: by, seen_at };
            let place = match last.filter(|_| event == Event::Shrank && told.size != now.size) {
                Some((place, _)) => Some(place),
                None => self.find(event, &sides),
            };
            let before = (told, told_at);
            match self.dropped(&told, &now, &sides) {
                Some(dropped) => self.tell_dropped(before, now, &sides, place, dropped),
                None => self.tell_last(event, before, now, &sides, place),
            }
        }
        let still_told = (!is_worth_it && told.rss.is_ok()).then_some((told, told_at));
        self.know(news, still_told, had_row || is_worth_it);
    }

    /// The call that freed pages of mappings that are longer now and have less in RAM: no call does both.
    fn dropped(&self, told: &State, now: &State, sides: &Sides<'_>) -> Option<usize> {
        let fell = told.in_ram().ok()?.saturating_sub(now.in_ram().ok()?);
        let is_it = |noted: &Noted| {
            let lowers = lowers(&noted.call, sides.old) || lowers(&noted.call, sides.new);
            matches!(noted.call, Call::Drop(_)) && lowers
        };
        let has_both = sides.grown > Bytes(0) && fell >= self.rules.least();
        self.noted.iter().rposition(is_it).filter(|_| has_both)
    }

    /// Tells that mappings grew by the call at one place and that the one at another place freed pages of them. How
    /// much was in RAM in between is not known.
    fn tell_dropped(
        &mut self,
        before: (State, Duration),
        now: State,
        sides: &Sides<'_>,
        grown: Option<usize>,
        dropped: usize,
    ) {
        let (grew, shrank) = ((Event::Grew, grown), (Event::Shrank, Some(dropped)));
        let is_first = grown.is_none_or(|grown| dropped < grown);
        let (size, areas) = if is_first { (before.0.size, sides.old) } else { (now.size, sides.new) };
        let (first, last) = if is_first { (shrank, grew) } else { (grew, shrank) };
        let before = self.tell_step(first, areas, before, size);
        self.tell_last(last.0, before, now, sides, last.1);
    }

    /// Tells the change that led to what is there now.
    fn tell_last(
        &mut self,
        event: Event,
        (before, before_at): (State, Duration),
        now: State,
        sides: &Sides<'_>,
        place: Option<usize>,
    ) {
        let cause = self.cause_at(place, event, sides.grown, has_same_size(sides.old, sides.new));
        let change = self.change(event, sides.new, before, now);
        self.tell(Change { before_at: Some(before_at), ..change }, cause);
    }

    /// The calls that freed a part of these mappings, by their places, and how much each of them left: without the one
    /// that took the rest.
    fn freed_parts(&self, old: &[&Area]) -> Vec<(usize, Bytes)> {
        let mut left: Vec<Range<u64>> = old.iter().map(|area| area.addresses.clone()).collect();
        let mut parts = Vec::new();
        for (place, noted) in self.noted.iter().enumerate() {
            let Some(freed) = &noted.frees else { continue };
            let now = left_of(&left, freed);
            let part = length(&left).saturating_sub(length(&now));
            if part >= self.rules.least() && !now.is_empty() {
                parts.push((place, length(&now)));
                left = now;
            }
        }
        parts
    }

    /// Tells that parts of a mapping went. Returns what was left, and when: how much of that was in RAM is not known.
    fn tell_parts(
        &mut self,
        old: &[&Area],
        mut told: (State, Duration),
        parts: impl IntoIterator<Item = (usize, Bytes)>,
    ) -> (State, Duration) {
        for (place, left) in parts {
            told = self.tell_step((Event::Shrank, Some(place)), old, told, Ok(left));
        }
        told
    }

    /// Tells a change after which nobody looked before the next one came. Returns what was there then, and when.
    fn tell_step(
        &mut self,
        (event, place): (Event, Option<usize>),
        areas: &[&Area],
        (before, before_at): (State, Duration),
        size: Figure<Bytes>,
    ) -> (State, Duration) {
        let after = State::absent(size, NOT_LOOKED);
        let cause = self.cause_at(place, event, Bytes(0), false);
        // It may have been at work already when the figures before were read.
        let at = cause.at.max(before_at);
        let cause = Cause { at, ..cause };
        let change = self.change(event, areas, before, after);
        let (pss, anonymous, cache) = (Err(NOT_LOOKED), Err(NOT_LOOKED), Err(NOT_LOOKED));
        self.tell(Change { before_at: Some(before_at), pss, anonymous, cache, ..change }, cause);
        (after, at)
    }

    fn change(&self, event: Event, areas: &[&Area], before: State, after: State) -> Change {
        Change {
            at: self.at,
            before_at: None,
            event,
            call: Err(UNMEASURED),
            area: areas.first().map(|area| hull(area, areas)),
            parts: mapped_parts(areas),
            before,
            after,
            pss: sum(areas.iter().copied(), |area| area.pss),
            anonymous: sum(areas.iter().copied(), |area| area.anonymous),
            cache: Err(UNMEASURED),
            asked: None,
        }
    }

    fn tell(&mut self, change: Change, Cause { at, call, asked }: Cause) {
        // A call that was still at work when it was looked at before: the rest was found now.
        let at = if change.before_at.is_some_and(|before| at < before) { self.at } else { at };
        self.changes.push(Change { at, call, asked, ..change });
    }

    fn cause(&mut self, event: Event, sides: &Sides<'_>) -> Cause {
        let place = self.find(event, sides);
        self.cause_at(place, event, sides.grown, has_same_size(sides.old, sides.new))
    }

    /// The call at a place of the list as a cause, or why there is none.
    fn cause_at(&mut self, place: Option<usize>, event: Event, grown: Bytes, is_as_long: bool) -> Cause {
        let without = |call: Absent| Cause { at: self.at, call: Err(call), asked: None };
        if let Some(absent) = self.rules.without_calls {
            return without(absent);
        }
        match place.and_then(|place| self.noted.get_mut(place)) {
            Some(noted) => {
                noted.is_used = true;
                Cause { at: noted.at, call: Ok(noted.call.word()), asked: asked(&noted.call) }
            }
            None => without(match event {
                Event::Went => self.rules.otherwise.unwrap_or(SMALL),
                Event::Grew if grown == Bytes(0) => TOUCHED,
                Event::Shrank if is_as_long => TAKEN,
                _ => SMALL,
            }),
        }
    }

    /// The place of the call that explains a change.
    fn find(&self, event: Event, sides: &Sides<'_>) -> Option<usize> {
        let Sides { old, new, grown, seen_at } = *sides;
        let is_as_long = has_same_size(old, new);
        // Of another program nothing is left, and what it called has made nothing of this one.
        let execute = self.noted.iter().rposition(|noted| self.is_new_program && noted.call == Call::Execute);
        let is_of_program = |place: usize| match (event, execute) {
            (Event::Went, Some(execute)) => place <= execute,
            (_, Some(execute)) => place >= execute,
            (_, None) => true,
        };
        // It makes one mapping.
        let is_spent = |noted: &Noted| noted.is_used && is_unseen(&noted.call);
        let is_protected = |noted: &Noted| matches!(noted.call, Call::Protect(..));
        // What it ended has a row already; it goes on only filling.
        let only_fills = |noted: &Noted| noted.call.is_long() && noted.frees.is_none();
        let explains = |noted: &Noted| match event {
            Event::Went | Event::Shrank if only_fills(noted) => false,
            Event::Appeared | Event::Grew if is_spent(noted) => false,
            Event::Appeared | Event::Grew if grown > Bytes(0) && is_protected(noted) => false,
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
                _ if only_fills(noted) => false,
                Call::Exit => true,
                Call::Execute => self.is_new_program,
                _ => takes(&noted.call, old),
            },
            Event::Grew | Event::Shrank | Event::Unseen => false,
        };
        let last = |is_it: &dyn Fn(&Noted) -> bool| {
            (0..).zip(&*self.noted).filter(|(place, noted)| is_of_program(*place) && is_it(noted)).last()
        };
        // What is gone went with the first that removes it; another one may have removed what came to its place.
        let mut calls = (0..).zip(&*self.noted);
        let first = calls.find(|(place, noted)| {
            event == Event::Went && is_of_program(*place) && noted.at >= seen_at && explains(noted)
        });
        let found = first.or_else(|| last(&explains)).or_else(|| last(&is_likely));
        found.or_else(|| last(&|noted| self.changes_access(noted, event, sides))).map(|(place, _)| place)
    }

    /// Whether a mapping can only be seen now because a call gave access to it: unless another one may have mapped it.
    /// Or it can be seen with the address space around it that has neither access nor memory, because it lost its
    /// access and the kernel joined both; or it can no longer, because it has access again.
    fn changes_access(&self, noted: &Noted, event: Event, sides: &Sides<'_>) -> bool {
        let Call::Protect(range, gives) = &noted.call else { return false };
        let is_of_joined = |area: &&Area| !area.has_access() && meet(range, &area.addresses);
        let may_be_of = |area: &Area| {
            let mut unused = self.noted.iter().filter(|noted| !noted.is_used);
            unused.any(|noted| is_part_of(&noted.call, area) && asked(&noted.call) > Some(area.size()))
        };
        let is_inside = |area: &&Area| common(range, &area.addresses) == area.addresses;
        match (event, *gives) {
            (Event::Appeared, true) => {
                sides.new.iter().all(|area| is_inside(area) && !area.is_of_execve && !may_be_of(area))
            }
            (Event::Grew, true) => sides.grown > Bytes(0) && sides.new.iter().any(|area| meet(range, &area.addresses)),
            (Event::Grew, false) => sides.grown > Bytes(0) && sides.new.iter().any(is_of_joined),
            (Event::Shrank, true) => sides.old.iter().any(is_of_joined),
            _ => false,
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

    /// A call that made the heap longer is seen if the heap still ends there or behind, and none has freed that since.
    fn mark_heap(&mut self) {
        let heap = self.areas.iter().rev().find(|area| area.kind == MappingKind::Heap);
        let heap_end = heap.map_or(0, |area| area.addresses.end);
        let mut freed_from = u64::MAX;
        for noted in self.noted.iter_mut().rev() {
            if let Call::Break(before, end) = noted.call {
                noted.is_used |= end <= heap_end.min(freed_from);
                if before.is_some_and(|before| end < before) {
                    freed_from = freed_from.min(end);
                }
            }
        }
    }

    /// The mappings that were asked for and never seen. If there is a new one without an explanation, it may be it.
    fn tell_unseen(&mut self) {
        if self.changes.iter().any(is_open) {
            return;
        }
        let is_over = is_over(self.at, &self.rules);
        let unseen = self.noted.iter_mut().filter(|noted| !noted.is_used && is_unseen(&noted.call)).filter(is_over);
        // A dynamic linker maps a library whole and then replaces most of it: what is left is seen, but small.
        let before = self.known.iter().map(|known| &known.area);
        let areas: Vec<&Area> = self.areas.iter().chain(before).collect();
        let unseen = unseen.filter(|noted| !has_part(&noted.call, &areas));
        let why = self.rules.unseen;
        self.changes.extend(unseen.map(|noted| {
            // Those that are remembered for longer are told once.
            noted.is_used = true;
            never_seen(noted, why)
        }));
    }

    /// The calls that must have freed pages of memory that is as full as it was.
    fn tell_undone(&mut self) {
        let (known, least, is_over) = (self.known, self.rules.least(), is_over(self.at, &self.rules));
        let areas = self.areas;
        let is_as_full = |known: &Known| {
            let is_it = |area: &&Area| meet(&known.area.addresses, &area.addresses) && known.area.is_same_memory(area);
            let now = State::of(areas.iter().filter(is_it));
            now.in_ram().is_ok_and(|now| known.told.in_ram().is_ok_and(|told| now >= told))
        };
        let had = |range: &Range<u64>, known: &Known| {
            let part = common(range, &known.area.addresses);
            let rest = known.area.size().saturating_sub(Bytes(part.end.saturating_sub(part.start)));
            known.told.in_ram().unwrap_or_default().saturating_sub(rest)
        };
        let undone = self.noted.iter_mut().filter(|noted| !noted.is_used).filter(is_over);
        let undone = undone.filter_map(|noted| {
            let Call::Drop(range) = &noted.call else { return None };
            let mut met = known.iter().filter(|known| meet(range, &known.area.addresses));
            // What has had a row since is not as it was.
            let found = met.find(|known| known.told_at <= noted.at && had(range, known) >= least)?;
            noted.is_used = true;
            is_as_full(found).then(|| Change { area: Some(found.area.clone()), ..never_seen(noted, UNDONE) })
        });
        self.changes.extend(undone);
    }
}

/// Whether no effect of a call can show any more at this time.
fn is_over(at: Duration, rules: &Rules) -> impl Fn(&&mut Noted) -> bool {
    let is_end = rules.otherwise.is_some();
    move |noted| is_end || at.saturating_sub(noted.at) >= LONGEST_CALL
}

/// Whether a change made something new that no call explains.
fn is_open(change: &Change) -> bool {
    change.call.is_err() && matches!(change.event, Event::Appeared | Event::Grew) && change.call != Err(TOUCHED)
}

/// The row of a call whose mapping was never seen.
fn never_seen(noted: &Noted, why: Absent) -> Change {
    let absent = State::absent(Err(why), why);
    Change {
        at: noted.at,
        before_at: None,
        event: Event::Unseen,
        call: Ok(noted.call.word()),
        area: None,
        parts: Vec::new(),
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

/// What is left of ranges outside of another one.
fn left_of(ranges: &[Range<u64>], freed: &Range<u64>) -> Vec<Range<u64>> {
    ranges.iter().flat_map(|range| without(range, std::slice::from_ref(freed))).collect()
}

/// What two ranges have in common; the end is not after the start if they have nothing in common.
fn common(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// The first of several mappings, with the addresses of all.
fn hull(first: &Area, areas: &[&Area]) -> Area {
    let end = areas.iter().map(|area| area.addresses.end).max().unwrap_or(first.addresses.end);
    Area { addresses: first.addresses.start..end, ..first.clone() }
}
