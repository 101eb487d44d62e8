//! `rmap pid`: the process view.

use super::args::PidArgs;
use super::{Done, Report, Stop, processes, screen};
use crate::error::ErrorKind;
use crate::output::render::{render_group, renderer};
use crate::output::{Cell, Column, Format, Heading, Layout, SizeUnit, Totals, column};
use crate::process::{Fields, ProcRoot, ProcessMappings, Wanted, read_mappings};
use crate::views::mapping::{self, MappingRow, MappingRows};

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    let columns = mapping::known_columns();
    format!(
        "Columns (a field of a newer kernel has a column too, by its name in lower case):\n{}\n\
         Sizes are in KiB unless -b or -H is given; machine formats are in bytes.",
        column::help(&columns)
    )
}

pub(crate) fn run(args: &PidArgs, report: &mut Report) -> Done {
    let root = ProcRoot::at(args.proc_root.clone());
    let mut fields = Fields::new();
    let wanted = wanted(args);
    let mut processes = Vec::new();
    for asked in processes::asked_for(&args.pids, &args.selection, &root, report)? {
        match read_mappings(&root, asked.pid, &mut fields, &wanted) {
            Ok(process) => processes.push(process),
            Err(error) if asked.found && error.kind() == ErrorKind::NotFound => {}
            Err(error) => report.failure(&error),
        }
    }
    let columns = columns(args, &fields)?;
    render(args, columns, &processes)
}

/// Which counters must be kept while smaps is read: those that a column shows.
fn wanted(args: &PidArgs) -> Wanted {
    let machine = args.output.format() != Format::Table;
    let ids = match &args.output.columns {
        Some(list) if !list.adds => list.over(&[]),
        Some(list) if args.everything == 0 && !machine => list.over(mapping::DEFAULT),
        None if args.everything == 0 && !machine => mapping::DEFAULT.to_vec(),
        _ => return Wanted::Everything,
    };
    let mut names = Vec::new();
    for id in ids.into_iter().filter(|id| !mapping::is_head_column(id)) {
        match mapping::field_name(id) {
            Some(name) => names.push(name.to_owned()),
            // It may be a field of a newer kernel: only reading tells.
            None => return Wanted::Everything,
        }
    }
    Wanted::Only(names)
}

fn columns(args: &PidArgs, fields: &Fields) -> Result<Vec<Column<MappingRows>>, Stop> {
    let table = mapping::columns(fields);
    let counters = mapping::counter_ids(fields);
    let default: Vec<&str> = if args.output.format() != Format::Table {
        [mapping::MACHINE_BEFORE, &counters].concat()
    } else if args.everything > 0 {
        [mapping::EVERYTHING_BEFORE, &counters, mapping::EVERYTHING_AFTER].concat()
    } else {
        mapping::DEFAULT.to_vec()
    };
    let ids = args.output.columns.as_ref().map_or_else(|| default.clone(), |list| list.over(&default));
    let columns = column::select(&table, &ids).map_err(Stop::Usage)?;
    Ok(screen::writable(columns, args.output.format()))
}

fn render(args: &PidArgs, columns: Vec<Column<MappingRows>>, processes: &[ProcessMappings]) -> Done {
    let layout =
        Layout { rows_key: "mappings", grouped: true, total: true, ..screen::layout(&args.output, SizeUnit::Kib) };
    let totals = || Some(Totals::new(&columns));
    let mut renderer = renderer::<MappingRows>(layout, columns.clone(), screen::output());
    for read in processes {
        let process = &read.process;
        let heading = Heading {
            line: [format!("{}:   ", process.pid).as_bytes(), &process.command].concat(),
            fields: vec![("pid", Cell::Count(process.pid.into())), ("command", Cell::Text(&process.command))],
        };
        let rows = read.mappings.iter().map(|mapping| MappingRow { pid: process.pid, mapping });
        render_group(renderer.as_mut(), Some(&heading), rows, totals())?;
    }
    Ok(renderer.finish()?)
}
