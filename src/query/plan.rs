//! Resolves a query for one kind of row: names become columns, and the columns determine what has to be read.

use std::collections::HashSet;

use super::{Default, Query, Total};
use crate::error::{Error, ErrorKind, Subject};
use crate::render::{Head, Sink, TotalStyle};
use crate::table::{
    Cell, Column, ColumnKind, ColumnList, Difference, Filter, Group, Grouping, Groups, Largest, Named, Order, Presence,
    RowKind, Stop, find, heads, select, unknown,
};
use crate::units::Bytes;

/// A query over columns of kind `K`, up to the grouping.
pub(super) struct Plan<K: RowKind> {
    pub(super) filter: Option<Filter<K>>,
    pub(super) needs: Vec<K::Need>,
    pub(super) shape: Shape<K>,
}

/// What happens to the rows that the filter accepts.
pub(super) enum Shape<K: RowKind> {
    /// They are shown.
    Rows(Shown<K>),
    /// They are grouped by a column; these columns are added up. Not every group may be shown.
    Groups(Column<K>, Vec<Column<K>>, Shown<Groups>, Option<Box<Least>>),
}

/// Which groups are large enough to be shown.
pub(super) struct Least {
    column: Column<Groups>,
    amount: Bytes,
}

impl Least {
    pub(super) fn admits(&self, group: &Group) -> bool {
        match self.column.cell(group) {
            Cell::Change(Difference::Bytes(by)) => by.unsigned_abs() >= self.amount.0,
            _ => true,
        }
    }
}

/// Which columns of rows of kind `K` are shown, and in which order.
pub(super) struct Shown<K: RowKind> {
    pub(super) columns: Vec<Column<K>>,
    pub(super) order: Option<Order<K>>,
    pub(super) top: Option<usize>,
    /// The columns of a closing line.
    pub(super) line: Vec<Column<K>>,
}

/// The names that a query uses, before the columns are known.
pub(super) fn named(query: &Query) -> Named {
    let mut ids: Vec<String> = query.columns.iter().flat_map(|list| list.ids.clone()).collect();
    if let Default::Columns(default) = &query.default {
        ids.extend(default.iter().cloned());
    }
    ids.extend(query.filter.iter().flat_map(|filter| filter.names()));
    ids.extend(query.order.iter().map(|word| word.trim_start_matches('-').to_ascii_lowercase()));
    ids.extend(query.by.iter().cloned());
    ids.extend(query.joined.iter().flatten().cloned());
    let replaced = query.columns.as_ref().is_some_and(|list| !list.adds);
    Named { ids, all: query.default == Default::All && !replaced }
}

impl<K: RowKind> Plan<K> {
    pub(super) fn new(query: &Query, table: &[Column<K>], sink: &dyn Sink) -> Result<Plan<K>, Stop> {
        let filter = query.filter.as_ref().map(|filter| filter.over(table)).transpose().map_err(Stop::Filter)?;
        let shape = match &query.by {
            None => Shape::Rows(shown(query, table, sink)?),
            Some(by) => grouped(query, table, sink, by)?,
        };
        let used = shape.columns().chain(filter.iter().flat_map(Filter::columns));
        let needs = union(used.filter(|column| !query.unread.contains(&column.id())));
        Ok(Plan { filter, needs, shape })
    }
}

impl<K: RowKind> Plan<K> {
    /// Which rows are shown at most, if only the largest ones by a column are.
    pub(super) fn largest(&self) -> Option<Largest> {
        match (&self.shape, &self.filter) {
            (Shape::Rows(Shown { order: Some(order), top: Some(rows), .. }), None) if order.is_largest_first() => {
                Some(Largest { by: order.column().id().to_owned(), rows: *rows })
            }
            _ => None,
        }
    }
}

impl<K: RowKind> Shape<K> {
    /// The columns of rows that are shown, sorted by, or added up.
    fn columns(&self) -> Box<dyn Iterator<Item = &Column<K>> + '_> {
        match self {
            Shape::Rows(shown) => {
                Box::new(shown.columns.iter().chain(&shown.line).chain(shown.order.iter().map(Order::column)))
            }
            Shape::Groups(common, summed, ..) => Box::new(summed.iter().chain([common])),
        }
    }
}

fn union<'c, K: RowKind>(columns: impl Iterator<Item = &'c Column<K>>) -> Vec<K::Need> {
    let mut needs = Vec::new();
    for need in columns.flat_map(|column| column.needs) {
        if !needs.contains(need) {
            needs.push(*need);
        }
    }
    needs
}

fn shown<K: RowKind>(query: &Query, table: &[Column<K>], sink: &dyn Sink) -> Result<Shown<K>, Stop> {
    let default = expanded(&default_ids(query, table), table);
    let mut ids = match &query.columns {
        Some(list) => {
            expanded(&list.over(&default).iter().map(|id| K::id_of(id).to_owned()).collect::<Vec<_>>(), table)
        }
        None => default,
    };
    join(query, table, &mut ids, |_| true);
    let columns = select(table, &ids).map_err(Stop::Usage)?;
    let line = match query.total {
        Total::Line(_, ids) => select(table, ids).map_err(Stop::Usage)?,
        _ => Vec::new(),
    };
    let largest = || query.top.filter(|_| !query.keeps_order && !K::LARGEST_BY.is_empty());
    let order = match &query.order {
        Some(word) => Some(Order::parse(word, table)),
        None => largest().map(|_| Order::usual(K::LARGEST_BY, table)),
    };
    let order = order.transpose().map_err(Stop::Usage)?;
    let columns = titled(query, writable(query, columns, sink)?, order.as_ref());
    Ok(Shown { columns, order, top: query.top, line })
}

/// Expands names that stand for several columns, and removes duplicates.
fn expanded<K: RowKind>(ids: &[String], table: &[Column<K>]) -> Vec<String> {
    let mut seen = HashSet::new();
    let columns = ids.iter().flat_map(|id| K::columns_called(id, table).unwrap_or_else(|| vec![id.clone()]));
    columns.filter(|id| seen.insert(id.clone())).collect()
}

fn default_ids<K: RowKind>(query: &Query, table: &[Column<K>]) -> Vec<String> {
    match &query.default {
        Default::Columns(ids) => ids.clone(),
        Default::All => {
            table.iter().filter(|column| !column.is_on_request).map(|column| column.id().to_owned()).collect()
        }
    }
}

/// Adds the columns of joined views, unless some of them are already there.
fn join<K: RowKind>(query: &Query, table: &[Column<K>], ids: &mut Vec<String>, is_there: impl Fn(&String) -> bool) {
    for joined in query.joined.iter().filter(|joined| !joined.is_empty()) {
        let joined = expanded(joined, table);
        if joined.iter().any(|id| ids.contains(id)) {
            continue;
        }
        let place = match query.default {
            Default::All => ids.len(),
            Default::Columns(_) => crate::table::before_the_name(ids),
        };
        ids.splice(place..place, joined.iter().filter(|id| is_there(id)).cloned());
    }
}

fn grouped<K: RowKind>(query: &Query, table: &[Column<K>], sink: &dyn Sink, by: &str) -> Result<Shape<K>, Stop> {
    let common = find(table, by).cloned().ok_or_else(|| Stop::Usage(unknown(table, by)))?;
    if matches!(common.kind(), ColumnKind::Strip(_) | ColumnKind::Bars | ColumnKind::Flags | ColumnKind::RawBytes) {
        return Err(Stop::usage(by, "rows cannot be grouped by this column"));
    }
    let known = Grouping::new(table, &common, query.merge).columns();
    let is_in_groups = |id: &String| find(&known, id).is_some();
    // Groups have the other names of the columns of their rows, too, except those that are names of their own.
    let id_of = |id: &String| if is_in_groups(id) { id.clone() } else { K::id_of(id).to_owned() };
    let columns = query.columns.as_ref().map(|list| ColumnList { ids: list.ids.iter().map(id_of).collect(), ..*list });
    let query = &Query { columns, ..query.clone() };
    let default: Vec<String> = counts::<K>(query)
        .into_iter()
        .chain(default_ids(query, table).into_iter().filter(|id| find(table, id).is_some_and(Column::has_total)))
        .collect();
    let named = query.columns.as_ref().map(|list| list.over(&default));
    let mut ids = named.unwrap_or(default);
    join(query, table, &mut ids, is_in_groups);
    if K::HAS_PROCESSES
        && !query.merge
        && !sink.has_headings()
        && common.id() != "pid"
        && !ids.iter().any(|id| id == "pid")
    {
        ids.insert(0, "pid".to_owned());
    }
    if !ids.iter().any(|id| id == common.id()) {
        ids.push(common.id().to_owned());
    }
    if common.head.is_name {
        ids.push(format!("{}_bytes", common.id()));
    }
    if let Some(odd) = ids.iter().find(|id| !is_in_groups(id)) {
        return Err(not_in_groups(table, &known, odd));
    }
    let order = match &query.order {
        Some(word) => match Order::parse(word, &known) {
            Ok(order) => Some(order),
            Err(_) => return Err(not_in_groups(table, &known, word.trim_start_matches('-'))),
        },
        // The largest groups first: by the main figure, or else by the number of rows.
        None => Order::usual(K::LARGEST_BY, &known).or_else(|_| Order::usual(K::ROWS, &known)).ok(),
    };
    // Only what is shown, sorted by or compared is read and added up.
    let is_used = |column: &&Column<K>| {
        let is_shown = ids.iter().any(|id| id == column.id());
        column.has_total()
            && column.id() != common.id()
            && (is_shown
                || query.least.is_some_and(|(id, _)| id == column.id())
                || order.as_ref().is_some_and(|order| order.column().id() == column.id()))
    };
    let summed: Vec<Column<K>> = table.iter().filter(is_used).cloned().collect();
    let groups = Grouping::new(&summed, &common, query.merge).columns();
    let order = match (&query.order, order) {
        (Some(word), _) => Some(Order::parse(word, &groups).map_err(Stop::Usage)?),
        (None, Some(order)) => Order::usual(order.column().id(), &groups).ok(),
        (None, None) => None,
    };
    let shown = writable(query, select(&groups, &ids).map_err(Stop::Usage)?, sink)?;
    let columns = titled(query, shown, order.as_ref());
    let least = query.least.and_then(|(id, amount)| {
        let column = find(&groups, id).cloned()?;
        Some(Box::new(Least { column, amount }))
    });
    Ok(Shape::Groups(common, summed, Shown { columns, order, top: query.top, line: Vec::new() }, least))
}

fn counts<K: RowKind>(query: &Query) -> Vec<String> {
    let processes = (K::HAS_PROCESSES && query.merge).then(|| "processes".to_owned());
    std::iter::once(K::ROWS.to_owned()).chain(processes).collect()
}

fn not_in_groups<K: RowKind>(table: &[Column<K>], known: &[Column<Groups>], id: &str) -> Stop {
    match find(table, id) {
        Some(_) => Stop::usage(id, "groups do not have this column: it cannot be added up"),
        None => Stop::Usage(unknown(known, id)),
    }
}

/// The columns that the format can write: columns that only JSON supports are left out of other formats.
fn writable<K: RowKind>(query: &Query, columns: Vec<Column<K>>, sink: &dyn Sink) -> Result<Vec<Column<K>>, Stop> {
    if sink.is_json() {
        return Ok(columns);
    }
    match columns.iter().find(|column| column.kind().is_json_only() && is_named(query, column)) {
        Some(column) => {
            let subject = Subject::Words(column.id().to_owned());
            Err(Stop::Usage(Error::new(subject, ErrorKind::Refused, "only --json and --jsonl can write this column")))
        }
        None => Ok(columns.into_iter().filter(|column| !column.kind().is_json_only()).collect()),
    }
}

/// Whether `-o` names this column, by its id or by another name for it.
fn is_named<K: RowKind>(query: &Query, column: &Column<K>) -> bool {
    query.columns.iter().any(|list| list.ids.iter().any(|id| K::id_of(id) == column.id()))
}

/// The columns with the titles and the presence that the query gives them.
fn titled<K: RowKind>(query: &Query, mut columns: Vec<Column<K>>, order: Option<&Order<K>>) -> Vec<Column<K>> {
    // An order that the query does not name is no reason to keep a column.
    let order = order.filter(|_| query.order.is_some());
    for column in &mut columns {
        let is_sorted_by = order.is_some_and(|order| order.column().id() == column.id());
        if query.keeps_columns || is_named(query, column) || is_sorted_by {
            column.head.presence = Presence::Named;
        }
        if let Some((_, title)) = query.titles.iter().find(|(id, _)| *id == column.head.id) {
            column.head.title = (*title).into();
        }
    }
    columns
}

impl<K: RowKind> Shown<K> {
    /// The head of these rows for a sink.
    pub(super) fn head(&self, query: &Query, is_sectioned: bool, is_live: bool) -> Head {
        Head {
            columns: heads(&self.columns),
            rows: K::ROWS,
            sectioned: is_sectioned,
            total: match query.total {
                Total::None => TotalStyle::None,
                Total::Row => TotalStyle::Row,
                Total::Line(labels, _) => TotalStyle::Line(labels),
            },
            every: query.every,
            live: is_live,
        }
    }
}
