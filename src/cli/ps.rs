//! `rmap ps`: the processes of the machine and the memory that they use.

use std::time::Duration;

use clap::Args;

use super::answer::{AnswerArgs, View, refuse_if, seconds, unit_of_files};
use super::found::FoundArgs;
use super::report::Report;
use super::root::RootArgs;
use super::run::{Configured, Done, Listed, Run};
use crate::capture::Wanted;
use crate::process::NamedProcess;
use crate::query::{Default, Query, Total};
use crate::table::{Order, RowKind, Stop, find};
use crate::views::process::{self, ProcessNeed, ProcessSource, Processes};

/// `rmap ps`
#[derive(Debug, Clone, Args)]
pub(crate) struct PsArgs {
    /// Show only these processes: a pid, or self; several with blanks or commas between them
    #[arg(value_name = "PID", value_delimiter = ',')]
    pids: Vec<NamedProcess>,
    /// Processes by their properties.
    #[command(flatten)]
    found: FoundArgs,
    /// Show each process below the one that started it, with the sum of Pss of all below it
    ///
    /// --sort orders the processes that one process has started, and --top shows the first rows of the tree.
    /// tree_pss is the Pss of a process and of all its descendants: a page that several of them map counts once, and
    /// one that others map too counts in part. Selected processes are shown with their descendants.
    #[arg(long, help_heading = "Views")]
    tree: bool,
    /// Time limit (default: 2 s); what was not read by then is absent
    ///
    /// The largest processes are read first.
    #[arg(long, value_name = "SECS", value_parser = seconds, help_heading = "Processes")]
    budget: Option<Duration>,
    /// Which machine is read.
    #[command(flatten)]
    root: RootArgs,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

impl Run for PsArgs {
    const NAME: &'static str = "ps";
    const ABOUT: &'static str = "Every process, and how much memory it really uses";

    const ROWS: &'static [Listed] = &[Listed::of::<Processes>("Columns")];
    const NOTES: &'static str = "\
        --by takes any column, such as user, name, cgroup, container or app. Kernel threads, which have no memory of \
        their own, are left out.\n\
        Any user may read Rss and Swap of every process; the other figures only of their own. An address space that \
        several processes share (vfork) counts once in sums, if this user may read them.";
    const OPERANDS: &'static str = "";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "rss>10M && name=~bash")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap ps --top 10", "the processes that use most memory"),
        ("rmap ps --by app", "how much each application uses"),
        ("rmap ps --tree", "each process with what it has started"),
        ("rmap ps --user root --by name", "the processes of a user, by their names"),
        ("rmap ps -o +container,swap_pss", "more columns"),
    ];

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        let answer = &self.answer;
        refuse_if(self.tree && answer.by.is_some(), "--by", "groups are not a tree; leave out --by or --tree")?;
        let view = match self.tree {
            true => View::Fixed(process::TREE),
            false => View::Usual(process::DEFAULT),
        };
        let mut query = answer.query::<Processes>(configured, view)?;
        if query.order.is_none() {
            query.order = self.order(&query);
        }
        let order = query.order.take_if(|_| self.tree).map(|word| Order::parse(&word, &Processes::columns()));
        match &order {
            Some(_) => query.keeps_order = true,
            None => refuse_columns_of_tree(&query)?,
        }
        // The total of one process would repeat its row.
        let may_be_several = self.pids.len() != 1 || !self.found.is_empty() || self.tree;
        if !answer.is_machine() && !answer.no_total && may_be_several {
            query.total = Total::Row;
        }
        if self.tree && answer.is_machine() {
            query.joined.push(process::TREE_KEYS.iter().map(|id| (*id).to_owned()).collect());
        }
        report.narrowed.extend(self.found.typed().map(Into::into));
        let root = self.root.root_for(&self.answer, Wanted::PROCESSES)?;
        let presentation = answer.presentation_of(&root, configured, unit_of_files());
        let mut source = ProcessSource::new(&root, self.found.choice(self.pids.clone())?);
        source.shows_swap = shown(&query).is_none_or(|mut ids| ids.any(|id| Processes::id_of(id) == "swap"));
        source.tree = order.transpose().map_err(Stop::Usage)?;
        source.request.descendants = self.tree;
        source.request.budget = self.budget.or(source.request.budget);
        answer.answer(&query, &mut source, presentation, report)
    }
}

/// The columns that are shown, those of the view first; `None` if these are all.
fn shown(query: &Query) -> Option<impl Iterator<Item = &str>> {
    let list = query.columns.as_ref();
    let default = match &query.default {
        _ if list.is_some_and(|list| !list.adds) => &[][..],
        Default::Columns(ids) => ids,
        Default::All => return None,
    };
    Some(default.iter().chain(list.into_iter().flat_map(|list| &list.ids)).map(String::as_str))
}

/// Rejects columns that only a tree has.
fn refuse_columns_of_tree(query: &Query) -> Done {
    let listed = query.columns.iter().flat_map(|list| list.ids.clone());
    let order = query.order.iter().filter_map(|word| Order::parse(word, &Processes::columns()).ok());
    let order = order.map(|order| order.column().id().to_owned());
    let filtered = query.filter.iter().flat_map(|filter| filter.names());
    let named = listed.chain(order).chain(query.by.clone()).chain(filtered);
    match named.into_iter().find(|id| process::is_of_tree(id)) {
        Some(id) => Err(Stop::usage(&id, "only --tree has this column")),
        None => Ok(()),
    }
}

impl PsArgs {
    /// The order if none is requested: the largest first. Without Pss it is that of the first size that is shown,
    /// because Pss takes long to read.
    fn order(&self, query: &Query) -> Option<String> {
        let main = if self.tree { process::TREE_ORDER } else { Processes::LARGEST_BY };
        if shown(query).is_none() {
            return Some(main.to_owned());
        }
        let ids = || shown(query).into_iter().flatten().map(Processes::id_of);
        let table = Processes::columns();
        let is_size = |id: &&str| find(&table, id).is_some_and(|column| column.has_total());
        // A tree has its sums wherever Pss is read.
        let has_main = |id: &str| match self.tree {
            true => find(&table, id).is_some_and(|column| column.needs.contains(&ProcessNeed::Shares)),
            false => id == "pss",
        };
        let first = if ids().any(has_main) { Some(main) } else { ids().find(is_size) };
        match first {
            Some(id) => Some(id.to_owned()),
            None if query.top.is_some() => Some(main.to_owned()),
            None if query.by.is_some() => None,
            None => Some("-pid".to_owned()),
        }
    }
}
