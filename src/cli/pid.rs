//! `rmap pid`: the process view.
//!
//! What was typed becomes a [`plan::Plan`]; the processes are read (`collect`), and then shown as a list of mappings (`list`),
//! as groups of them (`groups`), or as a summary (`summary`).

mod collect;
mod groups;
mod list;
mod plan;
mod strips;

use super::args::PidArgs;
use super::{Done, Report};
use crate::output::column;
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
    let collected = collect::collect(args, &plan, report);
    match args.views.by {
        Some(by) => groups::render(args, &plan, &collected, by),
        None if strips::are_asked_for(args) => strips::render(args, &plan, &collected),
        None => list::render(args, &plan, &collected),
    }
}
