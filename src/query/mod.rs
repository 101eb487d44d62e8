//! A request as a value, and how it is executed:
//!
//! `Query -> needs -> Source -> rows -> filter -> group -> sort -> top -> change -> total -> Sink`
//!
//! A [`Source`](crate::table::Source) reads what the columns in use need and yields rows; it knows neither columns nor
//! formats. [`execute()`] does everything between a source and a [`Sink`](crate::render::Sink), for every kind of row.
//! No clap and no terminal here.
//!
//! ```
//! use rmap::query::{Failures, Query, execute};
//! use rmap::{render, views::mapping::MappingSource};
//!
//! let query = Query::columns(&["kind", "rss"]).filter("rss > 0")?.by("kind").top(3);
//! let (mut csv, mut failures) = (Vec::new(), Failures::new());
//! execute(&query, &mut MappingSource::of(std::process::id()), &mut render::csv(&mut csv), &mut failures)?;
//! assert!(csv.starts_with(b"pid,kind,rss\r\n") && failures.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod execute;
mod gathered;
mod host;
mod parallel;
mod plan;
mod tail;

use std::time::Duration;

pub use execute::execute;
#[cfg(feature = "cli")]
pub(crate) use execute::{check, check_over};
pub use host::{Failures, Host};

use crate::table::{ColumnList, Expression, FilterError};
use crate::units::Bytes;

/// A request: which columns, which rows, in which order, how often.
#[derive(Debug, Clone)]
pub struct Query {
    /// The selected columns (`-o`).
    pub columns: Option<ColumnList>,
    /// The columns if none are selected.
    pub default: Default,
    /// Groups of columns that a view adds to either, each unless some of its columns are selected.
    pub joined: Vec<Vec<String>>,
    /// Columns that stay empty because nothing is read for them.
    pub unread: &'static [&'static str],
    /// Different titles for some columns, by their ids.
    pub titles: &'static [(&'static str, &'static str)],
    /// Whether every column stays, even if the table does not fit its terminal.
    pub keeps_columns: bool,
    /// Which rows.
    pub filter: Option<Expression>,
    /// Whether the source may leave out every row of a section, as a filter may. Sections without rows are not shown
    /// then, unless there is only one section.
    pub narrows: bool,
    /// The column that rows are grouped by.
    pub by: Option<String>,
    /// Groups for which this column has less than so much are left out, whether it is more or less than zero. A figure
    /// that is not known may be as much.
    pub least: Option<(&'static str, Bytes)>,
    /// Whether all sections are merged into one.
    pub merge: bool,
    /// Whether memory that several processes share is shown once: as that of the first process whose row the filter
    /// accepts.
    pub once: bool,
    /// The column that rows are sorted by: `COL`, largest first, or `-COL`.
    pub order: Option<String>,
    /// Whether rows without an order stay in the one in which they come, even if only the first of them are shown.
    pub keeps_order: bool,
    /// The maximum number of rows; without an order, the largest rows, unless `keeps_order`.
    pub top: Option<usize>,
    /// How each section is closed.
    pub total: Total,
    /// The time between two rounds, if the query is repeated.
    pub every: Option<Duration>,
}

/// The columns if none are selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Default {
    /// These columns.
    Columns(Vec<String>),
    /// Every column, except those that are only shown on request.
    All,
}

/// How a section is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// With its last row.
    None,
    /// With a row of totals.
    Row,
    /// With one line that has the totals of these columns, each with its label.
    Line(&'static [&'static str], &'static [&'static str]),
}

impl Query {
    /// A query for these columns, with no other options. Whether they exist is found by [`execute()`].
    pub fn columns(ids: &[&str]) -> Query {
        Query { columns: Some(ColumnList::of(ids)), ..Query::all() }
    }

    /// A query for all columns.
    pub fn all() -> Query {
        Query {
            columns: None,
            default: Default::All,
            joined: Vec::new(),
            unread: &[],
            titles: &[],
            keeps_columns: false,
            filter: None,
            narrows: false,
            by: None,
            least: None,
            merge: false,
            once: false,
            order: None,
            keeps_order: false,
            top: None,
            total: Total::None,
            every: None,
        }
    }

    /// The same query for the rows that match `expression`, such as `rss > 10M && kind == file`.
    ///
    /// # Errors
    /// The text is not an expression. Whether its columns exist is found by [`execute()`].
    pub fn filter(self, expression: &str) -> Result<Query, FilterError> {
        Ok(Query { filter: Some(expression.parse()?), ..self })
    }

    /// The same query with rows grouped by this column, and added up.
    #[must_use]
    pub fn by(self, column: &str) -> Query {
        Query { by: Some(column.to_ascii_lowercase()), ..self }
    }

    /// The same query sorted by this column, largest first; smallest first for `-COLUMN`.
    #[must_use]
    pub fn sort(self, column: &str) -> Query {
        Query { order: Some(column.to_owned()), ..self }
    }

    /// The same query for the first `count` rows; for the largest if nothing is sorted.
    #[must_use]
    pub fn top(self, count: usize) -> Query {
        Query { top: Some(count), ..self }
    }

    /// The same query, closed with a row of totals.
    #[must_use]
    pub fn total(self) -> Query {
        Query { total: Total::Row, ..self }
    }

    /// Sorts rows as usual, the largest first, if nothing else is asked for. That is what the first rows are, however
    /// many.
    pub fn sort_as_usual(&mut self) {
        self.top.get_or_insert(usize::MAX);
    }

    /// Whether `-o` names this column.
    pub fn names(&self, id: &str) -> bool {
        self.columns.iter().any(|list| list.ids.iter().any(|named| named == id))
    }
}
