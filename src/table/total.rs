//! Totals: sums over exactly the rows that are shown, and the number of rows without a figure.

use std::collections::HashMap;
use std::sync::Arc;

use super::cell::{Cell, Difference};
use super::column::{Aggregation, Column, RowKind};
use super::head::ColumnKind;
use super::sum::{ColumnSum, How, TotalCell};
use crate::units::{Absent, Reason};

/// Notes that a row has no figure. One that does not apply to the row leaves the sum complete.
fn lack(sum: &mut ColumnSum, absent: Option<Absent>) {
    if absent.is_none_or(|absent| absent.reason != Reason::NotApplicable) {
        sum.lack(absent.map(|absent| absent.reason));
    }
}

/// Notes that a row has only a part of its figure.
fn lack_if_bound(sum: &mut ColumnSum, cell: &Cell<'_>) {
    if matches!(cell, Cell::Known(_)) {
        sum.lack(None);
    }
}

/// The sums over rows of one kind.
pub struct Totals<K: RowKind> {
    columns: Arc<[Column<K>]>,
    sums: Vec<ColumnSum>,
    rows: u64,
    /// The memory that is counted already, and as that of which process.
    counted: HashMap<u64, u32>,
    /// Whether rows were added that are not about any memory of a process.
    has_others: bool,
    /// For rows about several address spaces: each one, with the process that it is counted under.
    several: HashMap<u64, u32>,
    /// Whether two rows count the same address space.
    is_repeated: bool,
}

const REPEATED: Absent =
    Absent::new(Reason::Unsupported, "processes of several groups share their memory, which would count twice");

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
        Totals::over(columns.into())
    }

    /// The same columns, and no rows yet.
    pub fn emptied(&self) -> Self {
        Totals::over(self.columns.clone())
    }

    fn over(columns: Arc<[Column<K>]>) -> Self {
        let sums = columns.iter().map(|column| ColumnSum::new(column.aggregation.how())).collect();
        let (counted, several) = (HashMap::new(), HashMap::new());
        Totals { columns, sums, rows: 0, counted, several, has_others: false, is_repeated: false }
    }

    /// Adds one row.
    pub fn add(&mut self, row: &K::Row) {
        self.rows = self.rows.saturating_add(1);
        let shared = K::memory(row).zip(K::process(row));
        self.has_others |= shared.is_none();
        let is_counted =
            shared.is_some_and(|(memory, process)| *self.counted.entry(memory).or_insert(process) != process);
        for (memory, process) in K::memories(row).iter().filter(|_| !is_counted) {
            self.is_repeated |= self.several.entry(*memory).or_insert(*process) != process;
        }
        for (column, sum) in self.columns.iter().zip(&mut self.sums) {
            if is_counted && !column.counts_each {
                continue;
            }
            match column.aggregation {
                Aggregation::None => {}
                Aggregation::Sum => {
                    let cell = column.cell(row);
                    match cell.addend() {
                        Some(number) => sum.add((number, 0)),
                        None => lack(sum, cell.absence()),
                    }
                    lack_if_bound(sum, &cell);
                }
                Aggregation::Net => match column.cell(row) {
                    Cell::Change(Difference::Bytes(by)) => {
                        let size = by.unsigned_abs();
                        sum.add(if by < 0 { (0, size) } else { (size, 0) });
                    }
                    cell => lack(sum, cell.absence()),
                },
                Aggregation::Share(take) => match take(row) {
                    Some(shares) => sum.add(shares),
                    None => sum.lack(None),
                },
                Aggregation::Union(take) => {
                    match take(row, column.argument) {
                        Ok(piece) => sum.unite(piece),
                        Err(absent) => lack(sum, Some(absent)),
                    }
                    lack_if_bound(sum, &column.cell(row));
                }
                Aggregation::Part(take, whole) => match take(row, column.argument) {
                    Ok(piece) => sum.unite_part(piece, whole(row)),
                    Err(absent) => lack(sum, Some(absent)),
                },
                Aggregation::Merge(take, _) => sum.merge_group(take(row, column.argument)),
            }
        }
    }

    /// Notes that a row is missing, because what it would be about could not be read.
    pub fn lose(&mut self) {
        self.sums.iter_mut().for_each(|sum| sum.lack(None));
    }

    /// Adds the rows of another total over the same columns.
    pub fn merge(&mut self, other: &Totals<K>) {
        self.rows = self.rows.saturating_add(other.rows);
        self.is_repeated |= other.is_repeated;
        self.has_others |= other.has_others;
        for (memory, process) in &other.several {
            self.is_repeated |= self.several.entry(*memory).or_insert(*process) != process;
        }
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            sum.merge(other);
        }
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The memory that is counted, and as that of which process.
    pub(super) fn counted(&self) -> impl Iterator<Item = (u64, u32)> {
        self.counted.iter().map(|(memory, process)| (*memory, *process))
    }

    /// The memory that all rows are about, if it is the same one.
    pub(super) fn memory(&self) -> Option<u64> {
        let mut counted = self.counted.keys();
        counted.next().copied().filter(|_| counted.next().is_none() && !self.has_others)
    }

    /// The sum of each column.
    pub(super) fn into_sums(self) -> Vec<ColumnSum> {
        self.sums
    }

    /// The total.
    pub fn row(&self) -> TotalRow {
        let total = |(column, sum): (&Column<K>, &ColumnSum)| match column.aggregation {
            Aggregation::None => TotalCell::Blank,
            Aggregation::Merge(_, How::Sum | How::Net | How::Share) if self.is_repeated && !column.counts_each => {
                TotalCell::Sum { cell: Cell::Absent(REPEATED), missing: 0 }
            }
            _ => sum.cell(column.kind() == ColumnKind::Bytes, self.rows),
        };
        TotalRow { rows: self.rows, cells: self.columns.iter().zip(&self.sums).map(total).collect() }
    }
}
