//! `rmap pcstat --map`: a heat strip for each file.

use std::io::Write;

use anstyle::AnsiColor;
use unicode_width::UnicodeWidthStr;

use super::args::PcstatArgs;
use super::each_file::each_file;
use super::measure::{advised, unmeasured};
use super::{Done, Report, pcstat, screen};
use crate::output::heat::{self, HeatCell, HeatStyle, Mark};
use crate::pagecache::{Engine, FileReport, OpenFile};
use crate::units::{ByteRange, Figure, PageRuns, Pages, Portion, percent};

const DIRTY: Mark = Mark { letter: 'D', colour: AnsiColor::Yellow };
const WRITEBACK: Mark = Mark { letter: 'W', colour: AnsiColor::Cyan };
const BOTH: Mark = Mark { letter: 'B', colour: AnsiColor::Magenta };

/// The width of a strip where there is no terminal.
const WIDTH_IN_A_PIPE: u16 = 80;

/// What the characters mean, for `--help`.
pub(crate) fn help() -> String {
    let row = |share: &[f64], shades| share.iter().map(|share| heat::shade(Some(*share), shades)).collect::<String>();
    format!(
        "The strips of --map (each cell is an equal part of the file, or of --range):\n  \
         on a terminal  {} nothing cached  {} up to a third, two thirds, less than all  {} all\n  \
         in a pipe      {} nothing cached  {} tenths, cut (1: some)                {} all\n  \
         pages that are dirty make a cell yellow, ones under writeback cyan, both magenta; without colour (a pipe,\n  \
         NO_COLOR) a line below says D, W or B there. Only cachestat tells: where the method is mincore, the strip says so.",
        row(&[0.0], true),
        row(&[0.1, 0.5, 0.9], true),
        row(&[1.0], true),
        row(&[0.0], false),
        "1-9",
        row(&[1.0], false),
    )
}

pub(crate) fn run(args: &PcstatArgs, report: &mut Report) -> Done {
    let terminal = screen::terminal_width();
    let width = usize::from(terminal.unwrap_or(WIDTH_IN_A_PIPE));
    let style = HeatStyle { shades: terminal.is_some(), colour: screen::has_colour() };
    let engine = super::select::engine(&args.selection);
    let mut out = screen::output();
    each_file(&args.selection, report, None, |file, report| {
        let measured = engine.map_range(&file, args.selection.range());
        let runs = match &measured.runs {
            Some(Ok(runs)) if args.only_cached && runs.is_empty() => return Ok(()),
            Some(Ok(runs)) => runs,
            Some(Err(absent)) => {
                report.failure(&advised(unmeasured(file.path(), *absent)));
                return Ok(());
            }
            None => return Ok(()),
        };
        let cells = cells(&engine, &file, &measured, runs, width);
        if !args.output.no_header {
            write_head(&mut out, &pcstat::name_of(args, &measured), &figures(&measured, cells.len()), width)?;
        }
        heat::write_strip(&mut out, &cells, style, 0)?;
        Ok(out.flush()?)
    })?;
    Ok(out.flush()?)
}

/// Writes the name and the figures, as many in a line as it has room for; further lines are indented.
fn write_head(out: &mut impl Write, name: &str, figures: &[String], width: usize) -> std::io::Result<()> {
    write!(out, "{name}:")?;
    let mut column = name.width() + 1;
    for (index, figure) in figures.iter().enumerate() {
        let comma = if index + 1 < figures.len() { "," } else { "" };
        let length = figure.width() + comma.len() + 1;
        if column + length > width {
            write!(out, "\n ")?;
            column = 1;
        }
        write!(out, " {figure}{comma}")?;
        column += length;
    }
    writeln!(out)
}

/// What stands above a strip.
fn figures(measured: &FileReport, cells: usize) -> Vec<String> {
    let pages = measured.pages.0;
    let cached = measured.cached().map_or(0, |cached| cached.0);
    let share = percent(cached, pages).map(|share| format!(" ({share:.3} %)")).unwrap_or_default();
    let unwritten = match (measured.dirty(), measured.writeback()) {
        (Ok(dirty), Ok(writeback)) => vec![format!("{} dirty", dirty.0), format!("{} under writeback", writeback.0)],
        (Err(absent), _) | (_, Err(absent)) => {
            vec!["dirty and writeback are unknown".to_owned(), absent.why.to_owned()]
        }
    };
    let per_cell = match pages.checked_div(cells as u64) {
        Some(count) if pages.is_multiple_of(cells as u64) => Some(format!("{count} a cell")),
        Some(count) => Some(format!("{count} or {} a cell", count + 1)),
        None => None,
    };
    let changed = measured.changed.map(|change| change.words().to_owned());
    let counts = [format!("{pages} pages"), format!("{cached} cached{share}")];
    counts.into_iter().chain(unwritten).chain(per_cell).chain(changed).collect()
}

fn cells(engine: &Engine, file: &OpenFile, measured: &FileReport, runs: &PageRuns, width: usize) -> Vec<HeatCell> {
    let none = Ok(Pages(0));
    // The kernel is asked about each cell only where there is something to find.
    let marked = (measured.dirty(), measured.writeback()) != (none, none) && measured.dirty().is_ok();
    let cell = |cell: &Portion| HeatCell {
        share: percent(cell.cached.0, cell.part.count).map(|share| share / 100.0),
        mark: if marked && cell.cached > Pages(0) { mark(engine, file, measured, cell) } else { None },
    };
    runs.portions(measured.asked, width).iter().map(cell).collect()
}

fn mark(engine: &Engine, file: &OpenFile, measured: &FileReport, cell: &Portion) -> Option<Mark> {
    let part = ByteRange {
        offset: cell.part.offset(measured.page_size).0,
        length: cell.part.pages().bytes(measured.page_size).0,
    };
    let found = engine.measure_range(file, part);
    let any = |figure: Figure<Pages>| figure.is_ok_and(|pages| pages > Pages(0));
    match (any(found.dirty()), any(found.writeback())) {
        (true, true) => Some(BOTH),
        (true, false) => Some(DIRTY),
        (false, true) => Some(WRITEBACK),
        (false, false) => None,
    }
}
