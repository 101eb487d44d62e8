//! Reads control groups.

use std::ops::ControlFlow;
use std::time::Duration;

use super::explained::{self, Around};
use super::{C, ControlGroups, GroupNeed, GroupRow};
use crate::error::{Error, ErrorKind, Subject};
use crate::join::machine_files::MachineFiles;
use crate::join::read_group_files;
use crate::machine::{
    ControlGroup, GroupFile, read_group_pss, read_groups, read_limits_above, read_swap_size, subtract_below,
};
use crate::process::usage::LATE;
use crate::process::{GroupChoice, ProcRoot, run_as_root};
use crate::table::{Aggregation, Closing, Column, Named, RowKind, Rows, Source, Stop};
use crate::units::{Absent, Bytes, Figure, Reason, counted};

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
    files: MachineFiles,
    explanation: Vec<String>,
}

/// How long reading the memory of processes may take by default.
const BUDGET: Duration = Duration::from_secs(2);

/// How long each reading of the cached files of one group may take. Nothing else is waited for then.
const FILES_BUDGET: Duration = Duration::from_secs(10);

const FILES: &str = "the kernel's lists of cached files";
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
            files: MachineFiles::default(),
            explanation: Vec::new(),
        }
    }
}

impl GroupSource {
    /// A group in words, and whether nothing is missing that this machine has.
    fn explain(&mut self, row: &GroupRow, chosen: &GroupChoice) -> (Vec<String>, bool) {
        let pids = row.group.all_pids.iter().flatten().copied().filter(|pid| *pid != 0).collect();
        let files = match self.root.is_live() {
            true => read_group_files(&mut self.files, chosen, &pids, self.budget.unwrap_or(FILES_BUDGET)),
            false => Err(Error::new(
                Subject::Words(FILES.to_owned()),
                ErrorKind::Unsupported,
                "only a live machine has lists of its cached files",
            )),
        };
        let above = read_limits_above(&self.root, &row.group.path);
        let swap = read_swap_size(&self.root).ok();
        let is_whole = files.is_ok() || !self.root.is_live();
        (explained::lines(row, &Around { above, swap, files }), is_whole)
    }

    /// The memory of the processes in each group.
    fn read_pss(
        &self,
        groups: &[ControlGroup],
        rows: &mut dyn Rows<ControlGroups>,
    ) -> Result<Vec<Figure<Bytes>>, Stop> {
        let mut stopped = None;
        let mut check = || match rows.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(stop) => {
                stopped = Some(stop);
                ControlFlow::Break(())
            }
        };
        let is_all = self.names.is_empty();
        let found = read_group_pss(&self.root, groups, is_all, self.divides, self.budget.unwrap_or(BUDGET), &mut check);
        if let Some(stop) = stopped {
            return Err(stop);
        }
        let found = found?;
        let about = |count| Subject::Words(format!("Pss of {}", counted(count, "process", "processes")));
        if found.denied > 0 {
            let error = Error::new(about(found.denied), ErrorKind::Denied, "this user may not read it");
            rows.failure(match run_as_root() {
                Some(advice) => error.with_advice(format!("{advice}, or leave out the column pss")),
                None => error,
            });
        }
        if found.late > 0 {
            rows.failure(Error::absent(about(found.late), LATE));
        }
        Ok(found.groups)
    }
}

/// The groups with one of these names, as they are mounted on the machine.
fn choice<'n>(root: &ProcRoot, names: impl IntoIterator<Item = &'n Vec<u8>>) -> GroupChoice {
    let mut choice = GroupChoice::default();
    names.into_iter().for_each(|name| choice.add(name));
    choice.resolve(root);
    choice
}

impl Source for GroupSource {
    type Kind = ControlGroups;

    fn columns(&mut self, _: &Named) -> Vec<C> {
        let mut columns = ControlGroups::columns();
        if self.divides {
            columns.iter_mut().filter(|column| Column::has_total(column)).for_each(|column| {
                column.aggregation = Aggregation::Sum;
            });
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
                let about = Subject::Words(String::from_utf8_lossy(name).into_owned());
                let error = Error::new(about, ErrorKind::NotFound, "no such control group with memory control");
                rows.failure(error.with_advice("`rmap cgroups` lists them"));
            }
        }
        if self.divides {
            subtract_below(&mut groups);
        }
        let pss = match needs.contains(&GroupNeed::Pss) {
            true => self.read_pss(&groups, rows)?,
            false => vec![Err(NOT_READ); groups.len()],
        };
        // How many groups of the answer are above each.
        let mut depths: Vec<usize> = Vec::with_capacity(groups.len());
        for group in &groups {
            let above = group.above.and_then(|above| depths.get(above));
            depths.push(above.map_or(0, |depth| depth + 1));
        }
        let is_one = depths.iter().filter(|depth| **depth == 0).count() == 1;
        let made = groups.into_iter().zip(depths).zip(pss);
        let made: Vec<GroupRow> = made.map(|((group, depth), pss)| GroupRow::new(group, depth, pss)).collect();
        if let Some(top) = made.first().filter(|_| self.explains && is_one) {
            let (explanation, is_whole) = self.explain(top, &chosen);
            self.explanation = explanation;
            if !is_whole {
                rows.incomplete();
            }
        }
        rows.rows(made)
    }
}
