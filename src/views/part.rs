//! One row per part of a process's memory (`rmap pid --summary`).

use std::collections::HashMap;

use super::processes::{Owner, ProcessChoice, section_of};
use super::shared::{self, OfProcess};
use crate::process::account::{Account, Amount};
use crate::process::{AddressSpaces, ProcRoot, Process};
use crate::table::{Cell, Column, Named, OwnedCell, RowKind, Rows, Section, Source, Stop, col};
use crate::units::{Absent, Figure, Reason, percent};

/// A column of this view.
type C = Column<Parts>;

/// Parts of a process's memory.
pub struct Parts;

/// One part.
pub struct PartRow {
    /// The process; `None` if several were added up.
    pid: Option<u32>,
    /// When the process started, which tells it from an earlier one with the same pid.
    start_time: Option<u64>,
    /// Which part it is.
    part: &'static Part,
    /// How much it is.
    amount: Amount,
    /// The resident memory, which it is a part of; `None` if it is not resident.
    whole: Option<Amount>,
    /// The same as a bar.
    bar: String,
}

impl RowKind for Parts {
    type Row = PartRow;
    type Need = ();
    const ROWS: &'static str = "parts";
    const LARGEST_BY: &'static str = "amount";
    const HAS_PROCESSES: bool = true;

    fn identity(row: &PartRow) -> Vec<u8> {
        let start_time = row.start_time.unwrap_or_default().to_ne_bytes();
        [&row.pid.unwrap_or_default().to_ne_bytes()[..], &start_time, row.part.id.as_bytes()].concat()
    }

    fn process(row: &PartRow) -> Option<u32> {
        row.pid
    }
}

/// One part: its name, what it means, and where it is in an account.
struct Part {
    /// Its name in JSON and CSV.
    id: &'static str,
    /// What it is, as text: short enough for a terminal with 80 columns.
    meaning: &'static str,
    take: fn(&Account) -> Amount,
    of_resident: bool,
}

const fn part(id: &'static str, meaning: &'static str, take: fn(&Account) -> Amount) -> Part {
    Part { id, meaning, take, of_resident: true }
}

const fn beside(id: &'static str, meaning: &'static str, take: fn(&Account) -> Amount) -> Part {
    Part { id, meaning, take, of_resident: false }
}

/// The parts, in the order in which they are shown.
const PARTS: &[Part] = &[
    part("resident", "in RAM and mapped here (Rss)", |account| account.resident),
    part("proportional", "shared pages divided (Pss)", |account| account.proportional),
    part("private", "mapped nowhere else (Uss)", |account| account.private),
    part("anonymous", "not in a file: heap, stacks", |account| account.anonymous),
    part("file", "pages of files", |account| account.file),
    part("shared_memory", "shared memory, tmpfs, memfd", |account| account.shared_memory),
    part("huge", "in transparent huge pages", |account| account.huge),
    part("locked", "share of what is locked", |account| account.locked),
    part("clean", "reclaimable, nothing to write", |account| account.clean),
    part("unproven", "clean, may not be reclaimable", |account| account.unproven),
    part("dirty", "to be written first, or locked", |account| account.dirty),
    beside("swap", "in swap, not in RAM", |account| account.swap),
    beside("hugetlb", "in hugetlb pages, not in Rss", |account| account.hugetlb),
];

/// The share that `amount` is of `whole`, in percent.
fn share(amount: Amount, whole: Option<Amount>) -> Figure<f64> {
    let whole = whole.ok_or(NOT_RESIDENT)?;
    percent(amount.bytes?.0, whole.bytes?.0).ok_or(NOTHING)
}

const NOT_RESIDENT: Absent = Absent::new(Reason::NotApplicable, "it is not part of the resident memory");
const NOTHING: Absent = Absent::new(Reason::NotApplicable, "no memory is resident");
const SEVERAL: Absent = Absent::new(Reason::NotApplicable, "several processes were added up");

/// What a table shows.
pub const DEFAULT: &[&str] = &["part", "amount", "percent", "bar", "meaning"];

/// The columns.
pub const COLUMNS: &[Column<Parts>] = &[
    shared::pid(),
    col!(new "part", "Part", Text, |row| Cell::Word(row.part.id), "which part of the memory"),
    col!(new "amount", "Amount", Bytes, |row| Cell::bytes(row.amount.bytes),
        "how much it is; parts overlap and do not add up"),
    col!(new "percent", "% Rss", Percent, |row| Cell::percent(share(row.amount, row.whole)),
        "its share of the resident memory"),
    col!(new "bar", "", Text, |row| Cell::Word(&row.bar), "the same as a bar", on_request()),
    col!(new "source", "Source", Text, |row| Cell::Word(row.amount.source),
        "the file of /proc/PID that reports it; status may be off by some pages on kernels before 6.17"),
    col!(new "meaning", "Meaning", Text, |row| Cell::Word(row.part.meaning), "what it is"),
];

impl OfProcess for PartRow {
    fn pid(&self) -> Cell<'_> {
        self.pid.map_or(Cell::Absent(SEVERAL), |pid| Cell::Count(pid.into()))
    }
}

/// Which processes are added up into one summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Each process on its own.
    Process,
    /// All processes.
    All,
    /// The processes of each user.
    User,
    /// The processes in each control group.
    ControlGroup,
}

/// Reads where the memory of processes is.
pub struct PartSource {
    /// Where `/proc` is.
    pub root: ProcRoot,
    /// Which processes.
    pub processes: ProcessChoice,
    /// What is added up.
    pub added: Added,
    /// The character of bars.
    pub bar: &'static str,
}

impl Source for PartSource {
    type Kind = Parts;

    fn columns(&mut self, _: &Named) -> Vec<Column<Parts>> {
        COLUMNS.to_vec()
    }

    fn is_sectioned(&self) -> bool {
        self.added != Added::All
    }

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<Parts>) -> Result<(), Stop> {
        let mut sums = Sums::default();
        let mut seen = AddressSpaces::new();
        for asked in self.processes.find(&self.root, rows)? {
            rows.check()?;
            let Some(process) = asked.open(&self.root, rows) else { continue };
            let account = process.read_account();
            let account = account.or_else(|error| {
                let denied = asked.report_unread(&process, error, rows);
                denied.map(|denied| denied.account).ok_or(())
            });
            let Ok(account) = account else { continue };
            if self.added == Added::Process {
                rows.section(section_of(&account.identity))?;
                rows.rows(self.parts(&account, Some(asked.pid)))?;
            } else if seen.is_new(&process) {
                sums.add(self.key(&process), &account);
            }
        }
        for (key, account) in sums.finish() {
            if let Some(key) = key {
                rows.section(key)?;
            }
            rows.rows(self.parts(&account, None))?;
        }
        Ok(())
    }
}

impl PartSource {
    /// What the process is added to; `None` for the overall sum.
    fn key(&self, process: &Process) -> Option<Key> {
        let (id, text) = match self.added {
            Added::Process | Added::All => return None,
            Added::User => ("user", Owner::read(process).user),
            Added::ControlGroup => ("cgroup", Owner::read(process).control_group),
        };
        Some(Key { id, text: text.unwrap_or_else(|absent| absent.why.as_bytes().to_vec()) })
    }

    fn parts(&self, account: &Account, pid: Option<u32>) -> Vec<PartRow> {
        let row = |part: &'static Part| {
            let (amount, whole) = ((part.take)(account), part.of_resident.then_some(account.resident));
            let start_time = pid.and(account.identity.start_time);
            PartRow { pid, start_time, part, amount, whole, bar: bar(share(amount, whole), self.bar) }
        };
        PARTS.iter().map(row).collect()
    }
}

/// The width of a full bar, which leaves room for the text in 80 columns.
const BAR: usize = 8;

/// A bar for the share: at least one mark for anything above zero, a full bar only for everything.
fn bar(share: Figure<f64>, mark: &str) -> String {
    let marks = match share {
        Ok(share) if share > 0.0 => ((share / 100.0 * BAR as f64) as usize).clamp(1, BAR),
        _ => 0,
    };
    mark.repeat(marks)
}

/// What several processes have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    id: &'static str,
    text: Vec<u8>,
}

/// Accounts that are added up.
#[derive(Default)]
struct Sums {
    accounts: Vec<(Option<Key>, Account, u64)>,
    places: HashMap<Option<Key>, usize>,
}

impl Sums {
    fn add(&mut self, key: Option<Key>, account: &Account) {
        let place = *self.places.entry(key.clone()).or_insert(self.accounts.len());
        match self.accounts.get_mut(place) {
            Some((_, sum, processes)) => {
                *sum = sum.plus(account);
                *processes += 1;
            }
            None => self.accounts.push((key, account.clone(), 1)),
        }
    }

    /// The sums, each with the section of what was added.
    fn finish(self) -> impl Iterator<Item = (Option<Section>, Account)> {
        self.accounts.into_iter().map(|(key, account, processes)| {
            let section = key.map(|key| Section {
                line: [&key.text[..], format!(":   {}", count_of(processes)).as_bytes()].concat(),
                fields: vec![
                    (key.id, OwnedCell::Text(key.text)),
                    ("processes", OwnedCell::Plain(Cell::Count(processes))),
                ],
                ..Section::default()
            });
            (section, account)
        })
    }
}

fn count_of(processes: u64) -> String {
    if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_fits_80_columns() {
        for part in PARTS {
            assert!(part.meaning.len() <= 30, "{}", part.meaning);
        }
    }
}
