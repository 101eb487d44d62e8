//! The interface of every source of rows, and of what it reports in addition to its rows.
//!
//! The sources are in [`crate::views`]; their rows are processed in [`crate::query`].

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::cell::OwnedCell;
use super::column::{Column, RowKind};
use super::filter::FilterError;
use crate::error::{Error, ErrorKind, Subject};
use crate::units::Bytes;

/// Reads rows of one kind.
pub trait Source {
    /// The kind of its rows.
    type Kind: RowKind;

    /// The columns that its rows have; `named` are the names that the query uses, because a column may be known only
    /// after something was read for it.
    fn columns(&mut self, _named: &Named) -> Vec<Column<Self::Kind>> {
        Self::Kind::columns()
    }

    /// Reads what is needed for these columns, and passes each row to `rows`.
    ///
    /// # Errors
    /// An error that ends the whole reading. A row that cannot be read is a [`failure`](Rows::failure) instead.
    fn read(&mut self, needs: &[<Self::Kind as RowKind>::Need], rows: &mut dyn Rows<Self::Kind>) -> Result<(), Stop>;

    /// Which rows are shown at most, so that a source that can tell need not read the others. `None`: any of them.
    fn show_at_most(&mut self, _largest: Option<Largest>) {}

    /// What is said about the whole answer after its rows.
    fn closing(&self) -> Closing {
        Closing::default()
    }

    /// Whether rows are divided into sections, one per process.
    fn is_sectioned(&self) -> bool {
        false
    }

    /// Whether nothing is left that could be read again.
    fn is_over(&self) -> bool {
        false
    }

    /// The named paths, if nothing else is read. If none of them exists in the first round, a repeated query ends.
    fn named(&self) -> &[PathBuf] {
        &[]
    }

    /// Whether each row takes long, so that it is written as soon as it arrives.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether what it reads is found and not named, so that many rows may lack something for the same reason. Such
    /// failures are reported together.
    fn finds_many(&self) -> bool {
        false
    }

    /// Whether reading does work that was itself requested: it then continues even if nobody reads the output.
    fn is_work(&self) -> bool {
        false
    }
}

/// The keys and values of an object in a JSON document.
pub type Object = Vec<(&'static str, OwnedCell)>;

/// What is said about a whole answer.
#[derive(Clone, Default)]
pub struct Closing {
    /// For tables: lines of text below the rows.
    pub lines: Vec<String>,
    /// The same for a JSON document with a total: a key and an object.
    pub object: Option<(&'static str, Object)>,
    /// A key and an array of objects, likewise.
    pub list: Option<(&'static str, Vec<Object>)>,
}

/// The largest rows by a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Largest {
    /// The id of the column.
    pub by: String,
    /// How many.
    pub rows: usize,
}

/// The names of columns in a query.
pub struct Named {
    /// The names.
    pub ids: Vec<String>,
    /// Whether the query also uses all columns.
    pub all: bool,
}

/// Takes the rows of a source.
pub trait Rows<K: RowKind> {
    /// Begins this section, to which the following rows belong.
    ///
    /// # Errors
    /// [`Stop`], here and below: the source returns it.
    fn section(&mut self, section: Section) -> Result<(), Stop>;
    /// One row.
    ///
    /// # Errors
    /// [`Stop`].
    fn row(&mut self, row: K::Row) -> Result<(), Stop>;
    /// Many rows.
    ///
    /// # Errors
    /// [`Stop`].
    fn rows(&mut self, rows: Vec<K::Row>) -> Result<(), Stop> {
        rows.into_iter().try_for_each(|row| self.row(row))
    }
    /// Something could not be reported; the reading goes on.
    fn failure(&mut self, error: Error);
    /// Something that would have a row could not be reported, so that the total is incomplete.
    fn lost(&mut self, error: Error) {
        self.failure(error);
    }
    /// Something was left out on purpose: the answer is complete, but a user may miss it.
    fn note(&mut self, note: Error);
    /// The answer lacks something that its rows already report.
    fn incomplete(&mut self);
    /// The progress of the reading.
    fn progress(&mut self, progress: Progress);
    /// Checks whether to continue, for a source that has had no row for a while.
    ///
    /// # Errors
    /// [`Stop::Signal`].
    fn check(&mut self) -> Result<(), Stop>;
}

/// The progress of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// This many files have been visited.
    Files(u64),
    /// This many bytes are done, of this many in total.
    Bytes(Bytes, Bytes),
    /// A picture of the work: lines of text.
    Picture(String),
    /// The same in one line, for where no picture can be shown.
    Log(String),
    /// One piece of work is done.
    Done,
}

/// The heading and keys of a section.
#[derive(Clone, Default)]
pub struct Section {
    /// The heading in a table: one line of text from outside.
    pub line: Vec<u8>,
    /// Keys and values next to the list of rows in a JSON document.
    pub fields: Vec<(&'static str, OwnedCell)>,
    /// More keys of a JSON document, whose values are objects; a line of figures in a table.
    pub objects: Vec<(&'static str, Vec<(&'static str, OwnedCell)>)>,
    /// The time of the round, if the query is repeated.
    pub time: Option<SystemTime>,
    /// Whether access to its rows was denied: it then has no rows and no total.
    pub is_closed: bool,
    /// Why access was denied: one more key of a JSON document.
    pub denied: Option<OwnedCell>,
    /// What its rows lack, and why: one more key of a JSON document.
    pub incomplete: Option<OwnedCell>,
}

/// Why a query ended early.
#[derive(Debug)]
pub enum Stop {
    /// The request is invalid.
    Usage(Error),
    /// The filter is invalid.
    Filter(FilterError),
    /// The query could not be answered at all.
    Failed(Error),
    /// The output could not be written.
    Output(io::Error),
    /// A signal arrived, and everything was restored.
    Signal(i32),
    /// All requested rows have arrived.
    Enough,
}

impl Stop {
    /// An invalid request.
    pub fn usage(about: &str, why: impl Into<std::borrow::Cow<'static, str>>) -> Stop {
        Stop::Usage(Error::new(Subject::Words(about.to_owned()), ErrorKind::Refused, why))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Usage(error) | Stop::Failed(error) => error.fmt(out),
            Stop::Filter(error) => error.fmt(out),
            Stop::Output(error) => write!(out, "the answer could not be written: {error}"),
            Stop::Signal(signal) => write!(out, "ended by signal {signal}"),
            Stop::Enough => out.write_str("all rows that were requested have come"),
        }
    }
}

impl std::error::Error for Stop {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // It says what the error says.
            Stop::Usage(error) | Stop::Failed(error) => error.source(),
            Stop::Output(error) => Some(error),
            Stop::Filter(_) | Stop::Signal(_) | Stop::Enough => None,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}
