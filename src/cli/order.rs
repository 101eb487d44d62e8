//! Sorting rows by a column, and keeping the first of them.

use std::cmp::Ordering;

use super::Stop;
use crate::output::column::{self, Column, RowKind};

/// A column to sort by, and the direction.
pub(crate) struct Order<K: RowKind> {
    column: Column<K>,
    ascending: bool,
}

impl<K: RowKind> Order<K> {
    /// What `--sort` was given: a column's name, after a dash to have the smallest first. `id_of` knows other spellings.
    pub(crate) fn parse(word: &str, table: &[Column<K>], id_of: fn(&str) -> &str) -> Result<Order<K>, Stop> {
        let (name, ascending) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
        let found = column::select(table, &[id_of(name)]).map_err(Stop::Usage)?.into_iter().next();
        found.map(|column| Order { column, ascending }).ok_or_else(|| Stop::usage(word, "there is no such column"))
    }

    /// Which of two rows comes first: the largest, and rows without a figure last.
    pub(crate) fn compare(&self, left: &K::Row<'_>, right: &K::Row<'_>) -> Ordering {
        column::compare(&self.column.cell(left), &self.column.cell(right), self.ascending)
    }
}

/// How many rows are held at least before those that cannot be among the first are dropped.
const ROWS_HELD: usize = 1024;

/// Rows that are put in an order once all are there; where only the first ones are wanted, hardly more are ever held.
pub(crate) struct Ranking<T, F> {
    rows: Vec<T>,
    most: Option<usize>,
    compare: F,
}

impl<T, F: Fn(&T, &T) -> Ordering> Ranking<T, F> {
    /// Nothing yet; of what comes, the first `most` are kept.
    pub(crate) fn new(most: Option<usize>, compare: F) -> Self {
        Ranking { rows: Vec::new(), most, compare }
    }

    /// Adds one. Of those that are equal the one that came first stays first.
    pub(crate) fn push(&mut self, row: T) {
        self.rows.push(row);
        if self.most.is_some_and(|most| self.rows.len() >= most.saturating_mul(2).max(ROWS_HELD)) {
            self.settle();
        }
    }

    /// The rows in their order.
    pub(crate) fn finish(mut self) -> Vec<T> {
        self.settle();
        self.rows
    }

    fn settle(&mut self) {
        self.rows.sort_by(&self.compare);
        self.rows.truncate(self.most.unwrap_or(usize::MAX));
    }
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
