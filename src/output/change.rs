//! What changed between two looks at the same rows, over any column table.
//!
//! Rows of two looks belong together where they have the same identity (a path, a pid and an address), which the caller
//! names. A row that was there is compared figure by figure; one that came or went is marked. Here nothing is kept from one look to the
//! next: the caller holds what both looks collected, so the first look, which has nothing before it, is a call of its own.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::SystemTime;

use super::cell::{Cell, Difference};
use super::column::{Argument, Column, Getter, Kind, RowKind, Sum};
use crate::units::{Absent, Reason};

/// Rows of kind `K` with what changed in them.
pub struct Watched<K>(PhantomData<K>);

impl<K: RowKind> RowKind for Watched<K> {
    type Row<'r> = WatchedRow<'r, K>;
}

/// What became of a row since the look before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// There was no look before.
    First,
    /// It is as it was.
    Same,
    /// At least one figure or word is another.
    Changed,
    /// It was not there before.
    New,
    /// It is not there any more; its figures are those of the look before.
    Gone,
}

/// One row of a look.
pub struct WatchedRow<'r, K: RowKind> {
    /// The row itself; of the look before where it is gone.
    pub row: K::Row<'r>,
    /// The same row in the look before.
    before: Option<K::Row<'r>>,
    /// What became of it.
    pub fate: Fate,
    /// When the look was taken.
    time: SystemTime,
    /// The columns of `K` that are watched, which the columns of [`Watched`] number.
    columns: &'r [Column<K>],
}

impl<K: RowKind> Clone for WatchedRow<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: RowKind> Copy for WatchedRow<'_, K> {}

impl Fate {
    /// As one word; empty for what needs no mark.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Fate::First | Fate::Same => None,
            Fate::Changed => Some("changed"),
            Fate::New => Some("new"),
            Fate::Gone => Some("gone"),
        }
    }
}

const NOTHING_BEFORE: Absent = Absent::new(Reason::NotApplicable, "there is no figure before it");

/// The rows of a first look.
pub fn first<'r, K: RowKind>(
    columns: &'r [Column<K>],
    time: SystemTime,
    rows: impl Iterator<Item = K::Row<'r>>,
) -> Vec<WatchedRow<'r, K>> {
    rows.map(|row| WatchedRow { row, before: None, fate: Fate::First, time, columns }).collect()
}

/// The rows of one look.
pub struct Look<R> {
    /// Every row there is, whatever is shown: what tells a row that went from one that is only not shown any more.
    pub all: Vec<R>,
    /// Those that are shown, in their order.
    pub shown: Vec<R>,
}

impl<R: Copy> Look<R> {
    /// A look of which everything is shown.
    pub fn whole(rows: Vec<R>) -> Look<R> {
        Look { all: rows.clone(), shown: rows }
    }
}

/// The rows of a later look: those that are shown, in their order, then those that were shown and went. A row that is there and
/// is not shown any more is no row of this look.
///
/// Where several rows have one identity the first of the one look belongs to the first of the other, and so on.
pub fn since<'r, K: RowKind, I: std::hash::Hash + Eq>(
    columns: &'r [Column<K>],
    time: SystemTime,
    identity: impl Fn(&K::Row<'r>) -> I,
    before: Look<K::Row<'r>>,
    now: Look<K::Row<'r>>,
) -> Vec<WatchedRow<'r, K>> {
    let mut earlier: HashMap<I, Vec<K::Row<'r>>> = HashMap::new();
    before.all.iter().rev().for_each(|row| earlier.entry(identity(row)).or_default().push(*row));
    let mut rows = Vec::with_capacity(now.shown.len());
    for row in now.shown {
        let before = earlier.get_mut(&identity(&row)).and_then(Vec::pop);
        rows.push(WatchedRow { row, before, fate: fate(columns, before.as_ref(), &row), time, columns });
    }
    let mut left: HashMap<I, usize> = HashMap::new();
    now.all.iter().for_each(|row| *left.entry(identity(row)).or_default() += 1);
    let gone = before.shown.into_iter().filter(|row| match left.get_mut(&identity(row)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    rows.extend(gone.map(|row| WatchedRow { row, before: None, fate: Fate::Gone, time, columns }));
    rows
}

fn fate<K: RowKind>(columns: &[Column<K>], before: Option<&K::Row<'_>>, now: &K::Row<'_>) -> Fate {
    let Some(before) = before else { return Fate::New };
    let differs = columns.iter().any(|column| has_changed(column, before, now));
    if differs { Fate::Changed } else { Fate::Same }
}

/// Whether a cell is another. Points in time are not looked at: when a row was measured is another each time.
fn has_changed<K: RowKind>(column: &Column<K>, before: &K::Row<'_>, now: &K::Row<'_>) -> bool {
    if matches!(column.kind, Kind::Time | Kind::Flags | Kind::RawBytes) {
        return false;
    }
    words(column, before) != words(column, now)
}

/// A cell to the byte, as a person would read it.
fn words<K: RowKind>(column: &Column<K>, row: &K::Row<'_>) -> Vec<u8> {
    let mut words = Vec::new();
    column.cell(row).write_words(super::SizeUnit::Bytes, &mut words);
    words
}

/// Whether a column holds figures whose change can be told.
pub fn has_figures<K: RowKind>(column: &Column<K>) -> bool {
    matches!(column.kind, Kind::Bytes | Kind::Pages | Kind::Number | Kind::Percent)
}

/// The columns, by number, whose figures changed in any of these rows.
pub fn changed_columns<K: RowKind>(columns: &[Column<K>], rows: &[WatchedRow<'_, K>]) -> Vec<usize> {
    let is_change = |cell: Cell<'_>| matches!(cell, Cell::Change(difference) if !difference.is_none());
    let changed = |column: &Column<K>| rows.iter().any(|row| is_change(difference(row, column)));
    columns
        .iter()
        .enumerate()
        .filter(|(_, column)| has_figures(column) && changed(column))
        .map(|(place, _)| place)
        .collect()
}

/// The columns of a look: those of `leading` (`time`, `fate`), then the watched ones, and behind each of those whose number
/// `shown` has its change, as `NAME_change`.
pub fn columns<K: RowKind>(of: &[Column<K>], shown: &[usize], leading: &[Leading]) -> Vec<Column<Watched<K>>> {
    let mut columns: Vec<_> = leading.iter().map(|leading| leading.column()).collect();
    for (place, column) in of.iter().enumerate() {
        let argument = u32::try_from(place).unwrap_or(u32::MAX);
        columns.push(like(column, argument));
        if shown.contains(&place) {
            columns.push(change_of(column, argument));
        }
    }
    columns
}

/// The columns that every watched table can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leading {
    /// `time`: when the look was taken.
    Time,
    /// `fate`: what became of the row.
    Fate,
}

impl Leading {
    fn column<K: RowKind>(self) -> Column<Watched<K>> {
        let (id, title, kind, help, get): (_, _, _, _, Getter<Watched<K>>) = match self {
            Leading::Time => ("time", "Time", Kind::Time, "when the look was taken", time_cell),
            Leading::Fate => ("fate", "", Kind::Text, "changed, new or gone", fate_cell),
        };
        Column::<Watched<K>>::new(id, title, kind, Sum::Nothing, get, help)
    }
}

/// The column itself, which finds its cell by its number.
fn like<K: RowKind>(column: &Column<K>, argument: u32) -> Column<Watched<K>> {
    let get: Getter<Watched<K>> = value_cell;
    Column {
        id: column.id.clone(),
        title: column.title.clone(),
        help: column.help.clone(),
        kind: column.kind,
        // Shares of two sums would take a function of the column's own, which a function of all columns cannot be.
        sum: if matches!(column.sum, Sum::Add) { Sum::Add } else { Sum::Nothing },
        get,
        argument,
    }
}

fn change_of<K: RowKind>(column: &Column<K>, argument: u32) -> Column<Watched<K>> {
    let get: Getter<Watched<K>> = change_cell;
    Column {
        id: format!("{}_change", column.id).into(),
        title: "+/-".into(),
        help: format!("what changed in {} since the look before", column.id).into(),
        kind: Kind::Change,
        sum: Sum::Nothing,
        get,
        argument,
    }
}

fn time_cell<'r, K: RowKind>(row: &WatchedRow<'r, K>, _: Argument<'r>) -> Cell<'r> {
    Cell::Time(row.time)
}

fn fate_cell<'r, K: RowKind>(row: &WatchedRow<'r, K>, _: Argument<'r>) -> Cell<'r> {
    Cell::Remark(row.fate.word())
}

fn value_cell<'r, K: RowKind>(row: &WatchedRow<'r, K>, argument: Argument<'r>) -> Cell<'r> {
    let column = row.columns.get(argument.0 as usize);
    column.map_or(Cell::Remark(None), |column| column.cell(&row.row))
}

fn change_cell<'r, K: RowKind>(row: &WatchedRow<'r, K>, argument: Argument<'r>) -> Cell<'r> {
    row.columns.get(argument.0 as usize).map_or(Cell::Remark(None), |column| difference(row, column))
}

/// How much a figure changed: absent where one of both looks has no figure, nothing to say where there is no look before.
fn difference<'r, K: RowKind>(row: &WatchedRow<'r, K>, column: &Column<K>) -> Cell<'r> {
    let Some(before) = &row.before else { return Cell::Remark(None) };
    let (before, now) = (column.cell(before), column.cell(&row.row));
    match Difference::between(&before, &now) {
        Some(difference) => Cell::Change(difference),
        None if matches!((before, now), (Cell::Absent(_), Cell::Absent(_))) => Cell::Remark(None),
        None => Cell::Absent(NOTHING_BEFORE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files;
    impl RowKind for Files {
        type Row<'r> = &'r (&'static str, Option<u64>);
    }

    const ABSENT: Absent = Absent::new(Reason::Denied, "not yours");
    const COLUMNS: &[Column<Files>] = &[
        Column::new("name", "Name", Kind::Text, Sum::Nothing, |row, _| Cell::Word(row.0), ""),
        Column::new(
            "size",
            "Size",
            Kind::Bytes,
            Sum::Add,
            |row, _| row.1.map_or(Cell::Absent(ABSENT), Cell::Bytes),
            "",
        ),
    ];

    type Rows = [(&'static str, Option<u64>)];

    fn seen(before: &Rows, now: &Rows) -> Vec<String> {
        let looks = [before, now].map(|rows| Look::whole(rows.iter().collect()));
        words_of(looks)
    }

    fn words_of([before, now]: [Look<&(&'static str, Option<u64>)>; 2]) -> Vec<String> {
        let rows = since(COLUMNS, SystemTime::UNIX_EPOCH, |row| row.0, before, now);
        let columns = columns(COLUMNS, &[1], &[Leading::Fate]);
        rows.iter()
            .map(|row| {
                let words = columns.iter().map(|column| {
                    let mut out = Vec::new();
                    column.cell(row).write_words(super::super::SizeUnit::Bytes, &mut out);
                    String::from_utf8(out).unwrap()
                });
                words.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn a_row_shows_what_changed_since_the_look_before() {
        let before = [("a", Some(100)), ("b", Some(5)), ("c", Some(7)), ("e", None)];
        let now = [("c", Some(4)), ("a", Some(112)), ("b", Some(5)), ("d", Some(1)), ("e", Some(1))];
        assert_eq!(seen(&before, &now), ["changed c 4 -3", "changed a 112 +12", " b 5 ", "new d 1 ", "changed e 1 -"]);
    }

    #[test]
    fn a_row_that_went_is_marked_and_keeps_its_last_figures() {
        assert_eq!(seen(&[("a", Some(100)), ("b", None)], &[]), ["gone a 100 ", "gone b - "]);
    }

    #[test]
    fn a_row_that_is_there_is_never_gone_nor_new_whatever_is_shown() {
        let before = [("a", Some(9)), ("b", Some(5)), ("c", Some(1))];
        let now = [("a", Some(3)), ("b", Some(6)), ("d", Some(8))];
        // The largest two of each look: a is not among them any more, d is new; c went and was not shown.
        let looks = [
            Look { all: before.iter().collect(), shown: before[..2].iter().collect() },
            Look { all: now.iter().collect(), shown: vec![&now[2], &now[1]] },
        ];
        assert_eq!(words_of(looks), ["new d 8 ", "changed b 6 +1"]);
        // What comes into sight is compared with what it was.
        let looks = [
            Look { all: before.iter().collect(), shown: before[1..].iter().collect() },
            Look { all: now.iter().collect(), shown: now[..1].iter().collect() },
        ];
        assert_eq!(words_of(looks), ["changed a 3 -6", "gone c 1 "]);
    }

    #[test]
    fn rows_of_one_name_are_compared_in_their_order() {
        let twice = [("a", Some(1)), ("a", Some(2))];
        assert_eq!(seen(&twice, &[("a", Some(1)), ("a", Some(3))]), [" a 1 ", "changed a 3 +1"]);
        assert_eq!(seen(&twice, &[("a", Some(1))]), [" a 1 ", "gone a 2 "]);
    }

    #[test]
    fn a_first_look_has_no_changes_at_all() {
        let rows = [("a", Some(1))];
        let first = first(COLUMNS, SystemTime::UNIX_EPOCH, rows.iter());
        assert_eq!(first[0].fate, Fate::First);
        assert!(changed_columns(COLUMNS, &first).is_empty());
    }
}
