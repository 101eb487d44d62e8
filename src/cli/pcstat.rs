//! `rmap pcstat`: the file view.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::args::PcstatArgs;
use super::measure::{self, Measured, Wanted};
use super::signals::Signals;
use super::{Done, Report, Stop, map, runs, screen, survey, watch};
use crate::output::change::Look;
use crate::output::choose::renderer;
use crate::output::filter::{Expression, Filter};
use crate::output::render::render_group;
use crate::output::{
    Cell, Column, Format, Layout, LineEnd, Order, Ranking, SizeUnit, Totals, column, escape, histogram,
};
use crate::pagecache::FileReport;
use crate::views::directory;
use crate::views::file::{self, FileRow, Files};

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    format!(
        "Columns:\n{}\nColumns of --by-dir and --summary:\n{}\nSizes are in bytes unless -H is given. With -R rows come in \
         the order in which directories list their files, on several threads in no order that holds: --sort filename \
         gives one.\n\
         pcstat's options may be written with one dash (-json); --sort takes the next word as its column only if it is one.\n\n\
         {}\n{}",
        column::help(file::COLUMNS),
        column::help(directory::COLUMNS),
        runs::help(),
        map::help(),
    )
}

pub(crate) fn run(args: &PcstatArgs, report: &mut Report) -> Done {
    if survey::is_asked_for(args) {
        return survey::run(args, report);
    }
    if args.map {
        return map::run(args, report);
    }
    if args.runs {
        return runs::run(args, report);
    }
    if args.pps && !matches!(args.output.format(), Format::Json | Format::JsonLines) {
        return Err(Stop::usage("--pps", "it is an array for each file, which only --json and --jsonl can write"));
    }
    let columns = columns(args)?;
    // A mistake in it is told before anything is written.
    filter(args)?;
    let order = args.sort.as_deref().or(args.top.map(|_| "cached"));
    let order = order.map(|word| Order::parse(word, file::COLUMNS)).transpose().map_err(Stop::Usage)?;
    if let Some(every) = args.watch.every {
        let shown = Shown { filter: filter(args)?, only_cached: args.only_cached, top: args.top };
        let all = PcstatArgs { filter: None, only_cached: false, top: None, ..args.clone() };
        return watch::watch(Watch { args: &all, order, shown, report }, &columns, layout(args), every);
    }
    match order {
        Some(order) => {
            let files = ranked(args, &order, report, || Ok(()))?;
            if args.histo { write_histograms(args, &files) } else { render(args, columns, &files) }
        }
        None if args.histo => write_histograms(args, &in_order_of_the_walk(args, report, || Ok(()))?),
        None => stream(args, columns, report),
    }
}

fn columns(args: &PcstatArgs) -> Result<Vec<Column<Files>>, Stop> {
    if args.terse {
        return Ok(file::TERSE.to_vec());
    }
    let default = if args.selection.pid.is_some() { file::default_of_process() } else { file::DEFAULT.to_vec() };
    screen::columns(&args.output, file::COLUMNS, &args.output.default_columns(&default))
}

/// What is wanted of each file.
fn wanted(args: &PcstatArgs) -> Wanted {
    Wanted { map: needs_map(args), only_cached: args.only_cached }
}

/// What `--filter` says.
fn filter(args: &PcstatArgs) -> Result<Option<Filter<Files>>, Stop> {
    let over = |text: &str| text.parse::<Expression>().and_then(|expression| expression.over(file::COLUMNS));
    args.filter.as_deref().map(over).transpose().map_err(|error| Stop::expression("--filter", error))
}

/// Measures every file and calls `each` with those that are shown.
fn each_shown(args: &PcstatArgs, report: &mut Report, mut each: impl FnMut(Measured) -> Done) -> Done {
    let filter = filter(args)?;
    measure::each_file(&args.selection, wanted(args), report, |file| {
        match filter.as_ref().is_none_or(|filter| filter.matches(&row(args, &file))) {
            true => each(file),
            false => Ok(()),
        }
    })
}

/// Measures every file and puts them in an order. Files that are equal keep the order in which they were named, or that of
/// their paths where they were found on several threads. `check` is asked after each whether to go on.
fn ranked(
    args: &PcstatArgs,
    order: &Order<Files>,
    report: &mut Report,
    check: impl Fn() -> Done,
) -> Result<Vec<Measured>, Stop> {
    let compare = |left: &Measured, right: &Measured| {
        let by_path = || left.report.path.cmp(&right.report.path);
        let order = order.compare(&row(args, left), &row(args, right));
        if args.selection.recursive { order.then_with(by_path) } else { order }
    };
    let mut ranking = Ranking::new(args.top, compare);
    each_shown(args, report, |file| {
        ranking.push(file);
        check()
    })?;
    Ok(ranking.finish())
}

/// Measures every file. `check` is asked after each whether to go on.
fn in_order_of_the_walk(
    args: &PcstatArgs,
    report: &mut Report,
    check: impl Fn() -> Done,
) -> Result<Vec<Measured>, Stop> {
    let mut files = Vec::new();
    each_shown(args, report, |file| {
        files.push(file);
        check()
    })?;
    Ok(files)
}

/// Which of the files that are watched are shown.
struct Shown {
    filter: Option<Filter<Files>>,
    only_cached: bool,
    top: Option<usize>,
}

/// The files that are watched: all that were chosen, so that one that is not shown any more is not called gone.
struct Watch<'a> {
    args: &'a PcstatArgs,
    order: Option<Order<Files>>,
    shown: Shown,
    report: &'a mut Report,
}

impl watch::Subject<Files> for Watch<'_> {
    type Look = Vec<Measured>;

    fn collect(&mut self, signals: &Signals) -> Result<Vec<Measured>, Stop> {
        match &self.order {
            Some(order) => ranked(self.args, order, self.report, || signals.check()),
            None => in_order_of_the_walk(self.args, self.report, || signals.check()),
        }
    }

    fn rows<'l>(&self, look: &'l Vec<Measured>) -> Vec<FileRow<'l>> {
        self.rows_and_shown(look).shown
    }

    fn rows_and_shown<'l>(&self, look: &'l Vec<Measured>) -> Look<FileRow<'l>> {
        let all: Vec<FileRow<'l>> = look.iter().map(|file| row(self.args, file)).collect();
        let is_cached = |row: &FileRow<'_>| row.report.cached().is_ok_and(|cached| cached.0 > 0);
        let matches = |row: &FileRow<'_>| self.shown.filter.as_ref().is_none_or(|filter| filter.matches(row));
        let shown = all.iter().filter(|row| matches(row) && (!self.shown.only_cached || is_cached(row))).copied();
        Look { shown: shown.take(self.shown.top.unwrap_or(usize::MAX)).collect(), all }
    }

    fn identity(row: &FileRow<'_>) -> Vec<u8> {
        row.report.path.as_os_str().as_bytes().to_vec()
    }
}

/// Writes a row for each file as soon as it is measured, and holds none.
fn stream(args: &PcstatArgs, columns: Vec<Column<Files>>, report: &mut Report) -> Done {
    let mut totals = args.total.then(|| Totals::new(&columns));
    let mut renderer = renderer::<Files>(layout(args), columns, screen::output());
    renderer.begin(None)?;
    each_shown(args, report, |file| {
        let row = row(args, &file);
        if let Some(totals) = &mut totals {
            totals.add(&row);
        }
        Ok(renderer.row(&row)?)
    })?;
    renderer.end(totals.as_ref())?;
    Ok(renderer.finish()?)
}

fn row<'r>(args: &PcstatArgs, file: &'r Measured) -> FileRow<'r> {
    FileRow { report: &file.report, base_name: args.bname, held: file.held }
}

fn needs_map(args: &PcstatArgs) -> bool {
    args.pps || args.histo || asks_for(args, "status")
}

fn asks_for(args: &PcstatArgs, id: &str) -> bool {
    args.output.columns.as_ref().is_some_and(|list| list.ids.iter().any(|asked| asked == id))
}

/// How the answer is laid out.
pub(crate) fn layout(args: &PcstatArgs) -> Layout {
    let mut layout = Layout { rows_key: "files", total: args.total, ..screen::layout(&args.output, SizeUnit::Bytes) };
    if args.plain {
        layout.terminal_width = None;
    }
    if args.unicode {
        layout.terminal_width = layout.terminal_width.or(Some(u16::MAX));
    }
    if args.terse {
        layout.format = Format::Csv;
        layout.line_end = LineEnd::Lf;
    }
    layout
}

fn render(args: &PcstatArgs, columns: Vec<Column<Files>>, files: &[Measured]) -> Done {
    let totals = args.total.then(|| Totals::new(&columns));
    let mut renderer = renderer::<Files>(layout(args), columns, screen::output());
    render_group(renderer.as_mut(), None, files.iter().map(|file| row(args, file)), totals)?;
    Ok(renderer.finish()?)
}

/// pcstat's histogram: a line a file with its name, its pages, and a strip of blocks as wide as the terminal allows.
fn write_histograms(args: &PcstatArgs, files: &[Measured]) -> Done {
    let mut out = screen::output();
    let names: Vec<String> = files.iter().map(|file| name_of(args, &file.report)).collect();
    let longest = names.iter().map(|name| unicode_width::UnicodeWidthStr::width(name.as_str())).max().unwrap_or(0);
    let room = usize::from(screen::terminal_width().unwrap_or(80)).saturating_sub(longest + 11).max(10);
    for (name, Measured { report, .. }) in names.iter().zip(files) {
        let padding = longest.saturating_sub(unicode_width::UnicodeWidthStr::width(name.as_str()));
        write!(out, "{name}{:padding$} {:>8} ", "", report.pages.0)?;
        let strip: String = match &report.runs {
            Some(Ok(runs)) => {
                runs.portions(report.asked, room).iter().map(|cell| histogram::block(share(cell))).collect()
            }
            _ => "-".to_owned(),
        };
        let changed = report.changed.map(|change| format!(" ({})", change.words())).unwrap_or_default();
        writeln!(out, "{strip}{changed}")?;
    }
    Ok(out.flush()?)
}

/// The name of a file as a row has it.
pub(crate) fn name_of(args: &PcstatArgs, report: &FileReport) -> String {
    let row = FileRow { report, base_name: args.bname, held: None };
    match file::COLUMNS.first().map(|column| column.cell(&row)) {
        Some(Cell::Text(name)) => escape::escaped(name),
        _ => String::new(),
    }
}

/// How full one part of the file is, from 0 to 1.
fn share(cell: &crate::units::Portion) -> f64 {
    crate::units::percent(cell.cached.0, cell.part.count).unwrap_or(0.0) / 100.0
}
