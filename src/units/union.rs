//! Sums of figures that rows may share: the cached pages of a file that is mapped twice are cached once.
//!
//! A row of a table gives the places that it has looked at ([`Piece`]). As long as no two rows have looked at the same
//! place, the sum is that of their figures. Where they have, the places themselves are united.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::{Absent, Figure, PageRuns, Reason, Run};

/// Places that count. They may be found out after the row was made, when another row turns out to share them.
pub type Places = Arc<OnceLock<Figure<PageRuns>>>;

/// What a row adds to a union.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What the places belong to: rows with the same number may share places.
    pub of: u64,
    /// The places that the row has looked at.
    pub looked: Run,
    /// The row's own figure: that of its places which count.
    pub figure: u64,
    /// The figure of one place.
    pub each: u64,
    /// Which places count.
    pub counted: Counted,
}

/// Which of the places that rows have looked at count.
#[derive(Debug, Clone)]
pub enum Counted {
    /// All of them.
    All,
    /// These.
    Only(Places),
    /// The first ones, except those that are among the second ones of any row.
    Except(Places, Places),
    /// All of them, and this figure already includes those of the rows whose places lie within this row's: of such
    /// rows only the outermost count.
    Outermost(u64),
    /// An amount within these places, but where in them is not known. `None`: the amount is not known either.
    Among(Arc<PageRuns>, Option<u64>),
}

/// The pieces of many rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Union {
    things: HashMap<u64, Thing>,
}

/// The pieces of one thing.
#[derive(Debug, Clone, Default)]
struct Thing {
    sum: u128,
    each: u64,
    /// Rows that count the same places, with what they have looked at.
    parts: Vec<(Counted, Vec<Run>)>,
}

const UNKNOWN: Absent =
    Absent::new(Reason::Unsupported, "mappings share pages, and which of them count was not found out");

const OVERLAP: Absent = Absent::new(Reason::Unsupported, "these are parts of the same memory, and may overlap");

impl Union {
    pub(crate) fn add(&mut self, piece: Piece) {
        let thing = self.things.entry(piece.of).or_default();
        thing.sum += u128::from(piece.figure);
        thing.each = piece.each;
        match thing.parts.last_mut().filter(|(counted, _)| counted.is_same(&piece.counted)) {
            Some((_, looked)) => looked.push(piece.looked),
            None => thing.parts.push((piece.counted, vec![piece.looked])),
        }
    }

    pub(crate) fn merge(&mut self, other: &Union) {
        for (of, other) in &other.things {
            let thing = self.things.entry(*of).or_default();
            thing.sum += other.sum;
            thing.each = other.each;
            thing.parts.extend(other.parts.iter().cloned());
        }
    }

    /// The sum over all rows, with each place counted once.
    ///
    /// # Errors
    /// Rows share places, and which of them count is not known.
    pub(crate) fn sum(&self) -> Figure<u128> {
        self.things.values().try_fold(0, |sum, thing| Ok(sum + thing.sum()?))
    }

    /// How many rows have an unknown amount that no other row has counted: the sum is then a lower bound.
    pub(crate) fn unknown(&self) -> u64 {
        self.things.values().map(Thing::unknown).sum()
    }
}

impl Thing {
    fn sum(&self) -> Figure<u128> {
        let looked = || self.parts.iter().flat_map(|(_, looked)| looked).copied();
        let (all, together): (PageRuns, u128) = (looked().collect(), looked().map(|run| u128::from(run.count)).sum());
        if u128::from(all.cached().0) == together {
            return Ok(self.sum);
        }
        if self.parts.iter().any(|(counted, _)| matches!(counted, Counted::Outermost(_))) {
            return Ok(self.outermost());
        }
        let (mut counted, mut excepted) = (Vec::new(), Vec::new());
        for (places, looked) in &self.parts {
            let looked: PageRuns = looked.iter().copied().collect();
            match places {
                Counted::All | Counted::Outermost(_) => counted.extend(&looked),
                Counted::Only(only) => counted.extend(&known(only)?.intersect(&looked)),
                Counted::Except(only, except) => {
                    counted.extend(&known(only)?.intersect(&looked));
                    excepted.extend(&known(except)?.intersect(&looked));
                }
                Counted::Among(..) => {}
            }
        }
        let (counted, excepted): (PageRuns, PageRuns) = (counted.into_iter().collect(), excepted.into_iter().collect());
        let some = self.some_besides(&counted)?;
        Ok(u128::from(counted.subtract(&excepted).cached().0) * u128::from(self.each) + some)
    }

    fn unknown(&self) -> u64 {
        let unknown = self.parts.iter().filter_map(|(counted, _)| match counted {
            Counted::Among(among, None) => Some(among),
            _ => None,
        });
        let all = self.parts.iter().filter(|(counted, _)| matches!(counted, Counted::All));
        let counted: PageRuns = all.flat_map(|(_, looked)| looked).copied().collect();
        unknown.filter(|among| !is_counted(among, &counted)).count() as u64
    }

    /// What is known only by its amount, and not among `counted`.
    fn some_besides(&self, counted: &PageRuns) -> Figure<u128> {
        let (mut sum, mut others) = (0, PageRuns::default());
        for (counting, _) in &self.parts {
            let Counted::Among(among, Some(amount @ 1..)) = counting else { continue };
            if is_counted(among, counted) {
                continue;
            }
            let besides = among.subtract(counted);
            if besides != **among || !besides.intersect(&others).is_empty() {
                return Err(OVERLAP);
            }
            sum += u128::from(*amount);
            others = others.iter().chain(&besides).copied().collect();
        }
        Ok(sum)
    }

    /// The sum over the rows that are not within another one.
    fn outermost(&self) -> u128 {
        let rows = self.parts.iter().flat_map(|(counted, looked)| {
            let figure = if let Counted::Outermost(figure) = counted { *figure } else { 0 };
            looked.iter().map(move |run| (run.first, std::cmp::Reverse(run.end()), figure))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable();
        let (mut sum, mut covered) = (0, 0);
        for (first, std::cmp::Reverse(end), figure) in rows {
            if first >= covered {
                sum += u128::from(figure);
                covered = end;
            }
        }
        sum
    }
}

/// Whether what is within these places is counted with `counted`.
fn is_counted(among: &PageRuns, counted: &PageRuns) -> bool {
    among.subtract(counted).is_empty() && !(among.is_empty() && counted.is_empty())
}

fn known(places: &Places) -> Figure<&PageRuns> {
    places.get().ok_or(UNKNOWN)?.as_ref().map_err(|absent| *absent)
}

impl Counted {
    fn is_same(&self, other: &Counted) -> bool {
        match (self, other) {
            (Counted::All, Counted::All) => true,
            (Counted::Only(one), Counted::Only(other)) => Arc::ptr_eq(one, other),
            (Counted::Except(one, less), Counted::Except(other, other_less)) => {
                Arc::ptr_eq(one, other) && Arc::ptr_eq(less, other_less)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(runs: &[(u64, u64)]) -> Places {
        let runs: PageRuns = runs.iter().map(|(first, count)| Run { first: *first, count: *count }).collect();
        Arc::new(OnceLock::from(Ok(runs)))
    }

    fn piece(of: u64, first: u64, count: u64, figure: u64, counted: Counted) -> Piece {
        Piece { of, looked: Run { first, count }, figure, each: 10, counted }
    }

    fn sum(pieces: impl IntoIterator<Item = Piece>) -> Figure<u128> {
        let mut union = Union::default();
        pieces.into_iter().for_each(|piece| union.add(piece));
        union.sum()
    }

    #[test]
    fn rows_that_share_nothing_are_added_up_although_nothing_else_is_known() {
        let unknown = Counted::Only(Places::default());
        assert_eq!(sum([piece(1, 0, 4, 30, unknown.clone()), piece(1, 4, 4, 25, unknown)]), Ok(55));
    }

    #[test]
    fn a_place_counts_once() {
        let cached = Counted::Only(places(&[(1, 2), (6, 9)]));
        let twice = [piece(1, 0, 8, 40, cached.clone()), piece(1, 2, 8, 50, cached.clone())];
        assert_eq!(sum(twice.clone()), Ok(60));
        assert_eq!(sum([piece(1, 0, 8, 80, Counted::All), piece(1, 2, 8, 80, Counted::All)]), Ok(100));
        // Another thing has its own places.
        assert_eq!(sum(twice.into_iter().chain([piece(2, 0, 8, 7, cached)])), Ok(67));
    }

    #[test]
    fn what_any_row_excepts_is_excepted() {
        let cached = places(&[(0, 8)]);
        let rest = |mapped| Counted::Except(cached.clone(), places(mapped));
        assert_eq!(sum([piece(1, 0, 8, 50, rest(&[(0, 3)])), piece(1, 0, 8, 60, rest(&[(2, 2)]))]), Ok(40));
    }

    #[test]
    fn a_figure_that_includes_others_counts_without_them() {
        let row = |first, count, figure| piece(0, first, count, figure, Counted::Outermost(figure));
        // 0 to 9 includes 1 to 4, which includes 2; 10 stands alone.
        let (all, inner, leaf, alone) = (row(0, 10, 100), row(1, 4, 60), row(2, 1, 50), row(10, 1, 7));
        assert_eq!(sum([leaf.clone(), alone.clone(), all, inner.clone()]), Ok(107));
        assert_eq!(sum([leaf.clone(), inner, alone.clone()]), Ok(67));
        assert_eq!(sum([leaf, alone]), Ok(57));
    }

    #[test]
    fn shared_places_that_are_not_known_have_no_sum() {
        let unknown = || Counted::Only(Places::default());
        assert_eq!(sum([piece(1, 0, 8, 40, unknown()), piece(1, 2, 8, 50, unknown())]), Err(UNKNOWN));
    }

    #[test]
    fn an_amount_among_places_counts_unless_they_are_counted_or_it_may_overlap() {
        let among = |first, count, amount: Option<u64>| {
            let places = Arc::new(PageRuns::from(Run { first, count }));
            let figure = amount.unwrap_or_default();
            Piece { each: 1, ..piece(0, first, count, figure, Counted::Among(places, amount)) }
        };
        let all = |first, count| Piece { each: 1, ..piece(0, first, count, count, Counted::All) };
        let bound = |pieces: &[Piece]| {
            let mut union = Union::default();
            pieces.iter().for_each(|piece| union.add(piece.clone()));
            (union.sum(), union.unknown())
        };
        assert_eq!(bound(&[all(0, 8), among(0, 8, Some(3)), among(2, 4, None)]), (Ok(8), 0));
        assert_eq!(bound(&[all(0, 8), among(8, 4, None), among(6, 4, None)]), (Ok(8), 2));
        assert_eq!((bound(&[among(0, 8, None)]), bound(&[among(0, 0, None)])), ((Ok(0), 1), (Ok(0), 1)));
        assert_eq!(sum([among(0, 8, Some(3)), among(8, 4, Some(4))]), Ok(7));
        assert_eq!(sum([among(0, 8, Some(3)), among(4, 8, Some(4))]), Err(OVERLAP));
        assert_eq!(sum([among(0, 8, Some(3)), among(4, 8, Some(0))]), Ok(3));
        assert_eq!(sum([all(0, 4), among(0, 8, Some(3))]), Err(OVERLAP));
    }

    #[test]
    fn unions_are_merged_whatever_their_order() {
        let cached = Counted::Only(places(&[(1, 2), (6, 9)]));
        let (mut one, mut other) = (Union::default(), Union::default());
        one.add(piece(1, 0, 8, 40, cached.clone()));
        other.add(piece(1, 2, 8, 50, cached));
        one.merge(&other);
        assert_eq!(one.sum(), Ok(60));
    }
}
