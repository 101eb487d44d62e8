//! `rmap cgroups`: the memory control groups of the machine.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::Args;

use super::answer::{AnswerArgs, View, seconds, unit_of_files};
use super::report::Report;
use super::root::{RootArgs, mounted};
use super::run::{Configured, Done, Listed, Run};
use crate::capture::Wanted;
use crate::views::control_group::{ControlGroups, DEFAULT, GroupSource};

/// `rmap cgroups`
#[derive(Debug, Clone, Args)]
pub(crate) struct CgroupsArgs {
    /// Show only these control groups, and those below them
    ///
    /// The names are those of `rmap pid --cgroup`: a path or name, which may contain * and ?, or the id of a container.
    #[arg(value_name = "GROUP")]
    groups: Vec<OsString>,
    /// Time limit for the memory of processes (pss; default: 2 s) and for the cached files of one group (10 s)
    ///
    /// What was not read by then is absent.
    #[arg(long, value_name = "SECS", value_parser = seconds, help_heading = "Control groups")]
    budget: Option<Duration>,
    /// Which machine is read.
    #[command(flatten)]
    root: RootArgs,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

impl Run for CgroupsArgs {
    const NAME: &'static str = "cgroups";
    const ABOUT: &'static str = "Memory control groups: their charges, limits and pressure";

    const ROWS: &'static [Listed] = &[Listed::of::<ControlGroups>("Columns")];
    const NOTES: &'static str = "\
Every figure includes the groups below, so a total adds up only the outermost rows. With --by, the groups below are \
subtracted first, so that memory counts only in the row of its own group.";
    const OPERANDS: &'static str = "";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "limit_percent>80 && name=~user")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap cgroups", "all control groups, as a tree"),
        ("rmap cgroups --sort usage --top 10", "the largest"),
        ("rmap cgroups --filter 'limit > 0' --sort limit_percent", "how near each is to its limit"),
        ("rmap cgroups --by container", "one row for each container"),
        ("rmap cgroups /", "one group explained, and those below it"),
    ];

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        // In another order than that of the tree, a name does not tell which group it is.
        let is_tree = self.answer.sort.is_none() && self.answer.top.is_none() && !self.answer.is_filtered();
        let columns: Vec<&str> = DEFAULT.iter().map(|id| if *id == "tree" && !is_tree { "path" } else { id }).collect();
        let query = self.answer.query::<ControlGroups>(configured, View::Usual(&columns))?;
        let is_plain = is_tree && query.by.is_none() && query.every.is_none() && query.columns.is_none();
        let explains = is_plain && !self.answer.is_machine() && self.groups.len() == 1;
        // The explanation of a group names its cached files.
        let wanted = Wanted { processes: true, files: explains };
        let root = mounted(self.root.root_for(&self.answer, wanted)?)?;
        let presentation = self.answer.presentation_of(&root, configured, unit_of_files());
        let mut source = GroupSource::new(root);
        source.names = self.groups.into_iter().map(OsStringExt::into_vec).collect();
        source.budget = self.budget;
        source.divides = query.by.is_some();
        source.explains = explains;
        self.answer.answer(&query, &mut source, presentation, report)
    }
}
