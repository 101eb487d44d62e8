//! Binds an expression to the columns of a table: names become columns, and words become values of the column's kind.

use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use regex::bytes::Regex;

use super::parse::{Expression, Part, Word};
use super::{Filter, FilterError, Node, Operator, Value};
use crate::table::column::{self, Column, RowKind};
use crate::table::did_you_mean;
use crate::table::head::ColumnKind as Kind;
use crate::units::Bytes;

impl Expression {
    /// This expression bound to the columns of `table`.
    ///
    /// # Errors
    /// A name that is not a column; a value that its column cannot hold; an operator that has no meaning for it.
    pub fn over<K: RowKind>(&self, table: &[Column<K>]) -> Result<Filter<K>, FilterError> {
        let root = Binder { text: &self.text, table }.node(&self.root)?;
        Ok(Filter { root, left_out_unread: AtomicBool::new(false) })
    }
}

/// So many values are listed if none is near; `--help` has all.
const SHORT_LIST: usize = 6;

struct Binder<'e, K: RowKind> {
    text: &'e str,
    table: &'e [Column<K>],
}

impl<K: RowKind> Binder<'_, K> {
    fn node(&self, part: &Part) -> Result<Node<K>, FilterError> {
        let nodes = |parts: &[Part]| parts.iter().map(|part| self.node(part)).collect::<Result<Vec<_>, _>>();
        Ok(match part {
            Part::Not(inner) => Node::Not(Box::new(self.node(inner)?)),
            Part::All(parts) => Node::All(nodes(parts)?),
            Part::Any(parts) => Node::Any(nodes(parts)?),
            Part::Is(name) => Node::Is(self.flag(name)?),
            Part::Compare(name, operator, word) => {
                let column = self.column(name)?;
                let value = self.value(&column, *operator, word)?;
                Node::Compare(column, *operator, value)
            }
        })
    }

    fn column(&self, name: &Word) -> Result<Column<K>, FilterError> {
        let found = column::find(self.table, &name.text.to_ascii_lowercase()).cloned();
        found.ok_or_else(|| {
            let typed = name.text.to_ascii_lowercase();
            let why = match column::meant(self.table, &name.text) {
                _ if typed == K::ROWS || K::HAS_PROCESSES && typed == "processes" => {
                    "only groups have it; --filter applies to rows before grouping".to_owned()
                }
                Some(question) => question,
                None => format!("{} do not have it", K::ROWS),
            };
            self.error(name, format!("unknown column '{}'; {why}", name.text))
        })
    }

    fn flag(&self, name: &Word) -> Result<Column<K>, FilterError> {
        let column = self.column(name)?;
        match column.kind() {
            Kind::Flag => Ok(column),
            _ => Err(self.error(name, format!("'{}' is not a yes/no column; compare it with a value", name.text))),
        }
    }

    fn value(&self, column: &Column<K>, operator: Operator, word: &Word) -> Result<Value<K>, FilterError> {
        let is_text = matches!(column.kind(), Kind::Text | Kind::Prose);
        if operator == Operator::Matches && !is_text {
            return Err(self.error(
                word,
                format!("=~ requires a text column, but '{}' is of the type {}", column.id(), column.kind().word()),
            ));
        }
        if operator.is_order() && matches!(column.kind(), Kind::Text | Kind::Prose | Kind::Flag) {
            let why =
                format!("'{}' cannot be ordered; use == or !={}", column.id(), if is_text { " or =~" } else { "" });
            return Err(self.error(word, why));
        }
        match self.other_column(column, word) {
            Some(other) => Ok(Value::Column(other)),
            None => self.literal(column, operator, word),
        }
    }

    /// The column that a value names, if both are numbers of one kind. A name is never a number, so there is no
    /// ambiguity.
    fn other_column(&self, column: &Column<K>, word: &Word) -> Option<Column<K>> {
        let comparable = matches!(column.kind(), Kind::Bytes | Kind::Pages | Kind::Number | Kind::Address);
        let other = column::find(self.table, &column::typed(&word.text, self.table, &[""; 0]))?;
        (comparable && !word.quoted && other.kind() == column.kind()).then(|| other.clone())
    }

    fn literal(&self, column: &Column<K>, operator: Operator, word: &Word) -> Result<Value<K>, FilterError> {
        let text = word.text.as_str();
        let value = match column.kind() {
            Kind::Bytes => parse_bytes(text).map(Value::Number),
            Kind::Change => parse_change(text).map(Value::Change),
            Kind::Pages | Kind::Number => text.parse().ok().map(Value::Number),
            Kind::Percent => {
                let share = text.strip_suffix('%').unwrap_or(text).parse().ok();
                share.filter(|share: &f64| share.is_finite()).map(Value::Share)
            }
            Kind::Address => u64::from_str_radix(text.trim_start_matches("0x"), 16).ok().map(Value::Number),
            Kind::Flag => parse_flag(text).map(Value::Flag),
            Kind::Time => parse_time(text).map(Value::Time),
            Kind::Text | Kind::Prose if operator == Operator::Matches => {
                return self.pattern(column, word).map(Value::Pattern);
            }
            Kind::Text | Kind::Prose => {
                self.require_word(column, word, |known| known == text)?;
                Some(Value::Text(text.as_bytes().to_vec()))
            }
            Kind::Flags | Kind::RawBytes | Kind::Strip(_) | Kind::Bars => None,
        };
        value.ok_or_else(|| self.error(word, self.requirement(column)))
    }

    /// What kind of value a column can be compared with.
    fn requirement(&self, column: &Column<K>) -> String {
        let requirement = format!("'{}' requires {}", column.id(), expectation(column.kind()));
        let is_size = |other: &&Column<K>| {
            let (pages, size) = (column.id(), other.id());
            other.kind() == Kind::Bytes
                && (size.strip_suffix("_bytes") == Some(pages) || pages.strip_suffix("_pages") == Some(size))
        };
        match self.table.iter().find(is_size).filter(|_| column.kind() == Kind::Pages) {
            Some(size) => format!("{requirement}; '{}' takes sizes", size.id()),
            None => requirement,
        }
    }

    fn pattern(&self, column: &Column<K>, word: &Word) -> Result<Regex, FilterError> {
        let pattern = Regex::new(&word.text).map_err(|error| {
            // The crate's message has several lines; the last one is the reason.
            let picture = error.to_string();
            let reason = picture.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.error(word, format!("invalid regular expression: {reason}"))
        })?;
        self.require_word(column, word, |known| pattern.is_match(known.as_bytes()))?;
        Ok(pattern)
    }

    /// Rejects a value that no cell of the column can have.
    fn require_word(&self, column: &Column<K>, word: &Word, fits: impl Fn(&str) -> bool) -> Result<(), FilterError> {
        let words = (column.words)();
        if words.is_empty() || words.iter().any(|known| fits(known)) {
            return Ok(());
        }
        // A pattern is near to a word without its anchors.
        let typed = word.text.trim_start_matches('^').trim_end_matches('$');
        let why = match did_you_mean(typed, words.iter().copied()) {
            Some(question) => format!("'{}' is never '{}'; {question}", column.id(), word.text),
            None => {
                let more = if words.len() > SHORT_LIST { ", ..." } else { "" };
                let list = words.get(..SHORT_LIST).unwrap_or(&words).join(", ");
                format!("'{}' can only be {list}{more}", column.id())
            }
        };
        Err(self.error(word, why))
    }

    fn error(&self, word: &Word, why: String) -> FilterError {
        FilterError { text: self.text.to_owned(), place: word.place.clone(), why }
    }
}

fn expectation(kind: Kind) -> &'static str {
    match kind {
        Kind::Bytes => "a size such as 4096, 64K, 1.5G or 0x1000",
        Kind::Pages => "a whole number of pages",
        Kind::Number => "a whole number",
        Kind::Change => "a size such as 64K, or -64K for what shrank",
        Kind::Percent => "a percentage such as 12.5",
        Kind::Address => "an address in hexadecimal",
        Kind::Flag => "yes or no",
        Kind::Time => "a time such as 2026-01-31 or 2026-01-31T12:00:00Z",
        _ => "nothing that can be compared",
    }
}

/// A size, or hexadecimal with `0x`. Tables write offsets in hexadecimal with leading zeros; read as a decimal number,
/// such a text would be another offset.
fn parse_bytes(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let is_padded = text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| !is_padded).map(|size: Bytes| size.0)
}

/// A size that may have a sign.
fn parse_change(text: &str) -> Option<i128> {
    match text.strip_prefix('-') {
        Some(size) => parse_bytes(size).map(|size| -i128::from(size)),
        None => parse_bytes(text.strip_prefix('+').unwrap_or(text)).map(i128::from),
    }
}

fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// A point in time, or a day in UTC.
fn parse_time(text: &str) -> Option<SystemTime> {
    let time: Option<jiff::Timestamp> = text.parse().ok();
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    time.or_else(|| day().map(|zoned| zoned.timestamp())).map(SystemTime::from)
}
