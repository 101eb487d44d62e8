//! Which rows are shown and in which order: `--filter`, `--sort`, `--top`, over any kind of row.

use std::cmp::Ordering;

use super::cell::Cell;
use super::column::{self, Column, RowKind};
use super::filter::Filter;
use crate::error::Result;

/// A column to sort by, and the direction.
pub struct Order<K: RowKind> {
    column: Column<K>,
    ascending: bool,
}

/// What of the rows is shown.
pub struct Selection<K: RowKind> {
    /// Which rows; all without one.
    pub filter: Option<Filter<K>>,
    /// In which order; as they come without one.
    pub order: Option<Order<K>>,
    /// How many at most.
    pub top: Option<usize>,
}

impl<K: RowKind> Order<K> {
    /// `COL`, largest first, or `-COL`, smallest first.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn parse(word: &str, table: &[Column<K>]) -> Result<Order<K>> {
        let (name, ascending) = split(word);
        let mut columns = column::select(table, &[&name.to_ascii_lowercase()])?;
        let column = columns.pop().ok_or_else(|| column::unknown(table, name))?;
        Ok(Order { column, ascending })
    }

    /// Which of two rows comes first: the largest, or the smallest if it is `ascending`; rows without a figure last.
    pub fn compare(&self, left: &K::Row<'_>, right: &K::Row<'_>) -> Ordering {
        compare_cells(&self.column.cell(left), &self.column.cell(right), self.ascending)
    }
}

/// The name of the column in what was typed behind `--sort`.
pub fn sort_name(word: &str) -> &str {
    split(word).0
}

fn split(word: &str) -> (&str, bool) {
    word.strip_prefix('-').map_or((word, false), |name| (name, true))
}

impl<K: RowKind> Selection<K> {
    /// The rows that are shown, in their order. Without an order nothing is held: each row goes out as it comes.
    pub fn choose<'r, 's>(
        &'s self,
        rows: impl Iterator<Item = K::Row<'r>> + 's,
    ) -> Box<dyn Iterator<Item = K::Row<'r>> + 's>
    where
        'r: 's,
    {
        let shown = rows.filter(move |row| self.filter.as_ref().is_none_or(|filter| filter.matches(row)));
        let Some(order) = &self.order else { return Box::new(shown.take(self.top.unwrap_or(usize::MAX))) };
        let mut ranking = Ranking::new(self.top, |left: &K::Row<'r>, right: &K::Row<'r>| order.compare(left, right));
        shown.for_each(|row| ranking.push(row));
        Box::new(ranking.finish().into_iter())
    }
}

/// How many rows are held at least before those that cannot be among the first are dropped.
const ROWS_HELD: usize = 1024;

/// Rows that are put in an order once all are there; where only the first ones are wanted, hardly more are ever held.
pub struct Ranking<T, F> {
    rows: Vec<T>,
    most: Option<usize>,
    compare: F,
}

impl<T, F: Fn(&T, &T) -> Ordering> Ranking<T, F> {
    /// Nothing yet; of what comes, the first `most` are kept.
    pub fn new(most: Option<usize>, compare: F) -> Self {
        Ranking { rows: Vec::new(), most, compare }
    }

    /// Adds one. Of those that are equal the one that came first stays first.
    pub fn push(&mut self, row: T) {
        self.rows.push(row);
        if self.most.is_some_and(|most| self.rows.len() >= most.saturating_mul(2).max(ROWS_HELD)) {
            self.settle();
        }
    }

    /// The rows in their order.
    pub fn finish(mut self) -> Vec<T> {
        self.settle();
        self.rows
    }

    fn settle(&mut self) {
        self.rows.sort_by(&self.compare);
        self.rows.truncate(self.most.unwrap_or(usize::MAX));
    }
}

/// The order of two cells of one column, for sorting: the largest first unless `ascending`; what has no figure always last.
fn compare_cells(left: &Cell<'_>, right: &Cell<'_>, ascending: bool) -> Ordering {
    let is_absent = |cell: &Cell<'_>| matches!(cell, Cell::Absent(_) | Cell::Remark(None));
    let order = match (left, right) {
        (left, right) if is_absent(left) || is_absent(right) => return is_absent(left).cmp(&is_absent(right)),
        (Cell::Percent(left), Cell::Percent(right)) => right.total_cmp(left),
        (Cell::Time(left), Cell::Time(right)) => right.cmp(left),
        (Cell::Address(left), Cell::Address(right)) | (Cell::Offset(left), Cell::Offset(right)) => right.cmp(left),
        // Names from A to Z: nobody wants them the other way first.
        (Cell::Text(left) | Cell::Named(left, _), Cell::Text(right) | Cell::Named(right, _)) => left.cmp(right),
        (Cell::Word(left), Cell::Word(right)) => left.cmp(right),
        (left, right) => right.addend().cmp(&left.addend()),
    };
    if ascending { order.reverse() } else { order }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_the_same_whether_or_not_the_others_were_dropped_on_the_way() {
        let numbers: Vec<u32> = (0..9999).map(|number| number * 7919 % 10_007 / 3).collect();
        let mut all = numbers.clone();
        all.sort();
        for most in [0, 1, 10, 5000, 20_000] {
            let mut ranking = Ranking::new(Some(most), |left: &u32, right: &u32| left.cmp(right));
            numbers.iter().for_each(|number| ranking.push(*number));
            assert!(ranking.rows.len() <= most.saturating_mul(2).max(ROWS_HELD));
            assert_eq!(ranking.finish(), all[..most.min(all.len())]);
        }
    }
}
