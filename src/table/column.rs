//! Columns: the definitions that tables, `-o`, `--help`, JSON and CSV share.
//!
//! To add a column, add one entry to a table in [`crate::views`].

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::cell::Cell;
use super::head::{ColumnHead, ColumnKind, Cut, Presence};
use super::nearest::{column_meant, did_you_mean};
use super::shared::{Common, Spot};
use super::strip::Colour;
use super::sum::{ColumnSum, How};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::units::{Figure, Piece};

/// A kind of row.
pub trait RowKind: Sized + 'static {
    /// One row: owned, so that it can be held, sorted and compared with the same row later.
    type Row: Send + Sync + 'static;

    /// Something that has to be read for a column. The source receives the union over the columns in use.
    type Need: Copy + PartialEq + Send + Sync + std::fmt::Debug + 'static;

    /// The name for rows of this kind: the key of their list in JSON, and of their count in a group.
    const ROWS: &'static str;

    /// What messages call them.
    const CALLED: &'static str = Self::ROWS;

    /// The column that `--top` uses by default; empty if no row is larger than another.
    const LARGEST_BY: &'static str;

    /// Its columns, in the order in which JSON writes them.
    const COLUMNS: &'static [Column<Self>] = &[];

    /// Every column that is known before anything is read, in the same order: [`RowKind::COLUMNS`], unless they are
    /// put together.
    fn columns() -> Vec<Column<Self>> {
        Self::COLUMNS.to_vec()
    }

    /// The id of the column that `name` means: `name` itself, unless rows of this kind have another name for it.
    fn id_of(name: &str) -> &str {
        name
    }

    /// Whether a row is about something that was read, and not a sum over nothing.
    fn was_read(_row: &Self::Row) -> bool {
        true
    }

    /// The identity by which a row is recognized in a later round.
    fn identity(row: &Self::Row) -> Vec<u8>;

    /// What a row that adds up others has in common with other such rows, if that is anything.
    fn common(_row: &Self::Row) -> Option<&Arc<Common>> {
        None
    }

    /// Compares two rows that both lack the figure that they are sorted by.
    fn order_without_figure(_one: &Self::Row, _other: &Self::Row) -> Ordering {
        Ordering::Equal
    }

    /// Breaks the tie between two rows of equal rank; by default they keep their original order.
    fn tie(_one: &Self::Row, _other: &Self::Row) -> Ordering {
        Ordering::Equal
    }

    /// Whether rows belong to processes, so that a group counts the processes.
    const HAS_PROCESSES: bool = false;

    /// Whether rows name a process: a group may then be that of one process.
    const NAMES_PROCESSES: bool = Self::HAS_PROCESSES;

    /// Whether what could not be read may have rows in any group, so that none is known to be complete then.
    const MAY_BE_OF_ANY_GROUP: bool = false;

    /// The process that a row belongs to.
    fn process(_row: &Self::Row) -> Option<u32> {
        None
    }

    /// When that process started, in clock ticks: another process may have the same pid later.
    fn start_time(_row: &Self::Row) -> Option<u64> {
        None
    }

    /// The number of what a row's text in this column names, if the same text may name several things.
    fn thing(_row: &Self::Row, _column: &str) -> Option<u64> {
        None
    }

    /// The number of what a row is a part of, if that may have several rows in a group, where it counts once.
    fn whole(_row: &Self::Row) -> Option<u64> {
        None
    }

    /// The number of the memory that a row is about, if several processes may share it: a total leaves out the rows of
    /// the other processes.
    fn memory(_row: &Self::Row) -> Option<u64> {
        None
    }

    /// The part of that memory that it is about; by default all of it.
    fn part(_row: &Self::Row) -> Range<u64> {
        0..u64::MAX
    }

    /// All three; `None` for a row that is not about memory of a process.
    fn spot(row: &Self::Row) -> Option<Spot> {
        let (memory, process) = Self::memory(row).zip(Self::process(row))?;
        Some(Spot { memory, process, part: Self::part(row) })
    }

    /// Whether rows are parts of the memory itself. A number of rows then leaves out those of the other processes, too.
    const IS_OF_MEMORY: bool = false;

    /// The columns that a name stands for, if there is more than one.
    fn columns_called(_name: &str, _table: &[Column<Self>]) -> Option<Vec<String>> {
        None
    }
}

/// How a total or a group combines the cells of a column.
pub enum Aggregation<K: RowKind> {
    /// Not at all: names, addresses, page sizes. The first such column of a table holds the label of the total.
    None,
    /// Add the figures.
    Sum,
    /// Add the differences, each with its sign.
    Net,
    /// Divides two sums, in percent: the part and the whole of each row; absent if the row does not know them.
    Share(fn(&K::Row) -> Option<(u64, u64)>),
    /// Add the figures, but count what several rows share once: the cached pages of a file that is mapped twice.
    Union(fn(&K::Row, u32) -> Figure<Piece>),
    /// The same as a share, in percent, of something that the rows have in common: the second function returns it.
    Part(fn(&K::Row, u32) -> Figure<Piece>, fn(&K::Row) -> u64),
    /// Combines sums of groups in the way in which the groups were added up.
    Merge(fn(&K::Row, u32) -> Option<&ColumnSum>, How),
}

impl<K: RowKind> Aggregation<K> {
    /// How it combines the cells.
    pub(super) fn how(&self) -> How {
        match self {
            Aggregation::None | Aggregation::Sum => How::Sum,
            Aggregation::Net => How::Net,
            Aggregation::Share(_) => How::Share,
            Aggregation::Union(_) => How::Union,
            Aggregation::Part(..) => How::Part,
            Aggregation::Merge(_, how) => *how,
        }
    }
}

impl<K: RowKind> Clone for Aggregation<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: RowKind> Copy for Aggregation<K> {}

/// The function that returns a column's cell of a row. The number is the [`argument`](Column::argument) of the column.
pub type Getter<K> = for<'r> fn(&'r <K as RowKind>::Row, u32) -> Cell<'r>;

/// One column of one kind of row.
pub struct Column<K: RowKind> {
    /// Its name, title, help and kind.
    pub head: ColumnHead,
    /// How a total combines its cells.
    pub aggregation: Aggregation<K>,
    /// What has to be read for it.
    pub needs: &'static [K::Need],
    /// Returns the cell of a row.
    pub get: Getter<K>,
    /// Whether machine formats have it only if it is named.
    pub is_on_request: bool,
    /// The only texts that its cells can have; none if they are not limited. A filter for another one is an error,
    /// because it would never match.
    pub words: fn() -> Vec<&'static str>,
    /// Whether a total adds the figures of all processes that share one memory, because they are not about the memory.
    pub counts_each: bool,
    /// The second argument of `get`: distinguishes columns that share a function (the counters of smaps).
    pub argument: u32,
}

impl<K: RowKind> Clone for Column<K> {
    fn clone(&self) -> Self {
        Column { head: self.head.clone(), ..*self }
    }
}

impl<K: RowKind> Column<K> {
    /// A column without a total, for which nothing but the row itself is read.
    pub const fn new(
        id: &'static str,
        title: &'static str,
        kind: ColumnKind,
        get: Getter<K>,
        help: &'static str,
    ) -> Self {
        let (id, title, help) = (Cow::Borrowed(id), Cow::Borrowed(title), Cow::Borrowed(help));
        let head = ColumnHead {
            id,
            title,
            help,
            kind,
            presence: Presence::Usual,
            colour: None,
            is_hidden: false,
            is_identifier: false,
            is_name: false,
            cut: Cut::of(kind),
            is_exact: false,
            has_bounds: false,
        };
        let words = Vec::new;
        let aggregation = Aggregation::None;
        Column { head, aggregation, needs: &[], get, is_on_request: false, words, counts_each: false, argument: 0 }
    }

    /// A column that a total adds up.
    pub const fn sum(
        id: &'static str,
        title: &'static str,
        kind: ColumnKind,
        get: Getter<K>,
        help: &'static str,
    ) -> Self {
        Column::new(id, title, kind, get, help).aggregated(Aggregation::Sum)
    }

    /// The same column with this aggregation.
    pub const fn aggregated(self, aggregation: Aggregation<K>) -> Self {
        // `..self` would move out of a value that has a destructor, which a constant function cannot run.
        let mut column = self;
        column.aggregation = aggregation;
        column
    }

    /// The same column with what has to be read for it.
    pub const fn needing(self, needs: &'static [K::Need]) -> Self {
        let mut column = self;
        column.needs = needs;
        column
    }

    /// The same column, which machine formats have only if it is named: for a value that other columns already have in
    /// another form, or that takes long to read.
    pub const fn on_request(self) -> Self {
        let mut column = self;
        column.is_on_request = true;
        column
    }

    /// The same column, which a total adds for each process, whether or not it shares its memory with others.
    pub const fn each(self) -> Self {
        let mut column = self;
        column.counts_each = true;
        column
    }

    /// The same column, whose cells only have these texts. They are never cut.
    pub const fn one_of(self, words: fn() -> Vec<&'static str>) -> Self {
        let mut column = self;
        column.words = words;
        column.head.cut = Cut::Whole;
        column
    }

    /// The same column, which a table leaves out if it does not fit the terminal.
    pub const fn minor(self) -> Self {
        let mut column = self;
        column.head.presence = Presence::Minor;
        column
    }

    /// The same column, which a table that does not fit the terminal leaves out before the minor ones.
    pub const fn least(self) -> Self {
        let mut column = self;
        column.head.presence = Presence::Least;
        column
    }

    /// The same column, whose sizes are never rounded.
    pub const fn exact(self) -> Self {
        let mut column = self;
        column.head.is_exact = true;
        column
    }

    /// The same column, whose numbers name or describe things and are no amounts: their difference says nothing.
    pub const fn identifier(self) -> Self {
        let mut column = self;
        column.head.is_identifier = true;
        column
    }

    /// The same column, whose cells are sums that may be known only in part.
    pub const fn bounded(self) -> Self {
        let mut column = self;
        column.head.has_bounds = true;
        column
    }

    /// The same column, whose texts are cut like this if they are too wide.
    pub const fn cut(self, cut: Cut) -> Self {
        let mut column = self;
        column.head.cut = cut;
        column
    }

    /// The same column, whose figures have this colour on a terminal if they are not zero.
    pub const fn coloured(self, colour: Colour) -> Self {
        let mut column = self;
        column.head.colour = Some(colour);
        column
    }

    /// The same column, whose texts are names from outside.
    pub const fn naming(self) -> Self {
        let mut column = self;
        column.head.is_name = true;
        column
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.head.id
    }

    /// Its type.
    pub fn kind(&self) -> ColumnKind {
        self.head.kind
    }

    /// Whether a total combines its cells.
    pub fn has_total(&self) -> bool {
        !matches!(self.aggregation, Aggregation::None)
    }

    /// The cell of this column in `row`.
    pub fn cell<'r>(&self, row: &'r K::Row) -> Cell<'r> {
        (self.get)(row, self.argument)
    }
}

/// One entry of a table of columns: `col!(sum "size", "Size", Bytes, |row| CELL, "help", on_request())` is
/// `C::sum(...).on_request()`, where `C` is the caller's own `Column<K>`. A macro so that an entry takes one or two
/// lines.
macro_rules! col {
    ($how:ident $id:literal, $title:literal, $kind:ident $(($of:expr))?, |$row:ident| $cell:expr, $help:expr
        $(, $modifier:ident($($value:expr),*))* $(,)?) => {
        C::$how($id, $title, crate::table::ColumnKind::$kind $(($of))?, |$row, _| $cell, $help)
            $(.$modifier($($value),*))*
    };
}

pub(crate) use col;

/// Finds a column by its id or by another name for it.
pub fn find<'t, K: RowKind>(table: &'t [Column<K>], id: &str) -> Option<&'t Column<K>> {
    let id = K::id_of(id);
    table.iter().find(|column| column.id() == id)
}

/// The id or name of the column that a typed word means, in `-o`, `--filter`, `--by` and `--sort`. A word that has an
/// upper-case letter and is exactly the title of a column means that column; if several have this title, the one that
/// is `shown`. Any other word is a name in upper or lower case.
pub fn typed<K: RowKind>(word: &str, table: &[Column<K>], shown: &[impl AsRef<str>]) -> String {
    let has_title =
        |column: &&Column<K>| column.head.title == word && word.contains(|letter: char| letter.is_uppercase());
    let is_shown = |column: &&Column<K>| shown.iter().any(|id| K::id_of(id.as_ref()) == column.id());
    let titled = || table.iter().filter(has_title);
    let meant = titled().find(is_shown).or_else(|| titled().next());
    meant.map_or_else(|| word.to_ascii_lowercase(), |column| column.id().to_owned())
}

/// The columns with these names, in this order.
///
/// # Errors
/// A column that the table does not have; the message has the nearest names.
pub fn select<K: RowKind>(table: &[Column<K>], ids: &[impl AsRef<str>]) -> Result<Vec<Column<K>>> {
    ids.iter().map(|id| find(table, id.as_ref()).cloned().ok_or_else(|| unknown(table, id.as_ref()))).collect()
}

/// Finds a column by its title, in upper or lower case.
pub(super) fn find_titled<'t, K: RowKind>(table: &'t [Column<K>], title: &str) -> Option<&'t Column<K>> {
    table.iter().find(|column| column.head.title.eq_ignore_ascii_case(title))
}

/// The error for a column that the table does not have.
pub fn unknown<K: RowKind>(table: &[Column<K>], id: &str) -> Error {
    let error = |why: String| Error::new(Subject::Words(id.to_owned()), ErrorKind::Unknown, why);
    match meant(table, id) {
        Some(question) => error("unknown column".to_owned()).with_advice(question),
        // Another view of the same subcommand may have it.
        None => error(format!("unknown column: {} do not have it", K::CALLED)),
    }
}

/// Which columns may be meant by a name that the table does not have, as a question.
pub(super) fn meant<K: RowKind>(table: &[Column<K>], id: &str) -> Option<String> {
    match find_titled(table, id) {
        Some(column) => did_you_mean(column.id(), [column.id()]),
        None => column_meant(id, table.iter().map(|column| &column.head)),
    }
}

/// What the columns of a table are, whatever their rows are.
pub fn heads<K: RowKind>(table: &[Column<K>]) -> Vec<ColumnHead> {
    table.iter().map(|column| column.head.clone()).collect()
}

/// The columns of a kind of row as lines for `--help`: the id, the title if it differs, what it is, and its type.
pub fn columns_help<K: RowKind>() -> String {
    let table = K::columns();
    let width = table.iter().map(|column| column.id().len()).max().unwrap_or(0);
    let line = |column: &Column<K>| {
        let (title, help, values) = (title_in_help(&column.head), &column.head.help, (column.words)());
        let are_named = values.iter().all(|value| help.contains(value));
        let values = if are_named { String::new() } else { format!("; one of {}", values.join(", ")) };
        format!("  {:width$}  {title}{help}{values} ({})\n", column.id(), column.kind().word())
    };
    table.iter().map(line).collect()
}

/// The title of a column whose id does not show it.
fn title_in_help(head: &ColumnHead) -> String {
    let is_id = head.title.to_lowercase().replace(' ', "_") == head.id;
    if is_id || head.title.is_empty() || head.kind.is_json_only() {
        String::new()
    } else {
        format!("\"{}\": ", head.title)
    }
}
