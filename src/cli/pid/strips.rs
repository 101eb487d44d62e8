//! `--map` for people: under each mapping a strip of its page tables.

use std::io::{self, IsTerminal, Write};

use anstyle::AnsiColor;

use super::collect::Collected;
use super::plan::Plan;
use crate::cli::args::PidArgs;
use crate::cli::{Done, screen};
use crate::output::heat::{HeatCell, HeatStyle, Mark, write_strip};
use crate::output::{Cell, Column, Format, SizeUnit, escape};
use crate::process::TablePart;
use crate::views::mapping::{self, MappingPages, MappingRow, MappingRows, PAGE_COLUMNS, present_share};

/// How far strips and the words above them are from the margin.
const INDENT: usize = 2;

/// How wide a strip is in a pipe.
const PIPE_WIDTH: usize = 64;

const SWAPPED: Mark = Mark { letter: 'S', colour: AnsiColor::Red };
const HUGE: Mark = Mark { letter: 'H', colour: AnsiColor::Magenta };
const ZERO: Mark = Mark { letter: 'Z', colour: AnsiColor::Blue };
const FILE: Mark = Mark { letter: 'F', colour: AnsiColor::Green };

/// Whether strips are drawn: where columns of the page tables are named, those are shown in their place.
pub(super) fn are_asked_for(args: &PidArgs) -> bool {
    let names = |id: &String| PAGE_COLUMNS.iter().any(|column| column.id == *id);
    let named = args.output.columns.iter().any(|list| list.ids.iter().any(names));
    args.views.map && args.output.format() == Format::Table && !named
}

/// How many cells a strip has at most.
pub(super) fn width() -> usize {
    screen::terminal_width().map_or(PIPE_WIDTH, |width| usize::from(width).saturating_sub(INDENT).max(8))
}

pub(super) fn render(args: &PidArgs, plan: &Plan, collected: &Collected) -> Done {
    let table = mapping::columns(&collected.fields);
    let columns = plan.columns(args, &collected.fields, &table)?;
    let selection = plan.selection(&table)?;
    let unit = args.output.unit(SizeUnit::Kib);
    let terminal = io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = HeatStyle { shades: terminal, colour };
    let heads = !args.output.no_header && !args.views.merge;
    let mut out = screen::output();
    // Merged, they are one list, in which each line names its process.
    let together = if args.views.merge { collected.processes.len().max(1) } else { 1 };
    for processes in collected.processes.chunks(together) {
        if let Some(who) = processes.first().map(|process| &process.read.identity).filter(|_| heads) {
            writeln!(out, "{}:   {}", who.pid, escape::escaped(&who.command))?;
        }
        for row in selection.choose(processes.iter().flat_map(|process| collected.rows(process, args))) {
            writeln!(out, "{}", words(&row, &columns, unit))?;
            if let Some(pages) = row.pages {
                write_strip(&mut out, &cells(pages), style, INDENT)?;
            }
        }
    }
    if !args.output.no_header && !args.pmap.quiet {
        writeln!(out, "{}", legend(style))?;
    }
    Ok(out.flush()?)
}

/// The figures of a mapping in one line, each with its name unless that goes without saying.
fn words(row: &MappingRow<'_>, columns: &[Column<MappingRows>], unit: SizeUnit) -> String {
    let mut line = Vec::new();
    for column in columns {
        let cell = column.cell(row);
        if !line.is_empty() {
            line.extend_from_slice(b"  ");
        }
        if matches!(cell, Cell::Bytes(_) | Cell::Count(_) | Cell::Absent(_)) {
            line.extend_from_slice(column.title.as_bytes());
            line.push(b' ');
        }
        cell.write_words(unit, &mut line);
    }
    String::from_utf8_lossy(&line).into_owned()
}

fn cells(pages: &MappingPages) -> Vec<HeatCell> {
    pages.cells.iter().map(|cell| HeatCell { share: present_share(cell), mark: mark(cell) }).collect()
}

/// What is most worth knowing of a cell; plain anonymous pages have no mark.
fn mark(cell: &TablePart) -> Option<Mark> {
    let marks = [(cell.swapped, SWAPPED), (cell.zero, ZERO), (cell.huge, HUGE), (cell.file, FILE)];
    marks.into_iter().find(|(amount, _)| amount.0 > 0).map(|(_, mark)| mark)
}

fn legend(style: HeatStyle) -> String {
    let shades = if style.shades {
        "· none, ░▒▓ in part, █ all of it in RAM"
    } else {
        ". none, 1-9 tenths, # all of it in RAM"
    };
    let marks = match style.colour {
        true => "green: of a file or shared; magenta: huge; blue: zero page; red: in swap",
        false => "F of a file or shared, H huge, Z zero page, S in swap",
    };
    format!("{shades}; {marks}")
}
