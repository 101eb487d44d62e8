//! Column tables: what a row of any kind shows, and what can be done with its cells.
//!
//! A [`Column`] is one entry of a static table: name, title, help, kind, what a total may do with it, what it needs to be
//! read, and the function that takes its [`Cell`] from a row. Filters, orders, groups, totals and changes are written once,
//! over columns. Nothing here knows memory, a terminal or the command line.

mod cell;
mod change;
mod column;
pub mod escape;
mod filter;
mod group;
mod order;
mod source;
mod total;

pub use cell::{Cell, Difference, FlagRuns, OwnedCell, SizeUnit};
pub(crate) use cell::{digit, push_hex, push_number};
pub use change::{Compared, Fate, Look, compare, difference};
pub use column::{
    Aggregation, Colour, Column, ColumnHead, ColumnKind, ColumnList, Getter, Mark, RowKind, StripCell, columns_help,
    find, select, unknown,
};
pub(crate) use column::{before_the_name, col};
pub use filter::{Expression, Filter, FilterError};
pub use group::{Group, Grouping, Groups};
pub use order::{Order, Ranking};
pub use source::{Named, Progress, Rows, Section, Source, Stop};
pub use total::{TotalCell, TotalRow, Totals};
