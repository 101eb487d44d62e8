//! `rmap pid`: the process view.
//!
//! What was typed becomes a [`plan::Plan`]; the processes are read (`collect`), and then shown as a list of mappings (`list`),
//! as groups of them (`groups`), or as a summary (`summary`).

mod collect;
mod denied;
mod groups;
mod list;
mod plan;
mod repeat;
mod strips;
mod summary;
mod usage;

use super::args::PidArgs;
use super::processes::asked_for;
use super::{Done, Report};
use crate::output::{Format, column};
use crate::process::{Fields, ProcRoot};
use crate::views::mapping;

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    let columns = mapping::known_columns();
    format!(
        "Columns (a field of a newer kernel has a column too, by its name in lower case):\n{}\n\
         Sizes are in KiB unless -b or -H is given; machine formats are in bytes.\n\n{}",
        column::help(&columns),
        super::FILTER_HELP
    )
}

pub(crate) fn run(args: &PidArgs, report: &mut Report) -> Done {
    let plan = plan::Plan::new(args)?;
    let root = ProcRoot::at(args.proc_root.clone());
    let asked = asked_for(&args.pids, &args.found, &root, report)?;
    if args.views.summary {
        return summary::run(args, &root, &asked, report);
    }
    if let Some(every) = args.watch.every {
        return repeat::run(args, &plan, &root, every, report);
    }
    let collected = collect::collect(&plan, &root, &asked, &mut Fields::new());
    match args.views.by {
        // What may be known is shown below; an empty table above it would say nothing.
        _ if collected.processes.is_empty() && is_table(args) => {}
        Some(by) => groups::render(args, &plan, &collected, by)?,
        None if strips::are_asked_for(args) => strips::render(args, &plan, &collected)?,
        None => list::render(args, &plan, &collected)?,
    }
    summary::render_failed(args, &collected, report)
}

fn is_table(args: &PidArgs) -> bool {
    args.output.format() == Format::Table
}
