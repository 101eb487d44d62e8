//! Columns: what a table, `-o`, `--help`, JSON and CSV all read.
//!
//! A column is one entry of a static table in [`crate::views`]: its name, title, help, kind, whether a total may add it, and the
//! function that takes its cell from a row. Adding a column is adding an entry.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::cell::Cell;
use crate::error::{Error, ErrorKind, Result, Subject};

/// A kind of row. `Row<'r>` is what the columns' functions look at: a reference or a small view.
pub trait RowKind: 'static {
    /// One row.
    type Row<'r>: Copy;

    /// The name of the column that is meant by `name`, wherever a column is named: its own, unless rows of this kind know
    /// another spelling.
    fn id_of(name: &str) -> &str {
        name
    }
}

/// What a column holds; decides alignment and the type in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes: an integer.
    Bytes,
    /// Pages: an integer.
    Pages,
    /// Any other number: an integer.
    Number,
    /// A share of a hundred: a number.
    Percent,
    /// A hexadecimal string.
    Address,
    /// A string.
    Text,
    /// True or false.
    Flag,
    /// RFC 3339 in UTC: a string.
    Time,
    /// An array of true and false, in JSON alone.
    Flags,
    /// How much a figure changed: a signed number.
    Change,
    /// The bytes of a name that is not UTF-8, as a string of hexadecimal digits, in JSON alone.
    RawBytes,
}

impl Kind {
    /// The kind in words, for `--help` and the documentation.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Bytes => "bytes",
            Kind::Pages => "pages",
            Kind::Number => "number",
            Kind::Percent => "percent",
            Kind::Address => "address",
            Kind::Text => "text",
            Kind::Flag => "yes/no",
            Kind::Time => "time",
            Kind::Flags => "list of true/false, JSON only",
            Kind::Change => "signed number",
            Kind::RawBytes => "hexadecimal, JSON only",
        }
    }

    /// Whether only JSON can write it.
    pub fn is_json_only(self) -> bool {
        matches!(self, Kind::Flags | Kind::RawBytes)
    }

    /// Whether tables align it to the left.
    pub(crate) fn is_left_aligned(self) -> bool {
        matches!(self, Kind::Text | Kind::Time | Kind::Flag | Kind::Flags | Kind::RawBytes)
    }
}

/// What a total row may say of a column.
pub enum Sum<K: RowKind> {
    /// Nothing: names, addresses, sizes of a page. The first such column of a table holds the label of the total row.
    Nothing,
    /// The sum of the figures.
    Add,
    /// The share of two sums, in percent: a row's part and whole; absent where the row does not know them.
    Share(for<'r> fn(&K::Row<'r>) -> Option<(u64, u64)>),
}

impl<K: RowKind> Clone for Sum<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: RowKind> Copy for Sum<K> {}

/// The function that takes a column's cell from a row.
pub type Getter<K> = for<'r> fn(&<K as RowKind>::Row<'r>, Argument<'r>) -> Cell<'r>;

/// The number that a getter is given besides the row: the column's own [`argument`](Column::argument). It carries the
/// row's lifetime, which the compiler cannot see in an associated type.
#[derive(Debug, Clone, Copy)]
pub struct Argument<'r>(pub u32, PhantomData<&'r ()>);

/// One column of one kind of row.
pub struct Column<K: RowKind> {
    /// Its name in `-o`, JSON and CSV. Never changes.
    pub id: Cow<'static, str>,
    /// Its heading in tables.
    pub title: Cow<'static, str>,
    /// One line for `--help`: what it is and which kernel file or call gives it.
    pub help: Cow<'static, str>,
    /// What it holds.
    pub kind: Kind,
    /// What a total may say of it.
    pub sum: Sum<K>,
    /// Takes the cell from the row.
    pub get: Getter<K>,
    /// What `get` is given besides the row: tells apart columns that share a function (the counters of smaps).
    pub argument: u32,
}

impl<K: RowKind> Clone for Column<K> {
    fn clone(&self) -> Self {
        Column {
            id: self.id.clone(),
            title: self.title.clone(),
            help: self.help.clone(),
            kind: self.kind,
            sum: self.sum,
            get: self.get,
            argument: self.argument,
        }
    }
}

impl<K: RowKind> Column<K> {
    /// An entry of a static table.
    pub const fn new(
        id: &'static str,
        title: &'static str,
        kind: Kind,
        sum: Sum<K>,
        get: Getter<K>,
        help: &'static str,
    ) -> Self {
        Column {
            id: Cow::Borrowed(id),
            title: Cow::Borrowed(title),
            help: Cow::Borrowed(help),
            kind,
            sum,
            get,
            argument: 0,
        }
    }

    /// The cell of this column in `row`.
    pub fn cell<'r>(&self, row: &K::Row<'r>) -> Cell<'r> {
        (self.get)(row, Argument(self.argument, PhantomData))
    }
}

/// What `-o` asked for: a list that replaces the default columns, or `+LIST` that adds to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnList {
    /// The names, in the order in which they were typed, in lower case.
    pub ids: Vec<String>,
    /// Whether they come after the default columns.
    pub adds: bool,
}

impl std::str::FromStr for ColumnList {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (adds, list) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut ids: Vec<String> = Vec::new();
        for id in list.split(',').map(|id| id.trim().to_ascii_lowercase()) {
            if id.is_empty() {
                return Err("a column's name is empty: write a list like size,rss or +pss".to_owned());
            }
            if id.starts_with('+') {
                return Err("the + stands before the whole list: +rss,pss".to_owned());
            }
            // One that is named twice is shown once: JSON cannot have a key twice.
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ColumnList { ids, adds })
    }
}

impl ColumnList {
    /// The same list, each column under its own name.
    pub fn resolved<K: RowKind>(&self) -> ColumnList {
        ColumnList { ids: self.ids.iter().map(|id| K::id_of(id).to_owned()).collect(), adds: self.adds }
    }

    /// The names that are to be shown, given the default ones.
    pub fn over<'a>(&'a self, default: &[&'a str]) -> Vec<&'a str> {
        let mut ids = if self.adds { default.to_vec() } else { Vec::new() };
        let added = self.ids.iter().map(String::as_str).filter(|id| !default.contains(id) || !self.adds);
        let place = if self.adds { before_the_name(&ids) } else { 0 };
        ids.splice(place..place, added);
        ids
    }
}

/// The columns whose words vary in length, so that they come last on a line.
const LAST: &[&str] = &["mapping", "name", "path", "filename", "why"];

/// Where columns are added to these: before the last one if that is a name, else behind it.
pub fn before_the_name(ids: &[&str]) -> usize {
    ids.len() - usize::from(ids.last().is_some_and(|last| LAST.contains(last)))
}

/// Finds a column by its name, or by another spelling of it.
pub fn find<'t, K: RowKind>(table: &'t [Column<K>], id: &str) -> Option<&'t Column<K>> {
    let id = K::id_of(id);
    table.iter().find(|column| column.id == id)
}

/// The columns with these names, in this order.
///
/// # Errors
/// A name that the table does not have; the message lists the names there are.
pub fn select<K: RowKind>(table: &[Column<K>], ids: &[&str]) -> Result<Vec<Column<K>>> {
    ids.iter().map(|id| find(table, id).cloned().ok_or_else(|| unknown(table, id))).collect()
}

/// The error about a name that the table does not have.
pub fn unknown<K: RowKind>(table: &[Column<K>], id: &str) -> Error {
    let known: Vec<&str> = table.iter().map(|column| column.id.as_ref()).collect();
    Error::new(Subject::Words(id.to_owned()), ErrorKind::Refused, "there is no such column")
        .with_advice(format!("the columns are {}", known.join(", ")))
}

/// The columns of a table as lines for `--help`.
pub fn help<K: RowKind>(table: &[Column<K>]) -> String {
    let width = table.iter().map(|column| column.id.len()).max().unwrap_or(0);
    let line = |column: &Column<K>| format!("  {:width$}  {} ({})\n", column.id, column.help, column.kind.word());
    table.iter().map(line).collect()
}
