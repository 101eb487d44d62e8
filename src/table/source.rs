//! Where rows come from: the interface of every source, and what it tells besides its rows.
//!
//! What a source reads, and from where, is in [`crate::views`]; what becomes of its rows, in [`crate::query`].

use std::io;
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

    /// The columns that its rows have; `named` are the names that the query uses. None if only the columns that are known
    /// to everybody are used, so that nothing has to be read to know them.
    fn columns(&mut self, named: &Named) -> Vec<Column<Self::Kind>>;

    /// Reads what is needed for these columns, and gives each row to `rows`.
    ///
    /// # Errors
    /// What stops the reading as a whole; a row that cannot be read is a [`failure`](Rows::failure).
    fn read(&mut self, needs: &[<Self::Kind as RowKind>::Need], rows: &mut dyn Rows<Self::Kind>) -> Result<(), Stop>;

    /// Whether rows come in sections, one for each process.
    fn is_sectioned(&self) -> bool {
        false
    }

    /// Whether nothing is left that could be looked at again.
    fn is_over(&self) -> bool {
        false
    }

    /// Whether each row takes its time, and is to be written as it comes.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether reading is work that was requested for its own sake: it then goes on when nobody reads the answer.
    fn is_work(&self) -> bool {
        false
    }
}

/// The names of columns in a query.
pub struct Named {
    /// The names.
    pub ids: Vec<String>,
    /// Whether the query also uses every column that there is.
    pub all: bool,
}

/// Takes the rows of a source.
pub trait Rows<K: RowKind> {
    /// The rows that follow are of this section.
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
    /// The answer lacks something that its rows already name.
    fn incomplete(&mut self);
    /// How far the reading is.
    fn progress(&mut self, progress: Progress);
    /// Whether to go on, for a source that has no row to give for a while.
    ///
    /// # Errors
    /// [`Stop::Signal`].
    fn check(&mut self) -> Result<(), Stop>;
}

/// How far a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many files were looked at.
    Files(u64),
    /// So many bytes of so many are done.
    Bytes(Bytes, Bytes),
    /// One piece of work is done.
    Done,
}

/// What comes before the rows of a section.
#[derive(Clone, Default)]
pub struct Section {
    /// The heading in a table: one line of text from outside.
    pub line: Vec<u8>,
    /// Keys and values beside the list of rows in a JSON document.
    pub fields: Vec<(&'static str, OwnedCell)>,
    /// More keys of a JSON document, whose values are objects; a line of figures in a table.
    pub objects: Vec<(&'static str, Vec<(&'static str, OwnedCell)>)>,
    /// When the look was taken, if the answer is repeated.
    pub time: Option<SystemTime>,
    /// Whether its rows may not be read: it then has no rows and no total.
    pub is_closed: bool,
}

/// Why a query ended before it was answered.
#[derive(Debug)]
pub enum Stop {
    /// The request does not make sense.
    Usage(Error),
    /// The filter does not make sense.
    Filter(FilterError),
    /// It could not be answered at all.
    Failed(Error),
    /// The answer could not be written.
    Output(io::Error),
    /// A signal asked for the end, and everything was put back.
    Signal(i32),
    /// All rows that were requested have come.
    Enough,
}

impl Stop {
    /// A request that does not make sense.
    pub fn usage(about: &str, why: impl Into<std::borrow::Cow<'static, str>>) -> Stop {
        Stop::Usage(Error::new(Subject::Words(about.to_owned()), ErrorKind::Refused, why))
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
