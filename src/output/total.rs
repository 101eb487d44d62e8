//! The total row: sums over exactly the rows that were shown, and how many of those had no figure to add.

use super::cell::Cell;
use super::column::{Column, RowKind, Sum};
use crate::units::{Absent, Reason, percent};

/// The sums of one table.
pub struct Totals<K: RowKind> {
    columns: Vec<Column<K>>,
    sums: Vec<Tally>,
    rows: u64,
}

/// The sum of one column.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    // 64 bits would not hold the lengths of three sparse files of 8 EiB.
    part: u128,
    whole: u128,
    known: u64,
    missing: u64,
}

/// What the total row says of one column.
#[derive(Clone, Copy)]
pub enum TotalCell {
    /// Nothing can be said: a name, an address.
    Blank,
    /// The sum, over rows of which `missing` had no figure: where that is not zero the sum is only a lower bound.
    Sum {
        /// The sum or share over the rows with a figure; absent where no row had one.
        cell: Cell<'static>,
        /// How many rows had no figure.
        missing: u64,
    },
}

impl<K: RowKind> Totals<K> {
    /// No rows yet.
    pub fn new(columns: &[Column<K>]) -> Self {
        Totals { columns: columns.to_vec(), sums: vec![Tally::default(); columns.len()], rows: 0 }
    }

    /// Adds one row.
    pub fn add(&mut self, row: &K::Row<'_>) {
        self.rows = self.rows.saturating_add(1);
        for (column, tally) in self.columns.iter().zip(&mut self.sums) {
            let addend = match column.sum {
                Sum::Nothing => continue,
                Sum::Add => match column.cell(row) {
                    // There is nothing to measure in this row, so the sum lacks nothing of it.
                    Cell::Absent(absent) if absent.reason == Reason::NotApplicable => continue,
                    cell => cell.addend().map(|number| (number, 0)),
                },
                Sum::Share(take) => take(row),
            };
            tally.add(addend);
        }
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What the total row says of each column, in the order of the columns.
    pub fn cells(&self) -> impl Iterator<Item = (&Column<K>, TotalCell)> {
        self.columns.iter().zip(&self.sums).map(|(column, tally)| (column, tally.cell(column, self.rows)))
    }
}

impl Tally {
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

    /// Part and whole in 64 bits; of sums that need more, without their last bits, which no share shows.
    fn share(&self) -> (u64, u64) {
        let shift = 64u32.saturating_sub(self.whole.max(self.part).leading_zeros());
        let cut = |sum: u128| u64::try_from(sum >> shift).unwrap_or(u64::MAX);
        (cut(self.part), cut(self.whole))
    }

    fn cell<K: RowKind>(&self, column: &Column<K>, rows: u64) -> TotalCell {
        let nothing_known = Absent::new(Reason::Unsupported, "no row has a figure for it");
        let none_applies = Absent::new(Reason::NotApplicable, "no row is of a kind that has it");
        let cell = match column.sum {
            Sum::Nothing => return TotalCell::Blank,
            _ if self.known == 0 && self.missing == 0 && rows > 0 => Cell::Absent(none_applies),
            _ if self.known == 0 && rows > 0 => Cell::Absent(nothing_known),
            Sum::Share(_) => {
                let empty = Absent::new(Reason::NotApplicable, "there is nothing to take a share of");
                let (part, whole) = self.share();
                percent(part, whole).map_or(Cell::Absent(empty), Cell::Percent)
            }
            Sum::Add => match u64::try_from(self.part) {
                Ok(sum) if column.kind == super::Kind::Bytes => Cell::Bytes(sum),
                Ok(sum) => Cell::Count(sum),
                Err(_) => Cell::Absent(Absent::new(Reason::Unsupported, "the sum does not fit 64 bits")),
            },
        };
        TotalCell::Sum { cell, missing: self.missing }
    }
}
