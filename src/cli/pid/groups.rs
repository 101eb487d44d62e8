//! `--by`: mappings folded together, for each process or for all of them.

use super::collect::{Collected, OneProcess};
use super::list::{heading, layout, wants_total};
use super::plan::Plan;
use crate::cli::args::{By, PidArgs};
use crate::cli::{Done, Stop, screen};
use crate::output::render::{render_group, renderer};
use crate::output::{Column, Format, Heading, Layout, Renderer, Selection, SizeUnit, Totals, column};
use crate::views::group::{self, Folded, Groups};
use crate::views::mapping::{self, MappingRows};

pub(super) fn render(args: &PidArgs, plan: &Plan, collected: &Collected, by: By) -> Done {
    let table = mapping::columns(&collected.fields);
    let common = column::select(&table, &[by.column()]).map_err(Stop::Usage)?;
    let Some(common) = common.into_iter().next() else { return Ok(()) };
    let asked = plan.columns(args, &collected.fields, &table)?;
    // What is sorted by is summed up too, even where it is not shown.
    let summed: Vec<_> = table.iter().filter(|column| matches!(column.sum, crate::output::Sum::Add)).cloned().collect();
    let known = group::columns(&summed, &common);
    let columns = shown(args, &known, &asked);
    let grouping = Grouping {
        args,
        collected,
        common: &common,
        summed: &summed,
        columns: &columns,
        mappings: Selection { top: None, ..plan.filter_over(&table)? },
        groups: Selection { filter: None, order: plan.order(&known)?, top: plan.top() },
    };
    let layout = Layout { rows_key: "groups", ..layout(args) };
    let mut renderer = renderer::<Groups>(layout, screen::writable(columns.clone(), &args.output)?, screen::output());
    if args.views.merge {
        grouping.render(renderer.as_mut(), None, &collected.processes)?;
    } else {
        for process in &collected.processes {
            grouping.render(renderer.as_mut(), Some(&heading(&process.read.process)), std::slice::from_ref(process))?;
        }
    }
    Ok(renderer.finish()?)
}

/// The counts, of the columns that were asked for those that can be summed up, and what the groups have in common.
fn shown(args: &PidArgs, known: &[Column<Groups>], asked: &[Column<MappingRows>]) -> Vec<Column<Groups>> {
    let table = args.output.format() == Format::Table;
    let counts = ["pid", "mappings", "processes"].iter().filter(|id| match **id {
        "processes" => args.views.merge,
        // A table names the process above its rows.
        "pid" => !args.views.merge && !table,
        _ => true,
    });
    let sums =
        asked.iter().filter(|column| matches!(column.sum, crate::output::Sum::Add)).map(|column| column.id.as_ref());
    let last = known.last().map(|column| column.id.as_ref());
    let ids = counts.copied().chain(sums).chain(last);
    ids.filter_map(|id| column::find(known, id).cloned()).collect()
}

struct Grouping<'a> {
    args: &'a PidArgs,
    collected: &'a Collected,
    common: &'a Column<MappingRows>,
    summed: &'a [Column<MappingRows>],
    columns: &'a [Column<Groups>],
    mappings: Selection<MappingRows>,
    groups: Selection<Groups>,
}

impl Grouping<'_> {
    fn render(
        &self,
        renderer: &mut dyn Renderer<Groups>,
        heading: Option<&Heading<'_>>,
        processes: &[OneProcess],
    ) -> Done {
        let mut folded = Folded::new(self.summed.to_vec());
        for process in processes {
            for row in self.mappings.choose(self.collected.rows(process, self.args)) {
                let mut key = Vec::new();
                self.common.cell(&row).write_raw(SizeUnit::Bytes, &mut key);
                folded.add(key, &row);
            }
        }
        folded.settle();
        let totals = wants_total(self.args).then(|| Totals::new(self.columns));
        let pid = heading.and(processes.first()).map(|process| process.read.process.pid);
        Ok(render_group(renderer, heading, self.groups.choose(folded.rows(pid)), totals)?)
    }
}
