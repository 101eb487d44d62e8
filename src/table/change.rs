//! What changed between two rounds of a repeated query, for any kind of row.
//!
//! Rows of two rounds belong together if they have the same identity (a path, or a pid and an address), which their
//! kind defines. Rows that were there before are compared figure by figure; rows that appeared or disappeared are
//! marked.

use std::collections::HashMap;

use super::cell::{Cell, Difference, SizeUnit};
use super::column::{Column, RowKind};
use super::head::ColumnKind;
use super::sum::TotalCell;
use crate::units::{Absent, Reason};

/// What happened to a row since the previous round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// There was no previous round.
    First,
    /// It is unchanged.
    Same,
    /// At least one cell is different.
    Changed,
    /// It was not there before.
    New,
    /// It is no longer there; its figures are those of the previous round.
    Gone,
}

impl Fate {
    /// As one word; `None` if the row needs no mark.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Fate::First | Fate::Same => None,
            Fate::Changed => Some("changed"),
            Fate::New => Some("new"),
            Fate::Gone => Some("gone"),
        }
    }
}

/// The rows of one round.
pub struct Look<R> {
    /// Every row, shown or not: this distinguishes a row that disappeared from one that is just no longer shown.
    pub all: Vec<R>,
    /// The rows that are shown, in order, as indexes into `all`.
    pub shown: Vec<usize>,
}

/// One row to be shown, and the same row of the previous round.
pub struct Compared<'l, R> {
    /// The row; if it is gone, that of the previous round.
    pub row: &'l R,
    /// The same row in the previous round.
    pub before: Option<&'l R>,
    /// What happened to it.
    pub fate: Fate,
}

impl<R> Look<R> {
    fn shown(&self) -> impl Iterator<Item = &R> {
        self.shown.iter().filter_map(|place| self.all.get(*place))
    }
}

const LOWER_BOUND: Absent = Absent::new(Reason::Unsupported, "some rows have no figure for it");
const NOTHING_BEFORE: Absent = Absent::new(Reason::NotApplicable, "there is no previous figure");

/// The rows of a round: those that are shown, in order, then those that were shown before and are gone. A row that
/// still exists but is no longer shown is left out.
///
/// If several rows have the same identity, the first of one round belongs to the first of the other, and so on.
pub fn compare<'l, K: RowKind>(
    columns: &[Column<K>],
    before: Option<&'l Look<K::Row>>,
    now: &'l Look<K::Row>,
) -> Vec<Compared<'l, K::Row>> {
    let Some(before) = before else {
        return now.shown().map(|row| Compared { row, before: None, fate: Fate::First }).collect();
    };
    let mut earlier: HashMap<Vec<u8>, Vec<&K::Row>> = HashMap::new();
    before.all.iter().rev().for_each(|row| earlier.entry(K::identity(row)).or_default().push(row));
    let mut rows = Vec::with_capacity(now.shown.len());
    for row in now.shown() {
        let before = earlier.get_mut(&K::identity(row)).and_then(Vec::pop);
        rows.push(Compared { row, before, fate: fate(columns, before, row) });
    }
    let mut left: HashMap<Vec<u8>, usize> = HashMap::new();
    now.all.iter().for_each(|row| *left.entry(K::identity(row)).or_default() += 1);
    let gone = before.shown().filter(|row| match left.get_mut(&K::identity(row)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    rows.extend(gone.map(|row| Compared { row, before: None, fate: Fate::Gone }));
    rows
}

fn fate<K: RowKind>(columns: &[Column<K>], before: Option<&K::Row>, now: &K::Row) -> Fate {
    let Some(before) = before else { return Fate::New };
    let differs = columns.iter().any(|column| has_changed(column, before, now));
    if differs { Fate::Changed } else { Fate::Same }
}

/// Whether a cell is different. Points in time are ignored, because the time of the measurement always differs.
fn has_changed<K: RowKind>(column: &Column<K>, before: &K::Row, now: &K::Row) -> bool {
    if matches!(column.kind(), ColumnKind::Time | ColumnKind::Flags | ColumnKind::RawBytes) {
        return false;
    }
    let text = |row| {
        let mut text = Vec::new();
        column.cell(row).write_text(SizeUnit::Bytes, &mut text);
        text
    };
    text(before) != text(now)
}

/// How much a figure changed: absent if one of the rounds has no figure, a remark if there is nothing to compare.
pub fn difference<'r, K: RowKind>(column: &Column<K>, row: &Compared<'r, K::Row>) -> Cell<'static> {
    let Some(before) = row.before else { return Cell::Remark(None) };
    difference_of_cells(column, &column.cell(before), &column.cell(row.row))
}

fn difference_of_cells<K: RowKind>(column: &Column<K>, before: &Cell<'_>, now: &Cell<'_>) -> Cell<'static> {
    match Difference::between(before, now) {
        Some(Difference::Count(by)) if column.kind() == ColumnKind::Pages => Cell::Change(Difference::Pages(by)),
        Some(difference) => Cell::Change(difference),
        None if [before, now].iter().any(|cell| cell.is_lower_bound()) => Cell::Absent(LOWER_BOUND),
        None if before.absence().is_some() && now.absence().is_some() => Cell::Remark(None),
        None => Cell::Absent(NOTHING_BEFORE),
    }
}

/// How much a total changed: a remark in the first round, and absent if one of the totals lacks figures, because the
/// difference of two lower bounds says nothing.
pub fn difference_of_totals<K: RowKind>(column: &Column<K>, before: Option<&TotalCell>, now: &TotalCell) -> TotalCell {
    let change = match (before, now) {
        (_, TotalCell::Blank) => return TotalCell::Blank,
        (
            Some(TotalCell::Sum { cell: before, missing: missing_before }),
            TotalCell::Sum { cell: now, missing: missing_now },
        ) => match missing_before + missing_now {
            0 => difference_of_cells(column, before, now),
            _ => Cell::Absent(LOWER_BOUND),
        },
        _ => Cell::Remark(None),
    };
    TotalCell::Sum { cell: change, missing: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files;
    type Row = (&'static str, Option<u64>);

    impl RowKind for Files {
        type Row = Row;
        type Need = ();
        const ROWS: &'static str = "files";
        const LARGEST_BY: &'static str = "size";
        const COLUMNS: &'static [C] = COLUMNS;

        fn identity(row: &Row) -> Vec<u8> {
            row.0.as_bytes().to_vec()
        }
    }

    const ABSENT: Absent = Absent::new(Reason::Denied, "not yours");
    type C = Column<Files>;
    const COLUMNS: &[Column<Files>] = &[
        C::new("name", "Name", ColumnKind::Text, |row, _| Cell::Word(row.0), ""),
        C::sum("size", "Size", ColumnKind::Bytes, |row, _| row.1.map_or(Cell::Absent(ABSENT), Cell::Bytes), ""),
    ];

    fn whole(rows: &[Row]) -> Look<Row> {
        Look { all: rows.to_vec(), shown: (0..rows.len()).collect() }
    }

    fn seen(before: &[Row], now: &[Row]) -> Vec<String> {
        text_of(&whole(before), &whole(now))
    }

    fn text_of(before: &Look<Row>, now: &Look<Row>) -> Vec<String> {
        let text = |cell: Cell<'_>| {
            let mut out = Vec::new();
            cell.write_text(SizeUnit::Bytes, &mut out);
            String::from_utf8(out).unwrap()
        };
        let line = |row: &Compared<'_, Row>| {
            let cells = COLUMNS.iter().map(|column| text(column.cell(row.row)));
            let fate = row.fate.word().unwrap_or_default().to_owned();
            let words = std::iter::once(fate).chain(cells).chain([text(difference(&COLUMNS[1], row))]);
            words.collect::<Vec<_>>().join(" ")
        };
        compare(COLUMNS, Some(before), now).iter().map(line).collect()
    }

    #[test]
    fn a_row_shows_what_changed_since_the_previous_round() {
        let before = [("a", Some(100)), ("b", Some(5)), ("c", Some(7)), ("e", None)];
        let now = [("c", Some(4)), ("a", Some(112)), ("b", Some(5)), ("d", Some(1)), ("e", Some(1))];
        assert_eq!(seen(&before, &now), ["changed c 4 -3", "changed a 112 +12", " b 5 ", "new d 1 ", "changed e 1 -"]);
    }

    #[test]
    fn a_row_that_disappeared_is_marked_and_keeps_its_last_figures() {
        assert_eq!(seen(&[("a", Some(100)), ("b", None)], &[]), ["gone a 100 ", "gone b - "]);
    }

    #[test]
    fn a_row_that_only_enters_or_leaves_the_selection_is_neither_new_nor_gone() {
        let before = [("a", Some(9)), ("b", Some(5)), ("c", Some(1))];
        let now = [("a", Some(3)), ("b", Some(6)), ("d", Some(8))];
        // The two largest rows of each round: a is no longer among them, d is new; c disappeared but was not shown.
        let look = |rows: &[Row], shown: &[usize]| Look { all: rows.to_vec(), shown: shown.to_vec() };
        assert_eq!(text_of(&look(&before, &[0, 1]), &look(&now, &[2, 1])), ["new d 8 ", "changed b 6 +1"]);
        // A row that becomes visible is compared with its previous state.
        assert_eq!(text_of(&look(&before, &[1, 2]), &look(&now, &[0])), ["changed a 3 -6", "gone c 1 "]);
    }

    #[test]
    fn rows_with_the_same_name_are_compared_in_order() {
        let twice = [("a", Some(1)), ("a", Some(2))];
        assert_eq!(seen(&twice, &[("a", Some(1)), ("a", Some(3))]), [" a 1 ", "changed a 3 +1"]);
        assert_eq!(seen(&twice, &[("a", Some(1))]), [" a 1 ", "gone a 2 "]);
    }

    #[test]
    fn the_first_round_has_no_changes() {
        let look = whole(&[("a", Some(1))]);
        let first = compare(COLUMNS, None, &look);
        assert_eq!(first[0].fate, Fate::First);
        assert!(matches!(difference(&COLUMNS[1], &first[0]), Cell::Remark(None)));
    }
}
