//! Groups of rows with the same value in a column (`--by`): their counts and the sums of their columns.

use std::collections::{HashMap, HashSet};

use super::cell::{Cell, OwnedCell, SizeUnit};
use super::column::{Aggregation, Column, ColumnHead, ColumnKind, Presence, RowKind};
use super::total::{TotalCell, Totals};
use crate::units::{Absent, Reason};

/// A column of groups.
type C = Column<Groups>;

/// Groups as a kind of row, for any kind of grouped row.
pub struct Groups;

/// One group.
pub struct Group {
    /// The value that its rows share.
    key: OwnedCell,
    /// The process, if all rows belong to the same one.
    process: Option<u32>,
    /// Whether groups of several processes were merged.
    is_merged: bool,
    /// How many processes have a row in it.
    processes: u64,
    /// How many rows are in it.
    rows: u64,
    /// The total of each summed column over its rows.
    sums: Vec<TotalCell>,
}

impl RowKind for Groups {
    type Row = Group;
    type Need = std::convert::Infallible;
    const ROWS: &'static str = "groups";
    const LARGEST_BY: &'static str = "";

    fn columns() -> Vec<C> {
        // They follow from the rows that are grouped: see `Grouping::columns`.
        Vec::new()
    }

    fn identity(row: &Group) -> Vec<u8> {
        // A merged group stays the same group when its processes change.
        let process = row.process.filter(|_| !row.is_merged);
        let mut identity = process.unwrap_or_default().to_ne_bytes().to_vec();
        row.key.cell().write_unescaped(SizeUnit::Bytes, &mut identity);
        identity
    }
}

/// Groups rows of one kind, in the order in which their keys are first seen.
pub struct Grouping<K: RowKind> {
    common: Column<K>,
    summed: Vec<Column<K>>,
    groups: Vec<Open<K>>,
    places: HashMap<Vec<u8>, usize>,
    is_merged: bool,
}

/// A group that rows are added to.
struct Open<K: RowKind> {
    key: OwnedCell,
    totals: Totals<K>,
    processes: HashSet<u32>,
}

const PARTLY_ABSENT: Absent = Absent::new(Reason::Unsupported, "some of its rows have no figure for it");
const SEVERAL: Absent = Absent::new(Reason::NotApplicable, "the group has rows of several processes");
const NOT_ADDED: Absent = Absent::new(Reason::NotApplicable, "it cannot be added up");

impl<K: RowKind> Grouping<K> {
    /// No groups yet. Rows with the same value of `common` form a group, and the other columns of `table` that can be
    /// added up are. `is_merged` means that a group may have rows of several processes.
    pub fn new(table: &[Column<K>], common: &Column<K>, is_merged: bool) -> Grouping<K> {
        let is_summed =
            |column: &&Column<K>| column.id() != common.id() && !matches!(column.aggregation, Aggregation::None);
        let summed = table.iter().filter(is_summed).cloned().collect();
        Grouping { common: common.clone(), summed, groups: Vec::new(), places: HashMap::new(), is_merged }
    }

    /// The same without groups.
    pub fn emptied(&self) -> Grouping<K> {
        Grouping::new(&self.summed, &self.common, self.is_merged)
    }

    /// The columns of the groups: the process, the counts, the sums, and the value that the rows share, under the name
    /// of its column.
    pub fn columns(&self) -> Vec<Column<Groups>> {
        let has_process = self.common.id() != "pid";
        let mut columns: Vec<Column<Groups>> = PROCESS.iter().filter(|_| has_process).cloned().collect();
        columns.push(Column {
            head: ColumnHead {
                help: format!("number of {} in the group", K::ROWS).into(),
                title: capitalized(K::ROWS).into(),
                ..ColumnHead::added(K::ROWS, "", ColumnKind::Number)
            },
            ..C::sum("", "", ColumnKind::Number, |group, _| Cell::Count(group.rows), "")
        });
        columns.push(C::new(
            "processes",
            "Processes",
            ColumnKind::Number,
            |group, _| Cell::Count(group.processes),
            "number of processes with a row in the group",
        ));
        columns.extend(self.summed.iter().enumerate().map(|(place, column)| sum_column(column, place)));
        columns.push(Column {
            head: self.common.head.clone(),
            ..C::new("", "", ColumnKind::Text, |group, _| group.key.cell(), "")
        });
        for column in columns.iter_mut().filter(|column| column.head.presence == Presence::Optional) {
            column.head.presence = Presence::Usual;
        }
        columns
    }

    /// Adds a row to its group.
    pub fn add(&mut self, row: &K::Row) {
        let mut text = Vec::new();
        let cell = self.common.cell(row);
        cell.write_unescaped(SizeUnit::Bytes, &mut text);
        let place = match self.places.get(&text) {
            Some(place) => *place,
            None => {
                let key = owned(&cell, &text);
                self.groups.push(Open { key, totals: Totals::new(&self.summed), processes: HashSet::new() });
                self.places.insert(text, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        if let Some(group) = self.groups.get_mut(place) {
            group.totals.add(row);
            group.processes.extend(K::process(row));
        }
    }

    /// The groups.
    pub fn finish(self) -> Vec<Group> {
        let is_merged = self.is_merged;
        let group = |open: Open<K>| Group {
            is_merged,
            key: open.key,
            process: open.processes.iter().next().copied().filter(|_| open.processes.len() == 1),
            processes: open.processes.len() as u64,
            rows: open.totals.rows(),
            sums: open.totals.row().cells,
        };
        self.groups.into_iter().map(group).collect()
    }
}

/// The process of a group.
const PROCESS: &[Column<Groups>] = &[C::new(
    "pid",
    "PID",
    ColumnKind::Number,
    |group, _| group.process.map_or(Cell::Absent(SEVERAL), |pid| Cell::Count(pid.into())),
    "the process, if the group has only one",
)];

/// The same cell as an owned value.
fn owned(cell: &Cell<'_>, text: &[u8]) -> OwnedCell {
    match *cell {
        Cell::Count(number) => OwnedCell::Plain(Cell::Count(number)),
        Cell::Bytes(bytes) => OwnedCell::Plain(Cell::Bytes(bytes)),
        Cell::Percent(share) => OwnedCell::Plain(Cell::Percent(share)),
        Cell::Address(address) => OwnedCell::Plain(Cell::Address(address)),
        Cell::Offset(offset) => OwnedCell::Plain(Cell::Offset(offset)),
        Cell::Device(major, minor) => OwnedCell::Plain(Cell::Device(major, minor)),
        Cell::Time(time) => OwnedCell::Plain(Cell::Time(time)),
        Cell::UnixTime(time) => OwnedCell::Plain(Cell::UnixTime(time)),
        Cell::Flag(flag) => OwnedCell::Plain(Cell::Flag(flag)),
        Cell::Absent(absent) => OwnedCell::Plain(Cell::Absent(absent)),
        Cell::Remark(None) => OwnedCell::Plain(Cell::Remark(None)),
        Cell::Named(name, instead) => OwnedCell::Named(name.to_vec(), instead),
        _ => OwnedCell::Text(text.to_vec()),
    }
}

fn sum_column<K: RowKind>(column: &Column<K>, place: usize) -> Column<Groups> {
    let aggregation = if column.is_added() { Aggregation::Sum } else { Aggregation::None };
    let kind = if column.kind() == ColumnKind::Flag { ColumnKind::Number } else { column.kind() };
    Column {
        head: ColumnHead { kind, ..column.head.clone() },
        argument: u32::try_from(place).unwrap_or(u32::MAX),
        ..C::new("", "", kind, sum_cell, "").aggregated(aggregation)
    }
}

fn sum_cell(group: &Group, place: u32) -> Cell<'_> {
    match group.sums.get(place as usize) {
        Some(TotalCell::Sum { cell, missing: 0 }) => *cell,
        Some(TotalCell::Sum { cell: Cell::Absent(absent), .. }) => Cell::Absent(*absent),
        // A sum over some of the rows would look like the sum over all.
        Some(TotalCell::Sum { .. }) => Cell::Absent(PARTLY_ABSENT),
        Some(TotalCell::Blank) | None => Cell::Absent(NOT_ADDED),
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
