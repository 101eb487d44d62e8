//! Reads control groups.

use std::ops::ControlFlow;
use std::time::Duration;

use super::explained::{self, Around};
use super::{C, ControlGroups, GroupNeed, GroupRow};
use crate::error::{Error, ErrorKind, Subject};
use crate::join::machine_files::MachineFiles;
use crate::join::read_group_files;
use crate::machine::{
    ControlGroup, GroupFile, GroupPss, NOT_CAPTURED, as_named_groups, read_group_pss, read_groups, read_groups_above,
    read_swap_space, read_swappiness, subtract_below,
};
use crate::process::{GroupChoice, ProcRoot};
use crate::table::{Aggregation, Closing, Named, RowKind, Rows, Section, Source, Stop};
use crate::units::{Absent, Figure, Piece, Reason, counted};
use crate::views::process::{missing, partial};

/// Reads the memory control groups of a machine.
pub struct GroupSource {
    /// The machine.
    pub root: ProcRoot,
    /// The names of the groups that are shown, with those below them; all if there is none.
    pub names: Vec<Vec<u8>>,
    /// How long reading the memory of processes may take, and each list of cached files; `None`: the usual times.
    pub budget: Option<Duration>,
    /// Whether each row has only what its group has besides the groups below it, so that rows can be added up.
    pub divides: bool,
    /// Whether one group that is named is also explained in words.
    pub explains: bool,
    /// Whether the root of all groups, which is the machine, has no row.
    pub omits_root: bool,
    files: MachineFiles,
    explanation: Vec<String>,
}

/// How long reading the memory of processes may take by default.
const BUDGET: Duration = Duration::from_secs(2);

/// How long each reading of the cached files of one group may take. Nothing else is waited for then.
const FILES_BUDGET: Duration = Duration::from_secs(10);

const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");

impl GroupSource {
    /// All groups of a machine.
    pub fn new(root: ProcRoot) -> GroupSource {
        GroupSource {
            root,
            names: Vec::new(),
            budget: None,
            divides: false,
            explains: false,
            omits_root: false,
            files: MachineFiles::default(),
            explanation: Vec::new(),
        }
    }
}

impl GroupSource {
    /// The first of these groups, which the others are below, in words.
    fn explain(
        &mut self,
        row: &GroupRow,
        below: &[GroupRow],
        chosen: &GroupChoice,
        rows: &mut dyn Rows<ControlGroups>,
    ) -> Vec<String> {
        let pids = row.group.all_pids.as_ref().map(|pids| pids.iter().copied().collect()).map_err(|absent| *absent);
        let budget = self.budget.unwrap_or(FILES_BUDGET);
        let files = read_group_files(&mut self.files, &self.root, chosen, pids, budget);
        // What a capture was taken without is not asked of it.
        if let Some(error) = files.as_ref().err().filter(|error| error.kind() != ErrorKind::NotFound) {
            rows.failure(error.clone());
        }
        let above = read_groups_above(&self.root, &row.group.path);
        let swap = read_swap_space(&self.root).ok();
        let is_never_swapped = !row.group.is_root && read_swappiness(&self.root, &row.group.path) == Some(0);
        explained::lines(row, &Around { above, below, swap, is_never_swapped, files })
    }

    /// The memory of the processes in each group.
    fn read_pss(
        &self,
        groups: &[ControlGroup],
        rows: &mut dyn Rows<ControlGroups>,
    ) -> Result<Vec<Figure<Piece>>, Stop> {
        let mut stopped = None;
        let mut check = || match rows.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(stop) => {
                stopped = Some(stop);
                ControlFlow::Break(())
            }
        };
        let is_all = self.names.is_empty();
        let budget = self.budget.unwrap_or(BUDGET);
        let found = read_group_pss(&self.root, groups, is_all, self.divides, budget, &mut check);
        if let Some(stop) = stopped {
            return Err(stop);
        }
        let GroupPss { groups, found } = found?;
        // One that has exited, or has no memory, is no failure.
        let is_said = |error: &Error| !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported);
        let (processes, figures) = missing(&self.root, &found, Some(budget));
        let (failures, doubt) = (found.failures.iter().cloned(), found.doubt.clone());
        processes.chain(figures).chain(failures).filter(is_said).chain(doubt).for_each(|error| rows.failure(error));
        Ok(groups)
    }
}

/// The error for a group that was named and does not exist.
pub(in crate::views) fn no_such_group(name: &[u8]) -> Error {
    let about = Subject::Words(String::from_utf8_lossy(name).into_owned());
    let error = Error::new(about, ErrorKind::NotFound, "no such control group with memory control");
    error.with_advice("`rmap cgroups` lists them")
}

/// The groups with one of these names, as they are mounted on the machine.
fn choice<'n>(root: &ProcRoot, names: impl IntoIterator<Item = &'n Vec<u8>>) -> GroupChoice {
    let mut choice = GroupChoice::default();
    names.into_iter().for_each(|name| choice.add(name));
    choice.resolve(root);
    as_named_groups(root, &choice)
}

impl Source for GroupSource {
    type Kind = ControlGroups;

    fn columns(&mut self, _: &Named) -> Vec<C> {
        let mut columns = ControlGroups::columns();
        if self.divides {
            // Processes of several groups may share memory, however the groups are divided.
            let is_divided = |column: &&mut C| column.has_total() && column.id() != "pss";
            columns.iter_mut().filter(is_divided).for_each(|column| column.aggregation = Aggregation::Sum);
        }
        columns
    }

    fn closing(&self) -> Closing {
        Closing { lines: self.explanation.clone(), ..Closing::default() }
    }

    fn finds_many(&self) -> bool {
        true
    }

    fn read(&mut self, needs: &[GroupNeed], rows: &mut dyn Rows<ControlGroups>) -> Result<(), Stop> {
        let files: Vec<GroupFile> = needs
            .iter()
            .filter_map(|need| match need {
                GroupNeed::File(file) => Some(*file),
                GroupNeed::Pss => None,
            })
            .chain(self.divides.then_some(GroupFile::KernelUsage))
            .collect();
        self.explanation.clear();
        let chosen = choice(&self.root, &self.names);
        let mut groups = read_groups(&self.root, &chosen, &files, &mut |error| rows.lost(error))?;
        for name in &self.names {
            let one = choice(&self.root, [name]);
            if !groups.iter().any(|group| one.has_memory_group(&group.path)) {
                rows.failure(no_such_group(name));
            }
        }
        if groups.is_empty() && !self.names.is_empty() {
            return rows.section(Section { is_closed: true, ..Section::default() });
        }
        if self.divides {
            subtract_below(&mut groups);
        }
        let pss = match needs.contains(&GroupNeed::Pss) {
            true => self.read_pss(&groups, rows)?,
            false => vec![Err(NOT_READ); groups.len()],
        };
        // How many groups of the answer are above each; `None` for the root if it is left out.
        let mut depths: Vec<Option<usize>> = Vec::with_capacity(groups.len());
        for group in &groups {
            let above = group.above.and_then(|above| *depths.get(above)?);
            let depth = above.map_or(0, |depth| depth + 1);
            depths.push((!(self.omits_root && group.is_root)).then_some(depth));
        }
        let is_one = depths.iter().filter(|depth| **depth == Some(0)).count() == 1;
        let made = groups.into_iter().zip(depths).zip(pss);
        let made = made.filter_map(|((group, depth), pss)| Some(GroupRow::new(group, depth?, pss)));
        let made: Vec<GroupRow> = made.collect();
        let lacking = made.iter().filter(|row| matches!(row.pss, Err(NOT_CAPTURED))).count() as u64;
        let has_some = self.root.captured().is_some_and(|captured| !captured.has_all_processes);
        if lacking > 0 && has_some {
            let lack = counted(lacking, "control group has", "control groups have");
            rows.failure(partial(&format!(", so {lack} no Pss")));
        }
        if let Some((top, below)) = made.split_first().filter(|_| self.explains && is_one) {
            self.explanation = self.explain(top, below, &chosen, rows);
        }
        rows.rows(made)
    }
}
