//! `-w SECS`: the list of mappings again and again, with the change of each figure; mappings that came and went are marked.

use std::collections::HashSet;

use super::collect::{Collected, collect};
use super::denied;
use super::list;
use super::plan::Plan;
use super::summary;
use crate::cli::args::{Interval, PidArgs};
use crate::cli::processes::{Asked, asked_for};
use crate::cli::signals::Signals;
use crate::cli::{Done, Report, Stop, screen, watch};
use crate::error::{Error, ErrorKind};
use crate::output::change::Look;
use crate::output::{Column, Heading, Layout, Selection};
use crate::process::{Fields, ProcRoot};
use crate::views::mapping::{self, MappingRow, MappingRows};

pub(super) fn run(args: &PidArgs, plan: &Plan, root: &ProcRoot, every: Interval, report: &mut Report) -> Done {
    let mut subject =
        Mappings { args, plan, root, report, fields: Fields::new(), selection: None, complained_of: HashSet::new() };
    // The fields that the kernel gives decide the columns, so that a look comes before the first that is shown.
    subject.look()?;
    let table = mapping::columns(&subject.fields);
    let columns = screen::writable(plan.columns(args, &subject.fields, &table)?, &args.output)?;
    subject.selection = Some(plan.selection(&table)?);
    let layout = Layout { rows_key: "mappings", ..list::layout(args) };
    watch::watch::<MappingRows, _>(subject, &with_pid(columns, &table, args), layout, every)
}

/// The process is a column where there may be several, because a look is one list.
fn with_pid(
    mut columns: Vec<Column<MappingRows>>,
    table: &[Column<MappingRows>],
    args: &PidArgs,
) -> Vec<Column<MappingRows>> {
    let several = args.pids.len() != 1 || args.found.any();
    if several && args.output.columns.is_none() && columns.iter().all(|column| column.id != "pid") {
        columns.splice(0..0, crate::output::column::find(table, "pid").cloned());
    }
    columns
}

struct Mappings<'a> {
    args: &'a PidArgs,
    plan: &'a Plan,
    root: &'a ProcRoot,
    report: &'a mut Report,
    /// One dictionary for all looks, so that a column means the same field in each.
    fields: Fields,
    selection: Option<Selection<MappingRows>>,
    /// What was complained of once is not said again at every look.
    complained_of: HashSet<String>,
}

impl Mappings<'_> {
    fn look(&mut self) -> Result<Collected, Stop> {
        let asked: Vec<Asked> = asked_for(&self.args.pids, &self.args.found, self.root, self.report)?;
        let collected = collect(self.plan, self.root, &asked, &mut self.fields);
        collected.failures.iter().for_each(|error| self.complain(error));
        collected.denied.iter().for_each(|denied| self.complain(&denied.why));
        Ok(collected)
    }

    fn complain(&mut self, error: &Error) {
        if self.complained_of.insert(error.to_string()) || error.kind() == ErrorKind::Changed {
            self.report.failure(error);
        }
    }
}

impl Mappings<'_> {
    fn all<'l>(&self, look: &'l Collected) -> Vec<MappingRow<'l>> {
        look.processes.iter().flat_map(|process| look.rows(process, self.args)).collect()
    }

    fn shown<'l>(&self, all: &[MappingRow<'l>]) -> Vec<MappingRow<'l>> {
        match &self.selection {
            Some(selection) => selection.choose(all.iter().copied()).collect(),
            None => all.to_vec(),
        }
    }
}

impl watch::Subject<MappingRows> for Mappings<'_> {
    type Look = Collected;

    fn collect(&mut self, signals: &Signals) -> Result<Collected, Stop> {
        signals.check()?;
        self.look()
    }

    fn rows<'l>(&self, look: &'l Collected) -> Vec<MappingRow<'l>> {
        self.shown(&self.all(look))
    }

    fn rows_and_shown<'l>(&self, look: &'l Collected) -> Look<MappingRow<'l>> {
        let all = self.all(look);
        Look { shown: self.shown(&all), all }
    }

    fn heading<'l>(&self, look: &'l Collected) -> Option<Heading<'l>> {
        let mut heading = match (&look.processes[..], &look.denied[..]) {
            ([process], []) => list::heading(&process.read.identity),
            ([], [denied]) => denied::heading_of(denied),
            _ => return None,
        };
        heading.line.extend_from_slice(b"   ");
        Some(heading)
    }

    fn write_below(&self, look: &Collected) -> Done {
        summary::render_denied(self.args, &look.denied)
    }

    fn is_over(&self, look: &Collected) -> bool {
        look.processes.is_empty() && look.denied.is_empty()
    }

    fn identity(row: &MappingRow<'_>) -> Vec<u8> {
        let (pid, start) = (row.pid.to_ne_bytes(), row.mapping.start().to_ne_bytes());
        [&pid[..], &start[..], row.mapping.path()].concat()
    }
}
