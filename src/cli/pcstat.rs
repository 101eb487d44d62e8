//! `rmap pcstat`: the file view.

use std::cell::RefCell;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::args::PcstatArgs;
use super::{Done, Report, Stop, screen, select};
use crate::error::{Error, ErrorKind};
use crate::output::render::{render_group, renderer};
use crate::output::{Cell, Column, Format, Layout, LineEnd, SizeUnit, Totals, column, escape, histogram};
use crate::pagecache::walk::{self, Place, Visitor};
use crate::pagecache::{ByteRange, Engine, FileReport, OpenFile};
use crate::process::{Fields, ProcRoot, Wanted, read_smaps};
use crate::units::{Absent, Reason};
use crate::views::file::{self, FileRow, Files};

/// The columns, for `--help`.
pub(crate) fn help() -> String {
    format!(
        "Columns:\n{}\nSizes are in bytes unless -H is given.\n\
         pcstat's options may be written with one dash (-json); --sort takes the next word as its column only if it is one.",
        column::help(file::COLUMNS)
    )
}

pub(crate) fn run(args: &PcstatArgs, report: &mut Report) -> Done {
    if args.pps && args.output.format() == Format::Table {
        return Err(Stop::usage("--pps", "it is an array for each file, which only --json and --jsonl can write"));
    }
    let columns = columns(args)?;
    let order = args.sort.as_deref().map(Order::parse).transpose()?;
    let mut reports = collect(args, report)?;
    if let Some(order) = &order {
        order.sort(&mut reports);
    }
    if args.histo { write_histograms(args, &reports) } else { render(args, columns, &reports) }
}

fn columns(args: &PcstatArgs) -> Result<Vec<Column<Files>>, Stop> {
    if args.terse {
        return Ok(file::TERSE.to_vec());
    }
    let everything: Vec<&str> = file::COLUMNS.iter().map(|column| column.id.as_ref()).collect();
    let default = match args.output.format() {
        Format::Table => args.output.default_columns(file::DEFAULT),
        _ => everything,
    };
    let ids = args.output.columns.as_ref().map_or_else(|| default.clone(), |list| list.over(&default));
    let ids: Vec<&str> = ids.into_iter().map(file::id_of).collect();
    let columns = column::select(file::COLUMNS, &ids).map_err(Stop::Usage)?;
    Ok(screen::writable(columns, args.output.format()))
}

/// Measures every file that is meant; what cannot be measured is one line on standard error.
fn collect(args: &PcstatArgs, report: &mut Report) -> Result<Vec<FileReport>, Stop> {
    let failures = RefCell::new(Vec::new());
    let selection = &args.selection;
    let globs = select::Globs::parse(selection)?;
    let names = select::names(selection, |error| failures.borrow_mut().push(error)).map_err(Stop::Failed)?;
    let names = names.chain(paths_of_process(args, report));
    let visitor = || Measurer {
        engine: Engine::detect(),
        map: needs_map(args),
        range: selection.range(),
        found: Vec::new(),
        failures: Vec::new(),
    };
    let measurers = select::with_options(selection, &globs, |options| walk::walk(names, options, visitor))?;
    let mut reports = Vec::new();
    failures.take().iter().for_each(|error| report.failure(error));
    for measurer in measurers {
        measurer.failures.iter().for_each(|error| report.failure(error));
        reports.extend(measurer.found);
    }
    Ok(reports)
}

struct Measurer {
    engine: Engine,
    map: bool,
    range: ByteRange,
    found: Vec<FileReport>,
    failures: Vec<Error>,
}

impl Visitor for Measurer {
    fn file(&mut self, file: OpenFile, _: Place<'_>) -> ControlFlow<()> {
        let measured = match self.map {
            true => self.engine.map_range(&file, self.range),
            false => self.engine.measure_opened(file, self.range),
        };
        if let Err(absent) = measured.residency {
            self.failures.push(unmeasured(&measured.path, absent));
        }
        self.found.push(measured);
        ControlFlow::Continue(())
    }

    fn failure(&mut self, error: Error) {
        self.failures.push(error);
    }
}

fn needs_map(args: &PcstatArgs) -> bool {
    args.pps || args.histo || asks_for(args, "status")
}

fn asks_for(args: &PcstatArgs, id: &str) -> bool {
    args.output.columns.as_ref().is_some_and(|list| list.ids.iter().any(|asked| asked == id))
}

/// A file that was opened and whose figures are absent, and what the user can do about it.
fn unmeasured(path: &Path, absent: Absent) -> Error {
    let kind = match absent.reason {
        Reason::Denied => ErrorKind::Denied,
        Reason::Changed => ErrorKind::Changed,
        Reason::Vanished => ErrorKind::NotFound,
        _ => ErrorKind::Unsupported,
    };
    let error = Error::path(path, kind, absent.to_string());
    match kind {
        ErrorKind::Denied => error.with_advice("run as root, or as the user who owns it"),
        _ => error,
    }
}

/// The files that the process of `--pid` maps, each once, in the order of their addresses.
fn paths_of_process(args: &PcstatArgs, report: &mut Report) -> Vec<PathBuf> {
    let Some(pid) = args.selection.pid else { return Vec::new() };
    let read = read_smaps(&ProcRoot::live(), pid, &mut Fields::new(), &Wanted::Only(Vec::new()));
    let process = match read {
        Ok(process) => process,
        Err(error) => {
            report.failure(&error);
            return Vec::new();
        }
    };
    let mut seen = std::collections::HashSet::new();
    let files = process.mappings.iter().filter(|mapping| mapping.inode() != 0 && mapping.path().starts_with(b"/"));
    files
        .map(|mapping| PathBuf::from(std::ffi::OsStr::from_bytes(mapping.path())))
        .filter(|path| seen.insert(path.clone()))
        .collect()
}

fn render(args: &PcstatArgs, columns: Vec<Column<Files>>, reports: &[FileReport]) -> Done {
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
    let totals = args.total.then(|| Totals::new(&columns));
    let mut renderer = renderer::<Files>(layout, columns, screen::output());
    let rows = reports.iter().map(|report| FileRow { report, base_name: args.bname });
    render_group(renderer.as_mut(), None, rows, totals)?;
    Ok(renderer.finish()?)
}

/// A column to sort by, and the direction.
struct Order {
    column: &'static Column<Files>,
    ascending: bool,
}

impl Order {
    fn parse(word: &str) -> Result<Order, Stop> {
        let (name, ascending) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
        let columns = column::select(file::COLUMNS, &[file::id_of(name)]).map_err(Stop::Usage)?;
        let column = columns.first().and_then(|column| column::find(file::COLUMNS, &column.id));
        column.map(|column| Order { column, ascending }).ok_or_else(|| Stop::usage(word, "there is no such column"))
    }

    /// Largest first, rows without a figure last; rows that are equal keep the order in which they were named.
    fn sort(&self, reports: &mut [FileReport]) {
        reports.sort_by(|left, right| {
            let [left, right] = [left, right].map(|report| FileRow { report, base_name: false });
            column::compare(&self.column.cell(&left), &self.column.cell(&right), self.ascending)
        });
    }
}

/// pcstat's histogram: a line a file with its name, its pages, and a strip of blocks as wide as the terminal allows.
fn write_histograms(args: &PcstatArgs, reports: &[FileReport]) -> Done {
    let mut out = screen::output();
    let names: Vec<String> = reports.iter().map(|report| name_of(args, report)).collect();
    let longest = names.iter().map(|name| unicode_width::UnicodeWidthStr::width(name.as_str())).max().unwrap_or(0);
    let room = usize::from(screen::terminal_width().unwrap_or(80)).saturating_sub(longest + 11).max(10);
    for (name, report) in names.iter().zip(reports) {
        let padding = longest.saturating_sub(unicode_width::UnicodeWidthStr::width(name.as_str()));
        write!(out, "{name}{:padding$} {:>8} ", "", report.pages.0)?;
        let strip: String = match &report.runs {
            Some(Ok(runs)) => runs.cells(report.asked, room).iter().map(|cell| histogram::block(share(cell))).collect(),
            _ => "-".to_owned(),
        };
        writeln!(out, "{strip}")?;
    }
    Ok(out.flush()?)
}

fn name_of(args: &PcstatArgs, report: &FileReport) -> String {
    let row = FileRow { report, base_name: args.bname };
    match file::COLUMNS.first().map(|column| column.cell(&row)) {
        Some(Cell::Text(name)) => escape::escaped(name),
        _ => String::new(),
    }
}

/// How full one part of the file is, from 0 to 1.
fn share(cell: &crate::pagecache::Cell) -> f64 {
    crate::units::percent(cell.cached.0, cell.part.count).unwrap_or(0.0) / 100.0
}
