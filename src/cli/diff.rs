//! `rmap diff`: what grew and what shrank between two captures, or between a capture and now.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::answer::{AnswerArgs, View, refuse_if, seconds, unit_of_files};
use super::report::Report;
use super::root;
use super::run::{Configured, Done, Listed, Run};
use super::screen;
use crate::capture::Wanted;
use crate::join::changes::{ChangedKind, Comparison};
use crate::process::ProcRoot;
use crate::query::Total;
use crate::table::escape::escaped;
use crate::units::Bytes;
use crate::views::changed::{self, ChangeSource, Changed};

/// `rmap diff`
#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArgs {
    /// The first state: a capture, an archive or its directory
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The second state (default: this machine, now)
    #[arg(value_name = "B")]
    after: Option<PathBuf>,
    /// Show only changes of this size or larger
    ///
    /// By default 1M in tables, and whatever changed otherwise and with --by or --total. Mappings are only read of
    /// processes that changed by as much. With --by it is the groups that must have changed by as much.
    #[arg(long, value_name = "SIZE", help_heading = "Changes")]
    min_change: Option<Bytes>,
    /// Compare only these kinds, with commas between them
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(KINDS.map(|(name, _)| name)),
        help_heading = "Changes"
    )]
    what: Vec<String>,
    /// Time limit for the running machine (default: 5 s)
    ///
    /// What was not read by then is absent.
    #[arg(long, value_name = "SECS", value_parser = seconds, help_heading = "Changes")]
    budget: Option<Duration>,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

/// What `--what` takes.
const KINDS: [(&str, ChangedKind); 4] = [
    ("processes", ChangedKind::Process),
    ("mappings", ChangedKind::Mapping),
    ("files", ChangedKind::File),
    ("cgroups", ChangedKind::Cgroup),
];

/// The least change that a table shows.
const LEAST: Bytes = Bytes(1 << 20);

/// How many changes a terminal shows.
const FIRST: usize = 20;

/// How long reading the running machine may take by default. Nothing is repeated, so it may take longer than a look.
const BUDGET: Duration = Duration::from_secs(5);

impl Run for DiffArgs {
    const NAME: &'static str = "diff";
    const ABOUT: &'static str = "What grew and what shrank between two captures, or since a capture";

    const ROWS: &'static [Listed] = &[Listed::of::<Changed>("Columns")];
    const NOTES: &'static str = "\
        The largest change is first, whether it is more or less; on a terminal the 20 largest are shown (--top). \
        --sort change has what grew most first, and --sort -change what shrank most. What did not change is left out.\n\
        A process is the same if its pid, its start time and the boot are; a file if its device, inode and path are, \
        or after another boot its path.\n\
        The kinds overlap: a process has mappings, whose files are cached and charged to a control group. With --by or \
        --total a control group has only what those below it do not have.";
    const OPERANDS: &'static str = "A, a capture";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "kind==file && name=~libc")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap diff today.tar.zst", "what changed since then"),
        ("rmap diff today.tar.zst later.tar.zst", "between two captures"),
        ("rmap diff today.tar.zst --what files --min-change 0", "every cached file that changed"),
        ("rmap diff today.tar.zst --what processes --by name", "by command lines, also after a reboot"),
    ];

    const NO_ROOT: &'static str = "captures are its arguments: rmap diff A B";
    const NO_WATCH: &'static str =
        "two states are compared once; -w of ps, files, mem and cgroups shows what changes from now on";

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        let answer = &self.answer;
        refuse_if(answer.every.is_some(), "-w", Self::NO_WATCH)?;
        let kinds = self.kinds();
        // Files and control groups belong to no process, and what is the same in every row tells nothing.
        let have_pids = kinds.iter().any(|kind| matches!(kind, ChangedKind::Process | ChangedKind::Mapping));
        let tells = |id: &&&str| (have_pids || **id != "pid") && (kinds.len() > 1 || **id != "kind");
        let columns: Vec<&str> = changed::DEFAULT.iter().filter(tells).copied().collect();
        let mut query = answer.query::<Changed>(configured, View::Usual(&columns))?;
        let adds_up = query.by.is_some() || query.total == Total::Row;
        const OVERLAP: &str = "the kinds overlap, so a sum would count memory several times; choose one with --what";
        let is_by_kind = query.by.as_deref() == Some("kind");
        refuse_if(query.by.is_some() && !is_by_kind && kinds.len() > 1, "--by", OVERLAP)?;
        refuse_if(query.total == Total::Row && kinds.len() > 1, "--total", OVERLAP)?;
        let is_long = query.top.is_none() && query.by.is_none() && query.total == Total::None;
        if is_long && !answer.is_machine() && screen::is_terminal() {
            query.top = Some(FIRST);
        }
        if query.by.is_none() {
            query.sort_as_usual();
        }
        answer.check::<Changed>(&query)?;
        let is_brief = !answer.is_machine() && !adds_up;
        let least = self.min_change.unwrap_or(if is_brief { LEAST } else { Bytes(0) });
        // Of a group every change counts, however small.
        query.least = Some(("change", self.min_change.unwrap_or(Bytes(1))));
        let files = kinds.contains(&ChangedKind::File);
        let wanted = Wanted { processes: kinds.iter().any(|kind| *kind != ChangedKind::File), files };
        let before = root::open(&self.before, wanted)?;
        let now = || root::mounted(ProcRoot::live());
        let after = self.after.as_deref().map_or_else(now, |after| root::open(after, wanted))?;
        let names = [name(&self.before), self.after.as_deref().map_or_else(|| "now".to_owned(), name)];
        let comparison = Comparison {
            before,
            after,
            kinds,
            least: if query.by.is_some() { Bytes(0) } else { least },
            divides: adds_up,
            budget: self.budget.unwrap_or(BUDGET),
        };
        let presentation = answer.presentation(configured, unit_of_files());
        // Otherwise these are groups.
        let top = query.top.filter(|_| query.by.is_none());
        let mut source = ChangeSource::new(comparison, names, top);
        answer.answer(&query, &mut source, presentation, report)
    }
}

impl DiffArgs {
    /// The kinds that are compared.
    fn kinds(&self) -> Vec<ChangedKind> {
        let is_chosen = |name: &str| self.what.is_empty() || self.what.iter().any(|typed| typed == name);
        KINDS.iter().filter(|(name, _)| is_chosen(name)).map(|(_, kind)| *kind).collect()
    }
}

fn name(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes()).to_string()
}
