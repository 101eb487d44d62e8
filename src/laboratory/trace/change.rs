//! One change of what a program has mapped.

use std::time::Duration;

use super::area::{Area, sum};
use crate::pagecache::Method;
use crate::units::{Absent, ByteRange, Bytes, Figure};

/// What happened to a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was not there before.
    Appeared,
    /// It is longer, or more of it is in RAM.
    Grew,
    /// It is shorter, or less of it is in RAM.
    Shrank,
    /// It is no longer there.
    Went,
    /// It was asked for, and was not to be seen when the program was looked at next.
    Unseen,
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 5] = [Event::Appeared, Event::Grew, Event::Shrank, Event::Went, Event::Unseen];

    /// The event as one word, for tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Event::Appeared => "appeared",
            Event::Grew => "grew",
            Event::Shrank => "shrank",
            Event::Went => "went",
            Event::Unseen => "unseen",
        }
    }
}

/// The figures of a mapping at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Its length.
    pub size: Figure<Bytes>,
    /// How much of it is in RAM and mapped.
    pub rss: Figure<Bytes>,
    /// How much of it is in RAM and mapped as huge pages of hugetlbfs, which `Rss` does not count.
    pub hugetlb: Figure<Bytes>,
}

impl State {
    /// No mapping.
    pub(super) const NONE: State = State { size: Ok(Bytes(0)), rss: Ok(Bytes(0)), hugetlb: Ok(Bytes(0)) };

    /// The figures of several mappings together.
    pub(super) fn of<'a>(areas: impl Iterator<Item = &'a Area> + Clone) -> State {
        State {
            size: Ok(areas.clone().map(Area::size).sum()),
            rss: sum(areas.clone(), |area| area.rss),
            hugetlb: sum(areas, |area| area.hugetlb),
        }
    }

    /// The sum of figures.
    pub(super) fn sum(states: impl Iterator<Item = State>) -> State {
        let add = |one: Figure<Bytes>, other: Figure<Bytes>| Ok(one? + other?);
        states.fold(State::NONE, |all, one| State {
            size: add(all.size, one.size),
            rss: add(all.rss, one.rss),
            hugetlb: add(all.hugetlb, one.hugetlb),
        })
    }

    /// Of which nothing is known but perhaps the length.
    pub(super) fn absent(size: Figure<Bytes>, why: Absent) -> State {
        State { size, rss: Err(why), hugetlb: Err(why) }
    }

    /// How much is in RAM and mapped, with what `Rss` does not count, as far as that is known.
    pub(super) fn in_ram(&self) -> Figure<Bytes> {
        Ok(self.rss? + self.hugetlb.unwrap_or_default())
    }

    /// Whether something grew or shrank from here to `now`, and by how much its Size grew. A difference in Size counts
    /// more than one in Rss.
    pub(super) fn direction(&self, now: &State) -> (Event, Bytes) {
        let (size_before, size) = (self.size.unwrap_or_default(), now.size.unwrap_or_default());
        let grown = size.saturating_sub(size_before);
        let is_larger = if size == size_before { now.in_ram().ok() > self.in_ram().ok() } else { size > size_before };
        (if is_larger { Event::Grew } else { Event::Shrank }, grown)
    }

    /// The larger of the differences of Size and of what is in RAM.
    pub(super) fn distance(&self, other: &State) -> Figure<Bytes> {
        let between = |one: Figure<Bytes>, other: Figure<Bytes>| Ok(one?.0.abs_diff(other?.0));
        match (between(self.size, other.size), between(self.in_ram(), other.in_ram())) {
            (Ok(size), Ok(in_ram)) => Ok(Bytes(size.max(in_ram))),
            (Ok(known), Err(_)) | (Err(_), Ok(known)) => Ok(Bytes(known)),
            (Err(absent), Err(_)) => Err(absent),
        }
    }
}

/// The file behind a mapping, in the page cache: the part that is, or was, mapped.
#[derive(Debug, Clone, Copy)]
pub struct InCache {
    /// How much of it is cached.
    pub cached: Figure<Bytes>,
    /// How much of it has not been written to disk yet.
    pub dirty: Figure<Bytes>,
    /// How it was measured.
    pub method: Figure<Method>,
}

/// One change. The figures after it are those of the moment at which it was found, or of nothing if the mapping is
/// gone.
#[derive(Debug, Clone)]
pub struct Change {
    /// When it happened, after the start of the program: when the system call began, or when the change was found.
    pub at: Duration,
    /// When the figures before it were read; `None` if nothing was mapped before.
    pub before_at: Option<Duration>,
    /// What happened.
    pub event: Event,
    /// The name of the system call behind it.
    pub call: Figure<&'static str>,
    /// The mapping; of one that is gone, as it was seen last. `None` if it was never
    /// seen.
    pub area: Option<Area>,
    /// The parts of its file that are mapped, or were: what lies between them is not.
    pub(super) parts: Vec<ByteRange>,
    /// The figures before.
    pub before: State,
    /// The figures after.
    pub after: State,
    /// `Pss` after.
    pub pss: Figure<Bytes>,
    /// `Anonymous` after.
    pub anonymous: Figure<Bytes>,
    /// The file in the page cache, after; of a mapping that went, as it was when its system call was held, if it was.
    pub cache: Figure<InCache>,
    /// The length that the system call asked for, if it has one and names one.
    pub asked: Option<Bytes>,
}

impl InCache {
    /// The figures of several parts of a file together.
    pub(super) fn with(self, other: InCache) -> InCache {
        let add = |one: Figure<Bytes>, other: Figure<Bytes>| Ok(one? + other?);
        let (cached, dirty) = (add(self.cached, other.cached), add(self.dirty, other.dirty));
        InCache { cached, dirty, method: self.method.and(other.method) }
    }
}

impl Change {
    /// By how much: the larger of the differences of Size and of Rss with huge pages of hugetlbfs. What was never seen
    /// has none, however much was asked for: the call may have failed.
    pub fn amount(&self) -> Figure<Bytes> {
        self.before.distance(&self.after)
    }
}
