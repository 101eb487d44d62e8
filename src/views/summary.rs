//! The row of a summary (`rmap pid --summary`): one part of a process's memory.

use crate::output::column::Column;
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::process::{Account, Amount};
use crate::units::{Absent, Figure, Reason, percent};

/// Parts of a process's memory.
pub struct Parts;

impl RowKind for Parts {
    type Row<'r> = PartRow<'r>;
}

/// One part as the columns look at it.
#[derive(Clone, Copy)]
pub struct PartRow<'r> {
    /// The process.
    pub pid: u32,
    /// What part it is.
    pub part: &'static Part,
    /// How much it is.
    pub amount: Amount,
    /// What it is a part of; none for what is not resident.
    pub whole: Option<Amount>,
    /// The same as a bar.
    pub bar: &'r str,
}

/// One part: its name, what it means, and where it is in an account.
pub struct Part {
    /// Its name in JSON and CSV.
    pub id: &'static str,
    /// What it is, for people: short, so that a terminal of 80 columns has it whole.
    pub words: &'static str,
    take: fn(&Account) -> Amount,
    of_resident: bool,
}

const fn part(id: &'static str, words: &'static str, take: fn(&Account) -> Amount) -> Part {
    Part { id, words, take, of_resident: true }
}

const fn beside(id: &'static str, words: &'static str, take: fn(&Account) -> Amount) -> Part {
    Part { id, words, take, of_resident: false }
}

/// The parts, in the order in which they are shown.
pub const PARTS: &[Part] = &[
    part("resident", "in RAM and mapped here (Rss)", |account| account.resident),
    part("proportional", "shared pages divided (Pss)", |account| account.proportional),
    part("private", "mapped here alone (Uss)", |account| account.private),
    part("anonymous", "in no file: heap, stacks", |account| account.anonymous),
    part("file", "pages of files", |account| account.file),
    part("shared_memory", "shared memory, tmpfs, memfd", |account| account.shared_memory),
    part("huge", "in transparent huge pages", |account| account.huge),
    part("locked", "locked in RAM (mlock)", |account| account.locked),
    part("clean", "reclaimable, nothing to write", |account| account.clean),
    part("dirty", "to be written first, or locked", |account| account.dirty),
    beside("swap", "in swap, not in RAM", |account| account.swap),
    beside("hugetlb", "in hugetlb pages, not in Rss", |account| account.hugetlb),
];

impl Part {
    /// How much of it the process has, and of what.
    pub fn of(&self, account: &Account) -> (Amount, Option<Amount>) {
        ((self.take)(account), self.of_resident.then_some(account.resident))
    }
}

/// The share that `amount` is of `whole`, in percent.
pub fn share(amount: Amount, whole: Option<Amount>) -> Figure<f64> {
    let whole = whole.ok_or(NOT_RESIDENT)?;
    percent(amount.bytes?.0, whole.bytes?.0).ok_or(NOTHING)
}

const NOT_RESIDENT: Absent = Absent::new(Reason::NotApplicable, "it is no part of what is resident");
const NOTHING: Absent = Absent::new(Reason::NotApplicable, "nothing is resident");

/// What a table shows.
pub const DEFAULT: &[&str] = &["part", "amount", "percent", "bar", "meaning"];

/// What machine formats hold.
pub const MACHINE: &[&str] = &["pid", "part", "amount", "percent", "source", "meaning"];

/// The columns.
pub const COLUMNS: &[Column<Parts>] = &[
    Column::new("pid", "PID", Kind::Number, Sum::Nothing, |row, _| Cell::Count(row.pid.into()), "the process"),
    Column::new("part", "Part", Kind::Text, Sum::Nothing, |row, _| Cell::Word(row.part.id), "which part of the memory"),
    Column::new(
        "amount",
        "Amount",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::bytes(row.amount.bytes),
        "how much it is; the parts overlap and do not add up",
    ),
    Column::new(
        "percent",
        "% Rss",
        Kind::Percent,
        Sum::Nothing,
        |row, _| Cell::percent(share(row.amount, row.whole)),
        "its share of what is resident",
    ),
    Column::new("bar", "", Kind::Text, Sum::Nothing, |row, _| Cell::Word(row.bar), "the same as a bar"),
    Column::new(
        "source",
        "Source",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Word(row.amount.source),
        "the file of /proc/PID that tells it; status may be some pages off on kernels before 6.17",
    ),
    Column::new("meaning", "Meaning", Kind::Text, Sum::Nothing, |row, _| Cell::Word(row.part.words), "what it is"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meaning_fits_beside_its_figures_in_80_columns() {
        for part in PARTS {
            assert!(part.words.len() <= 30, "{}", part.words);
        }
    }
}
