//! Reads the processes that were named, and what is joined with them.

use std::collections::HashMap;

use super::denied::{Denied, read_denied};
use super::plan::Plan;
use super::strips;
use crate::cli::args::PidArgs;
use crate::cli::processes::Asked;
use crate::error::{Error, ErrorKind};
use crate::join::{MappingCache, measure_mappings};
use crate::pagecache::Engine;
use crate::process::{Deleted, Fields, ProcRoot, Process, ProcessMappings, Wanted};
use crate::units::Figure;
use crate::views::mapping::{Known, MappingPages, MappingRow};

/// All that was read.
pub(super) struct Collected {
    pub(super) fields: Fields,
    pub(super) known: Known,
    pub(super) processes: Vec<OneProcess>,
    /// Those whose smaps may not be read.
    pub(super) denied: Vec<Denied>,
    /// What else could not be read, and why.
    pub(super) failures: Vec<Error>,
}

/// One process, and what was joined with its mappings, one for one.
pub(super) struct OneProcess {
    pub(super) read: ProcessMappings,
    /// What was found out of those whose name leaves it open, by their addresses.
    deleted: HashMap<u64, Deleted>,
    cache: Option<Vec<Figure<MappingCache>>>,
    pages: Option<Vec<MappingPages>>,
}

/// Reads the processes that were asked for, in that order; what cannot be read is remembered, and the others are read.
pub(super) fn collect(plan: &Plan, root: &ProcRoot, asked: &[Asked], fields: &mut Fields) -> Collected {
    let engine = plan.reads_cache.then(Engine::detect);
    let mut processes = Vec::new();
    let (mut denied, mut failures) = (Vec::new(), Vec::new());
    for asked in asked {
        let opened = Process::open_in(root, asked.pid);
        let read = opened.and_then(|process| Ok((process.read_mappings(fields, &plan.wanted)?, process)));
        match read {
            Ok((read, process)) => {
                if read.mappings.changed() > 0 {
                    failures.push(moved(&read));
                }
                let measure = |engine| measure_mappings(&process, engine, &read.mappings);
                let cache = engine.as_ref().map(measure);
                let pages = plan.reads_pages.then(|| page_maps(&process, &read)).transpose();
                let pages = pages.unwrap_or_else(|error| {
                    failures.push(error);
                    None
                });
                let deleted = if plan.looks_for_deleted { deleted(&process, &read) } else { HashMap::new() };
                processes.push(OneProcess { read, deleted, cache, pages });
            }
            // It ended since it was found; nobody named it.
            Err(error) if asked.found && error.kind() == ErrorKind::NotFound => {}
            Err(error) => match read_denied(root, &error) {
                Some(refused) => denied.push(refused),
                None => failures.push(error),
            },
        }
    }
    if processes.is_empty() {
        learn_fields(plan, root, fields);
    }
    Collected { denied, known: Known::of(fields), fields: fields.clone(), processes, failures }
}

/// Which fields the kernel gives, where no process was read that would show them: a machine format has the same columns then.
fn learn_fields(plan: &Plan, root: &ProcRoot, fields: &mut Fields) {
    if plan.wanted == Wanted::Everything
        && let Ok(own) = Process::own_in(root)
    {
        // Where not even the own process can be read there is nothing to learn.
        let _ = own.read_mappings(fields, &plan.wanted);
    }
}

/// Looks for the files whose names end as those of deleted files do: once for each file, however often it is mapped. The look
/// at 30,000 mappings of one file takes as long as all of smaps.
fn deleted(process: &Process, read: &ProcessMappings) -> HashMap<u64, Deleted> {
    let mut known = HashMap::new();
    let open = read.mappings.iter().filter(|mapping| Deleted::by_name(mapping) == Deleted::Unknown);
    open.map(|mapping| {
        let file = (mapping.device(), mapping.inode(), mapping.path());
        let found = known.entry(file).or_insert_with(|| process.read_deleted(&mapping));
        (mapping.start(), *found)
    })
    .collect()
}

/// The page tables behind each mapping.
fn page_maps(process: &Process, read: &ProcessMappings) -> Result<Vec<MappingPages>, Error> {
    let cells = process.read_table_parts(&read.mappings, strips::width())?;
    let tells_kinds = cells.knows_kinds;
    Ok(cells.mappings.into_iter().map(|cells| MappingPages::new(cells, tells_kinds)).collect())
}

/// A process that maps and unmaps so fast that no reading was free of mappings that moved meanwhile.
fn moved(process: &ProcessMappings) -> Error {
    let why =
        format!("{} mappings changed while they were read; their rows may lack parts", process.mappings.changed());
    Error::pid(process.identity.pid, ErrorKind::Changed, why).with_advice("stop it (kill -STOP) for an exact account")
}

impl Collected {
    /// The mappings of one process that have an address in the range that was asked for.
    pub(super) fn rows<'r>(
        &'r self,
        process: &'r OneProcess,
        args: &PidArgs,
    ) -> impl Iterator<Item = MappingRow<'r>> + use<'r> {
        let range = args.pmap.range;
        let rows = process.read.mappings.iter().enumerate().map(|(place, mapping)| MappingRow {
            pid: process.read.identity.pid,
            mapping,
            known: &self.known,
            deleted: process.deleted.get(&mapping.start()).copied().unwrap_or_else(|| Deleted::by_name(&mapping)),
            cache: process.cache.as_ref().and_then(|cache| cache.get(place)),
            pages: process.pages.as_ref().and_then(|pages| pages.get(place)),
        });
        rows.filter(move |row| range.is_none_or(|range| range.meets(row.mapping.start(), row.mapping.end())))
    }
}
