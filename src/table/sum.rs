//! The sum of one column, and how it was combined.

use super::cell::{Cell, Difference};
use crate::units::{Absent, Figure, Piece, Reason, TOO_LARGE, Union, percent};

/// The sum of one column.
#[derive(Debug, Clone)]
pub struct ColumnSum {
    how: How,
    // The lengths of three sparse files of 8 EiB do not fit into 64 bits.
    part: u128,
    whole: u128,
    union: Option<Box<Union>>,
    known: u64,
    missing: u64,
    /// How many rows at most have only a part of a union that is not known.
    maybe_unknown: u64,
    /// Why the first row without a figure has none.
    reason: Option<Reason>,
}

/// How the cells of a column are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Added up.
    Sum,
    /// Two sums, of what is more and of what is less: their difference.
    Net,
    /// Two sums, divided.
    Share,
    /// Added up, with what several rows share counted once.
    Union,
    /// The same, divided by something that they have in common.
    Part,
}

/// The total of one column.
#[derive(Clone, Copy)]
pub enum TotalCell {
    /// No total: a name, an address.
    Blank,
    /// The sum. If `missing` is not zero, it is only a lower bound; a share is then that of the other rows.
    Sum {
        /// The sum or share over the rows with a figure; absent if no row had one.
        cell: Cell<'static>,
        /// How many rows had no figure.
        missing: u64,
    },
}

impl ColumnSum {
    pub(super) fn new(how: How) -> ColumnSum {
        ColumnSum { how, part: 0, whole: 0, union: None, known: 0, missing: 0, maybe_unknown: 0, reason: None }
    }

    pub(super) fn add(&mut self, (part, whole): (u64, u64)) {
        self.part += u128::from(part);
        self.whole += u128::from(whole);
        self.known += 1;
    }

    /// The sum of one figure.
    pub(super) fn of(number: u64) -> ColumnSum {
        let mut sum = ColumnSum::new(How::Sum);
        sum.add((number, 0));
        sum
    }

    pub(super) fn unite(&mut self, piece: Piece) {
        self.union.get_or_insert_default().add(piece);
        self.known += 1;
        self.maybe_unknown += 1;
    }

    /// Adds a piece of `whole`, which is the same for all rows.
    pub(super) fn unite_part(&mut self, piece: Piece, whole: u64) {
        self.whole = u128::from(whole);
        self.unite(piece);
    }

    /// Notes that a row has no figure, and why if that is known.
    pub(super) fn lack(&mut self, reason: Option<Reason>) {
        self.missing = self.missing.saturating_add(1);
        self.reason = self.reason.or(reason);
    }

    /// Adds everything that was added to another sum.
    pub(super) fn merge(&mut self, other: &ColumnSum) {
        self.merge_known(other);
        self.missing = self.missing.saturating_add(other.missing);
        self.maybe_unknown += other.maybe_unknown;
    }

    fn merge_known(&mut self, other: &ColumnSum) {
        self.part += other.part;
        self.whole = if self.how == How::Part { self.whole.max(other.whole) } else { self.whole + other.whole };
        self.known += other.known;
        self.reason = self.reason.or(other.reason);
        if let Some(union) = &other.union {
            self.union.get_or_insert_default().merge(union);
        }
    }

    /// Adds the sum of a group, which is one row: if it lacks figures, the row lacks one.
    pub(super) fn merge_group(&mut self, group: Option<&ColumnSum>) {
        match group {
            Some(group) => {
                self.merge_known(group);
                self.missing += u64::from(group.missing > 0);
                self.maybe_unknown += u64::from(group.missing == 0 && group.unknown() > 0);
            }
            None => self.lack(None),
        }
    }

    /// Why some of its rows have no figure.
    pub(super) fn reason(&self) -> Reason {
        self.reason.unwrap_or(Reason::Unsupported)
    }

    /// The total of a column over so many rows, in bytes or as a bare number.
    pub(super) fn cell(&self, in_bytes: bool, rows: u64) -> TotalCell {
        let missing = self.missing.saturating_add(self.unknown().min(self.maybe_unknown));
        TotalCell::Sum { cell: self.known_cell(in_bytes, rows).unwrap_or_else(Cell::Absent), missing }
    }

    /// How many of the rows that were united have no figure.
    fn unknown(&self) -> u64 {
        self.union.as_ref().map_or(0, |union| union.unknown())
    }

    /// What is more without what is less; `None` if it does not fit into 63 bits.
    fn net(&self) -> Option<Cell<'static>> {
        let (more, less) = (i128::try_from(self.part).ok()?, i128::try_from(self.whole).ok()?);
        Some(Cell::Change(Difference::Bytes(i64::try_from(more - less).ok()?)))
    }

    fn known_cell(&self, in_bytes: bool, rows: u64) -> Figure<Cell<'static>> {
        const NONE_APPLIES: Absent = Absent::new(Reason::NotApplicable, "it does not apply to any row");
        const EMPTY: Absent = Absent::new(Reason::NotApplicable, "there is nothing to divide by");
        let unknown = self.unknown();
        match (self.known.saturating_sub(unknown), self.missing.saturating_add(unknown)) {
            (0, 0) if rows > 0 => return Err(NONE_APPLIES),
            (0, 1..) => return Err(Absent::new(self.reason(), "no row has a figure for it")),
            _ => {}
        }
        if self.how == How::Net {
            // The sum of the others may be more or less than that of all.
            let partly = Absent::new(self.reason(), "some rows have no figure for it");
            return if self.missing == 0 { self.net().ok_or(TOO_LARGE) } else { Err(partly) };
        }
        if self.how == How::Share {
            return percent(self.part, self.whole).map(Cell::Percent).ok_or(EMPTY);
        }
        let united = self.union.as_ref().map_or(Ok(0), |union| union.sum())?;
        if self.how == How::Part {
            return percent(united, self.whole).map(Cell::Percent).ok_or(EMPTY);
        }
        let sum = u64::try_from(self.part.saturating_add(united)).map_err(|_| TOO_LARGE)?;
        Ok(if in_bytes { Cell::Bytes(sum) } else { Cell::Count(sum) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::units::{Counted, PageRuns, Run};

    #[test]
    fn a_total_of_groups_lacks_no_more_rows_than_there_are_groups() {
        let group = |first: u64, rows: u64| {
            let mut sum = ColumnSum::new(How::Union);
            for row in 0..rows {
                let looked = Run { first: first + row, count: 1 };
                let counted = Counted::Among(Arc::new(PageRuns::from(looked)), None);
                sum.unite(Piece { of: 1, looked, figure: 0, each: 1, counted });
            }
            sum
        };
        let missing = |sum: &ColumnSum| match sum.cell(false, 1) {
            TotalCell::Sum { missing, .. } => missing,
            TotalCell::Blank => panic!(),
        };
        let groups = [group(0, 3), group(8, 2)];
        assert_eq!(groups.each_ref().map(missing), [3, 2]);
        let (mut of_groups, mut of_rows) = (ColumnSum::new(How::Union), ColumnSum::new(How::Union));
        for group in &groups {
            of_groups.merge_group(Some(group));
            of_rows.merge(group);
        }
        assert_eq!([missing(&of_groups), missing(&of_rows)], [2, 5]);
    }
}
