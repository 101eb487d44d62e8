//! `rmap mem`: what the machine's memory is used for.

use clap::Args;

use super::answer::{AnswerArgs, View, refuse_if, unit_of_files};
use super::report::Report;
use super::root::RootArgs;
use super::run::{Configured, Done, Listed, Run};
use crate::capture::Wanted;
use crate::table::RowKind;
use crate::views::memory::{self, Memory, MemorySource};
use crate::views::slab_cache::{self, SlabRows, SlabSource};

/// `rmap mem`
#[derive(Debug, Clone, Args)]
pub(crate) struct MemArgs {
    /// Show every place and attribute, also those that are zero or not known
    #[arg(short = 'a', long, conflicts_with = "slab", help_heading = "Memory")]
    all: bool,
    /// Look at every physical page instead of the kernel's counters (root)
    ///
    /// It reads /proc/kpageflags, which takes about 0.1 s for each 4 GiB. With --by cgroup it is the default.
    #[arg(long, conflicts_with = "slab", help_heading = "Memory")]
    pages: bool,
    /// Show the caches of small kernel objects (root)
    #[arg(long, help_heading = "Memory")]
    slab: bool,
    #[command(flatten)]
    root: RootArgs,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

impl Run for MemArgs {
    const NAME: &'static str = "mem";
    const ABOUT: &'static str = "What the memory of this machine is used for, every byte once";

    const ROWS: &'static [Listed] = &[Listed::of::<Memory>("Columns"), Listed::of::<SlabRows>("Columns with --slab")];
    const NOTES: &'static str = "Each byte is in one place, and the places add up to MemTotal. Attributes, which are \
indented below them in a table, describe a part of the places that part_of names; a total does not add them.";
    const OPERANDS: &'static str = "";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "size>10M && title=~cache")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap mem", "where the memory is, on one screen"),
        ("rmap mem -w 2", "what grows and shrinks"),
        ("rmap mem --by node --filter 'reclaim != free'", "how much of each NUMA node is used"),
        ("rmap mem --by cgroup --sort size", "who is charged for it, by physical page (root)"),
        ("rmap mem --slab --top 10", "the largest caches of kernel objects (root)"),
    ];

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        let root = self.root.root_for(&self.answer, Wanted::MACHINE)?;
        if self.slab {
            let configured = &configured.for_other_rows();
            let presentation = self.answer.presentation_of(&root, configured, unit_of_files());
            let mut query = self.answer.query::<SlabRows>(configured, View::Usual(slab_cache::DEFAULT))?;
            if query.by.is_none() && query.order.is_none() {
                query.order = Some(SlabRows::LARGEST_BY.to_owned());
            }
            return self.answer.answer(&query, &mut SlabSource { root }, presentation, report);
        }
        let presentation = self.answer.presentation_of(&root, configured, unit_of_files());
        let columns = if self.answer.every.is_some() { memory::DEFAULT_REPEATED } else { memory::DEFAULT };
        let query = self.answer.query::<Memory>(configured, View::Usual(columns))?;
        refuse_if(
            self.all && self.answer.is_machine(),
            "--all",
            "machine formats have every place and attribute without it",
        )?;
        let mut source = MemorySource::new(root);
        source.pages = self.pages;
        source.by.clone_from(&query.by);
        source.selects = query.filter.is_some() || query.top.is_some();
        source.sorts = query.order.is_some();
        let is_whole = query.filter.is_none() && query.by.is_none();
        source.brief = is_whole && !self.all && !self.answer.is_machine();
        self.answer.answer(&query, &mut source, presentation, report)
    }
}
