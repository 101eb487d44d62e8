//! Sorts rows and selects the first of them (`--sort`, `--top`), for any kind of row.

use std::cmp::Ordering;

use super::cell::Cell;
use super::column::{self, Column, RowKind};
use super::head::ColumnKind;
use crate::error::{Error, ErrorKind, Result, Subject};

/// A column to sort by, and the direction.
pub struct Order<K: RowKind> {
    column: Column<K>,
    ascending: bool,
    /// Whether a change is as large as it is far from zero.
    by_size: bool,
}

impl<K: RowKind> Order<K> {
    /// `COL`, largest first, or `-COL`, smallest first. A column may also be named by its title.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn parse(word: &str, table: &[Column<K>]) -> Result<Order<K>> {
        let (name, ascending) = split(word);
        let name = name.to_ascii_lowercase();
        let found = column::find(table, &name).or_else(|| column::find_titled(table, &name));
        let column = found.cloned().ok_or_else(|| column::unknown(table, &name))?;
        match column.kind() {
            ColumnKind::Strip(_) | ColumnKind::Bars | ColumnKind::Flags => {
                Err(Error::new(Subject::Words(name), ErrorKind::Refused, "rows cannot be sorted by this column"))
            }
            _ => Ok(Order { column, ascending, by_size: false }),
        }
    }

    /// The order of rows for which none was requested: the largest by this column first. Changes are in the order of
    /// their sizes, whether they are more or less.
    ///
    /// # Errors
    /// A column that the table does not have.
    pub fn usual(id: &str, table: &[Column<K>]) -> Result<Order<K>> {
        Ok(Order { by_size: true, ..Order::parse(id, table)? })
    }

    /// The column to sort by.
    pub fn column(&self) -> &Column<K> {
        &self.column
    }

    /// Whether the largest comes first. The largest change may be less than zero.
    pub fn is_largest_first(&self) -> bool {
        !self.ascending && (self.by_size || self.column.kind() != ColumnKind::Change)
    }

    /// Compares two rows: the larger comes first, or the smaller if `ascending`; rows without a figure come last.
    pub fn compare(&self, left: &K::Row, right: &K::Row) -> Ordering {
        let (one, other) = (self.column.cell(left), self.column.cell(right));
        let order = match (&one, &other) {
            (Cell::Change(one), Cell::Change(other)) if !self.by_size => {
                let order = other.compare(*one);
                if self.ascending { order.reverse() } else { order }
            }
            _ => compare_cells(&one, &other, self.ascending),
        };
        if is_absent(&one) && is_absent(&other) {
            order.then_with(|| K::order_without_figure(left, right))
        } else {
            order
        }
    }
}

fn split(word: &str) -> (&str, bool) {
    word.strip_prefix('-').map_or((word, false), |name| (name, true))
}

/// How many rows are held before those that cannot be among the first N are dropped.
const ROWS_HELD: usize = 1024;

/// Rows that are sorted when all have arrived. If only the first N are wanted, few more than N are held.
pub struct Ranking<T, F> {
    rows: Vec<T>,
    most: Option<usize>,
    compare: F,
}

impl<T, F: Fn(&T, &T) -> Ordering> Ranking<T, F> {
    /// An empty ranking that keeps the first `most` rows.
    pub fn new(most: Option<usize>, compare: F) -> Self {
        Ranking { rows: Vec::new(), most, compare }
    }

    /// Adds a row. Equal rows keep their original order.
    pub fn push(&mut self, row: T) {
        self.rows.push(row);
        if self.most.is_some_and(|most| self.rows.len() >= most.saturating_mul(2).max(ROWS_HELD)) {
            self.settle();
        }
    }

    /// The sorted rows.
    pub fn finish(mut self) -> Vec<T> {
        self.settle();
        self.rows
    }

    fn settle(&mut self) {
        self.rows.sort_by(&self.compare);
        self.rows.truncate(self.most.unwrap_or(usize::MAX));
    }
}

fn is_absent(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Remark(None) => true,
        cell => cell.absence().is_some() && cell.rank().is_none(),
    }
}

/// Compares two cells of one column: the larger comes first unless `ascending`; absent figures always come last.
pub(super) fn compare_cells(left: &Cell<'_>, right: &Cell<'_>, ascending: bool) -> Ordering {
    let order = match (left, right) {
        (left, right) if is_absent(left) || is_absent(right) => return is_absent(left).cmp(&is_absent(right)),
        (Cell::Percent(left), Cell::Percent(right)) => right.total_cmp(left),
        (Cell::Time(left), Cell::Time(right)) => right.cmp(left),
        // The largest change first, whether it is more or less.
        (Cell::Change(left), Cell::Change(right)) => right.compare_sizes(*left),
        (Cell::Address(left), Cell::Address(right)) | (Cell::Offset(left), Cell::Offset(right)) => right.cmp(left),
        // Text is sorted from A to Z, because the reverse is rarely wanted.
        (left, right) => match (left.rank(), right.rank()) {
            (None, None) => left.with_text(|left| right.with_text(|right| left.cmp(right))),
            (left, right) => right.cmp(&left),
        },
    };
    if ascending { order.reverse() } else { order }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_rows_early_does_not_change_the_first_rows() {
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
