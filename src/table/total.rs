//! Totals: sums over exactly the rows that are shown, and the number of rows without a figure.

use std::sync::Arc;

use super::cell::Cell;
use super::column::{Aggregation, Column, ColumnKind, RowKind};
use crate::units::{Absent, Reason, percent};

/// The sums over rows of one kind.
pub struct Totals<K: RowKind> {
    columns: Arc<[Column<K>]>,
    sums: Vec<ColumnSum>,
    rows: u64,
}

/// The sum of one column.
#[derive(Debug, Clone, Copy, Default)]
struct ColumnSum {
    // The lengths of three sparse files of 8 EiB do not fit into 64 bits.
    part: u128,
    whole: u128,
    known: u64,
    missing: u64,
}

/// The total of one column.
#[derive(Clone, Copy)]
pub enum TotalCell {
    /// No total: a name, an address.
    Blank,
    /// The sum. If `missing` is not zero, it is only a lower bound.
    Sum {
        /// The sum or share over the rows with a figure; absent if no row had one.
        cell: Cell<'static>,
        /// How many rows had no figure.
        missing: u64,
    },
}

/// A finished total.
#[derive(Clone)]
pub struct TotalRow {
    /// The number of rows that it covers.
    pub rows: u64,
    /// The total of each column, in order.
    pub cells: Vec<TotalCell>,
}

impl<K: RowKind> Totals<K> {
    /// No rows yet.
    pub fn new(columns: &[Column<K>]) -> Self {
        Totals { columns: columns.into(), sums: vec![ColumnSum::default(); columns.len()], rows: 0 }
    }

    /// The same columns, and no rows yet.
    pub fn emptied(&self) -> Self {
        Totals { columns: self.columns.clone(), sums: vec![ColumnSum::default(); self.columns.len()], rows: 0 }
    }

    /// Adds one row.
    pub fn add(&mut self, row: &K::Row) {
        self.rows = self.rows.saturating_add(1);
        for (column, sum) in self.columns.iter().zip(&mut self.sums) {
            let addend = match column.aggregation {
                Aggregation::None => continue,
                Aggregation::Sum => match column.cell(row) {
                    // The figure does not apply to this row, so the sum is still complete.
                    Cell::Absent(absent) if absent.reason == Reason::NotApplicable => continue,
                    cell => cell.addend().map(|number| (number, 0)),
                },
                Aggregation::Share(take) => take(row),
            };
            sum.add(addend);
        }
    }

    /// Adds the rows of another total over the same columns.
    pub fn merge(&mut self, other: &Totals<K>) {
        self.rows = self.rows.saturating_add(other.rows);
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            sum.part += other.part;
            sum.whole += other.whole;
            sum.known += other.known;
            sum.missing += other.missing;
        }
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The total.
    pub fn row(&self) -> TotalRow {
        let cells = self.columns.iter().zip(&self.sums).map(|(column, sum)| sum.cell(column, self.rows));
        TotalRow { rows: self.rows, cells: cells.collect() }
    }
}

impl ColumnSum {
    fn add(&mut self, addend: Option<(u64, u64)>) {
        match addend {
            Some((part, whole)) => {
                self.part += u128::from(part);
                self.whole += u128::from(whole);
                self.known += 1;
            }
            None => self.missing += 1,
        }
    }

    /// Part and whole in 64 bits. Larger sums lose their last bits, which do not affect the percentage.
    fn share(&self) -> (u64, u64) {
        let shift = 64u32.saturating_sub(self.whole.max(self.part).leading_zeros());
        let cut = |sum: u128| u64::try_from(sum >> shift).unwrap_or(u64::MAX);
        (cut(self.part), cut(self.whole))
    }

    fn cell<K: RowKind>(&self, column: &Column<K>, rows: u64) -> TotalCell {
        let nothing_known = Absent::new(Reason::Unsupported, "no row has a figure for it");
        let none_applies = Absent::new(Reason::NotApplicable, "it does not apply to any row");
        let cell = match column.aggregation {
            Aggregation::None => return TotalCell::Blank,
            _ if self.known == 0 && self.missing == 0 && rows > 0 => Cell::Absent(none_applies),
            _ if self.known == 0 && rows > 0 => Cell::Absent(nothing_known),
            Aggregation::Share(_) => {
                let empty = Absent::new(Reason::NotApplicable, "there is nothing to divide by");
                let (part, whole) = self.share();
                percent(part, whole).map_or(Cell::Absent(empty), Cell::Percent)
            }
            Aggregation::Sum => match u64::try_from(self.part) {
                Ok(sum) if column.kind() == ColumnKind::Bytes => Cell::Bytes(sum),
                Ok(sum) => Cell::Count(sum),
                Err(_) => Cell::Absent(Absent::new(Reason::Unsupported, "the sum does not fit into 64 bits")),
            },
        };
        TotalCell::Sum { cell, missing: self.missing }
    }
}
