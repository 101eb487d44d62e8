//! The list of mappings: one for each process, or one of all of them.

use super::collect::Collected;
use super::denied;
use super::plan::Plan;
use crate::cli::args::PidArgs;
use crate::cli::{Done, Stop, screen};
use crate::output::choose::renderer;
use crate::output::render::render_group;
use crate::output::{Cell, Column, Format, Heading, Layout, Renderer, Selection, SizeUnit, Totals, column};
use crate::process::Identity;
use crate::views::mapping::presets::Preset;
use crate::views::mapping::{self, MappingRow, MappingRows};

pub(super) fn render(args: &PidArgs, plan: &Plan, collected: &Collected) -> Done {
    let table = mapping::columns(&collected.fields);
    let columns = screen::writable(plan.columns(args, &collected.fields, &table)?, &args.output)?;
    let list = List { args, selection: plan.selection(&table)?, columns: &columns, footer: footer(args, &table)? };
    let mut renderer = renderer::<MappingRows>(layout(args), columns.clone(), screen::output());
    if args.views.merge {
        let rows = collected.processes.iter().flat_map(|process| collected.rows(process, args));
        list.render(renderer.as_mut(), None, rows)?;
    } else {
        for process in &collected.processes {
            let rows = collected.rows(process, args);
            list.render(renderer.as_mut(), Some(&heading(&process.read.identity)), rows)?;
        }
        denied::render(args, &collected.denied, renderer.as_mut())?;
    }
    Ok(renderer.finish()?)
}

/// How a view of processes is laid out.
pub(super) fn layout(args: &PidArgs) -> Layout {
    let layout = screen::layout(&args.output, SizeUnit::Kib);
    Layout {
        rows_key: "mappings",
        grouped: !args.views.merge,
        total: wants_total(args),
        // pmap's -q leaves the line with the process.
        no_header: layout.no_header || args.pmap.quiet,
        ..layout
    }
}

pub(super) fn wants_total(args: &PidArgs) -> bool {
    let quiet = args.pmap.quiet && args.output.format() == Format::Table;
    args.rows.total || !(args.rows.no_total || quiet)
}

/// What names a process above its rows.
pub(super) fn heading(process: &Identity) -> Heading<'_> {
    Heading {
        line: [format!("{}:   ", process.pid).as_bytes(), &process.command].concat(),
        fields: vec![
            ("pid", Cell::Count(process.pid.into())),
            ("command", Cell::Text(&process.command)),
            ("command_bytes", Cell::RawBytes(&process.command)),
        ],
        objects: Vec::new(),
    }
}

/// The columns of the line that closes pmap's device format in place of a total.
fn footer(args: &PidArgs, table: &[Column<MappingRows>]) -> Result<Option<Vec<Column<MappingRows>>>, Stop> {
    if args.pmap.preset() != Some(Preset::Device) || args.output.format() != Format::Table || !wants_total(args) {
        return Ok(None);
    }
    column::select(table, &["size", "writeable_private", "shared"]).map(Some).map_err(Stop::Usage)
}

struct List<'a> {
    args: &'a PidArgs,
    selection: Selection<MappingRows>,
    columns: &'a [Column<MappingRows>],
    footer: Option<Vec<Column<MappingRows>>>,
}

impl List<'_> {
    fn render<'r>(
        &self,
        renderer: &mut dyn Renderer<MappingRows>,
        heading: Option<&Heading<'_>>,
        rows: impl Iterator<Item = MappingRow<'r>>,
    ) -> Done {
        let mut footer = self.footer.as_deref().map(Totals::new);
        let rows = self.selection.choose(rows).inspect(|row| {
            if let Some(footer) = &mut footer {
                footer.add(row);
            }
        });
        let totals = (wants_total(self.args) && self.footer.is_none()).then(|| Totals::new(self.columns));
        render_group(renderer, heading, rows, totals)?;
        match &footer {
            Some(totals) => Ok(renderer.footer(&self.device_total(totals))?),
            None => Ok(()),
        }
    }

    /// `mapped: 2924K    writeable/private: 356K    shared: 28K`
    fn device_total(&self, totals: &Totals<MappingRows>) -> String {
        let unit = self.args.output.unit(SizeUnit::Kib);
        let letter = if unit == SizeUnit::Kib { "K" } else { "" };
        let figures = totals.cells().map(|(_, cell)| {
            let mut words = Vec::new();
            if let crate::output::total::TotalCell::Sum { cell, .. } = cell {
                cell.write_words(unit, &mut words);
            }
            format!("{}{letter}", String::from_utf8_lossy(&words))
        });
        let labels = ["mapped", "writeable/private", "shared"];
        labels.iter().zip(figures).map(|(label, figure)| format!("{label}: {figure}")).collect::<Vec<_>>().join("    ")
    }
}
