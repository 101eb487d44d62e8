//! Groups of rows with the same value in a column (`--by`): their counts and the sums of their columns.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::cell::{Amount, Cell, OwnedCell, SizeUnit};
use super::column::{Aggregation, Column, RowKind};
use super::head::{ColumnHead, ColumnKind, Presence};
use super::order::compare_cells;
use super::shared::{Common, Counted, Double, Parts, Spot};
use super::sum::{ColumnSum, How, TotalCell};
use super::total::{Added, Totals};
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
    /// Whether something that could not be read may have rows in it, too.
    may_lack_rows: bool,
    /// What was added up of each summed column, and the number of rows.
    sums: Vec<ColumnSum>,
    /// The same as cells.
    cells: Vec<TotalCell>,
    /// What it has in common with other groups, because processes share memory.
    common: Option<Arc<Common>>,
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

    fn common(row: &Group) -> Option<&Arc<Common>> {
        row.common.as_ref()
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
    /// In which group each part of the memory of a process was counted first.
    counted: Counted,
    is_merged: bool,
    /// Whether something was not read that may have rows in any group.
    lacks_rows: bool,
}

/// A group that rows are added to.
struct Open<K: RowKind> {
    key: OwnedCell,
    twin: u64,
    /// The sums of its rows, without doubles.
    totals: Totals<K>,
    /// The rows that another group counts as those of another process, by the number of that and the memory.
    doubles: BTreeMap<(usize, u64), OpenDouble<K>>,
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

/// Rows of a group that another one counts.
struct OpenDouble<K: RowKind> {
    parts: Parts,
    totals: Totals<K>,
}

impl<K: RowKind> Open<K> {
    /// Notes the process of a row.
    fn note_process(&mut self, row: &K::Row) {
        // The rows of a process come one after the other.
        let process = K::process(row);
        if std::mem::replace(&mut self.last, process) != process {
            self.processes.extend(process);
            self.start_time = K::start_time(row);
        }
    }

    /// Adds a row about memory that another group counts, unless this group counts it already.
    fn add_double(&mut self, of: usize, spot: &Spot, row: &K::Row) {
        // What is not about the memory is nobody else's.
        self.totals.add_some(row, Added::Each);
        let double = match self.doubles.entry((of, spot.memory)) {
            Entry::Vacant(place) => {
                place.insert(OpenDouble { parts: Parts::of(spot, 0), totals: self.totals.emptied() })
            }
            Entry::Occupied(double) => {
                let double = double.into_mut();
                if double.parts.enter(spot, 0).is_some() {
                    return;
                }
                double
            }
        };
        double.totals.add_some(row, Added::OfMemory);
    }

    /// The sums of these rows, and their number.
    fn sums(totals: &Totals<K>, rows: u64) -> Vec<ColumnSum> {
        totals.sums().iter().cloned().chain([ColumnSum::of(rows)]).collect()
    }

    /// What it has in common with other groups, if it is one that has.
    fn common(&mut self, group: usize, is_double: bool) -> Option<Arc<Common>> {
        let doubles = std::mem::take(&mut self.doubles);
        if doubles.is_empty() && !is_double {
            return None;
        }
        let own = if doubles.is_empty() { Vec::new() } else { Open::sums(&self.totals, self.rows()) };
        doubles.values().for_each(|double| self.totals.merge(&double.totals));
        let closed = |((of, memory), OpenDouble { parts, totals }): (_, OpenDouble<K>)| Double {
            of,
            memory,
            parts,
            sums: Open::sums(&totals, totals.rows()),
        };
        Some(Arc::new(Common { group, own, doubles: doubles.into_iter().map(closed).collect() }))
    }

    /// How many rows are in it.
    fn rows(&self) -> u64 {
        self.totals.rows().saturating_sub(self.others)
    }

    /// The group with this number. `is_double` means that others count rows of it.
    fn close(mut self, group: usize, is_double: bool, is_of_process: bool, may_lack_rows: bool) -> Group {
        if may_lack_rows {
            self.totals.lose();
        }
        let common = self.common(group, is_double);
        let rows = self.rows();
        Group {
            is_of_process,
            start_time: self.start_time.filter(|_| self.processes.len() == 1),
            twin: self.twin,
            process: self.processes.iter().next().copied().filter(|_| self.processes.len() == 1),
            processes: self.processes.len() as u64,
            rows,
            may_lack_rows,
            cells: self.totals.row().cells,
            sums: Open::sums(&self.totals, rows),
            common,
            key: self.key,
        }
    }
}

impl Group {
    /// A count of its rows or of what they are about.
    fn count(&self, count: u64) -> Cell<'_> {
        match self.may_lack_rows {
            true => Cell::AtLeast(Amount::Count(count), LACKS_ROWS),
            false => Cell::Count(count),
        }
    }
}

const LACKS_ROWS: Absent = Absent::new(Reason::Unsupported, "what could not be read may be in the group, too");
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
            counted: Counted::default(),
            is_merged,
            lacks_rows: false,
        }
    }

    /// Notes that something could not be read that may have rows in any group.
    pub fn lose(&mut self) {
        self.lacks_rows = true;
    }

    /// The same without groups.
    pub fn emptied(&self) -> Grouping<K> {
        Grouping::new(&self.summed, &self.common, self.is_merged)
    }

    /// The columns of the groups: the process, the counts, the sums, and the value that the rows share, under the name
    /// of its column.
    pub fn columns(&self) -> Vec<Column<Groups>> {
        let has_process = K::NAMES_PROCESSES && self.common.id() != "pid";
        let mut columns: Vec<Column<Groups>> = PROCESS.iter().filter(|_| has_process).cloned().collect();
        columns.push(Column {
            head: ColumnHead {
                help: format!("number of {} in the group", K::ROWS).into(),
                title: capitalized(K::ROWS).into(),
                presence: Presence::Least,
                ..ColumnHead::added(K::ROWS, "", ColumnKind::Number)
            },
            counts_each: !K::IS_OF_MEMORY,
            argument: place_of(self.summed.len()),
            ..C::new("", "", ColumnKind::Number, |group, _| group.count(group.rows), "")
                .aggregated(Aggregation::Merge(sum_at, How::Sum))
        });
        columns.extend(K::NAMES_PROCESSES.then_some(PROCESSES));
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
        let place = self.place(row);
        let spot = K::spot(row);
        let counted = spot.as_ref().and_then(|spot| self.counted.enter(spot, place));
        let Some(group) = self.groups.get_mut(place) else { return };
        match (counted, &spot) {
            (Some(other), Some(spot)) if other != place => group.add_double(other, spot, row),
            (Some(_), _) => group.totals.add_some(row, Added::Each),
            (None, _) => group.totals.add_some(row, Added::All),
        }
        if K::whole(row).is_some_and(|whole| !group.wholes.insert(whole)) {
            group.others = group.others.saturating_add(1);
        }
        group.note_process(row);
    }

    /// Counts only the process of a row: the row itself was added as that of another one.
    pub fn add_process(&mut self, row: &K::Row) {
        let (_, named) = self.named(row);
        if let Some(group) = self.places.get(&named).and_then(|place| self.groups.get_mut(*place)) {
            group.note_process(row);
        }
    }

    /// The value by which a row is grouped, and its text and what it names.
    fn named<'r>(&self, row: &'r K::Row) -> (Cell<'r>, (Vec<u8>, Option<u64>)) {
        let mut text = Vec::new();
        let cell = self.common.cell(row);
        cell.write_unescaped(SizeUnit::Bytes, &mut text);
        (cell, (text, K::thing(row, self.common.id())))
    }

    /// The number of the group of a row, which is a new one if its value is new.
    fn place(&mut self, row: &K::Row) -> usize {
        let (cell, named) = self.named(row);
        if let Some(place) = self.places.get(&named) {
            return *place;
        }
        let twin = match named.1 {
            Some(_) => *self.twins.entry(named.0.clone()).and_modify(|twins| *twins += 1).or_default(),
            None => 0,
        };
        self.groups.push(Open {
            key: owned(&cell, &named.0),
            twin,
            totals: Totals::new(&self.summed),
            doubles: BTreeMap::new(),
            processes: HashSet::new(),
            start_time: None,
            wholes: HashSet::new(),
            others: 0,
            last: None,
        });
        self.places.insert(named, self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// The groups.
    pub fn finish(self) -> Vec<Group> {
        let is_of_process = K::HAS_PROCESSES && !self.is_merged || self.common.id() == "pid";
        let doubles = self.groups.iter().flat_map(|open| open.doubles.keys());
        let counted_twice: HashSet<usize> = doubles.map(|(group, _)| *group).collect();
        // The process of a group by pid was read.
        let may_lack_rows = self.lacks_rows && self.common.id() != "pid";
        let groups = self.groups.into_iter().enumerate();
        let close = |(place, open): (usize, Open<K>)| {
            open.close(place, counted_twice.contains(&place), is_of_process, may_lack_rows)
        };
        groups.map(close).collect()
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
    |group, _| group.count(group.processes),
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

/// A place among the sums as the argument of a column.
fn place_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn sum_at(group: &Group, place: u32) -> Option<&ColumnSum> {
    group.sums.get(place as usize)
}

fn sum_column<K: RowKind>(column: &Column<K>, place: usize) -> Column<Groups> {
    let aggregation = Aggregation::Merge(sum_at, column.aggregation.how());
    Column {
        head: column.head.clone(),
        argument: place_of(place),
        counts_each: column.counts_each,
        ..C::new("", "", column.kind(), sum_cell, "").aggregated(aggregation)
    }
}

fn sum_cell(group: &Group, place: u32) -> Cell<'_> {
    let sum = group.sums.get(place as usize);
    let partly = || match group.may_lack_rows {
        true => LACKS_ROWS,
        false => Absent::new(sum.map_or(Reason::Unsupported, ColumnSum::reason), PARTLY_ABSENT),
    };
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
