//! What will be done for `rmap pid`: which columns are shown, which fields of smaps that takes, which rows, in which order.

use super::usage;
use crate::cli::Stop;
use crate::cli::args::PidArgs;
use crate::output::filter::Expression;
use crate::output::select::{Order, Selection, sort_name};
use crate::output::{Column, Format, RowKind, column};
use crate::process::{Fields, Wanted};
use crate::views::mapping::{self, CACHE_COLUMNS, MappingRows, PAGE_COLUMNS, presets};

/// The column that `--top` goes by where no other was named.
const LARGEST_BY: &str = "rss";

/// What groups can be sorted by besides the columns of mappings.
const COUNTS: [&str; 2] = ["mappings", "processes"];

/// What will be done.
pub(super) struct Plan {
    /// The fields of smaps that are needed.
    pub(super) wanted: Wanted,
    /// Whether anything shows or asks which files were deleted.
    pub(super) looks_for_deleted: bool,
    /// Whether anything shows or asks what of the files is in the page cache.
    pub(super) reads_cache: bool,
    /// Whether anything shows or asks what the page tables hold.
    pub(super) reads_pages: bool,
    /// What `--filter` says.
    filter: Option<Expression>,
    /// What is sorted by, as `--sort` takes it.
    sort: Option<String>,
    top: Option<usize>,
    machine: bool,
}

/// rmap's own columns of a table.
fn own_ids(args: &PidArgs) -> Vec<&str> {
    let own = match args.views.by {
        Some(_) => presets::GROUPED,
        None if args.views.cache => presets::CACHED,
        None => presets::DEFAULT,
    };
    args.output.default_columns(own)
}

fn names_any(ids: &[String], columns: &[Column<MappingRows>]) -> bool {
    ids.iter().any(|id| columns.iter().any(|column| column.id == *id))
}

impl Plan {
    pub(super) fn new(args: &PidArgs) -> Result<Plan, Stop> {
        usage::check(args)?;
        let filter = args.rows.filter.as_deref().map(str::parse).transpose();
        let filter: Option<Expression> = filter.map_err(|error| Stop::expression("--filter", error))?;
        let largest = || (args.rows.top.is_some() || args.views.by.is_some()).then(|| LARGEST_BY.to_owned());
        let sort = args.rows.sort.clone().or_else(largest);
        let machine = args.output.format() != Format::Table;
        let mut plan = Plan {
            wanted: Wanted::Everything,
            looks_for_deleted: true,
            reads_cache: args.views.cache,
            reads_pages: args.views.map,
            filter,
            sort,
            top: args.rows.top,
            machine,
        };
        let named = plan.ids_named(args);
        plan.reads_cache |= names_any(&named, CACHE_COLUMNS);
        plan.reads_pages |= names_any(&named, PAGE_COLUMNS);
        if let Some(ids) = plan.ids_needed(args) {
            plan.looks_for_deleted = ids.iter().any(|id| id == "deleted");
        }
        plan.wanted = plan.wanted_fields(args).map_or(Wanted::Everything, Wanted::Only);
        // A name that is no column is told before anything is read, unless it may be a field of a newer kernel.
        if plan.wanted != Wanted::Everything {
            plan.filter_over(&mapping::known_columns())?;
        }
        Ok(plan)
    }

    /// The columns that were named: to be shown, filtered by or sorted by.
    fn ids_named(&self, args: &PidArgs) -> Vec<String> {
        let mut ids: Vec<String> = args.output.columns.iter().flat_map(|list| list.ids.clone()).collect();
        ids.extend(self.filter.iter().flat_map(|filter| filter.names().into_iter().chain(filter.words())));
        ids.extend(self.sort.iter().map(|word| sort_name(word).to_ascii_lowercase()));
        if !self.machine && args.pmap.preset().is_none() {
            ids.extend(args.output.configured.columns.iter().flatten().cloned());
        }
        ids
    }

    /// The columns that are shown or asked of; none where the fields that the kernel gives decide.
    fn ids_needed(&self, args: &PidArgs) -> Option<Vec<String>> {
        let mut ids: Vec<String> = self.ids_before_reading(args)?.into_iter().map(str::to_owned).collect();
        ids.extend(self.filter.iter().flat_map(Expression::names));
        ids.extend(self.sort.iter().map(|word| sort_name(word).to_ascii_lowercase()));
        if args.views.by.is_some() {
            ids.retain(|id| !COUNTS.contains(&id.as_str()));
        }
        if self.reads_cache {
            ids.extend(CACHE_COLUMNS.iter().map(|column| column.id.to_string()));
        }
        ids.extend(args.views.by.map(|by| by.column().to_owned()));
        Some(ids)
    }

    /// The fields of smaps that are needed; none where that takes every field there is.
    fn wanted_fields(&self, args: &PidArgs) -> Option<Vec<String>> {
        let mut fields: Vec<String> = Vec::new();
        for id in &self.ids_needed(args)? {
            fields.extend(mapping::fields_behind(id)?.into_iter().map(str::to_owned));
        }
        for word in self.filter.iter().flat_map(Expression::words) {
            fields.extend(mapping::fields_behind(&word).into_iter().flatten().map(str::to_owned));
        }
        Some(fields)
    }

    /// The columns' names as far as they can be told before anything was read.
    fn ids_before_reading<'a>(&self, args: &'a PidArgs) -> Option<Vec<&'a str>> {
        let default = match args.pmap.preset() {
            _ if args.output.columns.as_ref().is_some_and(|list| !list.adds) => Vec::new(),
            _ if self.machine => return None,
            Some(preset) => preset.known_ids()?.to_vec(),
            None => own_ids(args),
        };
        Some(args.output.columns.as_ref().map_or(default.clone(), |list| list.over(&default)))
    }

    /// The columns that are shown, out of `table`.
    pub(super) fn columns(
        &self,
        args: &PidArgs,
        fields: &Fields,
        table: &[Column<MappingRows>],
    ) -> Result<Vec<Column<MappingRows>>, Stop> {
        let default = self.default_ids(args, fields);
        let mut ids = args.output.columns.as_ref().map_or_else(|| default.clone(), |list| list.over(&default));
        self.join(args, &mut ids);
        let mut columns = column::select(table, &ids).map_err(Stop::Usage)?;
        if let Some(preset) = args.pmap.preset().filter(|_| !self.machine) {
            preset.rename(&mut columns);
        }
        Ok(columns)
    }

    /// The columns that are shown where `-o` names none.
    pub(super) fn own_columns(
        &self,
        args: &PidArgs,
        fields: &Fields,
        table: &[Column<MappingRows>],
    ) -> Result<Vec<Column<MappingRows>>, Stop> {
        let mut ids = self.default_ids(args, fields);
        self.join(args, &mut ids);
        column::select(table, &ids).map_err(Stop::Usage)
    }

    fn default_ids<'a>(&self, args: &'a PidArgs, fields: &'a Fields) -> Vec<&'a str> {
        let mut ids = match args.pmap.preset() {
            _ if self.machine => presets::machine(fields),
            Some(preset) => preset.ids(fields),
            None => own_ids(args),
        };
        if args.views.merge && !self.machine && args.views.by.is_none() {
            ids.insert(0, "pid");
        }
        if args.pmap.show_path {
            ids.iter_mut().filter(|id| **id == "name").for_each(|id| *id = "mapping");
        }
        ids
    }

    /// Adds what `--cache` and `--map` show, unless some of that is there already.
    pub(super) fn join(&self, args: &PidArgs, ids: &mut Vec<&str>) {
        let mut add = |columns: &'static [Column<MappingRows>], but: &str| {
            if ids.iter().any(|id| columns.iter().any(|column| column.id == *id)) {
                return;
            }
            let place = if self.machine { ids.len() } else { column::before_the_name(ids) };
            let shown = columns.iter().filter(|column| self.machine || column.id != but);
            ids.splice(place..place, shown.map(|column| column.id.as_ref()));
        };
        if args.views.cache {
            add(CACHE_COLUMNS, "cache_file");
        }
        if args.views.map && self.machine {
            add(PAGE_COLUMNS, "");
        }
    }

    /// Which mappings are shown, and in which order.
    pub(super) fn selection(&self, table: &[Column<MappingRows>]) -> Result<Selection<MappingRows>, Stop> {
        Ok(Selection { order: self.order(table)?, ..self.filter_over(table)? })
    }

    /// Which mappings are looked at, in the order in which they come.
    pub(super) fn filter_over(&self, table: &[Column<MappingRows>]) -> Result<Selection<MappingRows>, Stop> {
        let filter = self.filter.as_ref().map(|filter| filter.over(table)).transpose();
        let filter = filter.map_err(|error| Stop::expression("--filter", error))?;
        Ok(Selection { filter, order: None, top: self.top })
    }

    /// What rows of any kind are sorted by.
    pub(super) fn order<K: RowKind>(&self, table: &[Column<K>]) -> Result<Option<Order<K>>, Stop> {
        self.sort.as_deref().map(|word| Order::parse(word, table)).transpose().map_err(Stop::Usage)
    }

    /// How many rows are shown at most.
    pub(super) fn top(&self) -> Option<usize> {
        self.top
    }
}
