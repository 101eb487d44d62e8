//! Totals: sums over exactly the rows that are shown, and the number of rows without a figure.

use std::borrow::Cow;
use std::sync::Arc;

use super::cell::{Cell, Difference};
use super::column::{Aggregation, Column, RowKind};
use super::head::ColumnKind;
use super::shared::{Choice, Common, Counted};
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
    /// The memory that is counted already.
    counted: Counted,
    /// What the rows that are groups have in common.
    common: Vec<Arc<Common>>,
}

/// Which columns of a row are added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// All of them.
    All,
    /// Those that are about each process, though not about its memory.
    Each,
    /// The others.
    OfMemory,
}

const UNCLEAR: Absent = Absent::new(
    Reason::Unsupported,
    "groups have partly the same memory, because processes share it, and the group that has all of it is not shown",
);

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
        Totals { columns, sums, rows: 0, counted: Counted::default(), common: Vec::new() }
    }

    /// Adds one row. Of memory that another process shares, a row counts that is not counted as one of that process.
    pub fn add(&mut self, row: &K::Row) {
        let is_counted = K::spot(row).is_some_and(|spot| self.counted.enter(&spot, 0).is_some());
        self.rows = self.rows.saturating_add(1);
        self.common.extend(K::common(row).cloned());
        self.add_figures(row, if is_counted { Added::Each } else { Added::All });
    }

    /// Adds some columns of one row, wherever else its memory is counted.
    pub(super) fn add_some(&mut self, row: &K::Row, added: Added) {
        let is_counted = added == Added::All || (added == Added::OfMemory) == K::IS_OF_MEMORY;
        self.rows = self.rows.saturating_add(u64::from(is_counted));
        self.add_figures(row, added);
    }

    fn add_figures(&mut self, row: &K::Row, added: Added) {
        // Which of its sums count is known when all groups are.
        let is_later = K::common(row).is_some_and(|common| !common.doubles.is_empty());
        for (column, sum) in self.columns.iter().zip(&mut self.sums) {
            if added != Added::All && column.counts_each != (added == Added::Each) {
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
                    None => lack(sum, column.cell(row).absence()),
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
                Aggregation::Merge(..) if is_later => {}
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
        self.common.extend(other.common.iter().cloned());
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            sum.merge(other);
        }
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The sum of each column.
    pub(super) fn sums(&self) -> &[ColumnSum] {
        &self.sums
    }

    /// The total.
    pub fn row(&self) -> TotalRow {
        let choice = Choice::of(&self.common);
        let total = |(column, sum): (&Column<K>, &ColumnSum)| match column.aggregation {
            Aggregation::None => TotalCell::Blank,
            Aggregation::Merge(_, How::Sum | How::Net | How::Share) if choice.is_unclear && !column.counts_each => {
                TotalCell::Sum { cell: Cell::Absent(UNCLEAR), missing: 0 }
            }
            _ => self.with_common(column, sum, &choice).cell(column.kind() == ColumnKind::Bytes, self.rows),
        };
        TotalRow { rows: self.rows, cells: self.columns.iter().zip(&self.sums).map(total).collect() }
    }

    /// The sum of a column with those of the groups that share memory with others.
    fn with_common<'s>(&self, column: &Column<K>, sum: &'s ColumnSum, choice: &Choice<'_>) -> Cow<'s, ColumnSum> {
        let mut whole = Cow::Borrowed(sum);
        if !matches!(column.aggregation, Aggregation::Merge(..)) {
            return whole;
        }
        let place = column.argument as usize;
        for (common, counted) in
            self.common.iter().zip(&choice.counted).filter(|(common, _)| !common.doubles.is_empty())
        {
            let Some(mut group) = common.own.get(place).cloned() else { continue };
            counted.iter().filter_map(|double| double.sums.get(place)).for_each(|sum| group.merge(sum));
            whole.to_mut().merge_group(Some(&group));
        }
        whole
    }
}
