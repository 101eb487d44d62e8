//! A request as a value, and how it is executed:
//!
//! `Query -> needs -> Source -> rows -> filter -> group -> sort -> top -> change -> total -> Sink`
//!
//! A [`Source`](crate::table::Source) reads what the columns in use need and yields rows; it knows neither columns nor formats. [`execute`] does
//! everything between a source and a [`Sink`](crate::render::Sink), for every kind of row. No clap and no terminal here.

mod execute;
mod parallel;
mod plan;
mod tail;

use std::time::{Duration, Instant};

pub use execute::execute;

use crate::error::Error;
use crate::table::{ColumnList, Expression, Progress, Stop};

/// A request: which columns, which rows, in which order, how often.
#[derive(Debug, Clone)]
pub struct Query {
    /// The selected columns (`-o`).
    pub columns: Option<ColumnList>,
    /// The columns if none are selected.
    pub default: Default,
    /// Columns that a view adds to either, unless some of them are selected.
    pub joined: Vec<String>,
    /// Columns that stay empty because nothing is read for them.
    pub unread: &'static [&'static str],
    /// Different titles for some columns, by their ids.
    pub titles: &'static [(&'static str, &'static str)],
    /// Which rows.
    pub filter: Option<Expression>,
    /// The column that rows are grouped by.
    pub by: Option<String>,
    /// Whether all sections are merged into one.
    pub merge: bool,
    /// The column that rows are sorted by: `COL`, largest first, or `-COL`.
    pub order: Option<String>,
    /// The maximum number of rows; without an order, the largest rows.
    pub top: Option<usize>,
    /// How each section is closed.
    pub total: Total,
    /// The time between two rounds, if the query is repeated.
    pub every: Option<Duration>,
    /// Whether the format can write columns that only JSON supports.
    pub is_json: bool,
    /// Whether the format writes section headings; otherwise each row has to name its process.
    pub has_headings: bool,
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
    /// A query for these columns, with no other options.
    pub fn columns(ids: &[&str]) -> Query {
        Query::new(Default::Columns(ids.iter().map(|id| (*id).to_owned()).collect()))
    }

    /// A query for all columns.
    pub fn all() -> Query {
        Query::new(Default::All)
    }

    /// Whether `-o` names this column.
    pub fn names(&self, id: &str) -> bool {
        self.columns.iter().any(|list| list.ids.iter().any(|named| named == id))
    }

    fn new(default: Default) -> Query {
        Query {
            columns: None,
            default,
            joined: Vec::new(),
            unread: &[],
            titles: &[],
            filter: None,
            by: None,
            merge: false,
            order: None,
            top: None,
            total: Total::None,
            every: None,
            is_json: true,
            has_headings: true,
        }
    }
}

/// The environment of a query: receives failures and progress, and can end it.
pub trait Host {
    /// Something could not be reported.
    fn failure(&mut self, error: &Error);
    /// The answer lacks something that its rows already report.
    fn incomplete(&mut self);
    /// The progress of the reading.
    fn progress(&mut self, _progress: Progress) {}
    /// Checks whether to continue.
    ///
    /// # Errors
    /// [`Stop::Signal`] if a signal has arrived.
    fn check(&self) -> Result<(), Stop>;
    /// Waits until `end`.
    ///
    /// # Errors
    /// [`Stop::Signal`] as soon as a signal arrives.
    fn wait_until(&self, end: Instant) -> Result<(), Stop>;
}
