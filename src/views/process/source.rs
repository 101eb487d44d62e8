//! Reads the processes of the machine.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::super::processes::user_name;
use super::account::{self, Account};
use super::tree::Tree;
use super::{ProcessNeed, ProcessRow, Processes};
use crate::machine::{app_name, container_name};
use crate::process::usage::{Usage, UsageNeeds, UsageRequest, collect_usages};
use crate::process::{ProcRoot, ProcessChoice};
use crate::table::{Closing, Order, RowKind, Rows, Source, Stop};
use crate::units::{Absent, Figure, Reason};

/// How long reading may take by default.
const BUDGET: Duration = Duration::from_secs(2);

/// Reads the processes of the machine and the memory that they use.
pub struct ProcessSource {
    /// Which of them, and how long that may take. What is read about each follows from the columns.
    pub request: UsageRequest,
    /// Whether they are a tree: the order of those below one process, and of those at the top.
    pub tree: Option<Order<Processes>>,
    /// Whether the column `swap` is shown, so that a line explains its sum.
    pub shows_swap: bool,
    /// The names of users, by their numbers.
    users: HashMap<u32, Vec<u8>>,
    account: Option<Account>,
}

const NO_STATUS: Absent = Absent::new(Reason::Unsupported, "there is no status file");

impl ProcessSource {
    /// These processes, or all if none is selected.
    pub fn new(root: &ProcRoot, processes: ProcessChoice) -> ProcessSource {
        let request =
            UsageRequest { processes, budget: Some(BUDGET), ..UsageRequest::new(root, UsageNeeds::default()) };
        ProcessSource { request, tree: None, shows_swap: false, users: HashMap::new(), account: None }
    }

    fn row(&mut self, usage: Usage, is_live: bool) -> ProcessRow {
        let users = &mut self.users;
        let user = usage
            .status
            .as_ref()
            .map_err(|_| NO_STATUS)
            .map(|status| users.entry(status.user).or_insert_with(|| user_name(status.user, is_live)).clone());
        let group: Figure<&[u8]> = usage.group.as_ref().map(Vec::as_slice).map_err(|absent| *absent);
        let container = group.map(container_name);
        let app = app_name(usage.unit_group.as_deref(), group.ok()).map(String::into_bytes);
        ProcessRow { app: app.unwrap_or_else(|| usage.program.clone()), user, container, branch: None, usage }
    }
}

impl Source for ProcessSource {
    type Kind = Processes;

    fn closing(&self) -> Closing {
        self.account.as_ref().map(Account::closing).unwrap_or_default()
    }

    fn finds_many(&self) -> bool {
        true
    }

    fn read(&mut self, needs: &[ProcessNeed], rows: &mut dyn Rows<Processes>) -> Result<(), Stop> {
        self.account = None;
        let of_tree = self.tree.as_ref().map_or(&[][..], |order| order.column().needs);
        let needs = |need| needs.contains(&need) || of_tree.contains(&need);
        self.request.needs = UsageNeeds {
            command: needs(ProcessNeed::Command),
            group: needs(ProcessNeed::Group),
            program: needs(ProcessNeed::Program),
            shares: needs(ProcessNeed::Shares),
        };
        let mut stopped = Ok(());
        let found = collect_usages(&self.request, &mut || {
            stopped = rows.check();
            if stopped.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        stopped?;
        self.account = Some(Account::of(&self.request.root, &found, self.request.needs.shares, self.shows_swap));
        account::elsewhere(&found).into_iter().for_each(|error| rows.note(error));
        let (processes, figures) = account::missing(&self.request.root, &found, self.request.budget);
        processes.for_each(|error| rows.lost(error));
        figures.chain(found.doubt.clone()).for_each(|error| rows.failure(error));
        found.failures.into_iter().for_each(|error| rows.lost(error));
        let is_live = self.request.root.is_live();
        let tree = self.tree.is_some().then(|| Tree::of(&found.usages));
        let mut all: Vec<ProcessRow> = found.usages.into_iter().map(|usage| self.row(usage, is_live)).collect();
        let (Some((tree, branches)), Some(order)) = (tree, &self.tree) else { return rows.rows(all) };
        for (row, branch) in all.iter_mut().zip(branches) {
            row.branch = Some(branch);
        }
        let places = tree.ordered(|one, other| match (all.get(one), all.get(other)) {
            (Some(one), Some(other)) => order.compare(one, other).then_with(|| Processes::tie(one, other)),
            _ => Ordering::Equal,
        });
        let mut all: Vec<Option<ProcessRow>> = all.into_iter().map(Some).collect();
        let ordered = places.into_iter().filter_map(|place| all.get_mut(place).and_then(Option::take)).collect();
        rows.rows(ordered)
    }
}
