//! The row of a group (`rmap pid --by`): mappings folded together by what they have in common, with their count and sums.
//!
//! The sums are those of the mapping columns, which say what may be added.

use std::collections::HashMap;

use crate::output::column::{Argument, Column};
use crate::output::total::{TotalCell, Totals};
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::units::{Absent, Reason};

use super::mapping::{MappingRow, MappingRows};

/// Groups.
pub struct Groups;

impl RowKind for Groups {
    type Row<'r> = GroupRow<'r>;
}

/// One group as the columns look at it.
#[derive(Clone, Copy)]
pub struct GroupRow<'r> {
    /// The process, where the group is of one alone.
    pub pid: Option<u32>,
    /// What its mappings have in common.
    pub key: &'r [u8],
    /// How many processes have a mapping in it.
    pub processes: u64,
    /// How many mappings are in it.
    pub mappings: u64,
    /// What the total of its mappings says of each column, in the order of the columns.
    pub sums: &'r [TotalCell],
}

/// Mappings folded together, in the order in which their keys were first seen.
pub struct Folded {
    groups: Vec<Group>,
    places: HashMap<Vec<u8>, usize>,
    columns: Vec<Column<MappingRows>>,
}

struct Group {
    key: Vec<u8>,
    totals: Totals<MappingRows>,
    processes: u64,
    last_pid: Option<u32>,
    sums: Vec<TotalCell>,
}

const PARTLY_ABSENT: Absent = Absent::new(Reason::Unsupported, "some of its mappings have no figure for it");

impl Folded {
    /// No groups yet, over these columns of mappings.
    pub fn new(columns: Vec<Column<MappingRows>>) -> Folded {
        Folded { groups: Vec::new(), places: HashMap::new(), columns }
    }

    /// Adds a mapping to the group of `key`. The mappings of one process must come one after the other.
    pub fn add(&mut self, key: Vec<u8>, row: &MappingRow<'_>) {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                let totals = Totals::new(&self.columns);
                self.groups.push(Group { key: key.clone(), totals, processes: 0, last_pid: None, sums: Vec::new() });
                self.places.insert(key, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        if let Some(group) = self.groups.get_mut(place) {
            group.totals.add(row);
            if group.last_pid != Some(row.pid) {
                group.processes += 1;
                group.last_pid = Some(row.pid);
            }
        }
    }

    /// Ends the adding: what the columns look at is now there.
    pub fn settle(&mut self) {
        for group in &mut self.groups {
            group.sums = group.totals.cells().map(|(_, cell)| cell).collect();
        }
    }

    /// The groups, of one process or of several.
    pub fn rows(&self, pid: Option<u32>) -> impl Iterator<Item = GroupRow<'_>> {
        self.groups.iter().map(move |group| GroupRow {
            pid,
            key: &group.key,
            processes: group.processes,
            mappings: group.totals.rows(),
            sums: &group.sums,
        })
    }
}

/// The columns of groups: the counts, the sum of each of these columns of mappings that can be added, and what the mappings
/// of a group have in common, under the name of the column that it comes from.
pub fn columns(summed: &[Column<MappingRows>], common: &Column<MappingRows>) -> Vec<Column<Groups>> {
    let mut columns = COUNTS.to_vec();
    columns.extend(summed.iter().enumerate().filter_map(|(place, column)| sum_column(column, place)));
    columns.push(Column {
        id: common.id.clone(),
        title: common.title.clone(),
        help: common.help.clone(),
        kind: Kind::Text,
        sum: Sum::Nothing,
        get: |row, _| Cell::Text(row.key),
        argument: 0,
    });
    columns
}

const SEVERAL: Absent = Absent::new(Reason::NotApplicable, "the group is of several processes");

/// Whose they are and how many.
const COUNTS: &[Column<Groups>] = &[
    Column::new(
        "pid",
        "PID",
        Kind::Number,
        Sum::Nothing,
        |row, _| row.pid.map_or(Cell::Absent(SEVERAL), |pid| Cell::Count(pid.into())),
        "the process, where groups are of one alone",
    ),
    Column::new(
        "mappings",
        "Mappings",
        Kind::Number,
        Sum::Add,
        |row, _| Cell::Count(row.mappings),
        "how many mappings are in the group",
    ),
    Column::new(
        "processes",
        "Processes",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.processes),
        "how many processes have a mapping in the group",
    ),
];

fn sum_column(column: &Column<MappingRows>, place: usize) -> Option<Column<Groups>> {
    if !matches!(column.sum, Sum::Add) {
        return None;
    }
    Some(Column {
        id: column.id.clone(),
        title: column.title.clone(),
        help: column.help.clone(),
        kind: if column.kind == Kind::Bytes { Kind::Bytes } else { Kind::Number },
        sum: Sum::Add,
        get: sum_cell,
        argument: u32::try_from(place).ok()?,
    })
}

fn sum_cell<'r>(row: &GroupRow<'r>, place: Argument<'r>) -> Cell<'r> {
    match row.sums.get(place.0 as usize) {
        Some(TotalCell::Sum { cell, missing: 0 }) => *cell,
        Some(TotalCell::Sum { cell: Cell::Absent(absent), .. }) => Cell::Absent(*absent),
        // A sum over some of them would look like the sum over all.
        Some(TotalCell::Sum { .. }) => Cell::Absent(PARTLY_ABSENT),
        Some(TotalCell::Blank) | None => Cell::Absent(Absent::new(Reason::NotApplicable, "it cannot be added up")),
    }
}
