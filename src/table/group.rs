//! Groups of rows with the same value in a column (`--by`): their counts and the sums of their columns.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::cell::{Amount, Cell, OwnedCell, SizeUnit};
use super::column::{Aggregation, Column, RowKind};
use super::head::{ColumnHead, ColumnKind, Presence};
use super::order::compare_cells;
use super::sum::{ColumnSum, TotalCell};
use super::total::Totals;
use crate::units::{Absent, Reason};

/// A column of groups.
type C = Column<Groups>;

/// Groups as a kind of row, for any kind of grouped row.
pub struct Groups;

/// One group.
pub struct Group {
    /// The value that its rows share.
    key: OwnedCell,
    /// How many groups before it have the same value, which names something else there.
    twin: u64,
    /// The process, if all rows belong to the same one.
    process: Option<u32>,
    /// When that process started, in clock ticks.
    start_time: Option<u64>,
    /// Whether another process makes it another group.
    is_of_process: bool,
    /// How many processes have a row in it.
    processes: u64,
    /// How many rows are in it; parts of the same thing count once.
    rows: u64,
    /// What was added up of each summed column.
    sums: Vec<ColumnSum>,
    /// The same as cells.
    cells: Vec<TotalCell>,
    /// The number of the memory that all its rows are about, if it is the same one.
    memory: Option<u64>,
    /// The numbers of the memory that its rows are about, each with the process that it is counted under.
    memories: Vec<(u64, u32)>,
}

/// Its columns follow from the rows that are grouped: see [`Grouping::columns`].
impl RowKind for Groups {
    type Row = Group;
    type Need = std::convert::Infallible;
    const ROWS: &'static str = "groups";
    const LARGEST_BY: &'static str = "";

    fn identity(row: &Group) -> Vec<u8> {
        // A group that adds up processes stays the same when they change.
        let process = row.process.filter(|_| row.is_of_process);
        let mut identity = process.unwrap_or_default().to_ne_bytes().to_vec();
        let start = row.start_time.filter(|_| row.is_of_process);
        identity.extend_from_slice(&start.unwrap_or_default().to_ne_bytes());
        identity.extend_from_slice(&row.twin.to_ne_bytes());
        row.key.cell().write_unescaped(SizeUnit::Bytes, &mut identity);
        identity
    }

    fn process(row: &Group) -> Option<u32> {
        row.process
    }

    fn memory(row: &Group) -> Option<u64> {
        row.memory
    }

    fn memories(row: &Group) -> &[(u64, u32)] {
        &row.memories
    }

    fn order_without_figure(one: &Group, other: &Group) -> Ordering {
        let known = one.cells.iter().zip(&other.cells).map(|cells| match cells {
            (TotalCell::Sum { cell: one, .. }, TotalCell::Sum { cell: other, .. }) => compare_cells(one, other, false),
            _ => Ordering::Equal,
        });
        known.fold(Ordering::Equal, Ordering::then)
    }
}

/// Groups rows of one kind, in the order in which their keys are first seen.
pub struct Grouping<K: RowKind> {
    common: Column<K>,
    /// The columns that are added up; the common one is the last, if it can be.
    summed: Vec<Column<K>>,
    groups: Vec<Open<K>>,
    /// The position of the group of each text, and of what it names.
    places: HashMap<(Vec<u8>, Option<u64>), usize>,
    /// How many things have the same name.
    twins: HashMap<Vec<u8>, u64>,
    is_merged: bool,
}

/// A group that rows are added to.
struct Open<K: RowKind> {
    key: OwnedCell,
    twin: u64,
    totals: Totals<K>,
    processes: HashSet<u32>,
    /// When the last of them started.
    start_time: Option<u64>,
    /// What its rows are parts of.
    wholes: HashSet<u64>,
    /// How many rows are not the first part of something.
    others: u64,
    /// The process of the last row.
    last: Option<u32>,
}

const PARTLY_ABSENT: &str = "some of its rows have no figure for it";
const SEVERAL: Absent = Absent::new(Reason::NotApplicable, "the group has rows of several processes");
const NOT_ADDED: Absent = Absent::new(Reason::NotApplicable, "it cannot be added up");

impl<K: RowKind> Grouping<K> {
    /// No groups yet. Rows with the same value of `common` form a group, and the other columns of `table` that can be
    /// added up are. `is_merged` means that a group may have rows of several processes.
    pub fn new(table: &[Column<K>], common: &Column<K>, is_merged: bool) -> Grouping<K> {
        let others = table.iter().filter(|column| column.id() != common.id());
        let summed = others.chain([common]).filter(|column| column.has_total()).cloned().collect();
        Grouping {
            common: common.clone(),
            summed,
            groups: Vec::new(),
            places: HashMap::new(),
            twins: HashMap::new(),
            is_merged,
        }
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
                presence: Presence::Least,
                ..ColumnHead::added(K::ROWS, "", ColumnKind::Number)
            },
            // Processes that share their memory are several all the same.
            counts_each: K::ROWS == PROCESSES.id(),
            ..C::sum("", "", ColumnKind::Number, |group, _| Cell::Count(group.rows), "")
        });
        columns.push(PROCESSES);
        columns.extend(self.summed.iter().enumerate().map(|(place, column)| sum_column(column, place)));
        // The groups show the value that their rows share, and the total the sum over all rows.
        let last = columns.pop_if(|_| self.common.has_total());
        let aggregation = last.as_ref().map_or(Aggregation::None, |column| column.aggregation);
        columns.push(Column {
            head: ColumnHead {
                presence: Presence::Usual,
                // A group with another value is another group; only a sum over all rows can change.
                is_identifier: self.common.head.is_identifier || !self.common.has_total(),
                ..self.common.head.clone()
            },
            argument: last.map_or(0, |column| column.argument),
            ..C::new("", "", ColumnKind::Text, |group, _| group.key.cell(), "").aggregated(aggregation)
        });
        if self.common.head.is_name {
            columns.push(Column {
                head: ColumnHead {
                    help: "the same name if it is not UTF-8".into(),
                    ..ColumnHead::added(format!("{}_bytes", self.common.id()), "", ColumnKind::RawBytes)
                },
                ..C::new("", "", ColumnKind::RawBytes, |group, _| key_bytes(group), "")
            });
        }
        for column in &mut columns {
            column.head.has_bounds = true;
            if column.head.presence == Presence::Optional {
                column.head.presence = Presence::Usual;
            }
        }
        columns
    }

    /// Adds a row to its group.
    pub fn add(&mut self, row: &K::Row) {
        let mut text = Vec::new();
        let cell = self.common.cell(row);
        cell.write_unescaped(SizeUnit::Bytes, &mut text);
        let named = (text, K::thing(row, self.common.id()));
        let place = match self.places.get(&named) {
            Some(place) => *place,
            None => {
                let key = owned(&cell, &named.0);
                let twin = match named.1 {
                    Some(_) => *self.twins.entry(named.0.clone()).and_modify(|twins| *twins += 1).or_default(),
                    None => 0,
                };
                let (processes, wholes, last) = (HashSet::new(), HashSet::new(), None);
                let totals = Totals::new(&self.summed);
                let start_time = None;
                self.groups.push(Open { key, twin, totals, processes, start_time, wholes, others: 0, last });
                self.places.insert(named, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        if let Some(group) = self.groups.get_mut(place) {
            group.totals.add(row);
            if K::whole(row).is_some_and(|whole| !group.wholes.insert(whole)) {
                group.others = group.others.saturating_add(1);
            }
            // The rows of a process come one after the other.
            let process = K::process(row);
            if std::mem::replace(&mut group.last, process) != process {
                group.processes.extend(process);
                group.start_time = K::start_time(row);
            }
        }
    }

    /// The groups.
    pub fn finish(self) -> Vec<Group> {
        let is_of_process = K::HAS_PROCESSES && !self.is_merged || self.common.id() == "pid";
        let group = |open: Open<K>| Group {
            is_of_process,
            start_time: open.start_time.filter(|_| open.processes.len() == 1),
            key: open.key,
            twin: open.twin,
            process: open.processes.iter().next().copied().filter(|_| open.processes.len() == 1),
            processes: open.processes.len() as u64,
            rows: open.totals.rows().saturating_sub(open.others),
            cells: open.totals.row().cells,
            memory: open.totals.memory(),
            memories: open.totals.counted().collect(),
            sums: open.totals.into_sums(),
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
)
.identifier()];

/// How many processes have a row in a group.
const PROCESSES: Column<Groups> = C::new(
    "processes",
    "Processes",
    ColumnKind::Number,
    |group, _| Cell::Count(group.processes),
    "number of processes with a row in the group",
)
.least();

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
        Cell::Without(absent) => OwnedCell::Plain(Cell::Without(absent)),
        Cell::Remark(None) => OwnedCell::Plain(Cell::Remark(None)),
        Cell::Named(name, instead) => OwnedCell::Named(name.to_vec(), instead),
        _ => OwnedCell::Text(text.to_vec()),
    }
}

fn sum_column<K: RowKind>(column: &Column<K>, place: usize) -> Column<Groups> {
    let sum: fn(&Group, u32) -> Option<&ColumnSum> = |group, place| group.sums.get(place as usize);
    let aggregation = Aggregation::Merge(sum, column.aggregation.how());
    Column {
        head: column.head.clone(),
        argument: u32::try_from(place).unwrap_or(u32::MAX),
        counts_each: column.counts_each,
        ..C::new("", "", column.kind(), sum_cell, "").aggregated(aggregation)
    }
}

fn sum_cell(group: &Group, place: u32) -> Cell<'_> {
    let sum = group.sums.get(place as usize);
    let partly = || Absent::new(sum.map_or(Reason::Unsupported, ColumnSum::reason), PARTLY_ABSENT);
    match group.cells.get(place as usize) {
        Some(TotalCell::Sum { cell, missing: 0 }) => *cell,
        Some(TotalCell::Sum { cell: Cell::Absent(absent), .. }) => Cell::Absent(*absent),
        Some(TotalCell::Sum { cell: Cell::Bytes(bytes), .. }) => Cell::AtLeast(Amount::Bytes(*bytes), partly()),
        Some(TotalCell::Sum { cell: Cell::Count(count), .. }) => Cell::AtLeast(Amount::Count(*count), partly()),
        // A share of some of the rows may be more or less than that of all, and no column of a group counts the others.
        Some(TotalCell::Sum { .. }) => Cell::Absent(partly()),
        Some(TotalCell::Blank) | None => Cell::Absent(NOT_ADDED),
    }
}

fn key_bytes(group: &Group) -> Cell<'_> {
    match &group.key {
        OwnedCell::Text(name) | OwnedCell::Named(name, _) => Cell::RawBytes(name),
        _ => Cell::Remark(None),
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
