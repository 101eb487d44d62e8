//! The units of everything rmap reports: bytes, pages, page ranges, paths, shares, and figures that may be absent.
//!
//! Values only: nothing here reads the system. The page size is a value that travels with the data, so that a
//! capture from a machine with 64 KiB pages is read correctly on one with 4 KiB pages.

mod path;
mod range;
mod restored;
mod runs;
mod union;

pub(crate) use path::rest_below;
pub use range::{ByteRange, Run};
pub(crate) use restored::lasting;
pub use runs::{PageRuns, Portion};
pub(crate) use union::Union;
pub use union::{Counted, Piece, Places};

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

/// A count of bytes. Sums saturate at 16 EiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// A count of pages. The [`PageSize`] is known from the context. Sums saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pages(pub u64);

/// The size of one page in bytes: a power of two, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u64);

impl Bytes {
    /// `count` KiB, which the kernel writes as `kB`; `None` if that many bytes do not fit into 64 bits.
    pub fn from_kib(count: u64) -> Option<Bytes> {
        count.checked_mul(1024).map(Bytes)
    }

    /// Whole KiB, rounded down as the kernel does.
    pub fn kib(self) -> u64 {
        self.0 / 1024
    }

    /// These bytes minus `other`, or zero.
    #[must_use]
    pub fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }

    /// The sum of two figures. It is absent if it does not fit into 64 bits, as it may not in a text that is damaged.
    pub(crate) fn plus(self, other: Bytes) -> Figure<Bytes> {
        self.0.checked_add(other.0).map(Bytes).ok_or(TOO_LARGE)
    }

    /// The sum of figures; absent if one of them is, or if it does not fit into 64 bits.
    pub(crate) fn sum_of(figures: impl IntoIterator<Item = Figure<Bytes>>) -> Figure<Bytes> {
        figures.into_iter().try_fold(Bytes(0), |sum, figure| sum.plus(figure?))
    }
}

impl Pages {
    /// How many bytes these pages hold.
    pub fn bytes(self, size: PageSize) -> Bytes {
        Bytes(self.0.saturating_mul(size.0))
    }

    /// These pages minus `other`, or zero.
    #[must_use]
    pub fn saturating_sub(self, other: Pages) -> Pages {
        Pages(self.0.saturating_sub(other.0))
    }
}

impl PageSize {
    /// 4 KiB, the page size of x86-64 and most arm64 machines. For tests and captures; ask the kernel on a live system.
    pub const FOUR_KIB: PageSize = PageSize(4096);

    /// A page of `bytes`, which must be a power of two.
    pub fn new(bytes: u64) -> Option<PageSize> {
        bytes.is_power_of_two().then_some(PageSize(bytes))
    }

    /// Its size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// How many pages it takes to hold `bytes`. The last one may be partly used.
    pub fn pages(self, bytes: Bytes) -> Pages {
        Pages(bytes.0.div_ceil(self.0))
    }
}

impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl Add for Pages {
    type Output = Pages;
    fn add(self, other: Pages) -> Pages {
        Pages(self.0.saturating_add(other.0))
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(items: I) -> Bytes {
        items.fold(Bytes(0), Add::add)
    }
}

impl Sum for Pages {
    fn sum<I: Iterator<Item = Pages>>(items: I) -> Pages {
        items.fold(Pages(0), Add::add)
    }
}

/// Why a sum is absent that is too large.
pub(crate) const TOO_LARGE: Absent = Absent::new(Reason::Unsupported, "the sum does not fit into 64 bits");

/// A figure: known, or absent for a reason. Zero means zero.
///
/// An absent figure is an error, so `?` passes it on:
///
/// ```
/// use rmap::units::{Absent, Bytes, Figure, Reason};
///
/// fn sum(one: Figure<Bytes>, other: Figure<Bytes>) -> Result<Bytes, Box<dyn std::error::Error>> {
///     Ok(one? + other?)
/// }
/// let denied = Err(Absent::new(Reason::Denied, "its file cannot be read by this user"));
/// let error = sum(Ok(Bytes(4096)), denied).unwrap_err();
/// assert_eq!(error.to_string(), "denied: its file cannot be read by this user");
/// ```
pub type Figure<T> = std::result::Result<T, Absent>;

/// Why a figure is absent.
///
/// It is an error without a [`source`](std::error::Error::source): nothing is known beyond the reason. An
/// [`Error`](crate::Error) that is made of it ([`Error::absent`](crate::Error::absent)) has it as its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Absent {
    /// The kind of reason, for programs.
    pub reason: Reason,
    /// The reason as text: it follows the kind (`denied: not your file`).
    pub why: &'static str,
}

/// The kinds of reason for which a figure is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The kernel does not report it to this user.
    Denied,
    /// This kernel, file system or method does not report it.
    Unsupported,
    /// The file or process no longer exists.
    Vanished,
    /// It changed while it was measured.
    Changed,
    /// There is nothing to measure, such as the cached share of an empty file.
    NotApplicable,
    /// It was not read within the time limit.
    Late,
}

impl Absent {
    /// The file system of a file has not answered for two seconds.
    pub const SILENT: Absent = Absent::new(Reason::Vanished, "its file system does not answer");

    /// Absent for `reason`, explained by `why`.
    pub const fn new(reason: Reason, why: &'static str) -> Absent {
        Absent { reason, why }
    }
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Reason; 6] =
        [Reason::Denied, Reason::Unsupported, Reason::Vanished, Reason::Changed, Reason::NotApplicable, Reason::Late];

    /// The reason as one word, as JSON and tables write it.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Denied => "denied",
            Reason::Unsupported => "unsupported",
            Reason::Vanished => "vanished",
            Reason::Changed => "changed",
            Reason::NotApplicable => "not applicable",
            Reason::Late => "late",
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.reason.word(), self.why)
    }
}

/// A number and what it counts: `1 page`, `2 pages`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `part` of `whole` in percent; `None` if `whole` is zero, so that no NaN can exist. Only everything is 100, and only
/// nothing is 0.
pub fn percent(part: impl Into<u128>, whole: impl Into<u128>) -> Option<f64> {
    let (part, whole) = (part.into(), whole.into());
    // f64 holds 53 bits; past that the share is off by less than one part in 10^15.
    let share = (whole != 0).then(|| part as f64 * 100.0 / whole as f64)?;
    Some(if part < whole { share.min(100f64.next_down()) } else { share })
}

/// The binary units, largest first, with their exponents of two.
const UNITS: [(char, u32); 6] = [('E', 60), ('P', 50), ('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl FromStr for Bytes {
    type Err = String;

    /// Parses a size as people write it: `4096`, `64K`, `1.5G`, `512MiB`, `2 GB`. All units are powers of 1024,
    /// including `kB`, which the kernel uses for 1024. A fraction (`0.1G`) is rounded down to whole bytes, at least
    /// one; a number of bytes cannot have a fraction.
    fn from_str(text: &str) -> Result<Bytes, String> {
        let text = text.trim();
        let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits_end);
        let shift = unit_shift(unit.trim())
            .ok_or_else(|| format!("invalid unit '{unit}': use K, M, G, T, P or E (powers of 1024)"))?;
        let (bytes, cut) = scaled(number, shift)
            .ok_or_else(|| format!("invalid size '{text}': use a number such as 4096, 64K or 1.5G"))?;
        match cut && (shift == 0 || bytes == Bytes(0)) {
            true => Err(format!("invalid size '{text}': a fraction of a byte")),
            false => Ok(bytes),
        }
    }
}

/// The power of two behind a unit's name.
fn unit_shift(unit: &str) -> Option<u32> {
    let upper = unit.to_ascii_uppercase();
    if upper.is_empty() || upper == "B" {
        return Some(0);
    }
    let mut letters = upper.chars();
    let first = letters.next()?;
    let (_, shift) = UNITS.iter().find(|(letter, _)| *letter == first)?;
    matches!(letters.as_str(), "" | "B" | "IB").then_some(*shift)
}

/// A decimal number times two to the power of `shift`, in integers: `1.5` and 30 is exactly 1610612736. Also returns
/// whether a fraction of a byte was cut off.
fn scaled(number: &str, shift: u32) -> Option<(Bytes, bool)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 18 || (fraction.is_empty() && number.contains('.')) {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let tenths: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.pow(fraction.len() as u32);
    let part = tenths << shift;
    let bytes = whole.checked_mul(1u128 << shift)?.checked_add(part / scale)?;
    u64::try_from(bytes).ok().map(|bytes| (Bytes(bytes), !part.is_multiple_of(scale)))
}

/// Displays bytes exactly, in the largest unit that divides them: `0`, `1000001`, `64K`, `1536M`. The text parses to
/// the same size again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact(pub Bytes);

impl FromStr for Exact {
    type Err = String;

    fn from_str(text: &str) -> Result<Exact, String> {
        text.parse().map(Exact)
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.0;
        match UNITS.iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift) {
            Some((letter, shift)) => write!(out, "{}{letter}", bytes >> shift),
            None => write!(out, "{bytes}"),
        }
    }
}

/// The largest unit in which each of several sizes is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExactUnit(Option<(char, u32)>);

impl ExactUnit {
    /// The unit of these sizes.
    pub fn of(sizes: impl IntoIterator<Item = Bytes>) -> ExactUnit {
        let zeros = sizes.into_iter().map(|size| size.0.trailing_zeros()).min().unwrap_or(0);
        ExactUnit(UNITS.iter().find(|(_, shift)| zeros >= *shift && zeros < u64::BITS).copied())
    }

    /// A size in this unit.
    pub fn show(self, size: Bytes) -> String {
        match self.0 {
            Some((letter, shift)) if size != Bytes(0) => format!("{}{letter}", size.0 >> shift),
            _ => size.0.to_string(),
        }
    }
}

/// Displays bytes for people: `0`, `512`, `4K`, `1.5M`, `140.6G`. At most one decimal, always rounded down.
pub struct Human(pub Bytes);

impl fmt::Display for Human {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_human(self.0.0.into(), out)
    }
}

/// Displays pages of this size as bytes for people, like [`Human`], also if the bytes do not fit into 64 bits.
pub struct HumanPages(pub Pages, pub PageSize);

impl fmt::Display for HumanPages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_human(u128::from(self.0.0) * u128::from(self.1.0), out)
    }
}

fn write_human(bytes: u128, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((letter, shift)) = UNITS.iter().find(|(_, shift)| bytes >> shift != 0) else {
        return write!(out, "{bytes}");
    };
    let whole = bytes >> shift;
    let rest = bytes & ((1u128 << shift) - 1);
    match (rest * 10) >> shift {
        0 => write!(out, "{whole}{letter}"),
        tenth => write!(out, "{whole}.{tenth}{letter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_more_than_64_bits_of_bytes_are_shown() {
        let page = PageSize::new(4096).unwrap();
        let shown = |pages| HumanPages(Pages(pages), page).to_string();
        assert_eq!((shown(0), shown(3), shown(6_755_399_441_055_741)), ("0".into(), "12K".into(), "23.9E".into()));
    }

    #[test]
    fn several_sizes_have_one_unit() {
        let shown = |sizes: &[u64]| {
            let unit = ExactUnit::of(sizes.iter().copied().map(Bytes));
            sizes.iter().map(|size| unit.show(Bytes(*size))).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(&[0, 4096, 1 << 20]), "0 4K 1024K");
        assert_eq!(shown(&[2 << 20, 1 << 30]), "2M 1024M");
        assert_eq!((shown(&[1, 1 << 20]), shown(&[0])), ("1 1048576".to_owned(), "0".to_owned()));
    }

    #[test]
    fn sizes_are_parsed_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64K", 65536),
            ("64k", 65536),
            ("1.5G", 1_610_612_736),
            ("512MiB", 536_870_912),
            ("2 GB", 2_147_483_648),
            ("1b", 1),
            ("15E", 15 << 60),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not_sizes() {
        for text in ["", "G", "1X", "-1", "1.G", ".5G", "1..5G", "16E", "1GG", "0x10", "1e9", "99999999999999999999"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fraction_of_a_byte_is_an_error() {
        for text in ["1.5", "0.1", "1.5B", "0.0001K", "0.000000000000000001G"] {
            let why = text.parse::<Bytes>().unwrap_err();
            assert!(why.contains("a fraction of a byte"), "{text}: {why}");
        }
        assert_eq!("1.0".parse(), Ok(Bytes(1)));
        assert_eq!("0.0K".parse(), Ok(Bytes(0)));
        assert_eq!("0.1G".parse(), Ok(Bytes(107_374_182)));
    }

    #[test]
    fn an_exact_size_parses_to_the_same_bytes() {
        for (bytes, text) in [
            (0, "0"),
            (1, "1"),
            (1023, "1023"),
            (1024, "1K"),
            (1_000_001, "1000001"),
            (3 << 29, "1536M"),
            (15 << 60, "15E"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(Exact(Bytes(bytes)).to_string(), text);
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
        }
    }

    #[test]
    fn sizes_for_people_are_rounded_down() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (1536, "1.5K"),
            ((1 << 20) - 1, "1023.9K"),
            (1 << 20, "1M"),
            (u64::MAX, "15.9E"),
        ] {
            assert_eq!(Human(Bytes(bytes)).to_string(), text);
        }
    }

    #[test]
    fn one_is_counted_in_the_singular() {
        let pages = |count| counted(count, "page is", "pages are");
        assert_eq!([pages(0), pages(1), pages(2)], ["0 pages are", "1 page is", "2 pages are"]);
    }

    #[test]
    fn the_share_of_nothing_is_absent() {
        assert_eq!(percent(0u64, 0u64), None);
        assert_eq!(percent(0u64, 8u64), Some(0.0));
        assert_eq!(percent(2u64, 8u64), Some(25.0));
    }

    #[test]
    fn only_everything_is_a_hundred_percent_and_only_nothing_is_zero() {
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100.0));
        assert!(percent(u64::MAX - 1, u64::MAX).unwrap() < 100.0);
        assert!(percent(1u64, u128::MAX).unwrap() > 0.0);
    }

    #[test]
    fn a_partly_used_page_is_a_page() {
        assert_eq!(PageSize::FOUR_KIB.pages(Bytes(0)), Pages(0));
        assert_eq!(PageSize::FOUR_KIB.pages(Bytes(1)), Pages(1));
        assert_eq!(PageSize::FOUR_KIB.pages(Bytes(u64::MAX)), Pages(1 << 52));
        assert_eq!(PageSize::new(3000), None);
        assert_eq!(PageSize::new(0), None);
    }
}
