//! One cell of a row: a typed value, and its text in a table.
//!
//! JSON and CSV use the value itself; only tables use the text.

use std::io::Write;
use std::time::SystemTime;

use super::escape;
use super::strip::{StripCell, digit};
use crate::units::{Absent, Bytes, Figure, Human, Pages, Reason};

/// The value of one column in one row.
#[derive(Clone, Copy)]
pub enum Cell<'r> {
    /// A figure in bytes; tables show it in the chosen [`SizeUnit`].
    Bytes(u64),
    /// A bare number: pages, a pid, an inode.
    Count(u64),
    /// A percentage.
    Percent(f64),
    /// An address: hexadecimal everywhere, because it does not fit into a double.
    Address(u64),
    /// A position in a file, in bytes: tables write it in hexadecimal, as `/proc/PID/maps` and pmap do.
    Offset(u64),
    /// Text from this program; it needs no escaping.
    Word(&'r str),
    /// Text from outside: a file name, a command line. Hostile until escaped.
    Text(&'r [u8]),
    /// Text from outside, translated by this function, which appends its result; hostile until escaped.
    Reworded(&'r [u8], fn(&[u8], &mut Vec<u8>)),
    /// Text from outside that may be empty; a table then shows the second string, machine formats null.
    Named(&'r [u8], &'static str),
    /// The bytes of a text, for JSON only and only if they are not UTF-8: lower-case hexadecimal digits.
    RawBytes(&'r [u8]),
    /// A device number, as `major:minor` in hexadecimal, as `/proc/PID/maps` writes it.
    Device(u32, u32),
    /// Yes or no.
    Flag(bool),
    /// A point in time.
    Time(SystemTime),
    /// The same as seconds since 1970, as pcstat's `--terse` writes it.
    UnixTime(SystemTime),
    /// A very long list of yes and no, as runs; only JSON writes it.
    Flags(&'r dyn FlagRuns),
    /// A strip of cells.
    Strip(&'r [StripCell]),
    /// A share as a bar of so many eighths.
    Bar(u8),
    /// How much a figure changed.
    Change(Difference),
    /// A remark that most rows do not have: empty in a table, null in JSON, and not counted as an absent figure.
    Remark(Option<&'r str>),
    /// An unknown figure, and why it is unknown.
    Absent(Absent),
    /// A figure that there is none of, and what that means: no limit. Tables show `none`; everything else treats it as
    /// absent.
    Without(Absent),
    /// A sum of which not everything is known, and why. Tables show it as a lower bound, `>=140`, and rows are sorted
    /// by it; everything else treats it as absent.
    AtLeast(Amount, Absent),
    /// A sum that lacks some rows; other columns say how many. Tables show it as a lower bound, machine formats as it
    /// is.
    Known(Amount),
}

/// A figure that can be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// [`Cell::Bytes`].
    Bytes(u64),
    /// [`Cell::Count`].
    Count(u64),
}

impl Amount {
    /// The number itself.
    pub fn number(self) -> u64 {
        match self {
            Amount::Bytes(number) | Amount::Count(number) => number,
        }
    }

    /// As an exact figure.
    pub(crate) fn cell(self) -> Cell<'static> {
        match self {
            Amount::Bytes(number) => Cell::Bytes(number),
            Amount::Count(number) => Cell::Count(number),
        }
    }
}

/// The difference of two figures of one column, limited to 63 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Difference {
    /// Of figures in bytes.
    Bytes(i64),
    /// Of bare numbers.
    Count(i64),
    /// Of figures in pages.
    Pages(i64),
    /// Of percentages.
    Share(f64),
}

impl Difference {
    /// The difference between `before` and `now`; absent if they are not figures of the same kind.
    pub fn between(before: &Cell<'_>, now: &Cell<'_>) -> Option<Difference> {
        match (before, now) {
            (Cell::Bytes(before), Cell::Bytes(now)) | (Cell::Offset(before), Cell::Offset(now)) => {
                Some(Difference::Bytes(signed(*before, *now)))
            }
            (Cell::Count(before), Cell::Count(now)) => Some(Difference::Count(signed(*before, *now))),
            (Cell::Percent(before), Cell::Percent(now)) => Some(Difference::Share(now - before)),
            _ => None,
        }
    }

    /// Which of two differences is more; one below zero is less.
    pub(super) fn compare(self, other: Difference) -> std::cmp::Ordering {
        use Difference::{Bytes, Count, Pages, Share};
        match (self, other) {
            (Share(one), Share(other)) => one.total_cmp(&other),
            (Bytes(one) | Count(one) | Pages(one), Bytes(other) | Count(other) | Pages(other)) => one.cmp(&other),
            // Cells of one column are of one kind.
            _ => std::cmp::Ordering::Equal,
        }
    }

    /// Which of two differences is larger, whatever their signs are.
    pub(super) fn compare_sizes(self, other: Difference) -> std::cmp::Ordering {
        use Difference::{Bytes, Count, Pages, Share};
        match (self, other) {
            (Share(one), Share(other)) => one.abs().total_cmp(&other.abs()),
            (Bytes(one) | Count(one) | Pages(one), Bytes(other) | Count(other) | Pages(other)) => {
                one.unsigned_abs().cmp(&other.unsigned_abs())
            }
            // Cells of one column are of one kind.
            _ => std::cmp::Ordering::Equal,
        }
    }

    /// Whether nothing changed.
    pub fn is_none(self) -> bool {
        match self {
            Difference::Bytes(by) | Difference::Count(by) | Difference::Pages(by) => by == 0,
            Difference::Share(by) => by == 0.0,
        }
    }
}

fn signed(before: u64, now: u64) -> i64 {
    let by = i128::from(now) - i128::from(before);
    i64::try_from(by).unwrap_or(if by < 0 { i64::MIN } else { i64::MAX })
}

/// A very long list of flags as runs of equal flags, so that the list is never held in memory.
pub trait FlagRuns: Send + Sync {
    /// Calls `each` with a flag and its number of repetitions.
    fn for_each_run(&self, each: &mut dyn FnMut(bool, u64) -> std::io::Result<()>) -> std::io::Result<()>;
}

/// How tables write figures in bytes. Machine formats always write bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SizeUnit {
    /// Whole KiB, as in pmap.
    #[default]
    Kib,
    /// Bytes.
    Bytes,
    /// `1.5G`.
    Human,
}

impl SizeUnit {
    /// The label of a total in this unit.
    pub fn label(self) -> &'static str {
        match self {
            SizeUnit::Kib => "total KiB",
            SizeUnit::Bytes => "total bytes",
            SizeUnit::Human => "total",
        }
    }
}

const NO_DATE: Absent =
    Absent::new(Reason::Unsupported, "its date is before the year -9999 or after 9999-12-30 22:00 UTC");

impl<'r> Cell<'r> {
    /// A figure in bytes, or why it is absent.
    pub fn bytes(figure: Figure<Bytes>) -> Cell<'r> {
        figure.map_or_else(Cell::Absent, |bytes| Cell::Bytes(bytes.0))
    }

    /// A figure in pages, or why it is absent.
    pub fn pages(figure: Figure<Pages>) -> Cell<'r> {
        figure.map_or_else(Cell::Absent, |pages| Cell::Count(pages.0))
    }

    /// A point in time; absent if it cannot be written as RFC 3339.
    pub fn time(time: SystemTime) -> Cell<'r> {
        match jiff::Timestamp::try_from(time) {
            Ok(_) => Cell::Time(time),
            Err(_) => Cell::Absent(NO_DATE),
        }
    }

    /// A percentage, or why it is absent.
    pub fn percent(figure: Figure<f64>) -> Cell<'r> {
        figure.map_or_else(Cell::Absent, Cell::Percent)
    }

    /// A bar for a share in percent: at least one eighth for anything above zero, all eight only for everything, and
    /// nothing if it is absent.
    pub fn bar(share: Figure<f64>) -> Cell<'r> {
        match share {
            Ok(share) if share > 0.0 => Cell::Bar(((share * 0.08) as u8).clamp(1, BAR as u8)),
            Ok(_) => Cell::Bar(0),
            Err(_) => Cell::Remark(None),
        }
    }

    /// The number that a total would add, if this is a figure that can be added.
    pub(crate) fn addend(&self) -> Option<u64> {
        match self {
            Cell::Bytes(number) | Cell::Count(number) => Some(*number),
            Cell::Known(amount) => Some(amount.number()),
            _ => None,
        }
    }

    /// Whether it is a sum of which not everything is known.
    pub(super) fn is_lower_bound(&self) -> bool {
        matches!(self, Cell::AtLeast(..) | Cell::Known(_))
    }

    /// The number that it is sorted by, if it has one.
    pub(super) fn rank(&self) -> Option<u64> {
        match self {
            Cell::AtLeast(amount, _) => Some(amount.number()),
            cell => cell.addend(),
        }
    }

    /// Calls `take` with the text that a table shows, unescaped.
    pub(crate) fn with_text<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        match *self {
            Cell::Named([], instead) => take(instead.as_bytes()),
            Cell::Text(text) | Cell::Named(text, _) => take(text),
            Cell::Word(word) | Cell::Remark(Some(word)) => take(word.as_bytes()),
            _ => {
                let mut text = Vec::new();
                self.write_unescaped(SizeUnit::Bytes, &mut text);
                take(&text)
            }
        }
    }

    /// Appends what a table shows, with text from outside unescaped.
    pub fn write_unescaped(&self, unit: SizeUnit, out: &mut Vec<u8>) {
        match *self {
            Cell::Text(text) => out.extend_from_slice(text),
            Cell::Named(text, _) if !text.is_empty() => out.extend_from_slice(text),
            _ => self.write_text(unit, out),
        }
    }

    /// Appends the text that a table shows. An absent figure is `-`; control characters are escaped.
    pub fn write_text(&self, unit: SizeUnit, out: &mut Vec<u8>) {
        match *self {
            Cell::Bytes(number) => write_size(number, unit, out),
            Cell::Count(number) => push_number(number, out),
            Cell::Percent(share) => write_share(share, out),
            Cell::Address(address) => push_hex(address, 12, out),
            Cell::Offset(offset) => push_hex(offset, 8, out),
            Cell::Word(word) => out.extend_from_slice(word.as_bytes()),
            Cell::Text(text) => escape::write_escaped(text, out),
            Cell::Reworded(text, write) => escape::write_escaped(&reworded(text, write), out),
            Cell::Named([], instead) => out.extend_from_slice(instead.as_bytes()),
            Cell::Named(text, _) => escape::write_escaped(text, out),
            Cell::RawBytes(bytes) => bytes.iter().for_each(|byte| push_hex(u64::from(*byte), 2, out)),
            Cell::Device(major, minor) => {
                push_hex(major.into(), 2, out);
                out.push(b':');
                push_hex(minor.into(), 2, out);
            }
            Cell::Flag(flag) => out.extend_from_slice(if flag { b"yes" } else { b"no" }),
            Cell::Time(time) => push_display(format_args!("{}", Rfc3339(time)), out),
            Cell::UnixTime(time) => push_display(format_args!("{}", unix_seconds(time)), out),
            Cell::Bar(eighths) => out.extend_from_slice(bar_text(eighths).as_bytes()),
            Cell::Change(difference) => write_difference(difference, unit, out),
            Cell::Remark(remark) => escape::write_escaped(remark.unwrap_or_default().as_bytes(), out),
            Cell::Strip(cells) => cells.iter().for_each(|cell| out.push(digit(cell.share))),
            Cell::Without(_) => out.extend_from_slice(b"none"),
            Cell::AtLeast(amount, _) | Cell::Known(amount) => {
                out.extend_from_slice(LOWER_BOUND);
                amount.cell().write_text(unit, out);
            }
            Cell::Flags(_) | Cell::Absent(_) => out.push(b'-'),
        }
    }

    /// Why it is absent, if it is.
    pub(crate) fn absence(&self) -> Option<Absent> {
        match self {
            Cell::Absent(absent) | Cell::Without(absent) | Cell::AtLeast(_, absent) => Some(*absent),
            _ => None,
        }
    }
}

/// What tables write before a figure that is only a lower bound.
pub(crate) const LOWER_BOUND: &[u8] = b">=";

/// The width of a full bar, which leaves room for the text in 80 columns.
const BAR: usize = 8;

/// A bar in plain characters.
pub(crate) fn bar_text(eighths: u8) -> &'static str {
    const FULL: &str = "########";
    FULL.get(..usize::from(eighths).min(BAR)).unwrap_or(FULL)
}

/// A cell that owns its text.
#[derive(Clone)]
pub enum OwnedCell {
    /// Anything without text from outside.
    Plain(Cell<'static>),
    /// [`Cell::Text`].
    Text(Vec<u8>),
    /// [`Cell::Named`].
    Named(Vec<u8>, &'static str),
    /// [`Cell::RawBytes`].
    RawBytes(Vec<u8>),
}

impl OwnedCell {
    /// The cell itself.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            OwnedCell::Plain(cell) => *cell,
            OwnedCell::Text(text) => Cell::Text(text),
            OwnedCell::Named(text, instead) => Cell::Named(text, instead),
            OwnedCell::RawBytes(bytes) => Cell::RawBytes(bytes),
        }
    }
}

pub(crate) fn reworded(text: &[u8], write: fn(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    let mut translated = Vec::new();
    write(text, &mut translated);
    translated
}

/// A point in time as RFC 3339 in UTC; a dash if it cannot be written like that.
pub(crate) struct Rfc3339(pub(crate) SystemTime);

impl std::fmt::Display for Rfc3339 {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::try_from(self.0) {
            Ok(time) => time.fmt(out),
            Err(_) => out.write_str("-"),
        }
    }
}

impl Rfc3339 {
    /// The same without parts of a second, which say nothing to a person.
    pub(crate) fn in_seconds(self) -> String {
        match jiff::Timestamp::try_from(self.0).and_then(|time| jiff::Timestamp::from_second(time.as_second())) {
            Ok(time) => time.to_string(),
            Err(_) => "-".to_owned(),
        }
    }
}

/// The whole seconds since 1970; a time between two seconds counts as the one nearer to 1970.
fn unix_seconds(time: SystemTime) -> i128 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::from(since.as_secs()),
        Err(before) => -i128::from(before.duration().as_secs()),
    }
}

fn write_size(bytes: u64, unit: SizeUnit, out: &mut Vec<u8>) {
    match unit {
        SizeUnit::Kib => push_number(Bytes(bytes).kib(), out),
        SizeUnit::Bytes => push_number(bytes, out),
        SizeUnit::Human => push_display(format_args!("{}", Human(Bytes(bytes))), out),
    }
}

/// A difference with its sign; empty if it is zero, so that changes stand out.
fn write_difference(difference: Difference, unit: SizeUnit, out: &mut Vec<u8>) {
    match difference {
        none if none.is_none() => {}
        Difference::Bytes(by) | Difference::Count(by) | Difference::Pages(by) => {
            out.push(if by < 0 { b'-' } else { b'+' });
            let unit = if matches!(difference, Difference::Bytes(_)) { unit } else { SizeUnit::Bytes };
            write_size(by.unsigned_abs(), unit, out);
        }
        Difference::Share(by) => write_change_of_share(by, write_share, out),
    }
}

/// The change of a share in percent; empty if it is zero. `write` writes a share.
pub(crate) fn write_change_of_share(by: f64, write: fn(f64, &mut Vec<u8>), out: &mut Vec<u8>) {
    if by != 0.0 {
        out.push(if by < 0.0 { b'-' } else { b'+' });
        write(by.abs(), out);
    }
}

/// A share in percent as a number with three decimals: rounded, but never to nothing or to everything.
fn write_share(share: f64, out: &mut Vec<u8>) {
    let shown = if share > 0.0 { share.max(0.001) } else { share };
    push_display(format_args!("{:.3}", not_everything(shown, 0.001)), out);
}

/// A share in percent with one decimal, for people: what is not nothing, but less than that shows, is `<0.1`.
pub(crate) fn write_brief_share(share: f64, out: &mut Vec<u8>) {
    match share {
        share if share > 0.0 && share < 0.1 => out.extend_from_slice(b"<0.1"),
        share => push_display(format_args!("{:.1}", not_everything(share, 0.1)), out),
    }
}

/// A share of which something is missing is shown with at least `least` less than everything.
fn not_everything(share: f64, least: f64) -> f64 {
    if share < 100.0 { share.min(100.0 - least) } else { share }
}

pub(crate) fn push_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// At least so many hexadecimal digits: the formatting of the standard library takes several times as long.
pub(crate) fn push_hex(number: u64, least: u32, out: &mut Vec<u8>) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(least);
    let digit = |place: u32| match number.checked_shr(4 * place).unwrap_or(0) as u8 & 15 {
        digit @ 0..=9 => b'0' + digit,
        digit => b'a' - 10 + digit,
    };
    out.extend((0..digits).rev().map(digit));
}

fn push_display(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(cell: Cell<'_>, unit: SizeUnit) -> String {
        let mut out = Vec::new();
        cell.write_text(unit, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_size_is_written_in_the_chosen_unit() {
        assert_eq!(words(Cell::Bytes(1536), SizeUnit::Kib), "1");
        assert_eq!(words(Cell::Bytes(1536), SizeUnit::Bytes), "1536");
        assert_eq!(words(Cell::Bytes(1536), SizeUnit::Human), "1.5K");
    }

    #[test]
    fn a_share_is_not_rounded_to_nothing_or_everything() {
        let share = |share| words(Cell::Percent(share), SizeUnit::Kib);
        for (whole, shown) in
            [(0.0, "0.000"), (1e-5, "0.001"), (12.3456, "12.346"), (99.9996, "99.999"), (100.0, "100.000")]
        {
            assert_eq!(share(whole), shown);
        }
        let change = |by| words(Cell::Change(Difference::Share(by)), SizeUnit::Kib);
        assert_eq!([change(0.0), change(1e-5), change(-1e-5), change(-100.0)], ["", "+0.001", "-0.001", "-100.000"]);
    }

    #[test]
    fn a_brief_share_is_not_larger_than_it_is() {
        let share = |share| {
            let mut out = Vec::new();
            write_brief_share(share, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (whole, shown) in
            [(0.0, "0.0"), (1e-5, "<0.1"), (0.0999, "<0.1"), (0.1, "0.1"), (99.97, "99.9"), (100.0, "100.0")]
        {
            assert_eq!(share(whole), shown);
        }
    }

    #[test]
    fn an_absent_figure_is_a_dash_and_zero_is_zero() {
        let absent = Absent::new(crate::units::Reason::Denied, "not yours");
        assert_eq!(words(Cell::Absent(absent), SizeUnit::Kib), "-");
        assert_eq!(words(Cell::Bytes(0), SizeUnit::Kib), "0");
    }

    #[test]
    fn hexadecimal_digits_are_those_of_the_standard_library() {
        for number in [0, 1, 0xf, 0x10, 0xabc_def0, 0x7fff_ffff_f000, u64::MAX] {
            for least in [1, 2, 8, 12] {
                let mut out = Vec::new();
                push_hex(number, least, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{number:0width$x}", width = least as usize));
            }
        }
    }

    #[test]
    fn a_time_that_no_date_can_express_is_absent() {
        let far = SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(1 << 60)).unwrap();
        assert!(matches!(Cell::time(far), Cell::Absent(NO_DATE)));
        assert_eq!(words(Cell::Time(far), SizeUnit::Kib), "-");
        assert_eq!(words(Cell::UnixTime(far), SizeUnit::Kib), (1u64 << 60).to_string());
        assert_eq!(words(Cell::Time(SystemTime::UNIX_EPOCH), SizeUnit::Kib), "1970-01-01T00:00:00Z");
    }
}
