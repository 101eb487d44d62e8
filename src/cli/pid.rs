//! `rmap pid`: the process view.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::answer::{AnswerArgs, FILTER_HELP, View, refuse_if};
use super::config::Configured;
use super::report::Report;
use super::{Done, Run, screen};
use crate::process::{Criteria, Fields, ProcRoot};
use crate::query::{Query, Total};
use crate::table::{SizeUnit, Stop, columns_help};
use crate::views::mapping::presets::{self, FIELDS};
use crate::views::mapping::{self, AddressRange, CACHE_COLUMNS, MappingSource, PAGE_COLUMNS};
use crate::views::part::{self, Added, PartSource};
use crate::views::processes::ProcessChoice;

/// `rmap pid`
#[derive(Debug, Args)]
pub(crate) struct PidArgs {
    /// Processes: pids, or self
    #[arg(value_name = "PID", required_unless_present_any = ["found", "smaps"])]
    pids: Vec<OsString>,
    /// Processes by what they are.
    #[command(flatten)]
    found: FoundArgs,
    /// What is shown besides a list of mappings, or in its place.
    #[command(flatten)]
    views: ViewArgs,
    /// pmap's letters.
    #[command(flatten)]
    pmap: PmapArgs,
    /// Read DIR instead of /proc: a directory that looks like one
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    proc_root: PathBuf,
    /// Read FILE, the text of a smaps file, in place of a process; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pids", "found", "proc_root"])]
    smaps: Option<PathBuf>,
    /// How the answer is shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Processes by what they are: for each option any value may match, and every option that is given must match.
#[derive(Debug, Args)]
#[group(id = "found", multiple = true)]
#[command(next_help_heading = "Processes")]
struct FoundArgs {
    /// Processes, or programs, of this name
    #[arg(long, value_name = "NAME")]
    name: Vec<OsString>,
    /// Processes with this regular expression in their command line
    #[arg(long = "match", value_name = "REGEX")]
    pattern: Vec<String>,
    /// Processes of this user: a name or a number
    #[arg(long, value_name = "USER")]
    user: Vec<String>,
    /// Processes in this control group or below: a path, the name of a group, or the id of a container; * and ? match any
    #[arg(long, value_name = "GROUP")]
    cgroup: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Views")]
struct ViewArgs {
    /// Put the mappings, groups or summaries of all processes into one
    #[arg(long)]
    merge: bool,
    /// Show where the memory is, and how much could be reclaimed without swap, in place of mappings
    #[arg(long)]
    summary: bool,
    /// For each mapped file: how much of the mapped range is in the page cache, and how much of that is mapped in here
    #[arg(long)]
    cache: bool,
    /// For each mapping a strip of its page tables: what is in RAM, in swap, of a file, huge, or the zero page
    #[arg(long)]
    map: bool,
}

/// pmap's letters, with pmap's meaning.
#[derive(Debug, Args)]
#[command(next_help_heading = "As pmap")]
struct PmapArgs {
    /// The extended format: Kbytes, RSS, Dirty, Mode
    #[arg(short = 'x', long, conflicts_with_all = ["device", "everything"])]
    extended: bool,
    /// The device format: Mode, Offset, Device, and how much is writable or shared
    #[arg(short = 'd', long, conflicts_with = "everything")]
    device: bool,
    /// Every field that the kernel gives, in its order, including those of a newer kernel (also -XX)
    #[arg(short = 'X', action = ArgAction::Count)]
    everything: u8,
    /// Leave out the header and the total
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Show full paths in the formats of -x, -d, -X and --cache
    #[arg(short = 'p', long)]
    show_path: bool,
    /// Show only mappings that have an address from LOW to HIGH, both in hexadecimal; one address: the mapping it is in
    #[arg(short = 'A', long, value_name = "LOW,HIGH")]
    range: Option<AddressRange>,
}

impl PmapArgs {
    fn has_format(&self) -> bool {
        self.extended || self.device || self.everything > 0
    }
}

/// What `--by` may also be called, and the column that it means.
const KEYS: &[(&str, &str)] = &[("file", "mapping"), ("process", "pid"), ("container", "cgroup")];

/// Columns of a process: grouping by one of these puts processes together.
const KEYS_OF_PROCESSES: [&str; 4] = ["pid", "user", "cgroup", "command"];

impl Run for PidArgs {
    const NAME: &'static str = "pid";
    const ABOUT: &'static str = "What a process has mapped, and how much of each mapping is in RAM";

    fn help() -> String {
        format!(
            "Columns (a field of a newer kernel has a column too, by its name in lower case; {FIELDS}: every field):\n{}\n\
             Columns of --summary:\n{}\n\
             --by takes any of them: file, kind, perm, dir, pid, user, cgroup and so on.\n\
             Sizes are in KiB unless -b or -H is given; machine formats are in bytes.\n\n{FILTER_HELP}",
            columns_help(&mapping::known_columns()),
            columns_help(part::COLUMNS),
        )
    }

    fn columns() -> Vec<String> {
        mapping::known_columns().iter().map(|column| column.id().to_owned()).collect()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        self.check(configured)?;
        if self.views.summary { self.summarize(configured, report) } else { self.list(configured, report) }
    }
}

impl PidArgs {
    /// Refuses what contradicts itself, or would change nothing.
    fn check(&self, configured: &Configured) -> Done {
        let (answer, views, pmap) = (&self.answer, &self.views, &self.pmap);
        let replaces = answer.columns.as_ref().is_some_and(|list| !list.adds);
        let format = "-x, -d, -X";
        refuse_if(
            pmap.has_format() && replaces,
            "-o",
            "-x, -d and -X choose the columns already: write -o +LIST to add some",
        )?;
        refuse_if(
            pmap.has_format() && answer.is_machine(),
            format,
            "these are tables: a machine format holds every field, or those that -o names",
        )?;
        refuse_if(
            pmap.has_format() && (answer.by.is_some() || views.summary),
            format,
            "these are columns of mappings, which groups and summaries do not have",
        )?;
        refuse_if(
            answer.format().is_json && (pmap.quiet || answer.no_header),
            "-q, -n",
            "JSON has no header to leave out",
        )?;
        let has_short_names = pmap.has_format() || (views.cache && configured.columns.is_none());
        refuse_if(
            pmap.show_path && (!has_short_names || replaces || answer.by.is_some() || answer.is_machine()),
            "-p",
            "nothing is shortened here: it goes with the tables of -x, -d, -X and --cache",
        )?;
        let alone = "the text of a smaps file is all that there is: no process, file or page table";
        let joins = views.cache || views.map || views.summary || answer.every.is_some();
        refuse_if(self.smaps.is_some() && joins, "--cache, --map, --summary, -w", alone)?;
        refuse_if(views.map && answer.by.is_some(), "--map", "strips cannot be added up in groups")?;
        if !views.summary {
            return Ok(());
        }
        refuse_if(views.cache, "--cache", "a summary is of the process, not of its files")?;
        refuse_if(views.map, "--map", "a summary has no mappings")?;
        refuse_if(pmap.range.is_some(), "-A", "a summary is of all mappings: the kernel adds them up")?;
        refuse_if(answer.total, "--total", "the parts of a summary overlap and do not add up")
    }

    /// Which processes are meant.
    fn choice(&self) -> Result<ProcessChoice, Stop> {
        let mut like = Criteria::new();
        self.found.name.iter().for_each(|name| like.add_name(name.as_bytes()));
        self.found.cgroup.iter().for_each(|group| like.add_group(group.as_bytes()));
        self.found.pattern.iter().try_for_each(|pattern| like.add_pattern(pattern)).map_err(Stop::Usage)?;
        self.found.user.iter().try_for_each(|user| like.add_user(user)).map_err(Stop::Usage)?;
        Ok(ProcessChoice { pids: self.pids.clone(), like })
    }

    fn root(&self) -> ProcRoot {
        ProcRoot::at(self.proc_root.clone())
    }

    /// The column that `--by` means.
    fn by(&self) -> Option<String> {
        let typed = self.answer.by.as_deref()?.to_ascii_lowercase();
        let meant = KEYS.iter().find(|(name, _)| *name == typed).map(|(_, column)| (*column).to_owned());
        Some(meant.unwrap_or(typed))
    }

    fn list(self, configured: &Configured, report: &mut Report) -> Done {
        let processes = self.choice()?;
        let query = self.query(configured, &processes)?;
        let presentation = crate::render::Presentation {
            // pmap's -q leaves the line with the process.
            no_header: self.answer.no_header || self.pmap.quiet,
            ..self.answer.presentation(configured, SizeUnit::Kib)
        };
        let mut source = MappingSource {
            root: self.root(),
            processes,
            range: self.pmap.range.unwrap_or(AddressRange::ALL),
            cells: strip_cells(),
            smaps: self.smaps.clone(),
            once: query.merge && !matches!(query.by.as_deref(), Some("pid" | "command")),
            fields: Fields::new(),
        };
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
            () => View::Usual(presets::DEFAULT),
        };
        let mut query = answer.query(configured, view)?;
        let joins_processes = by.as_deref().is_some_and(|by| KEYS_OF_PROCESSES.contains(&by));
        query.by = by;
        query.merge = self.views.merge || joins_processes;
        query.joined = self.joined();
        if pmap.extended || pmap.device {
            query.titles = presets::PMAP_TITLES;
        }
        query.total = self.total();
        if let crate::query::Default::Columns(columns) = &mut query.default {
            // One list of several processes names each.
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

    /// The columns of the views that are joined.
    fn joined(&self) -> Vec<String> {
        let is_machine = self.answer.is_machine();
        let cache = CACHE_COLUMNS.iter().filter(|column| is_machine || column.id() != "cache_file");
        let pages = PAGE_COLUMNS.iter().filter(|column| is_machine || column.id() == "page_map");
        let cache = cache.filter(|_| self.views.cache);
        cache.chain(pages.filter(|_| self.views.map)).map(|column| column.id().to_owned()).collect()
    }

    fn total(&self) -> Total {
        let quiet = self.pmap.quiet && !self.answer.is_machine();
        match (self.answer.total, self.answer.no_total || quiet) {
            (false, true) => Total::None,
            _ if self.pmap.device => Total::Line(presets::DEVICE_TOTAL.0, presets::DEVICE_TOTAL.1),
            _ => Total::Row,
        }
    }

    fn summarize(self, configured: &Configured, report: &mut Report) -> Done {
        let processes = self.choice()?;
        let added = match self.by().as_deref() {
            _ if self.views.merge => Added::All,
            None | Some("pid") => Added::Process,
            Some("user") => Added::User,
            Some("cgroup") => Added::ControlGroup,
            Some(_) => return Err(Stop::usage("--by", "a summary is of whole processes: by pid, user or cgroup")),
        };
        let view = View::Fixed(part::DEFAULT);
        let mut query = Query { by: None, ..self.answer.query(configured, view)? };
        if let crate::query::Default::Columns(columns) = &mut query.default
            && query.every.is_some()
            && added == Added::Process
            && processes.may_be_several()
        {
            columns.insert(0, "pid".to_owned());
        }
        let presentation = crate::render::Presentation {
            no_header: self.answer.no_header || self.pmap.quiet,
            ..self.answer.presentation(configured, SizeUnit::Kib)
        };
        let bar = if presentation.terminal_width.is_some() { "█" } else { "#" };
        let mut source = PartSource { root: self.root(), processes, added, bar };
        self.answer.answer(&query, &mut source, presentation, report)
    }
}

/// How many cells a strip has in a pipe.
const PIPE_CELLS: usize = 64;

/// How many cells a strip has at most: it is set off from the margin.
fn strip_cells() -> usize {
    screen::terminal_width().map_or(PIPE_CELLS, |width| usize::from(width).saturating_sub(2).max(8))
}
