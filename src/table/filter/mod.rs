//! `--filter`: which rows are shown, as an expression over the columns of any kind of row.
//!
//! ```text
//! rss > 10M && kind == file
//! (perm =~ '^rw' || deleted) && !(mapping == [heap])
//! ```
//!
//! * A comparison is `COLUMN OPERATOR VALUE`; the operators are `==` `!=` `<` `<=` `>` `>=` and `=~` (a regular
//!   expression, anywhere in the text). `&&`, `||`, `!` and parentheses combine them; a yes/no column may also be used
//!   alone.
//! * A value has the type of its column: a size (`10M`; a bare number is in bytes), a number, an address, a date, yes
//!   or no, or text. Text that contains blanks or one of `()&|!<>=` must be quoted with `'` or `"`. A number may be
//!   compared with another column.
//! * An absent figure never matches, even if the comparison is negated, because nothing is known about it.
//!
//! [`Expression`] is the parsed text; [`Filter`] is an expression bound to the columns of a table.

mod bind;
mod parse;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use regex::bytes::Regex;

use super::cell::{Cell, Difference};
use super::column::{Column, RowKind};
use crate::units::Reason;

pub use parse::Expression;

/// Why an expression is invalid, and at which place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The expression.
    pub text: String,
    /// The place, in bytes of `text`; empty and at its end if something is missing.
    pub place: Range<usize>,
    /// The reason.
    pub why: String,
}

/// An expression over the columns of one kind of row.
pub struct Filter<K: RowKind> {
    root: Node<K>,
    /// Whether a row was left out because a figure of it could not be read.
    left_out_unread: AtomicBool,
}

/// One part of an expression.
enum Node<K: RowKind> {
    Compare(Column<K>, Operator, Value<K>),
    Is(Column<K>),
    Not(Box<Node<K>>),
    All(Vec<Node<K>>),
    Any(Vec<Node<K>>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
}

/// What a column is compared with.
enum Value<K: RowKind> {
    Number(u64),
    Change(i128),
    Share(f64),
    Flag(bool),
    Time(SystemTime),
    Text(Vec<u8>),
    Pattern(Regex),
    Column(Column<K>),
}

impl<K: RowKind> Filter<K> {
    /// Whether the row is shown.
    pub fn matches(&self, row: &K::Row) -> bool {
        let holds = self.root.holds(row);
        if holds.is_none() && self.columns().iter().any(|column| is_unread(&column.cell(row))) {
            self.left_out_unread.store(true, Ordering::Relaxed);
        }
        holds == Some(true)
    }

    /// Whether a row was left out so far because a figure of it could not be read, so that it may match.
    pub fn has_left_out_unread(&self) -> bool {
        self.left_out_unread.load(Ordering::Relaxed)
    }

    /// The columns that it uses.
    pub fn columns(&self) -> Vec<&Column<K>> {
        let mut columns = Vec::new();
        self.root.add_columns(&mut columns);
        columns
    }
}

impl<K: RowKind> Node<K> {
    /// Whether it is true for the row; absent if that depends on an absent figure.
    fn holds(&self, row: &K::Row) -> Option<bool> {
        match self {
            Node::Compare(column, operator, value) => compare(&column.cell(row), *operator, value, row),
            Node::Is(column) => match column.cell(row) {
                Cell::Flag(flag) => Some(flag),
                _ => None,
            },
            Node::Not(inner) => inner.holds(row).map(|holds| !holds),
            Node::All(parts) => combined(parts, row, false),
            Node::Any(parts) => combined(parts, row, true),
        }
    }

    fn add_columns<'n>(&'n self, columns: &mut Vec<&'n Column<K>>) {
        match self {
            Node::Compare(column, _, value) => {
                columns.push(column);
                if let Value::Column(other) = value {
                    columns.push(other);
                }
            }
            Node::Is(column) => columns.push(column),
            Node::Not(inner) => inner.add_columns(columns),
            Node::All(parts) | Node::Any(parts) => parts.iter().for_each(|part| part.add_columns(columns)),
        }
    }
}

/// Whether there is a figure that could not be read.
fn is_unread(cell: &Cell<'_>) -> bool {
    let unread = [Reason::Denied, Reason::Changed, Reason::Late];
    cell.absence().is_some_and(|absent| unread.contains(&absent.reason))
}

/// `decisive` if any part has that value, otherwise unknown if any part is unknown.
fn combined<K: RowKind>(parts: &[Node<K>], row: &K::Row, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for part in parts {
        match part.holds(row) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

fn compare<K: RowKind>(cell: &Cell<'_>, operator: Operator, value: &Value<K>, row: &K::Row) -> Option<bool> {
    match value {
        Value::Number(wanted) => Some(operator.orders(&number(cell)?, wanted)),
        Value::Column(column) => Some(operator.orders(&number(cell)?, &number(&column.cell(row))?)),
        Value::Change(wanted) => match cell {
            Cell::Change(Difference::Bytes(by)) => Some(operator.orders(&i128::from(*by), wanted)),
            _ => None,
        },
        Value::Share(wanted) => match cell {
            Cell::Percent(share) => Some(operator.orders(share, wanted)),
            _ => None,
        },
        Value::Flag(wanted) => match cell {
            Cell::Flag(flag) => Some(operator.orders(flag, wanted)),
            _ => None,
        },
        Value::Time(wanted) => match cell {
            Cell::Time(time) | Cell::UnixTime(time) => Some(operator.orders(time, wanted)),
            _ => None,
        },
        Value::Text(_) | Value::Pattern(_) if cell.absence().is_some() => None,
        Value::Text(wanted) => Some(cell.with_text(|text| operator.orders(&text, &wanted.as_slice()))),
        Value::Pattern(pattern) => Some(cell.with_text(|text| pattern.is_match(text))),
    }
}

fn number(cell: &Cell<'_>) -> Option<u64> {
    match cell {
        Cell::Bytes(number) | Cell::Count(number) | Cell::Offset(number) | Cell::Address(number) => Some(*number),
        Cell::Known(amount) => Some(amount.number()),
        _ => None,
    }
}

impl Operator {
    fn orders<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Operator::Equal => left == right,
            Operator::Unequal => left != right,
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
            // Only texts are matched, and by a pattern.
            Operator::Matches => false,
        }
    }

    /// Whether it requires an order, which texts and flags do not have.
    fn is_order(self) -> bool {
        !matches!(self, Operator::Equal | Operator::Unequal | Operator::Matches)
    }
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let before = self.text.get(..self.place.start).unwrap_or_default();
        write!(out, "{} (at character {})", self.why, before.chars().count() + 1)
    }
}

impl std::error::Error for FilterError {}
