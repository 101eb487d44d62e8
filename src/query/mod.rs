//! A request as a value, and the one way in which it is carried out:
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
    /// The columns that were named (`-o`).
    pub columns: Option<ColumnList>,
    /// The columns if none were named.
    pub default: Default,
    /// Columns that a view adds to either, unless some of them were named.
    pub joined: Vec<String>,
    /// Columns for which nothing is read, although they are there: they are empty.
    pub unread: &'static [&'static str],
    /// Other titles for some columns, by their names.
    pub titles: &'static [(&'static str, &'static str)],
    /// Which rows.
    pub filter: Option<Expression>,
    /// The column that rows are grouped by.
    pub by: Option<String>,
    /// Whether all sections are one.
    pub merge: bool,
    /// The column that rows are sorted by: `COL`, largest first, or `-COL`.
    pub order: Option<String>,
    /// How many rows at most; without an order, the largest.
    pub top: Option<usize>,
    /// How each section is closed.
    pub total: Total,
    /// The time between two looks, if the answer is repeated.
    pub every: Option<Duration>,
    /// Whether the format can write columns that only JSON can.
    pub is_json: bool,
    /// Whether the format has a place for what a section is called; else a row has to name its process.
    pub has_headings: bool,
}

/// The columns of an answer if none were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Default {
    /// These.
    Columns(Vec<String>),
    /// Every column that is not on request only.
    All,
}

/// How a section is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// With its last row.
    None,
    /// With a row of totals.
    Row,
    /// With a line of the totals of these columns, each with its label.
    Line(&'static [&'static str], &'static [&'static str]),
}

impl Query {
    /// A query for these columns, and nothing else.
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

/// Where a query runs: who is told of failures, and who can end it.
pub trait Host {
    /// Something could not be reported.
    fn failure(&mut self, error: &Error);
    /// The answer lacks something that its rows already name.
    fn incomplete(&mut self);
    /// How far the reading is.
    fn progress(&mut self, _progress: Progress) {}
    /// Whether to go on.
    ///
    /// # Errors
    /// [`Stop::Signal`] if a signal has come.
    fn check(&self) -> Result<(), Stop>;
    /// Waits until `end`.
    ///
    /// # Errors
    /// [`Stop::Signal`] as soon as a signal comes.
    fn wait_until(&self, end: Instant) -> Result<(), Stop>;
}
