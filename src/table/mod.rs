//! Column tables: the columns of any kind of row, and the operations on their cells.
//!
//! A [`Column`] is one entry of a static table: name, title, help, type, aggregation, what has to be read for it, and
//! the function that returns its [`Cell`] of a row. Filters, orders, groups, totals and changes are implemented once,
//! for all columns. Nothing here depends on memory, a terminal or the command line.

mod cell;
mod change;
mod column;
pub mod escape;
mod filter;
mod group;
mod head;
mod list;
mod nearest;
mod order;
mod shared;
mod source;
mod strip;
mod sum;
mod total;

pub use cell::{Amount, Cell, Difference, FlagRuns, OwnedCell, SizeUnit};
#[cfg(feature = "cli")]
pub(crate) use cell::{LOWER_BOUND, write_change_of_share};
pub(crate) use cell::{Rfc3339, bar_text, push_hex, push_number, write_brief_share};
pub use change::{Compared, Fate, Look, compare, difference, difference_of_totals};
pub(crate) use column::col;
pub use column::{Aggregation, Column, Getter, RowKind, columns_help, find, heads, select, typed, unknown};
pub use filter::{Expression, Filter, FilterError};
pub use group::{Group, Grouping, Groups};
pub use head::{ColumnHead, ColumnKind, Cut, Presence};
pub use list::ColumnList;
pub(crate) use list::before_the_name;
#[cfg(feature = "cli")]
pub(crate) use nearest::column_meant;
pub use nearest::{did_you_mean, nearest};
pub use order::{Order, Ranking};
pub use shared::{Common, Counted, Spot};
pub use source::{Closing, Largest, Named, Object, Progress, Rows, Section, Source, Stop};
#[cfg(feature = "cli")]
pub(crate) use strip::digit;
pub use strip::{Colour, Mark, StripCell};
pub use sum::{ColumnSum, How, TotalCell};
pub use total::{TotalRow, Totals};
