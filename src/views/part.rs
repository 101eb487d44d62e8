//! One row per part of a process's memory (`rmap pid --summary`).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::processes::{Owner, find_selected, section_of};
use super::shared::{self, OfProcess};
use crate::join::open_text;
use crate::process::account::{Account, Amount};
use crate::process::{AddressSpaces, Fields, ProcRoot, Process, ProcessChoice, ProcessMappings, Wanted};
use crate::table::{Cell, Colour, Column, Cut, OwnedCell, RowKind, Rows, Section, Source, Stop, col};
use crate::units::{Absent, Figure, Reason, counted, percent};

/// A column of this view.
type C = Column<Parts>;

/// Parts of a process's memory.
pub struct Parts;

/// One part.
pub struct PartRow {
    /// The process; `None` if processes were added up.
    pid: Option<u32>,
    /// When the process started, which distinguishes it from an earlier one with the same pid.
    start_time: Option<u64>,
    /// Whose it is; `None` if that was not read.
    owner: Option<Arc<Owner>>,
    /// Which part it is.
    part: &'static Part,
    /// How much it is.
    amount: Amount,
    /// The resident memory, which it is a part of; `None` if it is not resident.
    whole: Option<Amount>,
}

impl RowKind for Parts {
    type Row = PartRow;
    type Need = PartNeed;
    const ROWS: &'static str = "parts";
    const LARGEST_BY: &'static str = "amount";
    const HAS_PROCESSES: bool = true;
    const COLUMNS: &'static [C] = COLUMNS;

    fn identity(row: &PartRow) -> Vec<u8> {
        let mut identity = row.pid.unwrap_or_default().to_ne_bytes().to_vec();
        identity.extend_from_slice(&row.start_time.unwrap_or_default().to_ne_bytes());
        // A process keeps its identity if it changes its user; a sum is that of a user.
        let owner = row.owner.iter().filter(|_| row.pid.is_none());
        for text in owner.flat_map(|owner| [&owner.command, &owner.user, &owner.control_group]).flatten() {
            identity.extend_from_slice(text);
            identity.push(0);
        }
        identity.extend_from_slice(row.part.id.as_bytes());
        identity
    }

    fn process(row: &PartRow) -> Option<u32> {
        row.pid
    }

    fn start_time(row: &PartRow) -> Option<u64> {
        row.start_time
    }
}

/// What has to be read in addition to the account of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartNeed {
    /// The command line, the user and the control group.
    Owner,
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
    part("file", "pages of files (code, too)", |account| account.file),
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
const ADDED_UP: Absent = Absent::new(Reason::NotApplicable, "the figures of processes are added up");

/// What a table shows.
pub const DEFAULT: &[&str] = &["part", "amount", "percent", "bar", "meaning"];

/// The columns.
const COLUMNS: &[C] = &[
    shared::pid(),
    col!(new "part", "Part", Text, |row| Cell::Word(row.part.id), "which part of the memory",
        one_of(|| PARTS.iter().map(|part| part.id).collect())),
    col!(new "amount", "Amount", Bytes, |row| Cell::bytes(row.amount.bytes),
        "how much it is; parts overlap and do not add up"),
    col!(new "percent", "% Rss", Percent, |row| Cell::percent(share(row.amount, row.whole)),
        "its share of the resident memory", minor()),
    col!(new "bar", "", Text, |row| Cell::bar(share(row.amount, row.whole)), "the same as a bar",
        on_request(), least(), coloured(Colour::Green)),
    col!(new "source", "Source", Text, |row| Cell::Word(row.amount.source),
        "the file of /proc/PID that reports it; status may be off by some pages on kernels before 6.17"),
    col!(new "meaning", "Meaning", Text, |row| Cell::Word(row.part.meaning), "what it is", cut(Cut::Never)),
    shared::command().needing(&[PartNeed::Owner]),
    shared::user().needing(&[PartNeed::Owner]),
    shared::control_group().needing(&[PartNeed::Owner]),
];

impl OfProcess for PartRow {
    fn pid(&self) -> Cell<'_> {
        self.pid.map_or(Cell::Absent(ADDED_UP), |pid| Cell::Count(pid.into()))
    }

    fn owner(&self) -> Option<&Owner> {
        self.owner.as_deref()
    }

    fn command(&self) -> Cell<'_> {
        shared::owned_by(self, |owner| &owner.command)
    }
}

/// Which processes are added up into one summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Each process on its own.
    Process,
    /// All processes.
    All,
    /// Those that have this in common.
    By(Common),
}

/// What the processes of a sum have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// The command line.
    Command,
    /// The user.
    User,
    /// The control group.
    ControlGroup,
}

impl Common {
    /// All of them.
    pub const ALL: [Common; 3] = [Common::Command, Common::User, Common::ControlGroup];

    /// The id of its column.
    pub fn id(self) -> &'static str {
        match self {
            Common::Command => "command",
            Common::User => "user",
            Common::ControlGroup => "cgroup",
        }
    }

    fn of(self, owner: &mut Owner) -> &mut Figure<Vec<u8>> {
        match self {
            Common::Command => &mut owner.command,
            Common::User => &mut owner.user,
            Common::ControlGroup => &mut owner.control_group,
        }
    }
}

/// Reads where the memory of processes is.
pub struct PartSource {
    /// Where `/proc` is.
    pub root: ProcRoot,
    /// Which processes.
    pub processes: ProcessChoice,
    /// What is added up.
    pub added: Added,
    /// A smaps text instead of processes: a file, or `-` for standard input.
    pub smaps: Option<PathBuf>,
}

impl Source for PartSource {
    type Kind = Parts;

    fn is_sectioned(&self) -> bool {
        true
    }

    fn read(&mut self, needs: &[PartNeed], rows: &mut dyn Rows<Parts>) -> Result<(), Stop> {
        if let Some(path) = &self.smaps {
            return self.read_text(path, rows);
        }
        let mut sums = Sums::default();
        let mut seen = AddressSpaces::new();
        for asked in find_selected(&self.processes, &self.root, rows)? {
            rows.check()?;
            let Some(process) = asked.open(&self.root, rows) else { continue };
            let account = process.read_account();
            let account = account.or_else(|error| {
                let denied = asked.report_unread(&process, error, rows);
                denied.map(|denied| denied.account).ok_or(())
            });
            let Ok(account) = account else { continue };
            if self.added == Added::Process {
                let owner = needs.contains(&PartNeed::Owner).then(|| Arc::new(Owner::read(&process)));
                rows.section(section_of(&account.identity))?;
                rows.rows(self.parts(&account, Some(asked.pid), owner.as_ref()))?;
            } else {
                sums.add(self.owner(&process), seen.enter(&process).0, &account);
            }
        }
        for sum in sums.sums {
            rows.section(self.section(&sum))?;
            rows.rows(self.parts(&sum.account, None, Some(&sum.owner)))?;
        }
        Ok(())
    }
}

impl PartSource {
    /// The parts of one process.
    pub fn of(pid: u32) -> PartSource {
        let processes = ProcessChoice::of(pid);
        PartSource { root: ProcRoot::live(), processes, added: Added::Process, smaps: None }
    }

    /// Reads the smaps text of an unknown process.
    fn read_text(&self, path: &Path, rows: &mut dyn Rows<Parts>) -> Result<(), Stop> {
        let read = |(name, text): (PathBuf, _)| {
            ProcessMappings::read_bare(&name, text, &mut Fields::new(), &Wanted::Everything)
        };
        match open_text(path).and_then(read).and_then(ProcessMappings::into_account) {
            Ok(account) => {
                rows.section(section_of(&account.identity))?;
                rows.rows(self.parts(&account, Some(account.identity.pid), None))
            }
            Err(error) => {
                rows.failure(error);
                Ok(())
            }
        }
    }

    /// What the processes of a sum have in common.
    fn owner(&self, process: &Process) -> Owner {
        let mut nobody = Owner { command: Err(ADDED_UP), user: Err(ADDED_UP), control_group: Err(ADDED_UP) };
        if let Added::By(common) = self.added {
            *common.of(&mut nobody) = common.of(&mut Owner::read(process)).clone();
        }
        nobody
    }

    /// The heading of a sum.
    fn section(&self, sum: &Sum) -> Section {
        let Added::By(kind) = self.added else { return Section::default() };
        let mut owner = (*sum.owner).clone();
        let (id, common) = (kind.id(), kind.of(&mut owner));
        let text = match common {
            Ok(text) => text.clone(),
            Err(absent) => absent.why.as_bytes().to_vec(),
        };
        let cell = match common {
            Ok(text) => OwnedCell::Text(text.clone()),
            Err(absent) => OwnedCell::Plain(Cell::Absent(*absent)),
        };
        Section {
            line: [&text[..], format!(":   {}", counted(sum.processes, "process", "processes")).as_bytes()].concat(),
            fields: vec![(id, cell), ("processes", OwnedCell::Plain(Cell::Count(sum.processes)))],
            ..Section::default()
        }
    }

    fn parts(&self, account: &Account, pid: Option<u32>, owner: Option<&Arc<Owner>>) -> Vec<PartRow> {
        let row = |part: &'static Part| {
            let (amount, whole) = ((part.take)(account), part.of_resident.then_some(account.resident));
            let start_time = pid.and(account.identity.start_time);
            PartRow { pid, start_time, owner: owner.cloned(), part, amount, whole }
        };
        PARTS.iter().map(row).collect()
    }
}

/// The accounts of processes that are added up, by what they have in common.
#[derive(Default)]
struct Sums {
    sums: Vec<Sum>,
    places: HashMap<Owner, usize>,
}

struct Sum {
    owner: Arc<Owner>,
    account: Account,
    processes: u64,
    /// The numbers of the address spaces that are in the account. Several processes may share one.
    memories: HashSet<u64>,
}

impl Sums {
    fn add(&mut self, owner: Owner, memory: u64, account: &Account) {
        let place = self.places.get(&owner).and_then(|place| self.sums.get_mut(*place));
        if let Some(sum) = place {
            if sum.memories.insert(memory) {
                sum.account = sum.account.plus(account);
            }
            sum.processes += 1;
            return;
        }
        self.places.insert(owner.clone(), self.sums.len());
        let memories = HashSet::from([memory]);
        self.sums.push(Sum { owner: Arc::new(owner), account: account.clone(), processes: 1, memories });
    }
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
