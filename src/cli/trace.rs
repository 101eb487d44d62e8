//! `rmap trace`: runs a program and shows what it maps, from both sides.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::answer::{AnswerArgs, View, refuse_if};
use super::report::Report;
use super::run::{Configured, Done, Listed, Run, Subcommand};
use super::screen::Place;
use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::whereabouts::await_place;
use crate::laboratory::trace::{Ending, Trace, TraceRequest};
use crate::machine::has_huge_pages;
use crate::query::Host;
use crate::table::{SizeUnit, Stop, did_you_mean};
use crate::units::{Bytes, Exact, counted};
use crate::views::traced::{self, Changes, TraceSource};

/// `rmap trace`
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The program to run, and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
    /// How the program is followed.
    #[command(flatten)]
    follow: FollowArgs,
    /// How the rows are shown.
    #[command(flatten)]
    answer: AnswerArgs,
}

/// How a program is followed.
#[derive(Debug, Clone, Args)]
pub(crate) struct FollowArgs {
    /// Look at its mappings every MS milliseconds, and at once after a large system call
    ///
    /// If a look takes long, because the program is large, rmap looks more rarely: at most 3 % of the time.
    #[arg(long = "every", value_name = "MS", default_value_t = INTERVAL)]
    interval: Milliseconds,
    /// Show mappings that are this long, or changed by so much in Size or Rss
    ///
    /// Smaller changes add up until they reach SIZE. System calls about less are not followed, except brk.
    #[arg(long, value_name = "SIZE", default_value_t = MIN_CHANGE)]
    min_change: Exact,
    /// Do not follow system calls: only look
    #[arg(long)]
    no_syscalls: bool,
    /// Write the rows to FILE instead of standard error
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

const INTERVAL: Milliseconds = Milliseconds(100);
const MIN_CHANGE: Exact = Exact(Bytes(4 << 20));

impl Default for FollowArgs {
    fn default() -> FollowArgs {
        FollowArgs { interval: INTERVAL, min_change: MIN_CHANGE, no_syscalls: false, output: None }
    }
}

/// A number of milliseconds greater than 0.
#[derive(Debug, Clone, Copy)]
struct Milliseconds(u64);

impl FromStr for Milliseconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Milliseconds, &'static str> {
        match text.parse() {
            Ok(0) | Err(_) => Err("use a number of milliseconds greater than 0, such as 100"),
            Ok(milliseconds) => Ok(Milliseconds(milliseconds)),
        }
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Run for TraceArgs {
    const NAME: &'static str = "trace";
    const ABOUT: &'static str = "Run a program and show what it maps, fills and unmaps";

    const ROWS: &'static [Listed] = &[Listed::of::<Changes>("Columns")];
    const NOTES: &'static str = "\
        The program has standard input and output for itself; the rows go to standard error, or to the file of \
        --output. The exit status is the program's: 128 plus its number if a signal ended it, 127 if there is no \
        such program, 126 if it cannot be run. Ctrl-C goes to the program, and rmap passes INT, QUIT, TERM, HUP, \
        USR1, USR2, ALRM, WINCH and CONT on to it; rmap ends when the program does. Other signals are not passed on. \
        If rmap is killed (kill -9), the program is killed too, unless it runs as a user by then whose processes rmap \
        may not kill (before Linux 5.3: if it has changed its user).\n\n\
        Only the program itself is followed, also through execve; the processes that it starts run as always, and may \
        outlive it.\n\n\
        Its large system calls are held for a moment (seccomp user notification, Linux 5.19), so that the state just \
        before munmap or exit is seen. Rss does not count huge pages of hugetlbfs: the columns Hugetlb do, which are \
        shown if the machine has any. Memory without a file and without access is not shown, and what is smaller than \
        --min-change only once it grows. Calls of 32-bit programs are not seen. Unless rmap runs as root, \
        set-user-id programs such as sudo get no privileges below it; with --no-syscalls they do. A program that \
        itself installs a seccomp filter with user notification gets EBUSY below rmap; --no-syscalls helps there too. \
        A signal that comes in the first microseconds of such a call, before rmap has received it, interrupts it: if \
        the handler of the signal was installed without SA_RESTART, as in Python, the call fails with EINTR, which \
        would not happen without rmap. A line at the end says how often that may have happened, at most; \
        --no-syscalls avoids it. While rmap is stopped, the program waits in its next large call.";
    const OPERANDS: &'static str = "COMMAND";
    const FILTERS: &'static [(&'static str, &'static str)] = &[("", "size>10M && path=~libc")];
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("rmap trace sort big.db", "what a program maps and fills, until it ends"),
        ("rmap trace --output rows.csv --csv sort big.db", "the rows to a file, in bytes"),
        ("rmap trace --filter 'kind == file' wc -l big.db", "only mapped files"),
        ("rmap trace --top 5 --min-change 64K wc -l big.db", "the five largest changes, at the end"),
    ];

    const NO_ROOT: &'static str = "it watches a program run, and a capture does not run";
    const NO_WATCH: &'static str = "a program runs once, and its changes are shown as they happen";
    const NO_TOTAL: &'static str = "the changes of a program do not add up";

    fn is_machine(&self) -> bool {
        self.answer.is_machine()
    }

    fn run(self, configured: &Configured, report: &mut Report) -> Done {
        // The program and its arguments may begin with a hyphen.
        let is_root = self.command.first().is_some_and(|word| word.as_bytes().starts_with(b"--proc-root"));
        refuse_if(is_root, "--proc-root", Self::NO_ROOT)?;
        // No program is called like an option.
        if let Some(odd) = self.command.first().filter(|word| word.as_bytes().starts_with(b"-")) {
            return Err(unknown_option(&odd.to_string_lossy()));
        }
        trace(self.command, &self.follow, &self.answer, configured, report)
    }
}

/// What is wrong with an option that `trace` does not have, which clap takes for the program.
fn unknown_option(typed: &str) -> Stop {
    let command = (Subcommand::of::<TraceArgs>().augment)(clap::Command::new(TraceArgs::NAME));
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let known: Vec<String> = shown.filter_map(clap::Arg::get_long).map(|name| format!("--{name}")).collect();
    let meant = did_you_mean(typed, known.iter().map(String::as_str));
    let see = meant.map_or_else(|| "see".to_owned(), |meant| format!("{meant} See"));
    Stop::usage(typed, format!("unknown option; {see} `rmap trace --help`"))
}

/// Runs a program and shows what it maps. Its exit status becomes that of this process.
pub(super) fn trace(
    command: Vec<OsString>,
    follow: &FollowArgs,
    answer: &AnswerArgs,
    configured: &Configured,
    report: &mut Report,
) -> Done {
    refuse_if(answer.every.is_some(), "-w", TraceArgs::NO_WATCH)?;
    refuse_if(answer.total, "--total", TraceArgs::NO_TOTAL)?;
    refuse_if(command.first().is_some_and(|name| name.is_empty()), "COMMAND", "its name is empty")?;
    let mut query = answer.query::<Changes>(configured, View::Usual(traced::DEFAULT))?;
    if has_huge_pages() {
        show_huge_pages(&mut query);
    }
    answer.check::<Changes>(&query)?;
    let place = match &follow.output {
        Some(path) => Place::File(open(path).map_err(|error| unwritable(path.clone(), &error))?),
        None => Place::Error,
    };
    let presentation = answer.presentation_at(&place, configured, SizeUnit::Kib);
    let (every, least) = (Duration::from_millis(follow.interval.0), follow.min_change);
    let request = TraceRequest { command, every, least: least.0, calls: !follow.no_syscalls };
    let trace = Trace::begin(&request).inspect_err(|error| {
        report.own_status = Some(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN });
    })?;
    if let (Place::File(file), Some(path)) = (&place, &follow.output) {
        empty(file).map_err(|error| unwritable(path.clone(), &error))?;
    }
    if let Some(absent) = trace.without_calls().filter(|_| !follow.no_syscalls) {
        report.note(&Error::absent(Subject::Words("system calls".to_owned()), absent));
    }
    let mut source = TraceSource::new(trace);
    let done = answer.answer_at(place, &query, &mut source, presentation, report);
    report.own_status = source.ending().map(Ending::status);
    let interrupted = source.interrupted();
    if interrupted > 0 {
        let calls = counted(interrupted, "system call was", "system calls were");
        let them = if interrupted == 1 { "it" } else { "them" };
        report.remark(
            "trace",
            format!(
                "up to {calls} interrupted by a signal before rmap had received {them}, and may have failed with \
                 EINTR; --no-syscalls helps"
            ),
        );
    }
    let untold = source.untold();
    if done.is_ok() && untold > 0 && !answer.is_machine() && !answer.no_header {
        let few = counted(untold, "mapping", "mappings");
        report.remark(
            "trace",
            format!("at least {few} shorter than {least}, or without a change of it, left out (--min-change)"),
        );
    }
    match (done, &follow.output) {
        (Err(Stop::Output(error)), Some(path)) => Err(unwritable(path.clone(), &error)),
        (Err(Stop::Output(error)), None) => {
            Err(Stop::Failed(Error::io(Subject::Words("standard error".to_owned()), &error)))
        }
        (done, _) => done,
    }
}

/// Adds the huge pages of hugetlbfs to the built-in columns.
fn show_huge_pages(query: &mut crate::query::Query) {
    let crate::query::Default::Columns(columns) = &mut query.default else { return };
    if *columns != traced::DEFAULT {
        return;
    }
    for (before, added) in [("rss_before", "hugetlb_before"), ("rss", "hugetlb")] {
        let place = columns.iter().position(|column| column == before).map_or(0, |place| place + 1);
        columns.insert(place, added.to_owned());
    }
}

/// The program was not found. env(1) uses the same status.
const NOT_FOUND: u8 = 127;
/// The program cannot be run.
const NOT_RUN: u8 = 126;

/// Opens the file for the rows, and leaves what is in it until the program runs.
fn open(path: &Path) -> io::Result<File> {
    await_place(path)?;
    File::options().write(true).create(true).truncate(false).open(path)
}

/// Removes what is in the file; a pipe or a device has no length.
fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

fn unwritable(path: PathBuf, error: &io::Error) -> Stop {
    Stop::Failed(Error::io(Subject::Path(path), error))
}
