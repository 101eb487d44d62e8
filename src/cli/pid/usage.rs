//! Options of `rmap pid` that contradict each other, or that would change nothing: wrong usage, and never ignored.

use super::strips;
use crate::cli::Stop;
use crate::cli::args::PidArgs;
use crate::output::Format;

/// # Errors
/// Wrong usage, about the option that would be ignored.
pub(super) fn check(args: &PidArgs) -> Result<(), Stop> {
    let refuse = |option: &str, why: &'static str| Err(Stop::usage(option, why));
    let format = args.output.format();
    let preset = args.pmap.preset().is_some();
    let replaces = args.output.columns.as_ref().is_some_and(|list| !list.adds);
    if preset && replaces {
        return refuse("-o", "-x, -d and -X choose the columns already: write -o +LIST to add some");
    }
    if preset && format != Format::Table {
        return refuse("-x, -d, -X", "these are tables: a machine format holds every field, or those that -o names");
    }
    if matches!(format, Format::Json | Format::JsonLines) && (args.pmap.quiet || args.output.no_header) {
        return refuse("-q, -n", "JSON has no header that could be left out");
    }
    let has_short_names = preset || (args.views.cache && args.output.configured.columns.is_none());
    if args.pmap.show_path && (!has_short_names || replaces || args.views.by.is_some() || format != Format::Table) {
        return refuse("-p", "nothing is shortened here: it goes with the tables of -x, -d, -X and --cache");
    }
    if args.rows.total && strips::are_asked_for(args) {
        return refuse("--total", "strips have no total: name columns of the page tables with -o");
    }
    Ok(())
}
