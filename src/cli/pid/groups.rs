//! `--by`: mappings folded together, for each process or for all of them.

use super::collect::{Collected, OneProcess};
use super::denied;
use super::list::{heading, layout, wants_total};
use super::plan::Plan;
use crate::cli::args::{By, PidArgs};
use crate::cli::{Done, Stop, screen};
use crate::output::choose::renderer;
use crate::output::render::render_group;
use crate::output::{Column, Format, Heading, Layout, Renderer, Selection, SizeUnit, Totals, column};
use crate::views::group::{self, Folded, Groups};
use crate::views::mapping::{self, MappingRows};

pub(super) fn render(args: &PidArgs, plan: &Plan, collected: &Collected, by: By) -> Done {
    let table = mapping::columns(&collected.fields);
    let common = column::select(&table, &[by.column()]).map_err(Stop::Usage)?;
    let Some(common) = common.into_iter().next() else { return Ok(()) };
    // What is sorted by is summed up too, even where it is not shown.
    let summed: Vec<_> = table.iter().filter(|column| matches!(column.sum, crate::output::Sum::Add)).cloned().collect();
    let known = group::columns(&summed, &common);
    let columns = shown(args, plan, collected, &table, &known)?;
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
            grouping.render(
                renderer.as_mut(),
                Some(&heading(&process.read.identity)),
                std::slice::from_ref(process),
            )?;
        }
        denied::render(args, &collected.denied, renderer.as_mut())?;
    }
    Ok(renderer.finish()?)
}

/// What is shown of groups: the counts and the sums, or what `-o` names; and in any case what the groups have in common, and in
/// formats that have no headings their process.
fn shown(
    args: &PidArgs,
    plan: &Plan,
    collected: &Collected,
    table: &[Column<MappingRows>],
    known: &[Column<Groups>],
) -> Result<Vec<Column<Groups>>, Stop> {
    let own = own_ids(args, plan, collected, table)?;
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let ids = match &args.output.columns {
        Some(list) => list.over(&own),
        None => own,
    };
    // Of what a view joins, groups have what adds up.
    let mut joined = ids.clone();
    plan.join(args, &mut joined);
    joined.retain(|id| ids.contains(id) || column::find(known, id).is_some());
    let mut ids = joined;
    // A table names the process above its rows.
    if !args.views.merge && args.output.format() != Format::Table && !ids.contains(&"pid") {
        ids.insert(0, "pid");
    }
    let common = known.last().map(|column| column.id.as_ref());
    ids.extend(common.filter(|id| !ids.contains(id)));
    ids.iter().map(|id| column::find(known, id).cloned().ok_or_else(|| no_sum(known, table, id))).collect()
}

fn own_ids(
    args: &PidArgs,
    plan: &Plan,
    collected: &Collected,
    table: &[Column<MappingRows>],
) -> Result<Vec<String>, Stop> {
    let counts = ["mappings", "processes"].iter().filter(|id| args.views.merge || **id != "processes");
    let columns = plan.own_columns(args, &collected.fields, table)?;
    let sums = columns.iter().filter(|column| matches!(column.sum, crate::output::Sum::Add));
    Ok(counts.map(|id| (*id).to_owned()).chain(sums.map(|column| column.id.to_string())).collect())
}

/// The error about a column that groups do not have.
fn no_sum(known: &[Column<Groups>], table: &[Column<MappingRows>], id: &str) -> Stop {
    match column::find(table, id) {
        Some(_) => Stop::usage(id, "a group has no such figure: its mappings differ in it, and it does not add up"),
        None => Stop::Usage(column::unknown(known, id)),
    }
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
        let pid = heading.and(processes.first()).map(|process| process.read.identity.pid);
        Ok(render_group(renderer, heading, self.groups.choose(folded.rows(pid)), totals)?)
    }
}
