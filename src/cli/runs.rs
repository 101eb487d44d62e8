//! `rmap pcstat --runs`: a row for each stretch of each file, written as it is found.

use super::args::PcstatArgs;
use super::each_file::each_file;
use super::measure::{advised, unmeasured};
use super::{Done, Report, screen};
use crate::output::choose::renderer;
use crate::output::{Layout, Renderer, column};
use crate::pagecache::{self, FileReport, OpenFile};
use crate::units::PageRuns;
use crate::views::run::{self, FileRuns, RunRow};

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    format!("Columns of --runs:\n{}", column::help(run::COLUMNS))
}

pub(crate) fn run(args: &PcstatArgs, report: &mut Report) -> Done {
    let columns = screen::columns(&args.output, run::COLUMNS, run::DEFAULT)?;
    let layout = Layout { rows_key: "runs", ..super::pcstat::layout(args) };
    let mut renderer = renderer::<FileRuns>(layout, columns, screen::output());
    let engine = super::select::engine(&args.selection);
    renderer.begin(None)?;
    each_file(&args.selection, report, None, |file, report| {
        let measured = engine.map_range(&file, args.selection.range());
        match &measured.runs {
            Some(Ok(runs)) if args.only_cached && runs.is_empty() => Ok(()),
            Some(Ok(runs)) => write_stretches(args, renderer.as_mut(), &file, &measured, runs),
            Some(Err(absent)) => {
                report.failure(&advised(unmeasured(file.path(), *absent)));
                Ok(())
            }
            None => Ok(()),
        }
    })?;
    renderer.end(None)?;
    Ok(renderer.finish()?)
}

fn write_stretches(
    args: &PcstatArgs,
    renderer: &mut dyn Renderer<FileRuns>,
    file: &OpenFile,
    measured: &FileReport,
    runs: &PageRuns,
) -> Done {
    for stretch in pagecache::Stretches::new(file, runs, measured.asked) {
        renderer.row(&RunRow {
            path: file.path(),
            size: measured.size,
            page: measured.page_size,
            changed: measured.changed,
            stretch,
            base_name: args.bname,
        })?;
    }
    Ok(())
}
