//! Reads the selected processes, and the data that is joined with their mappings.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::nodes::{ProcessNodes, unreadable};
use super::numa;
use super::range::AddressRange;
use super::row::{MappingNeed, MappingRow, MappingRows, ReadProcess};
use super::strips::ProcessPages;
use super::{fields, presets};
use crate::error::{Error, ErrorKind};
use crate::join::{FileNumbers, MappingCache, SharedFiles, measure_mappings, open_text};
use crate::machine::read_memory_nodes;
use crate::pagecache::Engine;
use crate::process::class::{Classes, OwnClass};
use crate::process::{
    AddressSpaces, Asked, Deleted, Fields, Mapping, ParseError, ProcRoot, Process, ProcessChoice, ProcessMappings,
    Wanted,
};
use crate::table::{Closing, Column, Named, OwnedCell, RowKind, Rows, Section, Source, Stop, find};
use crate::units::{Absent, Figure, Reason, counted};
use crate::views::file::advised;
use crate::views::processes::{Owner, find_selected, section_of};

/// Reads the mappings of processes.
pub struct MappingSource {
    /// The location of `/proc`.
    pub root: ProcRoot,
    /// The selected processes.
    pub processes: ProcessChoice,
    /// The selected addresses.
    pub range: AddressRange,
    /// The maximum number of parts that a strip divides a mapping into.
    pub cells: usize,
    /// A smaps text instead of processes: a file, or `-` for standard input.
    pub smaps: Option<PathBuf>,
    /// Whether there is one total over several processes.
    pub adds_processes: bool,
    /// Whether the Rss of several processes is added up and shown; a line then says how it counts shared memory.
    pub adds_rss: bool,
    /// Whether different files that processes map under the same name are told apart, because mappings of several
    /// processes are grouped by their names.
    pub tells_files_apart: bool,
    /// Whether mapped files on FUSE are opened, even if that drops their cached pages.
    pub opens_fuse: bool,
    /// Rules of the user for the column `class`, which come before the built-in ones.
    pub own_classes: Vec<OwnClass>,
    /// The NUMA nodes that have columns.
    pub nodes: Vec<u32>,
    /// One dictionary for all rounds, so that a column means the same field in each.
    pub fields: Fields,
    /// Whether the last answer had that line.
    said: bool,
}

impl MappingSource {
    /// Reads the mappings of one process of this machine.
    pub fn of(pid: u32) -> MappingSource {
        MappingSource::new(ProcRoot::live(), ProcessChoice::of(pid))
    }

    /// Reads all mappings of these processes.
    pub fn new(root: ProcRoot, processes: ProcessChoice) -> MappingSource {
        MappingSource {
            root,
            processes,
            range: AddressRange::ALL,
            cells: CELLS,
            smaps: None,
            adds_processes: false,
            adds_rss: false,
            tells_files_apart: false,
            opens_fuse: false,
            own_classes: Vec::new(),
            nodes: Vec::new(),
            fields: Fields::new(),
            said: false,
        }
    }
}

const RSS_OF_SEVERAL: &str = "Rss counts shared memory in each process that maps it; Pss divides it";

/// Into how many parts a strip cuts a mapping if nothing else is requested.
const CELLS: usize = 80;

impl Source for MappingSource {
    type Kind = MappingRows;

    fn columns(&mut self, named: &Named) -> Vec<Column<MappingRows>> {
        let mut columns = MappingRows::columns();
        // The name may belong to a field of a newer kernel.
        let is_unknown = |id: &String| id == presets::FIELDS || find(&columns, id).is_none() && !numa::is_of_nodes(id);
        if named.all || named.ids.iter().any(is_unknown) {
            self.learn_fields();
            columns = super::columns(&self.fields);
        }
        if named.ids.iter().any(|id| numa::is_of_nodes(id)) {
            self.nodes = self.find_nodes();
        }
        numa::put_nodes(&mut columns, &self.nodes);
        if !self.own_classes.is_empty() {
            // Their words are not known to the column.
            columns.iter_mut().filter(|column| column.id() == "class").for_each(|column| column.words = Vec::new);
        }
        columns
    }

    fn is_sectioned(&self) -> bool {
        true
    }

    fn closing(&self) -> Closing {
        let lines = self.said.then(|| RSS_OF_SEVERAL.to_owned());
        Closing { lines: lines.into_iter().collect(), ..Closing::default() }
    }

    fn read(&mut self, needs: &[MappingNeed], rows: &mut dyn Rows<MappingRows>) -> Result<(), Stop> {
        let reading = Reading {
            wanted: wanted(needs),
            engine: needs.contains(&MappingNeed::PageCache).then(|| Engine::detect().opening_fuse(self.opens_fuse)),
            needs,
        };
        if let Some(path) = self.smaps.clone() {
            return match self.read_text(&reading, &path, rows) {
                // As for a process that cannot be read: the answer has no rows, but is complete as a document.
                Err(Stop::Failed(error)) => {
                    rows.failure(error);
                    Ok(())
                }
                other => other,
            };
        }
        let asked = find_selected(&self.processes, &self.root, rows)?;
        let open = || asked.iter().filter_map(|asked| Process::open_in(&self.root, asked.pid).ok());
        let mut shared = Shared {
            memories: AddressSpaces::new(),
            read: HashSet::new(),
            files: SharedFiles::new(self.adds_processes && asked.len() > 1),
            numbers: self.tells_files_apart.then(|| FileNumbers::of(open())),
        };
        for asked in asked {
            rows.check()?;
            self.read_process(&reading, &asked, &mut shared, rows)?;
        }
        self.said = self.adds_rss && shared.read.len() > 1;
        Ok(())
    }
}

const UNREADABLE: Absent = Absent::new(Reason::Vanished, "the page tables could not be read");
const CAPTURED: Absent = Absent::new(Reason::Unsupported, "a capture has no page tables");

const ONLY_TEXT: &str =
    "the text of a smaps file says nothing about the page cache, page tables, NUMA nodes, users or groups";

/// What the processes of a reading may share.
struct Shared {
    memories: AddressSpaces,
    /// The numbers of those that were read.
    read: HashSet<u64>,
    files: SharedFiles,
    numbers: Option<FileNumbers>,
}

/// What is read of each process.
struct Reading<'n> {
    wanted: Wanted,
    engine: Option<Engine>,
    needs: &'n [MappingNeed],
}

/// The fields of smaps that are needed.
fn wanted(needs: &[MappingNeed]) -> Wanted {
    if needs.contains(&MappingNeed::EveryField) {
        return Wanted::Everything;
    }
    let name = |need: &MappingNeed| match need {
        MappingNeed::Field(name) => Some((*name).to_owned()),
        _ => None,
    };
    Wanted::Only(needs.iter().filter_map(name).collect())
}

impl MappingSource {
    /// Finds out which fields the kernel reports: from this process, or from those of a capture.
    fn learn_fields(&mut self) {
        let processes = match Process::own_in(&self.root) {
            Ok(own) => vec![own],
            Err(_) => self.selected(),
        };
        for process in processes {
            // Errors are reported later, when the process is read for its rows.
            let _ = process.read_smaps(&mut self.fields, &Wanted::Only(Vec::new()));
        }
    }

    /// The NUMA nodes that have memory, or else those that have pages of the selected processes.
    fn find_nodes(&self) -> Vec<u32> {
        read_memory_nodes(&self.root).unwrap_or_else(|| {
            // Errors are reported later, when the process is read for its rows.
            let maps = self.selected().into_iter().filter_map(|process| process.read_numa_maps().ok());
            let mut nodes: Vec<u32> = maps.flat_map(|maps| maps.nodes()).collect();
            nodes.sort_unstable();
            nodes.dedup();
            nodes
        })
    }

    /// The selected processes.
    fn selected(&self) -> Vec<Process> {
        let asked = self.processes.find(&self.root, &mut |_| ()).unwrap_or_default();
        asked.iter().filter_map(|asked| Process::open_in(&self.root, asked.pid).ok()).collect()
    }

    fn read_process(
        &mut self,
        reading: &Reading<'_>,
        asked: &Asked,
        shared: &mut Shared,
        rows: &mut dyn Rows<MappingRows>,
    ) -> Result<(), Stop> {
        let Some(process) = asked.open(&self.root, rows) else { return Ok(()) };
        let read = match process.read_mappings(&mut self.fields, &reading.wanted) {
            Ok(read) => read,
            Err(error) => {
                return match asked.report_unread(&process, error, rows) {
                    Some(denied) => rows.section(denied.section()),
                    None => Ok(()),
                };
            }
        };
        let memory = self.adds_processes.then(|| shared.memories.enter(&process).0);
        shared.read.extend(memory);
        if read.mappings.changed() > 0 {
            rows.failure(moved(&read));
        }
        if let Some(torn) = read.mappings.torn() {
            rows.failure(broken_off(Error::pid(asked.pid, ErrorKind::Malformed, torn_words(torn))));
        }
        let needs = |need| reading.needs.contains(&need);
        if reading.engine.is_some() && !process.is_live() {
            rows.failure(Error::pid(asked.pid, ErrorKind::Unsupported, "a capture has no files"));
        }
        shared.files.begin_process();
        let cache =
            reading.engine.as_ref().map(|engine| measure_mappings(&process, engine, &read.mappings, &mut shared.files));
        let unknown = cache.as_ref().filter(|_| process.is_live()).map(|cache| unknown_cache(asked.pid, cache));
        unknown.into_iter().flatten().for_each(|error| rows.failure(error));
        let pages = needs(MappingNeed::PageTables).then(|| {
            process.read_table_parts(&read.mappings, self.cells).map(ProcessPages::new).map_err(|error| {
                rows.failure(error);
                if process.is_live() { UNREADABLE } else { CAPTURED }
            })
        });
        let numa = needs(MappingNeed::Numa).then(|| {
            process.read_numa_maps().map(|maps| ProcessNodes::new(maps, &read.mappings)).map_err(|error| {
                let absent = unreadable(&error);
                rows.failure(error);
                absent
            })
        });
        let devices = if needs(MappingNeed::Device) { process.read_devices(&read.mappings) } else { Vec::new() };
        let process = Arc::new(ReadProcess {
            classes: self.classes(reading, &read, &devices),
            numa,
            known: fields::known_ids(&self.fields),
            deleted: if needs(MappingNeed::Deleted) { deleted(&process, &read) } else { Vec::new() },
            devices,
            owner: needs(MappingNeed::Owner).then(|| Owner::read(&process)),
            files: shared.numbers.as_mut().map_or_else(Vec::new, |files| files.number(&process, &read.mappings)),
            memory,
            names: plain_names(&process, &read),
            pages,
            cache,
            read,
        });
        self.give(process, rows)
    }

    /// What made the memory of each mapping, if that is needed.
    fn classes(&self, reading: &Reading<'_>, read: &ProcessMappings, devices: &[Option<bool>]) -> Option<Classes> {
        let is_needed = reading.needs.contains(&MappingNeed::Class);
        is_needed.then(|| Classes::of(&read.mappings, devices, &self.own_classes))
    }

    fn give(&self, process: Arc<ReadProcess>, rows: &mut dyn Rows<MappingRows>) -> Result<(), Stop> {
        let torn = process.read.mappings.torn();
        let incomplete = torn.map(|torn| OwnedCell::Text(torn.to_string().into_bytes()));
        rows.section(Section { incomplete, ..section_of(&process.read.identity) })?;
        let range = self.range;
        let mappings = (0..).zip(process.read.mappings.iter());
        let met = mappings.filter(|(_, mapping)| range.meets(mapping.start(), mapping.end()));
        rows.rows(met.map(|(place, _)| MappingRow { process: process.clone(), place }).collect())
    }

    /// Reads a smaps text of an unknown process.
    fn read_text(&mut self, reading: &Reading<'_>, path: &Path, rows: &mut dyn Rows<MappingRows>) -> Result<(), Stop> {
        let (name, text) = open_text(path)?;
        let other = [MappingNeed::PageCache, MappingNeed::PageTables, MappingNeed::Numa, MappingNeed::Owner];
        if other.iter().any(|need| reading.needs.contains(need)) {
            rows.failure(Error::path(&name, ErrorKind::Unsupported, ONLY_TEXT));
        }
        let read = ProcessMappings::read_bare(&name, text, &mut self.fields, &reading.wanted)?;
        if let Some(torn) = read.mappings.torn() {
            rows.failure(broken_off(Error::path(&name, ErrorKind::Malformed, torn_words(torn))));
        }
        let process = ReadProcess {
            known: fields::known_ids(&self.fields),
            deleted: Vec::new(),
            devices: Vec::new(),
            owner: None,
            files: Vec::new(),
            memory: None,
            names: HashMap::new(),
            pages: None,
            classes: self.classes(reading, &read, &[]),
            numa: None,
            cache: None,
            read,
        };
        self.give(Arc::new(process), rows)
    }
}

/// The errors for mapped files whose cached pages could be known, but not to this user or at this moment: one for each
/// reason.
fn unknown_cache(pid: u32, cache: &[Figure<MappingCache>]) -> Vec<Error> {
    let absent =
        cache.iter().filter_map(|found| found.as_ref().map_or_else(|why| Some(*why), |found| found.cached.err()));
    let mut reasons: Vec<(Absent, u64)> = Vec::new();
    for why in absent.filter(|why| !matches!(why.reason, Reason::NotApplicable | Reason::Unsupported)) {
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    let error = |(why, count): (Absent, u64)| {
        let of = counted(count, "mapping", "mappings");
        let kind = if why.reason == Reason::Denied { ErrorKind::Denied } else { ErrorKind::Changed };
        advised(Error::pid(pid, kind, format!("the cached pages of {of} are not known: {why}")))
    };
    reasons.into_iter().map(error).collect()
}

/// The names that smaps does not print as they are, by the places of their mappings.
fn plain_names(process: &Process, read: &ProcessMappings) -> HashMap<u32, Vec<u8>> {
    let name = |(place, mapping): (u32, Mapping<'_>)| {
        Some((place, process.read_plain_name(mapping.start(), mapping.end(), mapping.path())?))
    };
    (0..).zip(read.mappings.iter()).filter_map(name).collect()
}

/// Checks the files whose names end like those of deleted files, once per file, however often it is mapped. Checking
/// 30,000 mappings of one file would take as long as reading smaps.
fn deleted(process: &Process, read: &ProcessMappings) -> Vec<Deleted> {
    let (mut known, mut last) = (HashMap::new(), None);
    let found = read.mappings.iter().map(|mapping| match Deleted::by_name(&mapping) {
        Deleted::Unknown => {
            let file = (mapping.device(), mapping.inode(), mapping.path());
            let found = match last {
                Some((same, found)) if same == file => found,
                _ => *known.entry(file).or_insert_with(|| process.read_deleted(&mapping)),
            };
            last = Some((file, found));
            found
        }
        by_name => by_name,
    });
    found.collect()
}

/// The error for a process that maps and unmaps so fast that mappings changed during every reading.
fn moved(read: &ProcessMappings) -> Error {
    let why = format!(
        "{} while being read; some rows may be incomplete",
        counted(read.mappings.changed() as u64, "mapping changed", "mappings changed")
    );
    Error::pid(read.identity.pid, ErrorKind::Changed, why).with_advice("stop it (kill -STOP) for exact figures")
}

fn torn_words(torn: &ParseError) -> String {
    format!("invalid smaps: {torn}")
}

fn broken_off(error: Error) -> Error {
    error.with_advice("only the mappings before it are shown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_for_unknown_pages_has_a_line_of_its_own() {
        let reasons =
            [(Reason::Denied, "not yours"), (Reason::NotApplicable, "no file"), (Reason::Changed, "it changed")];
        let cache: Vec<_> =
            reasons.iter().chain(&reasons[..1]).map(|(reason, why)| Err(Absent::new(*reason, why))).collect();
        let errors = unknown_cache(7, &cache);
        let lines: Vec<&str> = errors.iter().map(Error::why).collect();
        let denied = "the cached pages of 2 mappings are not known: denied: not yours";
        assert_eq!(lines, [denied, "the cached pages of 1 mapping are not known: changed: it changed"]);
    }
}
