//! `rmap pid`: the process view.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::answer::{AnswerArgs, View, refuse_if};
use super::found::FoundArgs;
use super::report::Report;
use super::root::RootArgs;
use super::run::{Configured, Done, Listed, Run};
use super::screen;
use crate::capture::Wanted;
use crate::process::{NamedProcess, ProcRoot, ProcessChoice};
use crate::query::{Query, Total};
use crate::render::Presentation;
use crate::table::{Column, RowKind, SizeUnit, Stop, typed};
use crate::views::mapping::{
    AddressRange, CACHE_COLUMNS, MappingRows, MappingSource, NUMA_COLUMNS, PAGE_COLUMNS, presets,
};
use crate::views::part::{self, Added, Common, PartSource, Parts};

/// `rmap pid`
#[derive(Debug, Args)]
pub(crate) struct PidArgs {
    /// Pids, or self; several with blanks or commas between them
    #[arg(value_name = "PID", value_delimiter = ',', required_unless_present_any = ["found", "smaps"])]
    pids: Vec<NamedProcess>,
    /// Processes by their properties.
    #[command(flatten)]
    found: FoundArgs,
    /// What is shown in addition to the list of mappings, or instead of it.
    #[command(flatten)]
    views: ViewArgs,
    /// pmap's options.
    #[command(flatten)]
    pmap: PmapArgs,
    /// Which machine is read.
    #[command(flatten)]
    root: RootArgs,
    /// Read FILE, the text of a smaps file, instead of a process; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["pids", "proc_root"],
        help_heading = "Processes",
        hide_short_help = true
    )]
    smaps: Option<PathBuf>,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Views")]
struct ViewArgs {
    /// Merge all processes into one list, set of groups or summary
    ///
    /// Pss counts a page once that several of them share; Rss and most other figures count it in each of them.
    #[arg(long, hide_short_help = true)]
    merge: bool,
    /// Show where the memory is, instead of mappings
    ///
    /// This includes how much of it can be reclaimed without swap.
    #[arg(long)]
    summary: bool,
    /// Show how much of each mapped file is in the page cache
    ///
    /// Also how much of that this process has mapped in.
    #[arg(long)]
    cache: bool,
    /// With --cache: open files on FUSE, although that may drop their cached pages
    ///
    /// Otherwise they are measured only through the descriptor of a process that has them open.
    #[arg(long, hide_short_help = true)]
    open_fuse: bool,
    /// Show the page tables as a strip below each mapping
    ///
    /// It distinguishes pages in RAM, in swap, of a file, huge pages, and the zero page.
    #[arg(long)]
    map: bool,
    /// Show the NUMA policy of each mapping and how much of it is on each node
    ///
    /// A page counts in every mapping that has it, as in Rss.
    #[arg(long, hide_short_help = true)]
    numa: bool,
}

/// pmap's options, with the same meaning.
#[derive(Debug, Args)]
#[command(next_help_heading = "pmap options")]
struct PmapArgs {
    /// Use the extended format: Kbytes, RSS, Dirty, Mode
    #[arg(short = 'x', long, conflicts_with_all = ["device", "everything"])]
    extended: bool,
    /// Use the device format: Mode, Offset, Device, and how much is writable or shared
    #[arg(short = 'd', long, conflicts_with = "everything", hide_short_help = true)]
    device: bool,
    /// Show every field that the kernel reports (also -XX)
    ///
    /// The fields are in the kernel's order and include those of newer kernels.
    #[arg(short = 'X', action = ArgAction::Count)]
    everything: u8,
    /// Leave out the header and the total (JSON has no header; its total stays)
    #[arg(short = 'q', long, hide_short_help = true)]
    quiet: bool,
    /// Show full paths, also in the formats of -x, -d, -X and --cache
    ///
    /// Nor are they cut to fit the terminal.
    #[arg(short = 'p', long, hide_short_help = true)]
    show_path: bool,
    /// Show only mappings that overlap LOW to HIGH
    ///
    /// In hexadecimal. One address alone is the mapping that contains it. If nothing is mapped there, a line on
    /// standard error says so; the exit status is still 0.
    #[arg(short = 'A', long, value_name = "LOW,HIGH", hide_short_help = true)]
    range: Option<AddressRange>,
}

impl PmapArgs {
    fn has_format(&self) -> bool {
        self.extended || self.device || self.everything > 0
    }
}

/// Other names that `--by` accepts, and the columns that they mean.
const KEYS: &[(&str, &str)] = &[("file", "mapping"), ("process", "pid"), ("container", "cgroup")];

/// Columns of a process: grouping by one of these merges processes.
const KEYS_OF_PROCESSES: [&str; 4] = ["pid", "user", "cgroup", "command"];

/// Whether Rss is among the columns that are shown.
fn shows_rss(query: &Query) -> bool {
    let default: &[String] = if let crate::query::Default::Columns(ids) = &query.default { ids } else { &[] };
    let shown = query.columns.as_ref().map_or_else(|| default.to_vec(), |list| list.over(default));
    shown.iter().any(|id| MappingRows::id_of(id) == "rss")
}

impl Run for PidArgs {
    const NAME: &'static str = "pid";
    const ABOUT: &'static str = "What a process has mapped, and how much of each mapping is in RAM";

    const ROWS: &'static [Listed] = &[
        Listed::of::<MappingRows>(
            "Columns (a field of a newer kernel is a column with its name in lower case; fields: all fields)",
        ),
        Listed::of::<Parts>("Columns of --summary"),
    ];
    const NOTES: &'static str = "\
        --by takes any column, such as class, kind, perm, dir, pid, user or cgroup; file, process and container mean \
        mapping, pid and cgroup.\n\
        By default sizes are in KiB; machine formats are in bytes.";
    const OPERANDS: &'static str = "PID, --name, --match, --user, --cgroup or --smaps";
    const FILTERS: &'static [(&'static str, &'static str)] =
        &[("", "size>10M && name=~libc"), ("--summary", "amount>10M")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap pid -x 4690", "what the process has mapped, as pmap -x shows it"),
        ("rmap pid --summary 4690", "where its memory is, and how much can be reclaimed without swap"),
        ("rmap pid --by class 4690", "what made it: malloc, stacks, code, a JVM's heap, ..."),
        ("rmap pid --filter 'rss > 64K && kind == file' --sort rss 4690", "its larger files"),
        ("rmap pid --name sleep --by pid", "one row per process"),
        ("rmap pid -w 2 4690", "repeat every 2 s and show what changed"),
    ];

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(mut self, configured: &Configured, report: &mut Report) -> Done {
        self.answer = self.answer.titled(presets::PMAP_TITLES);
        self.check()?;
        let root = self.root.root_for(&self.answer, Wanted::PROCESSES)?;
        if self.views.summary { self.summarize(root, configured, report) } else { self.list(root, configured, report) }
    }
}

impl PidArgs {
    /// Rejects options that contradict each other or would have no effect.
    fn check(&self) -> Done {
        let (answer, views, pmap) = (&self.answer, &self.views, &self.pmap);
        let replaces = answer.columns.as_ref().is_some_and(|list| !list.adds);
        let format = "-x, -d, -X";
        refuse_if(
            pmap.has_format() && replaces,
            "-o",
            "-x, -d and -X already select the columns; use -o +LIST to add some",
        )?;
        refuse_if(
            pmap.has_format() && answer.is_machine(),
            format,
            "these are table formats; a machine format has every field, or those selected with -o",
        )?;
        refuse_if(
            pmap.has_format() && (answer.by.is_some() || views.summary),
            format,
            "these are columns of mappings; groups and summaries do not have them",
        )?;
        let has_text = self.smaps.is_some();
        let found: Vec<&str> = self.found.typed().collect();
        refuse_if(has_text && !found.is_empty(), &found.join(", "), "it selects processes, and --smaps reads a text")?;
        refuse_if(has_text && views.cache, "--cache", "a smaps text says nothing about the page cache")?;
        refuse_if(has_text && views.map, "--map", "a smaps text says nothing about the page tables")?;
        refuse_if(has_text && views.numa, "--numa", "a smaps text says nothing about NUMA nodes")?;
        refuse_if(has_text && answer.every.is_some(), "-w", "a smaps text does not change")?;
        if !views.summary {
            return Ok(());
        }
        refuse_if(views.cache, "--cache", "a summary covers the process, not its files")?;
        refuse_if(views.map, "--map", "a summary has no mappings")?;
        refuse_if(views.numa, "--numa", "a summary does not distinguish NUMA nodes")?;
        refuse_if(pmap.range.is_some(), "-A", "a summary covers all mappings")?;
        refuse_if(answer.total, "--total", "the parts of a summary overlap and do not add up")
    }

    /// The selected processes.
    fn choice(&self) -> Result<ProcessChoice, Stop> {
        self.found.choice(self.pids.clone())
    }

    fn presentation(&self, root: &ProcRoot, configured: &Configured) -> Presentation {
        // Like pmap, -q keeps the line with the process.
        let no_header = self.answer.no_header || self.pmap.quiet;
        let whole_names = self.pmap.show_path;
        Presentation { no_header, whole_names, ..self.answer.presentation_of(root, configured, SizeUnit::Kib) }
    }

    /// The column that `--by` means.
    fn by(&self) -> Option<String> {
        let typed = typed(self.answer.by.as_deref()?, &MappingRows::columns(), presets::DEFAULT);
        let meant = KEYS.iter().find(|(name, _)| *name == typed).map(|(_, column)| (*column).to_owned());
        Some(meant.unwrap_or(typed))
    }

    fn list(self, root: ProcRoot, configured: &Configured, report: &mut Report) -> Done {
        let processes = self.choice()?;
        let query = self.query(configured, &processes)?;
        report.narrowed.extend(self.pmap.range.map(|_| "-A".into()));
        let presentation = self.presentation(&root, configured);
        let mut source = MappingSource::new(root, processes);
        source.range = self.pmap.range.unwrap_or(AddressRange::ALL);
        source.cells = strip_cells();
        source.smaps = self.smaps.clone();
        source.opens_fuse = self.views.open_fuse;
        source.own_classes = configured.classes.clone();
        source.adds_processes = query.merge || query.every.is_some();
        source.adds_rss = query.merge && shows_rss(&query);
        source.tells_files_apart = query.merge && matches!(query.by.as_deref(), Some("mapping" | "path"));
        self.answer.answer(&query, &mut source, presentation, report)
    }

    fn query(&self, configured: &Configured, processes: &ProcessChoice) -> Result<Query, Stop> {
        let (answer, pmap) = (&self.answer, &self.pmap);
        let by = self.by();
        let view = match () {
            () if pmap.extended => View::Fixed(presets::EXTENDED),
            () if pmap.device => View::Fixed(presets::DEVICE),
            () if pmap.everything > 0 => View::Fixed(presets::EVERYTHING),
            () if by.is_some() => View::Usual(presets::GROUPED),
            () if self.views.cache => View::Usual(presets::CACHED),
            () if self.views.numa => View::Usual(presets::NUMA),
            () => View::Usual(presets::DEFAULT),
        };
        let mut query = answer.query::<MappingRows>(configured, view)?;
        let names = query.filter.iter().flat_map(|filter| filter.names()).collect::<Vec<_>>();
        refuse_if(
            names.iter().any(|name| name.eq_ignore_ascii_case("kbytes")),
            "--filter",
            "a number without a unit is in bytes there, so Kbytes is called size: 'size > 1000K'",
        )?;
        if answer.is_full_screen() && pmap.has_format() {
            // If not everything fits the screen, the largest rows are seen, by a figure that the format has.
            query.sort_as_usual();
            query.order = query.order.or_else(|| pmap.device.then(|| "size".to_owned()));
        }
        let joins_processes = by.as_deref().is_some_and(|by| KEYS_OF_PROCESSES.contains(&by));
        query.by = by;
        query.merge = self.views.merge || joins_processes;
        // Each group of processes has the memory that its processes share with those of another.
        query.once = self.views.merge && !joins_processes;
        query.joined = self.joined();
        if query.by.is_some() && query.every.is_some() && !query.merge && processes.may_be_several() {
            query.joined.push(vec!["pid".to_owned()]);
        }
        query.keeps_columns = pmap.has_format();
        query.narrows = pmap.range.is_some();
        // pmap's titles name the unit.
        if (pmap.extended || pmap.device) && answer.unit(configured, SizeUnit::Kib) == SizeUnit::Kib {
            query.titles = presets::PMAP_TITLES;
        }
        query.total = self.total();
        if let crate::query::Default::Columns(columns) = &mut query.default {
            // A list of several processes needs a column with the pid.
            let is_one_list = self.views.merge || query.every.is_some() && processes.may_be_several();
            if is_one_list && query.by.is_none() && !columns.iter().any(|id| id == "pid") {
                columns.insert(0, "pid".to_owned());
            }
            if pmap.show_path {
                columns.iter_mut().filter(|id| *id == "name").for_each(|id| *id = "mapping".to_owned());
            }
        }
        Ok(query)
    }

    /// The columns of the joined views.
    fn joined(&self) -> Vec<Vec<String>> {
        let is_machine = self.answer.is_machine();
        let cache = CACHE_COLUMNS.iter().filter(|column| is_machine || column.id() != "cache_file");
        // Groups have the sums instead of the strip.
        let has_strip = |column: &Column<MappingRows>| column.id() == "page_map";
        let pages = PAGE_COLUMNS.iter().filter(|column| is_machine || has_strip(column) != self.by().is_some());
        let id = |column: &Column<MappingRows>| column.id().to_owned();
        let cache = cache.filter(|_| self.views.cache).map(id).collect();
        vec![cache, pages.filter(|_| self.views.map).map(id).collect(), self.joined_nodes()]
    }

    /// The columns of `--numa`.
    fn joined_nodes(&self) -> Vec<String> {
        let of_node = |id: &str| if id == "node0" { presets::NODES.to_owned() } else { id.to_owned() };
        let is_shown = |id: &&str| self.answer.is_machine() || ["policy", "node0"].contains(id);
        let ids = NUMA_COLUMNS.iter().map(Column::id).filter(is_shown).map(of_node);
        ids.filter(|_| self.views.numa).collect()
    }

    fn total(&self) -> Total {
        let quiet = self.pmap.quiet && !self.answer.is_machine();
        match (self.answer.total, self.answer.no_total || quiet) {
            (false, true) => Total::None,
            _ if self.pmap.device => Total::Line(presets::DEVICE_TOTAL.0, presets::DEVICE_TOTAL.1),
            _ => Total::Row,
        }
    }

    fn summarize(self, root: ProcRoot, configured: &Configured, report: &mut Report) -> Done {
        let processes = self.choice()?;
        let common = |by: &str| Common::ALL.into_iter().find(|common| common.id() == by);
        let added =
            match self.by().as_deref() {
                None if self.views.merge => Added::All,
                None | Some("pid") => Added::Process,
                Some(by) => Added::By(common(by).ok_or_else(|| {
                    Stop::usage("--by", "summaries can only be grouped by pid, command, user or cgroup")
                })?),
            };
        let view = View::Fixed(part::DEFAULT);
        let titles = titles_of_amounts(self.answer.unit(configured, SizeUnit::Kib));
        let answer = self.answer.clone().titled(titles);
        let mut query = Query { by: None, merge: added == Added::All, ..answer.query::<Parts>(configured, view)? };
        query.titles = titles;
        let common = match added {
            Added::By(common) => Some(common.id()),
            Added::Process | Added::All => None,
        };
        let is_lost = |id: &str| {
            added != Added::Process && Some(id) != common && ["pid", "command", "user", "cgroup"].contains(&id)
        };
        let filter =
            query.filter.as_ref().map(|filter| filter.over(&Parts::columns())).transpose().map_err(Stop::Filter)?;
        refuse_if(
            filter.is_some_and(|filter| filter.columns().iter().any(|column| is_lost(column.id()))),
            "--filter",
            "it applies to the sums, which do not have it; select processes instead",
        )?;
        if self.answer.is_machine() || query.every.is_some() {
            // Rows without a heading above them have to name what they belong to.
            query.joined.push(common.iter().map(|id| (*id).to_owned()).collect());
        }
        if let crate::query::Default::Columns(columns) = &mut query.default
            && query.every.is_some()
            && added == Added::Process
            && processes.may_be_several()
        {
            columns.insert(0, "pid".to_owned());
        }
        let presentation = self.presentation(&root, configured);
        let mut source = PartSource { root, processes, added, smaps: self.smaps.clone() };
        self.answer.answer(&query, &mut source, presentation, report)
    }
}

/// The title of the amounts of a summary, which has no total to name the unit.
fn titles_of_amounts(unit: SizeUnit) -> &'static [(&'static str, &'static str)] {
    match unit {
        SizeUnit::Kib => &[("amount", "KiB")],
        SizeUnit::Bytes => &[("amount", "Bytes")],
        SizeUnit::Human => &[],
    }
}

/// The number of cells of a strip in a pipe.
const PIPE_CELLS: usize = 64;

/// The maximum number of cells in a strip, which is indented.
fn strip_cells() -> usize {
    screen::terminal_width().map_or(PIPE_CELLS, |width| usize::from(width).saturating_sub(2).max(8))
}
