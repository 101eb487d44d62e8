//! One row per process, mapping, file or control group that changed between two states of a machine (`rmap diff`).
//!
//! All sizes are in bytes.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Subject};
use crate::join::changes::{Change, ChangedFigure, ChangedKind, ChangedStatus, Comparison, Hear, compare_machines};
use crate::process::ProcRoot;
use crate::table::{Aggregation, Cell, Closing, Column, Cut, Difference, Largest, OwnedCell, RowKind, Rows, Source};
use crate::table::{Rfc3339, Stop, col};
use crate::units::{Absent, Bytes, Human, Reason, counted};

/// A column of this view.
type C = Column<Changed>;

/// What changed.
pub struct Changed;

impl RowKind for Changed {
    type Row = Change;
    type Need = ();
    const ROWS: &'static str = "changes";
    const LARGEST_BY: &'static str = "change";
    const NAMES_PROCESSES: bool = true;
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "path" => "name",
            other => other,
        }
    }

    fn identity(row: &Change) -> Vec<u8> {
        [row.kind.word().as_bytes(), b" ", &row.identity, b" ", &row.name].concat()
    }

    fn process(row: &Change) -> Option<u32> {
        row.pid
    }

    fn memory(row: &Change) -> Option<u64> {
        row.memory
    }

    fn tie(one: &Change, other: &Change) -> std::cmp::Ordering {
        let key = |row: &Change| (row.kind as u32, row.pid, row.status == ChangedStatus::New);
        key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
    }
}

/// What a table shows by default.
pub const DEFAULT: &[&str] = &["kind", "pid", "of", "before", "after", "change", "status", "name", "note"];

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "kind", "Kind", Text, |row| Cell::Word(row.kind.word()),
        "process, mapping (those of a process with one name), file or cgroup",
        one_of(|| ChangedKind::ALL.map(ChangedKind::word).to_vec())),
    col!(new "name", "Name", Text, |row| Cell::Text(&row.name),
        "the command line, the name of the mappings, the file or the control group", naming(),
        cut(Cut::NameOrCommand)),
    col!(new "name_bytes", "Name bytes", RawBytes, |row| Cell::RawBytes(&row.name), "the name if it is not UTF-8"),
    col!(new "pid", "PID", Number, |row| row.pid.map_or(Cell::Absent(NO_PROCESS), |pid| Cell::Count(pid.into())),
        "the process, also of a mapping"),
    col!(new "of", "Of", Text, |row| Cell::Word(row.of.word()),
        "the figure that is compared: pss or rss (if one side does not know Pss), cached, usage",
        one_of(|| ChangedFigure::ALL.map(ChangedFigure::word).to_vec()), least()),
    col!(sum "before", "Before", Bytes, |row| Cell::bytes(row.before), "the figure in A"),
    col!(sum "after", "After", Bytes, |row| Cell::bytes(row.after), "the figure in B, or now"),
    col!(new "change", "Change", Change, |row| change(row), "after less before; all of it if it is new or gone",
        aggregated(Aggregation::Net)),
    col!(new "status", "Status", Text, |row| Cell::Word(row.status.word()),
        "grew, shrank, new, gone, or unknown if one side has no figure",
        one_of(|| ChangedStatus::ALL.map(ChangedStatus::word).to_vec()), minor()),
    col!(new "note", "Note", Prose, |row| note(row),
        "why the change is unknown, or what else there is to know about it", cut(Cut::Never)),
];

const NO_PROCESS: Absent = Absent::new(Reason::NotApplicable, "it does not belong to one process");

fn change(row: &Change) -> Cell<'_> {
    row.amount().map_or_else(Cell::Absent, |by| Cell::Change(Difference::Bytes(by)))
}

fn note(row: &Change) -> Cell<'_> {
    Cell::Remark(row.amount().err().map(|absent| absent.why).or(row.note))
}

/// Compares two states of a machine.
pub struct ChangeSource {
    /// Which, and what is compared.
    pub comparison: Comparison,
    /// What the two are called, in one line.
    pub names: [String; 2],
    /// How many changes are shown at most, if not all.
    top: Option<usize>,
    /// Whether these are the largest.
    are_largest: bool,
    count: u64,
}

impl ChangeSource {
    /// This comparison, of which `top` changes are shown at most, if not all.
    pub fn new(comparison: Comparison, names: [String; 2], top: Option<usize>) -> ChangeSource {
        ChangeSource { comparison, names, top, are_largest: false, count: 0 }
    }

    /// The two states as objects of a JSON document.
    fn sides(&self) -> Vec<Vec<(&'static str, OwnedCell)>> {
        let side = |(name, root): (&String, &ProcRoot)| {
            vec![
                ("name", OwnedCell::Text(name.as_bytes().to_vec())),
                ("time", OwnedCell::Plain(Cell::time(root.time()))),
                ("page_size", OwnedCell::Plain(Cell::Bytes(root.page_size().bytes()))),
                ("captured", OwnedCell::Plain(Cell::Flag(root.captured().is_some()))),
            ]
        };
        self.names.iter().zip([&self.comparison.before, &self.comparison.after]).map(side).collect()
    }

    fn summary(&self) -> Vec<String> {
        let line = |(name, root): (&String, &ProcRoot)| {
            let is_known = root.captured().is_some() || root.is_live();
            let time = if is_known { Rfc3339(root.time()).in_seconds() } else { "at an unknown time".to_owned() };
            format!("{name} ({time})")
        };
        let [before, after] = [0, 1].map(|side| {
            let root = if side == 0 { &self.comparison.before } else { &self.comparison.after };
            self.names.get(side).map(|name| line((name, root))).unwrap_or_default()
        });
        let count = match self.comparison.least {
            Bytes(0) => counted(self.count, "change", "changes"),
            least => format!("{} of {} or more", counted(self.count, "change", "changes"), Human(least)),
        };
        let shown = match self.top.filter(|top| (*top as u64) < self.count) {
            None => String::new(),
            Some(1) if self.are_largest => "; the largest is shown (--top)".to_owned(),
            Some(top) if self.are_largest => format!("; the {top} largest are shown (--top)"),
            // In another order, or those that match.
            Some(1) => "; at most 1 is shown (--top)".to_owned(),
            Some(top) => format!("; at most {top} are shown (--top)"),
        };
        vec![format!("From {before} to {after}: {count}{shown}.")]
    }
}

/// Passes on what is found as rows.
struct Heard<'r> {
    rows: &'r mut dyn Rows<Changed>,
    count: u64,
    has_failed: bool,
    stop: Option<Stop>,
}

impl Heard<'_> {
    fn keep(&mut self, done: Result<(), Stop>) -> ControlFlow<()> {
        if let Err(stop) = done {
            self.stop.get_or_insert(stop);
        }
        if self.stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Hear for Heard<'_> {
    fn change(&mut self, change: Change) {
        if self.stop.is_none() {
            self.count += 1;
            let done = self.rows.row(change);
            let _ = self.keep(done);
        }
    }

    fn failure(&mut self, error: Error) {
        self.has_failed = true;
        self.rows.lost(error);
    }

    fn note(&mut self, note: Error) {
        self.rows.note(note);
    }

    fn check(&mut self) -> ControlFlow<()> {
        let done = self.rows.check();
        self.keep(done)
    }
}

impl Source for ChangeSource {
    type Kind = Changed;

    fn show_at_most(&mut self, largest: Option<Largest>) {
        self.are_largest = largest.is_some_and(|largest| largest.by == Changed::LARGEST_BY);
    }

    fn closing(&self) -> Closing {
        Closing { lines: self.summary(), list: Some(("compared", self.sides())), ..Closing::default() }
    }

    fn finds_many(&self) -> bool {
        true
    }

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<Changed>) -> Result<(), Stop> {
        let mut heard = Heard { rows, count: 0, has_failed: false, stop: None };
        compare_machines(&self.comparison, &mut heard);
        let has_failed = heard.has_failed;
        self.count = heard.count;
        if let Some(stop) = heard.stop {
            return Err(stop);
        }
        // What could not be compared may have changed.
        if self.count == 0 && !has_failed {
            let least = self.comparison.least;
            let by = if least == Bytes(0) { String::new() } else { format!(" by {} or more", Human(least)) };
            let [before, after] = &self.names;
            let about = Subject::Words(format!("{before} and {after}"));
            rows.note(Error::new(about, ErrorKind::NotFound, format!("nothing changed{by}")));
        }
        Ok(())
    }
}
